//! What waits to be sent: bounded, the most urgent first.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use wharf_sip::Priority;

use crate::SendError;

/// What is counted in bytes.
pub(crate) trait Weight {
    /// Its bytes; 1 for none, so that nothing is without weight.
    fn weight(&self) -> usize;
}

impl Weight for Bytes {
    fn weight(&self) -> usize {
        self.len().max(1)
    }
}

/// Messages that were handed over for one connection, or one worker thread, which has not sent them yet.
///
/// A message is taken while the bytes that wait, and it, are within the share of its priority; an empty
/// outbox takes any. So what is least urgent is refused first, and a peer that does not read costs a bounded
/// number of bytes.
#[derive(Debug)]
pub(crate) struct Outbox<T>(Mutex<State<T>>);

#[derive(Debug)]
struct State<T> {
    /// None while nothing waits: most connections are idle.
    lanes: Option<Box<[VecDeque<T>; LANES]>>,
    bytes: usize,
    closed: bool,
    /// Of the task that sends.
    waker: Option<Waker>,
}

/// One for each priority.
const LANES: usize = 4;

/// The bytes of a queue of `limit` up to which a message of this priority is taken.
fn share(priority: Priority, limit: usize) -> usize {
    match priority {
        Priority::Critical => limit,
        Priority::High => limit / 8 * 7,
        Priority::Normal => limit / 4 * 3,
        Priority::Low => limit / 2,
    }
}

impl<T: Weight> Outbox<T> {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(State {
            lanes: None,
            bytes: 0,
            closed: false,
            waker: None,
        }))
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands a message over; says whether nothing waited before it. Of `limit` bytes, those above the
    /// priority's share are for what is more urgent.
    pub(crate) fn push(
        &self,
        message: T,
        priority: Priority,
        limit: usize,
    ) -> Result<bool, SendError> {
        let mut state = self.state();
        if state.closed {
            return Err(SendError::FlowGone);
        }
        let first = state.bytes == 0;
        let bytes = state.bytes + message.weight();
        if !first && bytes > share(priority, limit) {
            return Err(SendError::Full);
        }
        state.bytes = bytes;
        let lanes = state.lanes.get_or_insert_with(Box::default);
        lanes[priority as usize].push_back(message);
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(first)
    }

    /// The next message to send.
    pub(crate) fn next(&self) -> Option<T> {
        self.state().next()
    }

    /// The next message to send, for a task.
    pub(crate) fn poll_next(&self, cx: &mut Context<'_>) -> Poll<T> {
        let mut state = self.state();
        if let Some(message) = state.next() {
            return Poll::Ready(message);
        }
        state.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Takes nothing more, and forgets what waits; says how many messages that were.
    pub(crate) fn close(&self) -> usize {
        let mut state = self.state();
        state.closed = true;
        state.bytes = 0;
        let lanes = state.lanes.take();
        lanes.map_or(0, |lanes| lanes.iter().map(VecDeque::len).sum())
    }
}

impl<T: Weight> State<T> {
    fn next(&mut self) -> Option<T> {
        let lanes = self.lanes.as_mut()?;
        let message = lanes.iter_mut().find_map(VecDeque::pop_front)?;
        if lanes.iter().all(VecDeque::is_empty) {
            self.lanes = None;
        }
        self.bytes -= message.weight();
        Some(message)
    }
}
