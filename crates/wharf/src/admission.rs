//! From an arrival to its handler, stage by stage.
//!
//! ```text
//! kernel accept ─▶ raw ─▶ PROXY header ─▶ real peer ─▶ admit hook ─▶ TLS ─▶ upgrade ─▶ handler
//!                  │      deadline        access        the user's    deadline for both
//!                  │                      prefixes
//!                  └ access, rates, limits: no byte is read, no task is made for who is refused here
//! ```
//!
//! Each stage either hands the connection on or says why not; the reason is counted once, when the
//! last of the connection is gone.

mod first;
mod handshake;
mod newcomer;
mod proxied;
mod raw;
mod real;

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use futures_util::FutureExt;
use tracing::Instrument;

pub(crate) use handshake::{Ready, tell as tell_handshake};
pub(crate) use newcomer::{Declined, Newcomer, Standing, admit_newcomer, admit_placed};
pub use proxied::Proxied;

use crate::BoxError;
use crate::acceptor::{Acceptor, Arrival, turn_away};
use crate::config::{OnFull, ProxyMode, Transport};
use crate::connection::{Arrived, Connection, Hold, Places, Shared};
use crate::handlers::Kind;
use crate::layer::Layer;
use crate::listener::Listener;
use crate::owner::Live;
use crate::path::Endpoint;
use crate::reason::{Closed, Refusal};
use crate::sctp::KernelLink;
use crate::wire::Wire;

/// How a connection that is not let in is ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TurnAway {
    Close,
    Reset,
    Reply(String),
}

impl TurnAway {
    /// For want of room the listener's `on-full` says how; by a rule, it is closed.
    fn of(live: &Live, reason: Refusal) -> Self {
        match &live.config.limits.on_full {
            OnFull::Reset if reason.is_room() => Self::Reset,
            OnFull::Reply(bytes) if reason.is_room() && !live.config.is_secure() => {
                Self::Reply(bytes.clone())
            }
            _ => Self::Close,
        }
    }
}

/// Why an arrival goes no further, and a label with more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) reason: Refusal,
    pub(crate) detail: &'static str,
}

impl From<Refusal> for Refused {
    fn from(reason: Refusal) -> Self {
        Self { reason, detail: "" }
    }
}

/// Lets an arrival in, or turns it away. Never waits.
pub(crate) fn admit(
    listener: &Arc<Listener>,
    acceptor: &Acceptor,
    arrival: Arrival,
    places: Places,
) {
    let owner = &listener.owner;
    let live = owner.live();
    let places = match raw::check(listener, &live, &arrival.peer, arrival.credentials, places) {
        Ok(places) => places,
        Err(reason) => {
            // Counted first: who sees the end of a connection finds it in the counters.
            owner.counters.refused(reason);
            owner.events.refused(&owner.name, &arrival.peer, reason, "");
            turn_away(arrival.socket, &TurnAway::of(&live, reason));
            return;
        }
    };
    let socket = arrival.socket;
    let Ok(local) = acceptor.prepare(&socket, &live.config.socket) else {
        // The peer may be gone already; its socket then takes no option.
        owner.counters.refused(Refusal::Io);
        owner
            .events
            .refused(&owner.name, &arrival.peer, Refusal::Io, "");
        return;
    };
    let arrived = Arrived {
        id: owner.next_id(),
        transport: live.config.transport,
        peer: arrival.peer,
        local,
        credentials: arrival.credentials,
        descriptor: socket.descriptor(),
    };
    let hold = Shared::arrive(owner, arrived, places);
    let shared = hold.shared().clone();
    if owner.connections.is_closed() {
        // It was accepted while the listener was being stopped: the drain does not wait for it.
        shared.refuse(Refusal::Stopped.into());
        return;
    }
    let span = tracing::info_span!(
        "connection",
        listener = %owner.name,
        id = shared.id,
        peer = %shared.socket_peer,
    );
    let wire = Box::new(Wire::new(socket, hold.clone()));
    let task = tokio::spawn(run(listener.clone(), live, wire, hold).instrument(span));
    let _ = shared.task.set(task.abort_handle());
}

