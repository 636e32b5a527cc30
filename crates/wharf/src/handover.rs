//! Zero-downtime restart: a running server gives its listening sockets to a successor.
//!
//! The sockets go over a Unix socket as descriptors (`SCM_RIGHTS`, unix(7)); both processes then
//! hold the same sockets, with one backlog. The old one accepts until the successor says that it is
//! ready; only then does it stop and drain. A successor that dies before that, or cannot be built,
//! changes nothing. So no connection is refused, and none that waits in a backlog is lost.
//!
//! The same program is both: started again, it takes over from the one that runs.
//!
//! ```no_run
//! use wharf::handover::Handover;
//! # use wharf::{BoxError, Server, Stream, Tcp};
//! # async fn echo(_: Stream) -> Result<(), BoxError> { Ok(()) }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), BoxError> {
//! let predecessor = Handover::take("/run/app.handover").await?; // None at the first start
//! let server = Server::builder()
//!     .inherit(predecessor)
//!     .listen("web", Tcp::bind("[::]:7000"), echo)
//!     .build()?;
//! server.handle().offer_handover("/run/app.handover")?;
//! server.take_over().await?;
//! server.run().await; // ends with the drain when the next one takes over
//! # Ok(())
//! # }
//! ```
//!
//! # Which socket becomes which
//!
//! An address of a listener takes the sockets that the predecessor's listener of the same name was
//! configured with under the same text (so `127.0.0.1:0` keeps its port, and `systemd:NAME` and
//! `fd:N` their sockets), or else whatever is bound there, under any name. What is not offered is
//! bound anew; what is offered and not wanted is closed. Inherited sockets keep what must be set
//! before binding, as those of a service manager do; other options of the successor are in force on
//! them from its `build` on, for the predecessor too, as they are the same sockets.
//!
//! Datagram sockets change hands too: the predecessor reads until the successor does, and what waits in
//! the socket is the successor's, so that no datagram is lost. The next datagram of a flow begins a new
//! flow there; the old one gets what it has received already, may still answer, and drains.
//!
//! The sockets of a batch handler ([`batch`](crate::batch)) go together, in their order: the successor has as
//! many workers as there are sockets, whatever its `datagrams.workers` says, and each keeps the number that
//! steering leads to. The predecessor's workers end with the turn that they are in; what a handler knows of
//! its peers ends with them.
//!
//! What speaks a protocol with keys or counters over datagrams cannot go on in another process. From the
//! change on the predecessor hears these peers no more, so it tells them at once, and they find the
//! successor when they connect again; a handshake that is under way is not completed.
//!
//! | connections of | are told by |
//! |---|---|
//! | QUIC | a close with `quic.drain-code` |
//! | DTLS | `close_notify`, after what was received has been handled |
//! | SCTP over UDP | an ABORT |
//!
//! Associations of the kernel's SCTP have sockets of their own, like connections of TCP, and go on; what
//! changes hands is the listening socket.
//!
//! The file of a Unix listener changes its owner with the socket: whoever accepts last removes it.
//!
//! # Descriptors of the program's own
//!
//! What a program listens on beside its listeners goes with them: [`Handle::carry`](crate::Handle::carry) gives
//! a descriptor a name, [`Handover::carried`] gets those of the predecessor. The event
//! [`HandedOver`](crate::events::Event::HandedOver) tells the predecessor that they are the successor's.
//!
//! # Who may ask
//!
//! The socket file has mode 0600, and both sides look at the other's user (`SO_PEERCRED`): it must be
//! their own or root. One successor is served at a time; others wait in the backlog. Messages,
//! descriptors and waiting times are bounded; garbage is an error in the log of the one and the
//! result of the other.
//!
//! | what | bound |
//! |---|---|
//! | sockets | 4,096 |
//! | a message | 256 KiB, 64 descriptors |
//! | an answer | 5 s |
//! | a successor's way from its first word to being ready | 60 s |

mod channel;
mod error;
mod offer;
mod protocol;
mod take;

