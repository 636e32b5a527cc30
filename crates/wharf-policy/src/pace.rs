//! A minimum rate against senders that hold a connection by sending as little as they can.

use std::time::{Duration, Instant};

/// What a sender owes while its bytes are waited for. The default is off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MinimumRate {
    /// Bytes a second, on average over each window of waiting. 0, the default, is off.
    pub bytes_per_second: u32,
    /// Waiting that is not judged, once for each connection, so that a slow start is no fault.
    /// Default 5 s.
    pub grace: Duration,
    /// Waiting over which the average is taken. Default 5 s; less than 1 ms acts as 1 ms.
    pub window: Duration,
}

impl Default for MinimumRate {
    fn default() -> Self {
        Self {
            bytes_per_second: 0,
            grace: Duration::from_secs(5),
            window: Duration::from_secs(5),
        }
    }
}

/// The verdict of [`PaceMeter::observe`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// Fast enough, or not to be judged yet.
    Fine,
    /// Slower than the rule over the window that ends now.
    TooSlow {
        /// Bytes that came in the window; in the first one, also those of the grace.
        received: u64,
        /// How long they were waited for, grace not included: at least one window.
        waited: Duration,
    },
}

/// How fast one connection sends while it is waited for. 32 bytes.
///
/// Only the time between [`wait`](Self::wait) and [`pause`](Self::pause) counts: the reader calls
/// them around each read, so that a peer is not blamed for the pauses of a handler that does other
/// work or for back-pressure. Windows of waiting follow each other without a gap, so that a byte
/// now and then does not start the clock anew. A connection that may be idle, like one between two
/// requests, is the caller's to tell: it should not wait with the meter until a message has begun.
///
/// ```
/// use std::time::{Duration, Instant};
/// use wharf_policy::{MinimumRate, Pace, PaceMeter};
///
/// let rule = MinimumRate { bytes_per_second: 100, ..MinimumRate::default() };
/// let start = Instant::now();
/// let mut meter = PaceMeter::new(&rule);
/// meter.wait(start);
/// let check = meter.next_check(start, &rule).unwrap();
/// assert_eq!(check, start + Duration::from_secs(10), "grace and one window");
/// assert_eq!(meter.observe(check, 500, &rule), Pace::Fine);
/// let check = meter.next_check(check, &rule).unwrap();
/// assert!(matches!(meter.observe(check, 999, &rule), Pace::TooSlow { received: 499, .. }));
/// ```
#[derive(Debug, Clone)]
pub struct PaceMeter {
    /// Since when the reader waits, as far as it is not in `waited` yet.
    since: Option<Instant>,
    /// Nanoseconds of waiting in this window; below 0 in the grace.
    waited: i64,
    /// The connection's bytes when this window began.
    base: u64,
}

impl PaceMeter {
    /// The meter of a connection that has received nothing; it is not waiting.
    pub fn new(rule: &MinimumRate) -> Self {
        Self {
            since: None,
            waited: -nanos(rule.grace),
            base: 0,
        }
    }

    /// The reader begins to wait for bytes; while it waits already, this changes nothing.
    pub fn wait(&mut self, now: Instant) {
        self.since.get_or_insert(now);
    }

    /// The reader stops waiting: it has bytes, or does something else.
    pub fn pause(&mut self, now: Instant) {
        self.count(now);
        self.since = None;
    }

    /// Judges the window if it is over, and begins the next. `total` is the number of bytes that
    /// the connection has received since it began.
    ///
    /// A call that comes late judges the average over the longer time.
    pub fn observe(&mut self, now: Instant, total: u64, rule: &MinimumRate) -> Pace {
        self.count(now);
        if self.waited < window(rule) {
            return Pace::Fine;
        }
        let received = total.saturating_sub(self.base);
        let waited = Duration::from_nanos(self.waited.unsigned_abs());
        self.base = total;
        self.waited = 0;
        let owed = waited.as_nanos() * u128::from(rule.bytes_per_second);
        if u128::from(received) * 1_000_000_000 < owed {
            Pace::TooSlow { received, waited }
        } else {
            Pace::Fine
        }
    }

    /// When to [`observe`](Self::observe) next if the reader goes on waiting; `None` while it does
    /// not wait, or with a rule that is off.
    pub fn next_check(&self, now: Instant, rule: &MinimumRate) -> Option<Instant> {
        let since = self.since?;
        if rule.bytes_per_second == 0 {
            return None;
        }
        let left = window(rule).saturating_sub(self.waited).max(0);
        let due = since.checked_add(Duration::from_nanos(left.unsigned_abs()))?;
        Some(due.max(now))
    }

    fn count(&mut self, now: Instant) {
        if let Some(since) = &mut self.since {
            let waited = nanos(now.saturating_duration_since(*since));
            self.waited = self.waited.saturating_add(waited);
            *since = now.max(*since);
        }
    }
}

fn window(rule: &MinimumRate) -> i64 {
    nanos(rule.window.max(Duration::from_millis(1)))
}

