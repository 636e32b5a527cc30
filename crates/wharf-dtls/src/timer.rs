//! When a flight is sent again (RFC 6347 §4.2.4.1).

use std::time::{Duration, Instant};

/// The first wait for an answer.
const FIRST: Duration = Duration::from_secs(1);
/// The longest one.
const LAST: Duration = Duration::from_mins(1);
/// How long to wait when OpenSSL's timer, which goes by its own clock, has not expired with ours.
const AGAIN: Duration = Duration::from_millis(20);

/// Follows OpenSSL's own timer: one second from a flight, doubled with each retransmission up to a
/// minute. OpenSSL looks at its timer when it is called, and this says when to call.
#[derive(Debug, Default)]
pub(crate) struct Timer {
    at: Option<Instant>,
    wait: Duration,
}

impl Timer {
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.at
    }

    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.at.is_some_and(|at| at <= now)
    }

    /// A new flight was sent.
    pub(crate) fn sent(&mut self, now: Instant) {
        self.wait = FIRST;
        self.at = Some(now + self.wait);
    }

    /// It was time; `resent` says whether OpenSSL has sent the flight again.
    pub(crate) fn expired(&mut self, now: Instant, resent: bool) {
        if resent {
            self.wait = (self.wait * 2).min(LAST);
            self.at = Some(now + self.wait);
        } else {
            self.at = Some(now + AGAIN);
        }
    }

    pub(crate) fn stop(&mut self) {
        self.at = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_minute_and_begin_anew_with_each_flight() {
        let mut timer = Timer::default();
        let mut now = crate::tests::net::clock();
        assert_eq!(timer.deadline(), None);
        timer.sent(now);
        for seconds in [1, 2, 4, 8, 16, 32, 60, 60] {
            let at = timer.deadline().unwrap();
            assert_eq!(at - now, Duration::from_secs(seconds));
            assert!(!timer.is_due(now) && timer.is_due(at));
            now = at;
            timer.expired(now, true);
        }
        timer.expired(now, false);
        assert_eq!(timer.deadline(), Some(now + AGAIN));
        timer.sent(now);
        assert_eq!(timer.deadline(), Some(now + FIRST));
        timer.stop();
        assert!(!timer.is_due(now + LAST));
    }
}
