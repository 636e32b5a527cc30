//! What meets a client before it has a session: cookies, and limits.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use wharf_dtls::{Front, Outcome, ServerContext};
use wharf_policy::{PrefixLimiter, PrefixLimits};

use crate::DtlsOptions;

/// One worker's cookies, its context, and how many sessions it may have.
pub(super) struct Gate {
    pub(super) context: ServerContext,
    front: Front,
    cookie_lifetime: Duration,
    rotated: Instant,
    /// How often a prefix may begin a handshake, which costs more than all that it is answered to.
    limiter: PrefixLimiter,
    seed: u64,
    max_sessions: usize,
    max_handshakes: usize,
}

impl Gate {
    /// The gate of one of `workers` workers; `secret` is from the system's entropy.
    pub(super) fn new(
        options: &DtlsOptions,
        context: ServerContext,
        limits: PrefixLimits,
        workers: usize,
        secret: &[u8; 32],
        now: Instant,
    ) -> Self {
        let share = |limit: usize| limit.div_ceil(workers).max(1);
        // The front's secret is a MAC's key, which one table of hashes tells nothing about.
        let seed = u64::from_ne_bytes(*secret.first_chunk().expect("32 bytes hold 8"));
        Self {
            context,
            front: Front::new(secret, options.cookie_lifetime, now),
            cookie_lifetime: options.cookie_lifetime,
            rotated: now,
            limiter: PrefixLimiter::new(limits, seed),
            seed,
            max_sessions: share(options.max_sessions),
            max_handshakes: share(options.max_handshakes),
        }
    }

    /// Asks the front about a datagram that may begin a session. A new secret is taken once in a
    /// cookie's life.
    pub(super) fn ask(&mut self, now: Instant, from: SocketAddr, datagram: &[u8]) -> Outcome<'_> {
        if now.saturating_duration_since(self.rotated) >= self.cookie_lifetime {
            self.rotated = now;
            let mut secret = [0; 32];
            // The old one serves on if the system has no entropy for once.
            if getrandom::fill(&mut secret).is_ok() {
                self.front.rotate(&secret, now);
            }
        }
        self.front.handle(now, from, datagram)
    }

    /// Whether a client whose cookie is good may begin a handshake, beside so many sessions, of which
    /// so many are in their handshakes.
    pub(super) fn admits(
        &mut self,
        now: Instant,
        from: SocketAddr,
        sessions: usize,
        handshakes: usize,
    ) -> bool {
        sessions < self.max_sessions
            && handshakes < self.max_handshakes
            && self.limiter.allow(now, from.ip())
    }

    /// Another limit on how often a prefix may begin a handshake, counted afresh.
    pub(super) fn set_limit(&mut self, limits: PrefixLimits) {
        self.limiter = PrefixLimiter::new(limits, self.seed);
    }
}
