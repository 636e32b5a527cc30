//! The part of a connection that its stream, its handler's task and the control plane share.

use std::io;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::task::AtomicWaker;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::{Details, Places};
use crate::admission::{Proxied, Refused};
use crate::config::Transport;
use crate::events::{Event, State};
use crate::owner::Owner;
use crate::path::{Endpoint, Path};
use crate::reason::{Closed, Refusal};
use crate::sockets::{PeerCredentials, TcpInfo};

/// How long a handler may go on once its connection was closed under it.
const GRACE: Duration = Duration::from_secs(1);

/// What is known of a connection when it arrives, or was dialled.
pub(crate) struct Arrived {
    pub(crate) id: u64,
    pub(crate) transport: Transport,
    pub(crate) peer: Endpoint,
    pub(crate) local: Endpoint,
    pub(crate) credentials: Option<PeerCredentials>,
    pub(crate) descriptor: Option<RawFd>,
}

pub(crate) struct Shared {
    pub(crate) id: u64,
    transport: Transport,
    pub(crate) owner: Arc<Owner>,
    pub(crate) since: Instant,
    pub(crate) socket_peer: Endpoint,
    pub(crate) socket_local: Endpoint,
    details: OnceLock<Box<Details>>,
    pub(crate) received: AtomicU64,
    pub(crate) sent: AtomicU64,
    /// Woken when the server closes the connection, or changes its timeouts, beneath a read.
    pub(crate) reader: AtomicWaker,
    /// … beneath a write.
    pub(crate) writer: AtomicWaker,
    /// The task of the handler.
    pub(crate) task: OnceLock<AbortHandle>,
    /// 0, or one more than the [`Closed`] that the server decided on.
    ending: AtomicU8,
    /// 0, or one more than the [`Closed`] that was seen to happen.
    outcome: AtomicU8,
    /// 0 while pending without a verdict, one more than the [`Refusal`], or `ACCEPTED`.
    stage: AtomicU8,
    places: Mutex<Places>,
    /// The descriptor while the socket is open. What is done with it is done under the lock, and
    /// the socket is closed only after it was taken out.
    descriptor: Mutex<Option<RawFd>>,
    /// The place in the owner's list.
    slot: AtomicU32,
    /// How many [`Hold`]s there are.
    holds: AtomicU32,
}

const ACCEPTED: u8 = u8::MAX;

impl Shared {
    /// A connection that has arrived, listed with its owner.
    pub(crate) fn arrive(owner: &Arc<Owner>, arrived: Arrived, places: Places) -> Hold {
        let shared = Arc::new(Self {
            id: arrived.id,
            transport: arrived.transport,
            owner: owner.clone(),
            since: Instant::now(),
            socket_peer: arrived.peer,
            socket_local: arrived.local,
            details: OnceLock::new(),
            received: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            reader: AtomicWaker::new(),
            writer: AtomicWaker::new(),
            task: OnceLock::new(),
            ending: AtomicU8::new(0),
            outcome: AtomicU8::new(0),
            stage: AtomicU8::new(0),
            places: Mutex::new(places),
            descriptor: Mutex::new(arrived.descriptor),
            slot: AtomicU32::new(0),
            holds: AtomicU32::new(1),
        });
        if let Some(credentials) = arrived.credentials {
            let _ = shared.details().credentials.set(credentials);
        }
        owner.counters.arrived();
        let slot = owner.connections.insert(Arc::downgrade(&shared));
        shared.slot.store(slot, Ordering::Relaxed);
        shared.tell(State::New);
        Hold(shared)
    }

    /// One more hold, while there is another.
    pub(crate) fn hold(self: &Arc<Self>) -> Hold {
        self.holds.fetch_add(1, Ordering::Relaxed);
        Hold(self.clone())
    }

    pub(crate) fn path(&self) -> Path {
        let first = self.known().and_then(|known| known.first.get());
        let transport = first.map_or(self.transport, |(_, transport)| *transport);
        let (local, peer) = match self.proxied().and_then(Proxied::endpoints) {
            Some((local, peer)) => (local, peer),
            None => (self.socket_local.clone(), self.socket_peer.clone()),
        };
        Path::new(transport, local, peer)
    }

    /// What only some connections have, if this one has any of it.
    pub(crate) fn known(&self) -> Option<&Details> {
        self.details.get().map(|details| &**details)
    }

    /// The same, to put something there.
    pub(crate) fn details(&self) -> &Details {
        self.details.get_or_init(Box::default)
    }

    pub(crate) fn proxied(&self) -> Option<&Proxied> {
        self.known()?.proxied.get().map(|proxied| &**proxied)
    }