/// The life of a connection, in a task of its own, which keeps it counted until its end is settled.
async fn run(listener: Arc<Listener>, live: Arc<Live>, mut wire: Box<Wire>, hold: Hold) {
    let shared = hold.shared();
    let connection = Connection::new(shared.clone());
    // On the heap and gone before the handler begins: an idle connection does not pay for it.
    let layer = if handshake::is_due(&live) {
        Box::pin(handshake::all(&listener, &live, wire, &connection)).await
    } else {
        wire.established(false);
        real::hook(&listener, &connection).map(|()| match live.config.transport {
            Transport::Sctp => Ready::Messages(Box::new(KernelLink::new(wire, &live.config.sctp))),
            _ => Ready::Bytes(Layer::Plain(wire)),
        })
    };
    let ready = match layer {
        Ok(ready) => ready,
        Err(refused) => {
            shared.refuse(refused);
            return;
        }
    };
    drop(live);
    serve(listener, ready, connection).await;
}

/// Hands a connection whose handshakes are complete to its handler, and settles its end.
async fn serve(listener: Arc<Listener>, ready: Ready, connection: Connection) {
    let shared = connection.shared();
    let protocol = connection.tls().and_then(|tls| tls.alpn.clone());
    let Some(handler) = listener
        .handlers
        .choose(protocol.as_deref(), connection.first())
    else {
        shared.refuse(Refusal::NoHandler.into());
        return;
    };
    let lifetime = listener.owner.live().config.timeouts.lifetime;
    shared.accept();
    // Without a future the transport has not what the handler takes: the builder refuses such a pair.
    let begin = AssertUnwindSafe(|| match (&handler.0, ready) {
        #[cfg(feature = "quic")]
        (kind, Ready::Quic(connection)) => Some(connection.begin(kind)),
        (Kind::Stream(function), ready) => Some(function(ready.into_stream(connection.clone())?)),
        (Kind::Messages(function), ready) => {
            Some(function(ready.into_messages(connection.clone())?))
        }
        (Kind::Datagrams(_), _) => None,
        #[cfg(feature = "quic")]
        (Kind::Both(..) | Kind::Quic(_), _) => None,
        (Kind::Batch(_), _) => None,
    });
    let running = match catch_unwind(begin) {
        Ok(Some(running)) => running,
        Ok(None) => return,
        Err(panic) => return settle(&connection, Err(panic)),
    };
    drop(listener);
    let running = AssertUnwindSafe(running).catch_unwind();
    let result = match lifetime {
        None => running.await,
        Some(lifetime) => Box::pin(limited(lifetime, running, &connection)).await,
    };
    settle(&connection, result);
}

/// Runs a handler that may last `lifetime`.
async fn limited<F: Future>(
    lifetime: std::time::Duration,
    running: F,
    connection: &Connection,
) -> F::Output {
    tokio::pin!(running);
    tokio::select! {
        biased;
        result = &mut running => return result,
        () = tokio::time::sleep(lifetime) => {}
    }
    connection.shared().end(Closed::Lifetime);
    running.await
}

/// Notes how the handler ended.
pub(crate) fn settle(
    connection: &Connection,
    result: Result<Result<(), BoxError>, Box<dyn std::any::Any + Send>>,
) {
    let shared = connection.shared();
    match result {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            let of_peer = error
                .downcast_ref::<io::Error>()
                .is_some_and(|error| error.kind() == io::ErrorKind::InvalidData);
            // What strangers send must not look like a failure of ours.
            shared.note(if of_peer {
                Closed::Protocol
            } else {
                Closed::HandlerError
            });
            tracing::debug!(%error, "handler failed");
        }
        Err(_) => {
            shared.fail(Closed::Panic);
            tracing::error!(id = shared.id, "handler panicked");
        }
    }
}

/// Whether PROXY headers of this peer are read, and believed.
pub(crate) fn is_behind_proxy(live: &Live, peer: &Endpoint) -> bool {
    let proxy = &live.config.proxy;
    proxy.mode != ProxyMode::Off
        && peer
            .ip()
            .is_none_or(|peer| proxy.trusted.iter().any(|range| range.contains(&peer.ip())))
}
