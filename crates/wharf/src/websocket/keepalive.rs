//! When to ping a silent peer, and when to give it up.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

/// What silence calls for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Due {
    Ping,
    GiveUp,
}

/// The silence of a peer. A look at the clock for each message would cost a tenth of a short echo, so
/// while bytes come the clock is read only four times an interval: the silence that calls for a ping
/// is the interval, and up to a quarter longer.
#[derive(Debug)]
pub(super) struct KeepAlive {
    interval: Duration,
    timer: Pin<Box<Sleep>>,
    /// Since when nothing has come, unless `heard`.
    silent_since: Instant,
    /// Bytes have come since `silent_since`.
    heard: bool,
    /// The timer stands at the end of the silence, not at the next look.
    silent: bool,
    pinged: bool,
    /// Who the timer wakes; it is not polled anew for the same one.
    woken: Option<Waker>,
}

/// Longer intervals are no different to a user, and instants stay within their range.
const LONGEST: Duration = Duration::from_hours(365 * 24);

impl KeepAlive {
    /// Starts at once; needs a tokio runtime with time.
    pub(super) fn new(interval: Duration) -> KeepAlive {
        let interval = interval.min(LONGEST);
        let now = Instant::now();
        KeepAlive {
            interval,
            timer: Box::pin(tokio::time::sleep_until(now + interval)),
            silent_since: now,
            heard: false,
            silent: true,
            pinged: false,
            woken: None,
        }
    }

    /// Bytes have come.
    pub(super) fn heard(&mut self) {
        self.heard = true;
    }

    /// Asked each time there is nothing to read.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Due> {
        let registered = self
            .woken
            .as_ref()
            .is_some_and(|waker| waker.will_wake(cx.waker()));
        let broken = self.heard && self.silent;
        if registered && !broken && !self.timer.is_elapsed() {
            return Poll::Pending;
        }
        loop {
            let elapsed = self.timer.as_mut().poll(cx).is_ready();
            let broken = self.heard && self.silent;
            if !elapsed && !broken {
                self.woken = Some(cx.waker().clone());
                return Poll::Pending;
            }
            let now = Instant::now();
            if std::mem::take(&mut self.heard) {
                self.silent_since = now;
                self.pinged = false;
                self.silent = false;
                self.timer.as_mut().reset(now + self.interval / 4);
                continue;
            }
            self.silent = true;
            if now < self.silent_since + self.interval {
                self.timer.as_mut().reset(self.silent_since + self.interval);
                continue;
            }
            // A full interval to answer.
            self.silent_since = now;
            self.timer.as_mut().reset(now + self.interval);
            self.woken = None;
            let pinged = std::mem::replace(&mut self.pinged, true);
            return Poll::Ready(if pinged { Due::GiveUp } else { Due::Ping });
        }
    }
}
