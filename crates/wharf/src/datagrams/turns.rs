//! What calls a handler of single datagrams, turn after turn.

use std::net::{Ipv6Addr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tracing::Instrument;

use super::port::Mode;
use super::socket::DatagramSocket;
use super::unconnected::Datagrams;
use crate::Connection;
use crate::admission::settle;
use crate::connection::{Arrived, Places, Shared};
use crate::handlers::DatagramsFunction;
use crate::listener::Listener;
use crate::path::Endpoint;
use crate::reason::Refusal;

/// Between two turns: a handler that fails at once does not spin.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LAST_PAUSE: Duration = Duration::from_secs(1);

/// Calls the handler again and again, until the socket is told to stop, or to be left, and its turn has
/// ended.
pub(crate) async fn run(
    listener: Arc<Listener>,
    socket: Arc<DatagramSocket>,
    mut mode: watch::Receiver<Mode>,
    function: DatagramsFunction,
) {
    let mut pause = FIRST_PAUSE;
    while let Some(turn) = begin(&listener, &socket, &mode, &function) {
        // A turn that was aborted has ended, too.
        let _ = turn.await;
        let stops = mode.wait_for(|mode| matches!(mode, Mode::Stopping | Mode::Left));
        if tokio::time::timeout(pause, stops).await.is_ok() {
            return;
        }
        pause = LAST_PAUSE.min(pause * 2);
    }
}

/// Begins a turn, in a task of its own; `None` when the listener has stopped.
fn begin(
    listener: &Arc<Listener>,
    socket: &Arc<DatagramSocket>,
    mode: &watch::Receiver<Mode>,
    function: &DatagramsFunction,
) -> Option<JoinHandle<()>> {
    let owner = &listener.owner;
    let peer = match socket.local_ip() {
        Some(_) => Endpoint::Ip(SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0))),
        None => Endpoint::Unix(None),
    };
    let arrived = Arrived {
        id: owner.next_id(),
        transport: owner.live().config.transport,
        peer,
        local: socket.local(),
        credentials: None,
        descriptor: None,
    };
    let hold = Shared::arrive(owner, arrived, Places::default());
    let shared = hold.shared().clone();
    if owner.connections.is_closed() {
        shared.refuse(Refusal::Stopped.into());
        return None;
    }
    shared.accept();
    let span = tracing::info_span!("datagrams", listener = %owner.name, id = shared.id);
    let datagrams = Datagrams::new(listener.clone(), socket.clone(), mode.clone(), hold.clone());
    let function = function.clone();
    let connection = Connection::new(shared.clone());
    let turn = async move {
        // Kept until the end is settled.
        let _hold = hold;
        let running = match catch_unwind(AssertUnwindSafe(|| function(datagrams))) {
            Ok(running) => running,
            Err(panic) => return settle(&connection, Err(panic)),
        };
        settle(&connection, AssertUnwindSafe(running).catch_unwind().await);
    };
    let task = tokio::spawn(turn.instrument(span));
    let _ = shared.task.set(task.abort_handle());
    Some(task)
}
