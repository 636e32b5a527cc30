//! What happens, as it happens: to those who listen, and to the log.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::broadcast;
use tokio::time::Instant;
use wharf_policy::health::{Cause, Health};
use wharf_policy::repeat::RepeatLimiter;

use crate::path::Endpoint;
use crate::reason::{Closed, Refusal};

/// How far a connection has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum State {
    /// A client begins to connect.
    Dial,
    /// A client's connection was not made, and why.
    Failed(Refusal),
    /// It is there; its handshakes are to come.
    New,
    /// Its handshakes are complete and its handler begins.
    Handler,
    /// Its first byte was read.
    Read,
    /// The peer sends no more.
    CloseRead,
    /// The first byte was written to it.
    Write,
    /// Our side sends no more.
    CloseWrite,
    /// It is gone, and why.
    Closed(Closed),
}

/// Something that happened. Strings are names from the configuration or fixed labels.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event {
    /// A listener accepts connections.
    ListenerStarted {
        /// Its name.
        listener: Arc<str>,
        /// Where it listens.
        addresses: Vec<String>,
    },
    /// A listener no longer accepts connections and its sockets are closed.
    ListenerStopped {
        /// Its name.
        listener: Arc<str>,
    },
    /// A listener leaves connections in the backlog, or takes them again.
    ListenerSuspended {
        /// Its name.
        listener: Arc<str>,
        /// Whether it is suspended now.
        suspended: bool,
    },
    /// The socket of a listener failed. It is tried again after a pause.
    ListenerError {
        /// Its name.
        listener: Arc<str>,
        /// The error.
        error: String,
    },
    /// Accepting pauses after an error, as for want of descriptors or memory.
    AcceptPaused {
        /// The listener.
        listener: Arc<str>,
        /// For how long.
        pause: Duration,
    },
    /// A connection has come further.
    Connection {
        /// Its listener or client.
        listener: Arc<str>,
        /// Its number.
        id: u64,
        /// How far.
        state: State,
    },
    /// An arrival was refused.
    Refused {
        /// The listener.
        listener: Arc<str>,
        /// Who came.
        peer: Endpoint,
        /// Why.
        reason: Refusal,
        /// A label with more, or nothing.
        detail: &'static str,
    },
    /// A TLS handshake or WebSocket upgrade is complete.
    Handshake {
        /// The listener or client.
        listener: Arc<str>,
        /// The connection.
        id: u64,
        /// `tls` or `websocket`.
        protocol: &'static str,
        /// `ok`, or what failed.
        result: &'static str,
    },
    /// A rate was reached, and reading or accepting waits. An arrival that is turned away for a rate
    /// is [`Refused`](Event::Refused) instead.
    RateLimited {
        /// The listener.
        listener: Arc<str>,
        /// The connection, for a connection's rate.
        id: Option<u64>,
        /// The key of the rate in the configuration.
        key: &'static str,
    },
    /// An ICMP error came for a datagram that was sent. It is a hint that anybody can forge: no flow of
    /// a listener ends for it, and no session.
    Icmp {
        /// The listener.
        listener: Arc<str>,
        /// Where the datagram was going.
        peer: Endpoint,
        /// The type of the ICMP or ICMPv6 message, by the family of `peer`.
        icmp_type: u8,
        /// Its code.
        code: u8,
    },
    /// A message was larger than allowed, cut off by the end of its connection, or not parsable.
    BadMessage {
        /// The listener or client.
        listener: Arc<str>,
        /// The connection.
        id: u64,
        /// `oversized`, `incomplete` or `unparsable`.
        what: &'static str,
    },
    /// The control plane closed connections.
    ConnectionsClosed {
        /// How many.
        count: usize,
    },
    /// Certificates were reloaded, or the old ones stay because the new ones are bad.
    Certificates {
        /// The listener.
        listener: Arc<str>,
        /// What was wrong with the new ones.
        problem: Option<String>,
    },
    /// New rules are in force.
    Changed {
        /// The listener.
        listener: Arc<str>,
    },
    /// A connection that a client keeps is not there; it connects again after a wait.
    Reconnect {
        /// The client.
        client: Arc<str>,
        /// How long it waits.
        delay: Duration,
        /// Failures in a row.
        failures: u32,
    },
    /// The server's health has changed.
    Health {
        /// Before.
        from: Health,
        /// Now.
        to: Health,
        /// What moved it.
        cause: Cause,
    },
    /// A connection limit is nearly reached, or no longer.
    Alarm {
        /// The listener; `None` for the server's own limit.
        listener: Option<Arc<str>>,
        /// Whether it is raised or cleared.
        raised: bool,
    },
    /// A successor accepts from now on, and the server drains.
    HandedOver {
        /// How many descriptors it has: sockets, the one on which handovers are asked for, and what is carried.
        sockets: usize,
    },
    /// The server accepts in the place of its predecessor, which drains.
    TookOver {
        /// How many descriptors it was given.
        sockets: usize,
    },
    /// A handover failed. The server that had the sockets goes on as before.
    HandoverFailed {
        /// Why.
        error: String,
    },
    /// The server begins to drain.
    Draining,
    /// The drain is over.
    Drained {
        /// Connections that ended by themselves.
        finished: u64,
        /// Connections that were ended at the deadline.
        forced: u64,
    },
}