/// Nanoseconds, at most 292 years of them.
fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::origin;
    use proptest::prelude::*;

    fn rule(bytes_per_second: u32, grace: u64, window: u64) -> MinimumRate {
        MinimumRate {
            bytes_per_second,
            grace: Duration::from_secs(grace),
            window: Duration::from_secs(window),
        }
    }

    fn secs(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn is_small() {
        assert!(size_of::<PaceMeter>() <= 32);
    }

    #[test]
    fn slow_is_told_after_grace_and_a_window() {
        let (start, rule) = (origin(), rule(10, 3, 2));
        let mut meter = PaceMeter::new(&rule);
        assert_eq!(meter.next_check(start, &rule), None, "not waiting");
        meter.wait(start);
        assert_eq!(meter.next_check(start, &rule), Some(start + secs(5)));
        let early = start + Duration::from_millis(4999);
        assert_eq!(meter.observe(early, 0, &rule), Pace::Fine);
        assert_eq!(meter.next_check(early, &rule), Some(start + secs(5)));
        let verdict = meter.observe(start + secs(5), 19, &rule);
        let slow = |received, waited| Pace::TooSlow {
            received,
            waited: secs(waited),
        };
        assert_eq!(verdict, slow(19, 2));
        assert_eq!(meter.observe(start + secs(7), 39, &rule), Pace::Fine);
        assert_eq!(meter.observe(start + secs(11), 78, &rule), slow(39, 4));
    }

    /// One byte every 900 ms must not restart the clock: the trickle is told as slow.
    #[test]
    fn a_trickle_does_not_start_anew() {
        let (start, rule) = (origin(), rule(2, 0, 4));
        let mut meter = PaceMeter::new(&rule);
        let slow = (1..=5).find(|&n| {
            let now = start + Duration::from_millis(900 * n);
            meter.wait(start + Duration::from_millis(900 * (n - 1)));
            let verdict = meter.observe(now, n, &rule);
            meter.pause(now);
            verdict != Pace::Fine
        });
        assert_eq!(slow, Some(5), "5 bytes in 4.5 s of waiting");
    }

    #[test]
    fn time_without_waiting_is_free() {
        let (start, rule) = (origin(), rule(10, 0, 2));
        let mut meter = PaceMeter::new(&rule);
        meter.wait(start);
        meter.pause(start + secs(1));
        let later = start + secs(3600);
        assert_eq!(meter.observe(later, 0, &rule), Pace::Fine);
        meter.wait(later);
        meter.wait(later + Duration::from_millis(500));
        assert_eq!(meter.next_check(later, &rule), Some(later + secs(1)));
        assert_ne!(meter.observe(later + secs(1), 19, &rule), Pace::Fine);
    }

    #[test]
    fn off_and_extremes() {
        let start = origin();
        let off = rule(0, 0, 1);
        let mut meter = PaceMeter::new(&off);
        meter.wait(start);
        assert_eq!(meter.next_check(start, &off), None);
        assert_eq!(meter.observe(start + secs(9), 0, &off), Pace::Fine);
        let endless = MinimumRate {
            bytes_per_second: u32::MAX,
            grace: Duration::MAX,
            window: Duration::MAX,
        };
        let mut meter = PaceMeter::new(&endless);
        meter.wait(start);
        let century = start + secs(3_200_000_000);
        assert_eq!(meter.observe(century, u64::MAX, &endless), Pace::Fine);
        let zero = rule(1, 0, 0);
        let mut meter = PaceMeter::new(&zero);
        meter.wait(start);
        let check = meter.next_check(start, &zero).unwrap();
        assert_eq!(check, start + Duration::from_millis(1));
        assert_eq!(meter.next_check(century, &zero), Some(century), "overdue");
    }

    proptest! {
        /// A sender that keeps the rate over every check is never blamed, however the reads fall.
        #[test]
        fn a_sender_at_the_rate_is_fine(
            rate in 1u32..100_000,
            steps in proptest::collection::vec((1u64..3000, 0u64..5000), 1..60),
        ) {
            let (rule, mut now) = (rule(rate, 0, 2), origin());
            let mut meter = PaceMeter::new(&rule);
            let mut total = 0;
            for (waiting, busy) in steps {
                meter.wait(now);
                now += Duration::from_millis(waiting);
                total += (u64::from(rate) * waiting).div_ceil(1000);
                prop_assert_eq!(meter.observe(now, total, &rule), Pace::Fine);
                meter.pause(now);
                now += Duration::from_millis(busy);
            }
        }

        /// One byte less than owed over a window is always found out.
        #[test]
        fn a_byte_less_is_slow(rate in 1u32..100_000, window in 1u64..100, at in 0u64..1 << 40) {
            let (rule, start) = (rule(rate, 0, window), origin());
            let mut meter = PaceMeter::new(&rule);
            meter.base = at;
            meter.wait(start);
            let check = meter.next_check(start, &rule).unwrap();
            let owed = u64::from(rate) * window;
            prop_assert_ne!(meter.observe(check, at + owed - 1, &rule), Pace::Fine);
        }
    }
}
