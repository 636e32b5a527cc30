//! Messages that wait for a peer to take them.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};

use crate::config::SlowPeer;
use crate::connection::Shared;
use crate::counters::one_more;
use crate::memory::Share;
use crate::reason::Closed;

/// Why a message was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The connection is closed, or closing.
    #[error("the connection is closed")]
    Closed,
    /// The peer is too slow, and the message was dropped (`buffers.slow-peer = "drop"`).
    #[error("the peer is too slow: the message was dropped")]
    Dropped,
    /// The peer is too slow, and the connection was closed (`buffers.slow-peer = "close"`).
    #[error("the peer is too slow: the connection was closed")]
    SlowPeer,
}

/// The queue of one connection, in bytes: at most `buffers.write`, but for a single larger message
/// when nothing waits; and at most what the server's `limits.memory` has left.
pub(crate) struct Outbox<T> {
    queue: Mutex<Queue<T>>,
    shared: Weak<Shared>,
}

struct Queue<T> {
    waiting: VecDeque<(T, u64, Share)>,
    bytes: u64,
    /// The task that writes, when there is nothing to write.
    writer: Option<Waker>,
    /// Senders that wait for room; each is woken when there is some.
    senders: Vec<Waker>,
    closed: bool,
}

impl<T> Queue<T> {
    /// Lists a sender that waits, once however often it looks.
    fn wait(&mut self, sender: &Waker) {
        if !self.senders.iter().any(|listed| listed.will_wake(sender)) {
            self.senders.push(sender.clone());
        }
    }
}

impl<T> Outbox<T> {
    pub(crate) fn new(shared: &Arc<Shared>) -> Arc<Self> {
        let queue = Queue {
            waiting: VecDeque::new(),
            bytes: 0,
            writer: None,
            senders: Vec::new(),
            closed: false,
        };
        Arc::new(Self {
            queue: Mutex::new(queue),
            shared: Arc::downgrade(shared),
        })
    }

    fn queue(&self) -> MutexGuard<'_, Queue<T>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next message to write; pending until there is one.
    pub(crate) fn poll_next(&self, cx: &mut Context<'_>) -> Poll<T> {
        let mut queue = self.queue();
        if let Some((message, bytes, _)) = queue.waiting.pop_front() {
            queue.bytes -= bytes;
            let senders = std::mem::take(&mut queue.senders);
            drop(queue);
            senders.into_iter().for_each(Waker::wake);
            return Poll::Ready(message);
        }
        // The list of a connection that was busy once is not kept.
        queue.waiting = VecDeque::new();
        match &mut queue.writer {
            Some(writer) => writer.clone_from(cx.waker()),
            writer => *writer = Some(cx.waker().clone()),
        }
        Poll::Pending
    }

    /// Takes no more messages, and lets those who wait know.
    pub(crate) fn close(&self) {
        let mut queue = self.queue();
        queue.closed = true;
        queue.waiting = VecDeque::new();
        let senders = std::mem::take(&mut queue.senders);
        drop(queue);
        senders.into_iter().for_each(Waker::wake);
    }

    /// Puts `message` in the queue if there is room. `Ok(Some)` gives it back when there is none.
    fn try_push(&self, message: T, bytes: u64) -> Result<Option<T>, SendError> {
        let shared = self.shared.upgrade().ok_or(SendError::Closed)?;
        let limit = shared.owner.live().config.buffers.write;
        let mut queue = self.queue();
        if queue.closed || shared.ending().is_some() {
            return Err(SendError::Closed);
        }
        let fits = queue.waiting.is_empty() || queue.bytes.saturating_add(bytes) <= limit;
        let Some(share) = fits.then(|| shared.owner.memory.take(bytes)).flatten() else {
            return Ok(Some(message));
        };
        queue.bytes += bytes;
        queue.waiting.push_back((message, bytes, share));
        let writer = queue.writer.take();
        drop(queue);
        if let Some(writer) = writer {
            writer.wake();
        }
        Ok(None)
    }

    /// Puts `message` in the queue, or does what `buffers.slow-peer` says when it is full.
    fn poll_push(
        &self,
        cx: &mut Context<'_>,
        message: &mut Option<T>,
        bytes: u64,
    ) -> Poll<Result<(), SendError>> {
        let Some(given) = message.take() else {
            return Poll::Ready(Ok(()));
        };
        let Some(refused) = self.try_push(given, bytes)? else {
            return Poll::Ready(Ok(()));
        };
        let shared = self.shared.upgrade().ok_or(SendError::Closed)?;
        match shared.owner.live().config.buffers.slow_peer {
            SlowPeer::Pause => {
                self.queue().wait(cx.waker());
                // Room may have been made before the waker was in its place.
                *message = self.try_push(refused, bytes)?;
                if message.is_none() {
                    Poll::Ready(Ok(()))
                } else {
                    Poll::Pending
                }
            }
            SlowPeer::Drop => {
                one_more(&shared.owner.counters.messages_dropped);
                Poll::Ready(Err(SendError::Dropped))
            }
            SlowPeer::Close => {
                shared.end(Closed::SlowPeer);
                Poll::Ready(Err(SendError::SlowPeer))
            }
        }
    }
}

/// Sends messages to one connection from anywhere. Cheap to clone.
///
/// What is sent waits in a queue that the connection writes out whenever its handler receives or
/// sends; the queue holds `buffers.write` bytes, and `buffers.slow-peer` says what happens to one
/// message too many.
pub struct Sender<T = crate::Message> {
    outbox: Arc<Outbox<T>>,
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Self {
            outbox: self.outbox.clone(),
        }
    }
}

impl<T> std::fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sender")
            .field("queued", &self.queued())
            .finish()
    }
}

impl<T> Sender<T> {
    pub(crate) fn new(outbox: Arc<Outbox<T>>) -> Self {
        Self { outbox }
    }

    /// Bytes that wait to be written.
    pub fn queued(&self) -> u64 {
        self.outbox.queue().bytes
    }

    /// Queues a message that counts as `bytes`.
    pub(crate) async fn push(&self, message: T, bytes: u64) -> Result<(), SendError> {
        let mut message = Some(message);
        poll_fn(|cx| self.outbox.poll_push(cx, &mut message, bytes)).await
    }
}

impl Sender<crate::Message> {
    /// Queues a message.
    ///
    /// # Errors
    /// [`SendError`]: the connection is closed, or its peer too slow.
    pub async fn send(&self, message: crate::Message) -> Result<(), SendError> {
        let bytes = message.payload().len() as u64;
        self.push(message, bytes).await
    }
}

impl Sender<bytes::Bytes> {
    /// Queues a message that is already encoded.
    ///
    /// # Errors
    /// [`SendError`]: the connection is closed, or its peer too slow.
    pub async fn send(&self, encoded: bytes::Bytes) -> Result<(), SendError> {
        let bytes = encoded.len() as u64;
        self.push(encoded, bytes).await
    }
}