/// A function that is called with every event, on the task where it happens: it must not block.
pub(crate) type Hook = Box<dyn Fn(&Event) + Send + Sync>;

/// Events that a slow listener may be behind; then it loses the oldest and is told how many.
const BEHIND: usize = 1024;

/// One line of log a period for each kind of repeated trouble.
const PERIOD: Duration = Duration::from_secs(10);

pub(crate) struct Events {
    sender: broadcast::Sender<Event>,
    hooks: Vec<Hook>,
    refusals: Mutex<RepeatLimiter<{ Refusal::ALL.len() }>>,
    accepts: Mutex<RepeatLimiter<1>>,
}

impl Events {
    pub(crate) fn new(hooks: Vec<Hook>) -> Arc<Self> {
        let refusals = Mutex::new(RepeatLimiter::new(PERIOD));
        let accepts = Mutex::new(RepeatLimiter::new(PERIOD));
        Arc::new(Self {
            sender: broadcast::Sender::new(BEHIND),
            hooks,
            refusals,
            accepts,
        })
    }

    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.sender.subscribe()
    }

    /// Tells whoever listens; the event is made only for them.
    #[inline]
    pub(crate) fn emit(&self, event: impl FnOnce() -> Event) {
        if self.hooks.is_empty() && self.sender.receiver_count() == 0 {
            return;
        }
        let event = event();
        for hook in &self.hooks {
            // An observer that panics must not end what it observes.
            let watched = std::panic::AssertUnwindSafe(|| hook(&event));
            let _ = std::panic::catch_unwind(watched);
        }
        // Nobody may be listening any more.
        let _ = self.sender.send(event);
    }

    /// An arrival was refused. The log has one line a period for each reason; a load balancer's
    /// probes have none.
    pub(crate) fn refused(
        &self,
        listener: &Arc<str>,
        peer: &Endpoint,
        reason: Refusal,
        detail: &'static str,
    ) {
        self.emit(|| Event::Refused {
            listener: listener.clone(),
            peer: peer.clone(),
            reason,
            detail,
        });
        if reason == Refusal::Probe || !tracing::enabled!(tracing::Level::WARN) {
            return;
        }
        let now = Instant::now().into_std();
        let allowed = self
            .refusals
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .allow(now, reason as usize);
        if let Some(suppressed) = allowed {
            let reason = reason.label();
            tracing::warn!(%listener, %peer, reason, detail, suppressed, "connection refused");
        }
    }
}

impl Events {
    /// Accepting fails; one line a period.
    pub(crate) fn accept_failed(&self, listener: &str, error: &std::io::Error, pause: Duration) {
        let now = Instant::now().into_std();
        let allowed = self
            .accepts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .allow(now, 0);
        if let Some(suppressed) = allowed {
            let pause = crate::config::units::format_duration(pause);
            tracing::error!(%listener, %error, pause, suppressed, "cannot accept");
        }
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events")
            .field("hooks", &self.hooks.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