use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::task::JoinHandle;

pub use error::HandoverError;
use offer::Offer;
pub use take::Handover;
pub(crate) use take::{Carries, Shared};

use crate::config::Address;
use crate::server::Inner;
use crate::sockets::BindError;

/// The handovers of a server: from its predecessor, and to its successor.
#[derive(Default)]
pub(crate) struct Handovers(Mutex<State>);

#[derive(Default)]
struct State {
    from: Option<Handover>,
    /// Made, and not in force before the server runs.
    offer: Option<Offer>,
    task: Option<JoinHandle<()>>,
    /// Descriptors of the program's own, by the names that it gave them.
    carried: Vec<(String, Arc<OwnedFd>)>,
}

impl Handovers {
    pub(crate) fn new(from: Option<Handover>) -> Self {
        Self(Mutex::new(State {
            from,
            ..State::default()
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The predecessor's sockets for an address of a listener, if it has any.
    pub(crate) fn listening(
        &self,
        listener: &str,
        address: &Address,
        carries: Carries,
    ) -> Vec<Shared> {
        let mut state = self.state();
        let from = state.from.as_mut();
        from.map_or_else(Vec::new, |from| from.listening(listener, address, carries))
    }

    /// Whether the predecessor is still to be told that this server is ready.
    pub(crate) fn is_pending(&self) -> bool {
        self.state().from.is_some()
    }

    /// Offers what the server listens on from now on, as it runs.
    pub(crate) fn start(&self, inner: &Arc<Inner>) {
        let mut state = self.state();
        if let Some(offer) = state.offer.take() {
            state.task = Some(inner.runtime.spawn(offer::run(inner.clone(), offer)));
        }
    }

    /// Has successors get this descriptor too, under this name.
    pub(crate) fn carry(&self, name: String, descriptor: OwnedFd) {
        self.state().carried.push((name, Arc::new(descriptor)));
    }

    fn carried(&self) -> Vec<(String, Arc<OwnedFd>)> {
        self.state().carried.clone()
    }

    /// Waits, once the server drains, until nothing is offered any more and the socket's file is gone, if it is this
    /// process's. A successor that is being told so delays it by 5 s at most.
    pub(crate) async fn released(&self) {
        let task = {
            let mut state = self.state();
            state.offer = None;
            state.task.take()
        };
        if let Some(task) = task {
            // Aborted is ended, too.
            let _ = task.await;
        }
    }

    /// Offers nothing any more.
    pub(crate) fn stop(&self) {
        let mut state = self.state();
        state.offer = None;
        if let Some(task) = state.task.take() {
            task.abort();
        }
    }
}

/// Makes the socket on which successors ask, in the place of one that was made before.
pub(crate) fn offer(inner: &Arc<Inner>, path: &Path) -> Result<(), BindError> {
    let shared = {
        let mut state = inner.handovers.state();
        state.from.as_mut().and_then(|from| from.asked_on(path))
    };
    let offer = Offer::new(path, shared)?;
    inner.handovers.stop();
    inner.handovers.state().offer = Some(offer);
    if inner.state().started {
        inner.handovers.start(inner);
    }
    Ok(())
}

/// Tells the predecessor that the server is ready to accept, and waits until it has stopped.
pub(crate) async fn take_over(inner: &Inner) -> Result<(), HandoverError> {
    let Some(from) = inner.handovers.state().from.take() else {
        return Ok(());
    };
    let sockets = from.complete(|visit| {
        for listener in inner.listeners() {
            for bound in listener.bound() {
                bound.file().map_or(Ok(()), &mut *visit)?;
            }
        }
        let state = inner.handovers.state();
        let offered = state.offer.as_ref().and_then(Offer::file);
        offered.map_or(Ok(()), visit)
    });
    let sockets = sockets.await?;
    tracing::info!(sockets, "took over");
    inner
        .events
        .emit(|| crate::events::Event::TookOver { sockets });
    Ok(())
}
