//! Who is woken when the connection below can be written.

use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

/// The two who write: the sender its messages, the receiver its answers.
#[derive(Debug, Clone, Copy)]
pub(super) enum Side {
    Receiver = 0,
    Sender = 1,
}

/// The wakers of those who wait to write. A connection keeps only the last waker that polled its
/// writing side; when receiving and sending live in two tasks, it is given one that wakes both.
#[derive(Debug, Default)]
pub(super) struct Wakers([Option<Waker>; 2]);

impl Wakers {
    /// Polls for one side; while that has to wait, both that wait are woken.
    pub(super) fn poll<T>(
        &mut self,
        side: Side,
        cx: &mut Context<'_>,
        mut write: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        let other = self.0[1 - side as usize].take();
        let other = other.filter(|other| !other.will_wake(cx.waker()));
        let polled = match &other {
            Some(other) => {
                let both = Arc::new(Both(cx.waker().clone(), other.clone()));
                write(&mut Context::from_waker(&Waker::from(both)))
            }
            None => write(cx),
        };
        if polled.is_pending() {
            self.0[side as usize] = Some(cx.waker().clone());
            self.0[1 - side as usize] = other;
        } else {
            self.0[side as usize] = None;
            // What the other waited for has been written as well.
            other.into_iter().for_each(Waker::wake);
        }
        polled
    }
}

struct Both(Waker, Waker);

impl Wake for Both {
    fn wake(self: Arc<Self>) {
        self.0.wake_by_ref();
        self.1.wake_by_ref();
    }
}
