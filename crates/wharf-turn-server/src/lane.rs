//! What a stream's task and its worker hand to each other. The task reads, cuts into frames and
//! writes; the worker handles the frames.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::BytesMut;
use tokio::sync::Notify;

use crate::control::Inbox;
use crate::{StreamEnd, StreamPath};

/// Bytes of frames that may wait for the worker before the task stops reading.
const INBOUND: usize = 32 << 10;

/// Frames that came together, one after the other.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) bytes: BytesMut,
    /// Where each frame ends, padding included.
    pub(crate) ends: Vec<u32>,
}

impl Batch {
    pub(crate) fn frames(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        let ends = self.ends.iter().map(|end| *end as usize);
        let starts = std::iter::once(0).chain(ends.clone());
        starts.zip(ends).map(|(start, end)| start..end)
    }
}

/// Why a task is done with its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HangUp {
    /// The client has ended it.
    Closed,
    /// It could not be read or written.
    Failed,
    /// What was read are no frames.
    Garbled,
    /// It had no use for too long.
    Idle,
    /// The task was dropped.
    Abandoned,
}

/// Two bounded queues of one stream.
///
/// To the worker: [`INBOUND`] bytes and one batch more; while it is full the task does not read. To the
/// client: `queue` bytes; while it is full relayed data is dropped, replies are queued all the same and
/// the task does not read, so that they are at most the replies to what is in the other queue.
#[derive(Debug)]
pub(crate) struct Lane {
    pub(crate) path: StreamPath,
    queue: usize,
    state: Mutex<State>,
    /// Bytes for the client that its socket has not taken yet.
    unsent: AtomicUsize,
    may_read: Notify,
    may_write: Notify,
    over: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// The worker's number for the stream, once it knows it.
    index: Option<u32>,
    batches: Vec<Batch>,
    /// Bytes in `batches`.
    waiting: usize,
    hung_up: Option<HangUp>,
    /// The worker was told to look, and has not looked yet.
    listed: bool,
    outbound: Vec<u8>,
    /// The worker is done with the stream.
    end: Option<StreamEnd>,
    allocated: bool,
    /// Changes whenever a frame comes or an allocation ends.
    activity: u64,
}

/// What a worker finds in a lane.
pub(crate) struct Taken {
    pub(crate) index: Option<u32>,
    pub(crate) batches: Vec<Batch>,
    pub(crate) hung_up: Option<HangUp>,
}

/// What there is to write.
pub(crate) enum Next {
    Bytes(Vec<u8>),
    /// Nothing any more.
    End,
}

/// The task's side.
impl Lane {
    pub(crate) fn new(path: StreamPath, queue: usize) -> Self {
        Self {
            path,
            queue,
            state: Mutex::default(),
            unsent: AtomicUsize::new(0),
            may_read: Notify::new(),
            may_write: Notify::new(),
            over: Notify::new(),
        }
    }

    /// Makes the stream known to its worker.
    pub(crate) fn open(self: &Arc<Self>, inbox: &Inbox) {
        self.tell(inbox, |_| {});
    }

    /// Frames for the worker; the caller has waited for [`Lane::room`].
    pub(crate) fn push(self: &Arc<Self>, inbox: &Inbox, batch: Batch) {
        self.tell(inbox, |state| {
            state.activity += 1;
            state.waiting += batch.bytes.len();
            state.batches.push(batch);
        });
    }

    /// The task is done; what it handed over before is still handled. Only the first reason counts.
    pub(crate) fn hang_up(self: &Arc<Self>, inbox: &Inbox, why: HangUp) {
        self.tell(inbox, |state| {
            state.hung_up.get_or_insert(why);
        });
    }

    /// Changes what the worker sees and has it look, unless it is done with the stream.
    fn tell(self: &Arc<Self>, inbox: &Inbox, change: impl FnOnce(&mut State)) {
        let mut state = self.state();
        if state.end.is_some() {
            return;
        }
        change(&mut state);
        let listed = std::mem::replace(&mut state.listed, true);
        drop(state);
        if !listed && !inbox.stream(self) {
            self.finish(Vec::new(), StreamEnd::Stopped);
        }
    }

    /// Waits until both queues have room.
    pub(crate) async fn room(&self) {
        while self.state().waiting >= INBOUND || self.unsent() >= self.queue {
            self.may_read.notified().await;
        }
    }

    /// Waits for something to write.
    pub(crate) async fn outbound(&self) -> Next {
        loop {
            {
                let mut state = self.state();
                if !state.outbound.is_empty() {
                    return Next::Bytes(std::mem::take(&mut state.outbound));
                }
                if state.end.is_some() {
                    return Next::End;
                }
            }
            self.may_write.notified().await;
        }
    }

    /// So many bytes of the outbound are on their way.
    pub(crate) fn written(&self, bytes: usize) {
        self.unsent.fetch_sub(bytes, Relaxed);
        self.may_read.notify_one();
    }

    /// Waits until the worker is done with the stream.
    pub(crate) async fn ended(&self) -> StreamEnd {
        loop {
            if let Some(end) = self.state().end {
                return end;
            }
            self.over.notified().await;
        }
    }

    /// A number that tells whether anything has happened since, for [`Lane::is_idle`].
    pub(crate) fn activity(&self) -> u64 {
        self.state().activity
    }

    pub(crate) fn is_idle(&self, since: u64) -> bool {
        let state = self.state();
        !state.allocated && state.activity == since
    }
}

/// The worker's side.
impl Lane {
    pub(crate) fn take(&self) -> Taken {
        let mut state = self.state();
        state.listed = false;
        state.waiting = 0;
        let taken = Taken {
            index: state.index,
            batches: std::mem::take(&mut state.batches),
            hung_up: state.hung_up,
        };
        drop(state);
        self.may_read.notify_one();
        taken
    }

    pub(crate) fn set_index(&self, index: u32) {
        self.state().index = Some(index);
    }

    pub(crate) fn set_allocated(&self, allocated: bool) {
        let mut state = self.state();
        state.allocated = allocated;
        state.activity += 1;
    }

    /// Bytes for the client that its socket has not taken yet.
    pub(crate) fn unsent(&self) -> usize {
        self.unsent.load(Relaxed)
    }

    /// Whether so many bytes of relayed data may be queued behind those.
    pub(crate) fn has_room_for(&self, bytes: usize) -> bool {
        self.unsent() + bytes <= self.queue
    }

    pub(crate) fn send(&self, bytes: Vec<u8>) {
        self.unsent.fetch_add(bytes.len(), Relaxed);
        let mut state = self.state();
        if state.outbound.is_empty() {
            state.outbound = bytes;
        } else {
            state.outbound.extend_from_slice(&bytes);
        }
        drop(state);
        self.may_write.notify_one();
    }

    /// The last bytes, and the end; only the first end counts.
    pub(crate) fn finish(&self, last: Vec<u8>, end: StreamEnd) {
        if !last.is_empty() {
            self.send(last);
        }
        let mut state = self.state();
        state.end.get_or_insert(end);
        state.batches = Vec::new();
        drop(state);
        self.may_write.notify_one();
        self.over.notify_one();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
