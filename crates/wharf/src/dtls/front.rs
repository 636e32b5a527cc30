//! What meets datagrams without a session.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use wharf_dtls::{Front, Outcome, Verified};

use super::handshake;
use crate::admission::Standing;
use crate::config::Retry;
use crate::counters::one_more;
use crate::datagrams::{First, FlowFront, Opening};
use crate::listener::Listener;

/// The front of one socket.
pub(crate) struct DtlsFront {
    listener: Arc<Listener>,
    cookies: Arc<Cookies>,
    /// The last challenge or refusal.
    reply: Vec<u8>,
}

/// The cookies of one socket, which its sessions need too: a client may begin anew.
pub(super) struct Cookies(Mutex<State>);

struct State {
    front: Front,
    lifetime: Duration,
    rotated: Instant,
}

impl DtlsFront {
    pub(crate) fn new(listener: Arc<Listener>) -> Self {
        let lifetime = listener.owner.live().config.dtls.cookie_lifetime;
        let now = tokio::time::Instant::now().into_std();
        let state = State::new(lifetime, now);
        Self {
            listener,
            cookies: Arc::new(Cookies(Mutex::new(state))),
            reply: Vec::new(),
        }
    }
}

impl State {
    fn new(lifetime: Duration, now: Instant) -> Self {
        Self {
            front: Front::new(&secret(), lifetime, now),
            lifetime,
            rotated: now,
        }
    }
}

impl Cookies {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks about a datagram, and lets `then` see the answer. A new secret is taken once in a
    /// cookie's life.
    pub(super) fn ask<T>(
        &self,
        now: Instant,
        from: SocketAddr,
        datagram: &[u8],
        then: impl FnOnce(Outcome<'_>) -> T,
    ) -> T {
        let mut state = self.state();
        if now.saturating_duration_since(state.rotated) >= state.lifetime {
            state.rotated = now;
            state.front.rotate(&secret(), now);
        }
        then(state.front.handle(now, from, datagram))
    }

    /// Cookies of another lifetime from here on.
    fn set_lifetime(&self, lifetime: Duration, now: Instant) {
        let mut state = self.state();
        if state.lifetime != lifetime {
            *state = State::new(lifetime, now);
        }
    }
}

impl DtlsFront {
    /// Asks about a datagram; the challenge, if it is one, lies in `reply` then, and a hello that may
    /// begin a session without it is taken. `Err` says why it is ignored, if it is.
    fn ask(
        &mut self,
        now: Instant,
        from: SocketAddr,
        datagram: &[u8],
        retry: Retry,
    ) -> Result<Verified, Option<&'static str>> {
        let (reply, pending) = (&mut self.reply, self.listener.handshakes.inside());
        self.cookies
            .ask(now, from, datagram, |outcome| match outcome {
                Outcome::Ignored(reason) => Err(Some(reason.label())),
                Outcome::Verified(verified) => Ok(verified),
                Outcome::Challenge(challenge) => match Verified::trust(datagram) {
                    Ok(trusted) if !retry.demands(pending) => Ok(trusted),
                    _ => {
                        reply.clear();
                        reply.extend_from_slice(challenge);
                        Err(None)
                    }
                },
            })
    }
}

impl FlowFront for DtlsFront {
    fn first(
        &mut self,
        now: Instant,
        from: SocketAddr,
        _: SocketAddr,
        datagram: &[u8],
    ) -> First<'_> {
        let live = self.listener.owner.live();
        self.cookies
            .set_lifetime(live.config.dtls.cookie_lifetime, now);
        let Some(context) = live.tls.as_ref().and_then(|tls| tls.dtls()) else {
            return First::Ignore("no-context");
        };
        match self.ask(now, from, datagram, live.config.dtls.cookie) {
            Err(Some(reason)) => First::Ignore(reason),
            Err(None) => {
                one_more(&self.listener.owner.counters.challenged);
                First::Reply(&self.reply)
            }
            Ok(verified) => {
                let (cookies, listener) = (self.cookies.clone(), self.listener.clone());
                First::Open(Opening {
                    deliver: false,
                    standing: if verified.is_proven() {
                        Standing::Proven
                    } else {
                        Standing::Provable
                    },
                    begin: Box::new(move |packets| {
                        let asked = (listener, verified);
                        Box::pin(handshake::accept(packets, context, asked, cookies))
                    }),
                })
            }
        }
    }

    fn challenge(&mut self, now: Instant, from: SocketAddr, datagram: &[u8]) -> Option<&[u8]> {
        match self.ask(now, from, datagram, Retry::Always) {
            Err(None) => Some(&self.reply),
            _ => None,
        }
    }

    fn refusal(&mut self, datagram: &[u8]) -> Option<&[u8]> {
        self.reply.clear();
        self.reply
            .extend_from_slice(&wharf_dtls::refusal(datagram)?);
        Some(&self.reply)
    }
}

/// 32 bytes that nobody else knows.
fn secret() -> [u8; 32] {
    let mut secret = [0; 32];
    // The system's source does not fail once it has given a byte; without a secret nobody could be
    // told from anybody.
    getrandom::fill(&mut secret).expect("the system has randomness");
    secret
}
