//! The task that accepts: room, the next arrival, and what to do when there is none to be had.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::time::{Instant, sleep, sleep_until};

use super::{Acceptor, Arrival, Kind};
use crate::admission::{self, TurnAway};
use crate::config::OnFull;
use crate::connection::Places;
use crate::counters::one_more;
use crate::events::Event;
use crate::listener::Listener;
use crate::reason::Refusal;
use crate::sockets::{self, AcceptError, Backoff, ReservedDescriptor};
use crate::wire::Socket;

/// Accepts until it is aborted, which happens where it waits: never with an arrival in hand.
pub(crate) async fn run(listener: Arc<Listener>, acceptor: Arc<Acceptor>) {
    #[cfg(feature = "quic")]
    if let Kind::Quic(front) = &acceptor.kind {
        return crate::quic::run(listener, front.clone()).await;
    }
    #[cfg(feature = "sctp")]
    if let Kind::SctpOverUdp(front) = &acceptor.kind {
        return crate::sctp::run(listener, front.clone()).await;
    }
    // Without one the peer that cannot be accepted waits until there is a descriptor.
    let mut reserved = ReservedDescriptor::new().ok();
    let mut backoff = Backoff::new();
    loop {
        // A change of the rule begins this task anew.
        let taken = if listener.owner.live().config.limits.on_full == OnFull::Wait {
            accept_with_room(&listener, &acceptor).await
        } else {
            let arrival = acceptor.accept().await;
            arrival.map(|arrival| (arrival, Places::default()))
        };
        match taken {
            Ok((arrival, places)) => {
                backoff.succeeded();
                admission::admit(&listener, &acceptor, arrival, places);
            }
            Err(error) => match sockets::classify(&error) {
                AcceptError::Transient => {}
                failure => {
                    one_more(&listener.owner.counters.accept_errors);
                    if failure == AcceptError::Exhausted
                        && reserved.as_mut().is_some_and(|fd| acceptor.refuse_one(fd))
                    {
                        listener.owner.counters.refused(Refusal::Exhausted);
                    }
                    if failure == AcceptError::Fatal {
                        tell_broken(&listener, &error);
                    }
                    pause(&listener, &error, backoff.failed()).await;
                }
            },
        }
    }
}

/// With `on-full = "wait"`: leaves who arrives in the backlog until there is room and a token, and
/// accepts with both. Nothing is held while it waits, so that an address where nobody arrives keeps
/// nothing from the others, and a place that is taken is somebody's.
async fn accept_with_room(
    listener: &Listener,
    acceptor: &Acceptor,
) -> io::Result<(Arrival, Places)> {
    loop {
        acceptor.arrived().await?;
        let places = room(listener).await;
        match acceptor.take() {
            Ok(arrival) => return Ok((arrival, places)),
            Err(error) => {
                listener.return_accept_token();
                // Another acceptor of the socket was faster.
                if error.kind() != io::ErrorKind::WouldBlock {
                    return Err(error);
                }
            }
        }
    }
}

/// Waits for a place at the listener and at the server, and for a token; holds nothing while it
/// waits.
pub(crate) async fn room(listener: &Listener) -> Places {
    let mut told = false;
    loop {
        let at_listener = listener.gate.enter().await;
        let Some(at_server) = listener.server_gate.try_enter() else {
            drop(at_listener);
            drop(listener.server_gate.enter().await);
            continue;
        };
        let Err(at) = listener.take_accept_token() else {
            return Places {
                listener: Some(at_listener),
                server: Some(at_server),
                ..Places::default()
            };
        };
        drop((at_listener, at_server));
        if !std::mem::replace(&mut told, true) {
            listener.owner.events.emit(|| Event::RateLimited {
                listener: listener.owner.name.clone(),
                id: None,
                key: "rates.accept",
            });
        }
        // Without a refill there is nothing to wait for but a change of the rate, which begins the
        // acceptor anew.
        match at {
            Some(at) => sleep_until(Instant::from_std(at)).await,
            None => std::future::pending().await,
        }
    }
}

/// The listening socket itself has failed.
pub(crate) fn tell_broken(listener: &Listener, error: &io::Error) {
    let owner = &listener.owner;
    owner.events.emit(|| Event::ListenerError {
        listener: owner.name.clone(),
        error: error.to_string(),
    });
}

async fn pause(listener: &Listener, error: &io::Error, pause: std::time::Duration) {
    let owner = &listener.owner;
    owner.counters.accept_pauses.fetch_add(1, Ordering::Relaxed);
    owner.events.emit(|| Event::AcceptPaused {
        listener: owner.name.clone(),
        pause,
    });
    owner.events.accept_failed(&owner.name, error, pause);
    sleep(pause).await;
}

/// Ends what was not let in, as the listener says.
pub(crate) fn turn_away(mut socket: Socket, how: &TurnAway) {
    match how {
        TurnAway::Close => {}
        TurnAway::Reset => socket.reset_on_close(),
        TurnAway::Reply(bytes) => {
            // As far as the socket takes it at once: refusing must not cost a wait.
            let _ = socket.write_now(bytes.as_bytes());
        }
    }
}
