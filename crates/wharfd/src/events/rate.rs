//! How many lines the log takes: anybody can cause events, from addresses that are not theirs.

use std::time::{Duration, Instant};

/// Lines a second that go on for ever: less than 50 KiB, which any disk and any log collector takes.
const PER_SECOND: u32 = 200;

/// Lines at once after a quiet time: enough to see how an attack, or the return of many clients after
/// a change of passwords, began.
pub(super) const BURST: u32 = 1000;

/// A token bucket.
#[derive(Debug)]
pub(super) struct Rate {
    tokens: u32,
    /// Up to when tokens have been added.
    filled: Instant,
}

impl Rate {
    /// A full bucket.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            tokens: BURST,
            filled: now,
        }
    }

    /// Takes one token; false when there is none.
    pub(super) fn admits(&mut self, now: Instant) -> bool {
        let interval = Duration::from_secs(1) / PER_SECOND;
        let passed = now.saturating_duration_since(self.filled);
        let whole = passed.as_nanos() / interval.as_nanos();
        if let Ok(more) = u32::try_from(whole)
            && more < BURST - self.tokens
        {
            self.tokens += more;
            self.filled += interval * more;
        } else {
            self.tokens = BURST;
            self.filled = now.max(self.filled);
        }
        let admitted = self.tokens > 0;
        self.tokens -= u32::from(admitted);
        admitted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of so many at once are admitted.
    fn admitted(rate: &mut Rate, now: Instant, tries: u32) -> usize {
        (0..tries).filter(|_| rate.admits(now)).count()
    }

    #[test]
    #[allow(
        clippy::disallowed_methods,
        reason = "a start from which the test counts"
    )]
    fn a_burst_and_then_the_rate() {
        let mut now = Instant::now();
        let mut rate = Rate::new(now);
        assert_eq!(admitted(&mut rate, now, 5000), 1000);
        now += Duration::from_millis(500);
        assert_eq!(admitted(&mut rate, now, 5000), 100);
        // Steps shorter than the interval of a line add up.
        let steps = (0..1000).filter(|_| {
            now += Duration::from_millis(1);
            rate.admits(now)
        });
        assert_eq!(steps.count(), 200);
        now += Duration::from_hours(24 * 365);
        assert_eq!(admitted(&mut rate, now, 5000), 1000);
    }
}
