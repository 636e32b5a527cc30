//! One log line a period for each kind of event, however many events there are.

use std::time::{Duration, Instant};

/// Says which events of a kind deserve a log line, and how many went without one before.
///
/// A kind is a number below `KEYS`, such as a field-less enum's; the memory is one record of 32
/// bytes for each.
///
/// ```
/// use std::time::{Duration, Instant};
/// let mut limiter = wharf_policy::RepeatLimiter::<2>::new(Duration::from_secs(10));
/// let now = Instant::now();
/// assert_eq!(limiter.allow(now, 0), Some(0));
/// assert_eq!(limiter.allow(now, 0), None);
/// assert_eq!(limiter.allow(now, 1), Some(0), "another kind has its own line");
/// assert_eq!(limiter.allow(now + Duration::from_secs(10), 0), Some(1));
/// ```
#[derive(Debug, Clone)]
pub struct RepeatLimiter<const KEYS: usize> {
    period: Duration,
    lines: [Line; KEYS],
}

#[derive(Debug, Clone, Copy, Default)]
struct Line {
    written: Option<Instant>,
    suppressed: u64,
}

/// One line in ten seconds for each kind.
impl<const KEYS: usize> Default for RepeatLimiter<KEYS> {
    fn default() -> Self {
        Self::new(Duration::from_secs(10))
    }
}

impl<const KEYS: usize> RepeatLimiter<KEYS> {
    /// At most one line of each kind in `period`; with a period of zero every event has its line.
    pub fn new(period: Duration) -> Self {
        Self {
            period,
            lines: [Line::default(); KEYS],
        }
    }

    /// `Some` if this event should be logged, with the number of events of its kind that were not
    /// since the last line. A `key` of `KEYS` or more counts as the last kind; with no kinds at all
    /// nothing is logged.
    pub fn allow(&mut self, now: Instant, key: usize) -> Option<u64> {
        let line = self.lines.get_mut(key.min(KEYS.saturating_sub(1)))?;
        let quiet = |at: Instant| now.saturating_duration_since(at) < self.period;
        if line.written.is_some_and(quiet) {
            line.suppressed = line.suppressed.saturating_add(1);
            return None;
        }
        line.written = Some(now);
        Some(std::mem::take(&mut line.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::origin;
    use proptest::prelude::*;

    #[test]
    fn keys_out_of_range_share_the_last_line() {
        let now = origin();
        let mut limiter = RepeatLimiter::<2>::default();
        assert_eq!(limiter.allow(now, usize::MAX), Some(0));
        assert_eq!(limiter.allow(now, 1), None);
        assert_eq!(limiter.allow(now, 0), Some(0));
        assert_eq!(RepeatLimiter::<0>::default().allow(now, 0), None);
    }

    #[test]
    fn a_period_of_zero_logs_all() {
        let now = origin();
        let mut limiter = RepeatLimiter::<1>::new(Duration::ZERO);
        assert!((0..5).all(|_| limiter.allow(now, 0) == Some(0)));
    }

    proptest! {
        /// Lines of a kind are a period apart, and each event is a line or counted in a later one.
        #[test]
        fn every_event_is_accounted_for(
            steps in proptest::collection::vec((0u64..4000, 0usize..3), 1..200),
        ) {
            let mut limiter = RepeatLimiter::<3>::default();
            let (mut now, mut last) = (origin(), [None::<Instant>; 3]);
            let (mut silent, mut told) = ([0u64; 3], [0u64; 3]);
            for (step, key) in steps {
                now += Duration::from_millis(step);
                let due = last[key].is_none_or(|at| now - at >= Duration::from_secs(10));
                if let Some(suppressed) = limiter.allow(now, key) {
                        prop_assert!(due);
                        last[key] = Some(now);
                        told[key] += suppressed;
                        prop_assert_eq!(told[key], silent[key]);
                } else {
                    prop_assert!(!due);
                    silent[key] += 1;
                }
            }
        }
    }
}
