//! What meets a client before it has a session: cookies, and limits.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use wharf_dtls::{Front, Outcome, ServerContext};
use wharf_policy::{Entered, PrefixLimiter, PrefixLimits, PrefixSlots, PrefixSlotsLimits};

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
    /// The sessions of each prefix, those included whose handshakes are not complete.
    sessions: PrefixSlots,
    /// Those of them whose handshakes are not complete.
    handshakes: PrefixSlots,
}

/// What a session holds of its prefix's share: to be handed back to the [`Gate`] that gave it, once.
#[derive(Clone, Copy)]
#[must_use]
pub(super) struct Place {
    session: Entered,
    /// `None` once its handshake is complete.
    handshake: Option<Entered>,
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
        let max_sessions = share(options.max_sessions);
        let max_handshakes = share(options.max_handshakes);
        let slots = |all: usize, per_prefix: u32| {
            let limits = PrefixSlotsLimits {
                per_prefix: match per_prefix {
                    0 => 0,
                    some => share(some as usize) as u32,
                },
                // Room for as many prefixes, and half of it free.
                slots: all.saturating_mul(2),
                ..PrefixSlotsLimits::default()
            };
            PrefixSlots::new(limits, seed)
        };
        Self {
            context,
            front: Front::new(secret, options.cookie_lifetime, now),
            cookie_lifetime: options.cookie_lifetime,
            rotated: now,
            limiter: PrefixLimiter::new(limits, seed),
            seed,
            max_sessions,
            max_handshakes,
            sessions: slots(max_sessions, options.max_sessions_per_prefix),
            handshakes: slots(max_handshakes, options.max_handshakes_per_prefix),
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
    /// so many are in their handshakes. What a session of the same client holds that it takes the place
    /// of is part of its own place; a refusal leaves it as it is.
    pub(super) fn admit(
        &mut self,
        now: Instant,
        from: SocketAddr,
        (sessions, handshakes): (usize, usize),
        held: Option<Place>,
    ) -> Option<Place> {
        let ip = from.ip();
        let admits = sessions < self.max_sessions
            && handshakes < self.max_handshakes
            && self.limiter.allow(now, ip);
        if !admits {
            return None;
        }
        let handshake = match held.and_then(|held| held.handshake) {
            Some(handshake) => handshake,
            None => self.handshakes.try_enter(ip).ok()?,
        };
        let session = match held {
            Some(held) => Ok(held.session),
            None => self.sessions.try_enter(ip),
        };
        let Ok(session) = session else {
            self.handshakes.leave(handshake);
            return None;
        };
        Some(Place {
            session,
            handshake: Some(handshake),
        })
    }

    /// A handshake is complete.
    pub(super) fn opened(&mut self, place: &mut Place) {
        if let Some(handshake) = place.handshake.take() {
            self.handshakes.leave(handshake);
        }
    }

    /// A session is over.
    pub(super) fn leave(&mut self, mut place: Place) {
        self.opened(&mut place);
        self.sessions.leave(place.session);
    }

    /// Another limit on how often a prefix may begin a handshake, counted afresh.
    pub(super) fn set_limit(&mut self, limits: PrefixLimits) {
        self.limiter = PrefixLimiter::new(limits, self.seed);
    }
}