    pub(crate) fn places(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The handshakes are complete: it counts as accepted from here on.
    pub(crate) fn accept(&self) {
        self.stage.store(ACCEPTED, Ordering::Relaxed);
        self.places().established();
        self.owner.counters.accepted();
        self.tell(State::Handler);
    }

    /// Notes why it will not be accepted.
    pub(crate) fn refuse(&self, refused: Refused) {
        self.count_as(refused.reason);
        self.owner.events.refused(
            &self.owner.name,
            &self.socket_peer,
            refused.reason,
            refused.detail,
        );
    }

    /// It will count as refused for `reason`.
    pub(crate) fn count_as(&self, reason: Refusal) {
        self.stage.store(reason as u8 + 1, Ordering::Relaxed);
    }

    /// Notes what was seen to end it; the first stays.
    pub(crate) fn note(&self, outcome: Closed) {
        let outcome = outcome as u8 + 1;
        let _ = self
            .outcome
            .compare_exchange(0, outcome, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Notes an error of the socket, and hands it on.
    pub(crate) fn noted(&self, error: io::Error) -> io::Error {
        self.note(Closed::of_io(&error));
        error
    }

    /// Why the server has closed it, if it has.
    pub(crate) fn ending(&self) -> Option<Closed> {
        let ending = self.ending.load(Ordering::Relaxed);
        Closed::ALL
            .get(usize::from(ending).checked_sub(1)?)
            .copied()
    }

    /// Ready when the server has closed it; the waker takes the place of that of a read.
    pub(crate) fn poll_ending(&self, cx: &mut Context<'_>) -> Poll<Closed> {
        self.reader.register(cx.waker());
        // After the registration, so that no close in between goes unseen.
        self.ending().map_or(Poll::Pending, Poll::Ready)
    }

    /// Closes it for `reason`: reads and writes fail from now on. Says whether this was the first
    /// reason.
    pub(crate) fn fail(&self, reason: Closed) -> bool {
        let first = self
            .ending
            .compare_exchange(0, reason as u8 + 1, Ordering::SeqCst, Ordering::SeqCst)
            .is_ok();
        self.wake();
        first
    }

    /// As [`fail`](Self::fail), and ends a handler that does not return soon.
    pub(crate) fn end(self: &Arc<Self>, reason: Closed) -> bool {
        let first = self.fail(reason);
        // The owner's: whoever closes may be in no runtime.
        if first && let Some(runtime) = &self.owner.runtime {
            let weak = Arc::downgrade(self);
            runtime.spawn(async move {
                tokio::time::sleep(GRACE).await;
                if let Some(shared) = weak.upgrade() {
                    shared.abort();
                }
            });
        }
        first
    }

    /// Ends the handler where it stands.
    pub(crate) fn abort(&self) {
        if let Some(task) = self.task.get() {
            task.abort();
        }
    }

    /// Wakes whoever reads or writes, to look again.
    pub(crate) fn wake(&self) {
        self.reader.wake();
        self.writer.wake();
    }

    pub(crate) fn count_received(&self, bytes: usize) {
        add(&self.received, bytes);
    }

    pub(crate) fn count_sent(&self, bytes: usize) {
        add(&self.sent, bytes);
    }

    /// Counts the bytes of this connection from here on.
    #[cfg(feature = "quic")]
    pub(crate) fn set_quic(&self, connection: quinn::Connection) {
        *self.details().quic() = Some(connection);
    }

    /// Bytes received and sent, as on the wire.
    pub(crate) fn bytes(&self) -> (u64, u64) {
        #[cfg(feature = "quic")]
        if let Some(connection) = self.known().and_then(|details| details.quic().clone()) {
            let stats = connection.stats();
            return (stats.udp_rx.bytes, stats.udp_tx.bytes);
        }
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        (read(&self.received), read(&self.sent))
    }

    /// The socket is about to be closed, or handed out.
    pub(crate) fn forget_descriptor(&self) {
        *self
            .descriptor
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = None;
    }

    pub(crate) fn tcp_info(&self) -> Option<TcpInfo> {
        let descriptor = self
            .descriptor
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        crate::sockets::tcp_info_of((*descriptor)?).ok()
    }

    pub(crate) fn tell(&self, state: State) {
        self.owner.events.emit(|| Event::Connection {
            listener: self.owner.name.clone(),
            id: self.id,
            state,
        });
    }

    fn verdict(&self) -> Result<Closed, Refusal> {
        let of = |number: u8| Some(usize::from(number.checked_sub(1)?));
        match self.stage.load(Ordering::Relaxed) {
            ACCEPTED => Ok(self
                .ending()
                .or_else(|| {
                    Closed::ALL
                        .get(of(self.outcome.load(Ordering::Relaxed))?)
                        .copied()
                })
                .unwrap_or(Closed::Finished)),
            // A task that was dropped before it had a verdict was stopped from outside.
            stage => Err(of(stage)
                .and_then(|number| Refusal::ALL.get(number).copied())
                .unwrap_or(Refusal::Stopped)),
        }
    }
}

/// What a timer of the connection wakes: whoever reads or writes then.
impl std::task::Wake for Shared {
    fn wake(self: Arc<Self>) {
        Self::wake(&self);
    }

    fn wake_by_ref(self: &Arc<Self>) {
        Self::wake(self);
    }
}

/// Adds to a counter that one task writes at a time: no locked instruction.
fn add(counter: &AtomicU64, bytes: usize) {
    counter.store(
        counter.load(Ordering::Relaxed) + bytes as u64,
        Ordering::Relaxed,
    );
}

/// Keeps a connection counted: its socket has one, and its task. When the last is dropped the
/// connection has ended, whoever still knows of it.
pub(crate) struct Hold(Arc<Shared>);

impl Hold {
    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.0
    }
}

impl Clone for Hold {
    fn clone(&self) -> Self {
        self.0.hold()
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        // As `Arc` does: what the others did before they let go is seen by the last.
        if self.0.holds.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.finish();
        }
    }
}

impl Shared {
    /// The end: everything is given back and counted.
    fn finish(&self) {
        let bytes = self.bytes();
        #[cfg(feature = "quic")]
        drop(self.known().and_then(|details| details.quic().take()));
        let verdict = self.verdict();
        // The places first: who sees the counters move can rely on the room.
        drop(std::mem::take(&mut *self.places()));
        match verdict {
            Ok(reason) => {
                self.owner.counters.closed(reason, bytes);
                self.tell(State::Closed(reason));
            }
            Err(reason) => self.owner.counters.pending_refused(reason, bytes),
        }
        // The list last: who waits until it is empty reads the counters then.
        self.owner
            .connections
            .remove(self.slot.load(Ordering::Relaxed));
    }
}
