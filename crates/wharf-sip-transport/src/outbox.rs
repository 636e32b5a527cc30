//! What waits to be sent on a connection: bounded, the most urgent first.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;

use crate::{Priority, SendError};

/// Messages that were handed over for one connection and that its task has not yet written.
///
/// A message is taken while the bytes that wait, and it, are within the share of its priority; an empty
/// outbox takes any. So what is least urgent is refused first, and a peer that does not read costs a bounded
/// number of bytes.
#[derive(Debug)]
pub(crate) struct Outbox(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    lanes: [VecDeque<Bytes>; Priority::COUNT],
    bytes: usize,
    closed: bool,
    /// Of the task that writes.
    waker: Option<Waker>,
}

impl Outbox {
    pub(crate) fn new() -> Self {
        Self(Mutex::default())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands a message over. Of `limit` bytes, those above the priority's share are for what is more urgent.
    pub(crate) fn push(
        &self,
        message: Bytes,
        priority: Priority,
        limit: usize,
    ) -> Result<(), SendError> {
        let mut state = self.state();
        if state.closed {
            return Err(SendError::FlowGone);
        }
        let bytes = state.bytes + message.len();
        if state.bytes > 0 && bytes > priority.share(limit) {
            return Err(SendError::Full);
        }
        state.bytes = bytes;
        state.lanes[priority as usize].push_back(message);
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(())
    }

    /// The next message to write.
    pub(crate) fn poll_next(&self, cx: &mut Context<'_>) -> Poll<Bytes> {
        let mut state = self.state();
        let next = state.lanes.iter_mut().find_map(VecDeque::pop_front);
        let Some(message) = next else {
            state.waker = Some(cx.waker().clone());
            return Poll::Pending;
        };
        state.bytes -= message.len();
        Poll::Ready(message)
    }

    /// Takes nothing more, and forgets what waits; says how many messages that were.
    pub(crate) fn close(&self) -> usize {
        let mut state = self.state();
        state.closed = true;
        state.bytes = 0;
        let lost = state.lanes.iter().map(VecDeque::len).sum();
        state.lanes = Default::default();
        lost
    }

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.state().bytes == 0
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    const LIMIT: usize = 100;

    fn message(length: usize, fill: u8) -> Bytes {
        vec![fill; length].into()
    }

    async fn next(outbox: &Outbox) -> Bytes {
        poll_fn(|cx| outbox.poll_next(cx)).await
    }

    #[tokio::test]
    async fn the_most_urgent_leaves_first_and_equals_in_order() {
        let outbox = Outbox::new();
        for (fill, priority) in [
            (1, Priority::Low),
            (2, Priority::Normal),
            (3, Priority::High),
            (4, Priority::Critical),
            (5, Priority::High),
        ] {
            outbox.push(message(5, fill), priority, LIMIT).unwrap();
        }
        for fill in [4, 3, 5, 2, 1] {
            assert_eq!(next(&outbox).await[0], fill);
        }
        assert!(outbox.is_empty());
    }

    #[test]
    fn the_least_urgent_is_refused_first() {
        let outbox = Outbox::new();
        let push = |priority| outbox.push(message(10, 0), priority, LIMIT);
        for priority in [
            Priority::Low,
            Priority::Normal,
            Priority::High,
            Priority::Critical,
        ] {
            while push(priority).is_ok() {}
            assert_eq!(outbox.state().bytes, priority.share(LIMIT) / 10 * 10);
        }
        assert_eq!(push(Priority::Critical), Err(SendError::Full));
    }

    #[test]
    fn an_empty_outbox_takes_any_message() {
        let outbox = Outbox::new();
        outbox
            .push(message(1_000, 0), Priority::Low, LIMIT)
            .unwrap();
        assert_eq!(
            outbox.push(message(1, 0), Priority::Critical, LIMIT),
            Err(SendError::Full)
        );
    }

    #[test]
    fn a_closed_one_says_so_and_counts_what_is_lost() {
        let outbox = Outbox::new();
        outbox.push(message(5, 0), Priority::Low, LIMIT).unwrap();
        outbox.push(message(5, 0), Priority::High, LIMIT).unwrap();
        assert_eq!(outbox.close(), 2);
        assert_eq!(
            outbox.push(message(5, 0), Priority::High, LIMIT),
            Err(SendError::FlowGone)
        );
    }
}
