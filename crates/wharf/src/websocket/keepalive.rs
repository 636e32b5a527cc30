//! When to ping a silent peer, and when to give it up.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

/// What silence calls for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Due {
    Ping,
    GiveUp,
}

/// The silence of a peer. It costs one look at the clock each time the connection falls silent, and
/// one timer operation an interval.
#[derive(Debug)]
pub(super) struct KeepAlive {
    interval: Duration,
    timer: Pin<Box<Sleep>>,
    /// When the silence becomes too long.
    deadline: Instant,
    /// Bytes have come since the deadline was set.
    heard: bool,
    pinged: bool,
}

/// Longer intervals are no different to a user, and instants stay within their range.
const LONGEST: Duration = Duration::from_hours(365 * 24);

impl KeepAlive {
    /// Starts at once; needs a tokio runtime with time.
    pub(super) fn new(interval: Duration) -> KeepAlive {
        let interval = interval.min(LONGEST);
        let deadline = Instant::now() + interval;
        KeepAlive {
            interval,
            timer: Box::pin(tokio::time::sleep_until(deadline)),
            deadline,
            heard: false,
            pinged: false,
        }
    }

    /// Bytes have come.
    pub(super) fn heard(&mut self) {
        self.heard = true;
    }

    /// Asked each time there is nothing to read.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Due> {
        if std::mem::take(&mut self.heard) {
            self.deadline = Instant::now() + self.interval;
            self.pinged = false;
        }
        loop {
            ready!(self.timer.as_mut().poll(cx));
            let now = Instant::now();
            if now < self.deadline {
                self.timer.as_mut().reset(self.deadline);
                continue;
            }
            // A full interval to answer, or to take the Close.
            self.deadline = now + self.interval;
            self.timer.as_mut().reset(self.deadline);
            let pinged = std::mem::replace(&mut self.pinged, true);
            return Poll::Ready(if pinged { Due::GiveUp } else { Due::Ping });
        }
    }
}
