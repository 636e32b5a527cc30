//! When to try again what has failed: exponential back-off with jitter.

use std::time::{Duration, Instant};

/// How long to wait between attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackoffRules {
    /// The shortest wait. Default 100 ms.
    pub min: Duration,
    /// The longest wait. Default 30 s; less than `min` acts as `min`.
    pub max: Duration,
    /// By how much the upper bound of the wait grows with each failure. Default 2; 1 keeps it.
    pub factor: u32,
    /// What went well for so long has the failures before it forgotten. Default 30 s.
    pub stable: Duration,
}

impl Default for BackoffRules {
    fn default() -> Self {
        Self {
            min: Duration::from_millis(100),
            max: Duration::from_secs(30),
            factor: 2,
            stable: Duration::from_secs(30),
        }
    }
}

/// Counts failures in a row, and says how long to wait after each.
///
/// The wait after the `n`th failure lies evenly between `min` and `min × factorⁿ`, at most `max`:
/// many that have failed at the same moment do not come back at the same moment, not even the first
/// time. What succeeded, but not for long, counts as a further failure.
///
/// ```
/// use std::time::{Duration, Instant};
/// use wharf_policy::{Backoff, BackoffRules};
///
/// let (now, rules) = (Instant::now(), BackoffRules::default());
/// let mut backoff = Backoff::default();
/// // The random numbers come from the caller: the largest gives the upper bound.
/// assert_eq!(backoff.failed(now, &rules, u64::MAX).as_millis(), 199);
/// assert_eq!(backoff.failed(now, &rules, u64::MAX).as_millis(), 399);
/// assert_eq!(backoff.failed(now, &rules, 0), rules.min);
/// assert_eq!(backoff.failures(), 3);
/// backoff.succeeded(now);
/// backoff.failed(now + rules.stable, &rules, 0);
/// assert_eq!(backoff.failures(), 1);
/// ```
#[derive(Debug, Clone, Default)]
pub struct Backoff {
    failures: u32,
    well_since: Option<Instant>,
}

impl Backoff {
    /// It went well from `now` on.
    pub fn succeeded(&mut self, now: Instant) {
        self.well_since = Some(now);
    }

    /// It has failed, or what went well has ended: how long to wait. `random` is any number, evenly
    /// distributed.
    pub fn failed(&mut self, now: Instant, rules: &BackoffRules, random: u64) -> Duration {
        if let Some(since) = self.well_since.take()
            && now.saturating_duration_since(since) >= rules.stable
        {
            self.failures = 0;
        }
        self.failures = self.failures.saturating_add(1);
        let growth = rules.factor.max(1).saturating_pow(self.failures);
        let most = rules.min.saturating_mul(growth).min(rules.max);
        let span = most.saturating_sub(rules.min).as_nanos();
        // A span of time has at most 94 bits; its high and low half are scaled each for itself.
        let random = u128::from(random);
        let scaled = (span >> 64) * random + (((span & u128::from(u64::MAX)) * random) >> 64);
        let seconds = u64::try_from(scaled / 1_000_000_000).unwrap_or(u64::MAX);
        let rest = (scaled % 1_000_000_000) as u32;
        rules.min.saturating_add(Duration::new(seconds, rest))
    }

    /// Failures since the last time it went well for long.
    pub fn failures(&self) -> u32 {
        self.failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::origin;

    const RULES: BackoffRules = BackoffRules {
        min: Duration::from_secs(1),
        max: Duration::from_mins(1),
        factor: 2,
        stable: Duration::from_secs(30),
    };

    /// The waits after failures in a row, in milliseconds.
    fn waits(rules: &BackoffRules, random: u64, count: usize) -> Vec<u128> {
        let mut backoff = Backoff::default();
        let mut wait = || backoff.failed(origin(), rules, random).as_millis();
        (0..count).map(|_| wait()).collect()
    }

    #[test]
    fn the_upper_bound_grows_to_its_end() {
        assert_eq!(
            waits(&RULES, u64::MAX, 8),
            [1999, 3999, 7999, 15_999, 31_999, 59_999, 59_999, 59_999]
        );
        assert_eq!(waits(&RULES, 0, 3), [1000; 3]);
        assert_eq!(waits(&RULES, 1 << 63, 2), [1500, 2500]);
    }

    #[test]
    fn what_held_for_long_has_the_failures_forgotten() {
        let (mut backoff, now) = (Backoff::default(), origin());
        backoff.failed(now, &RULES, 0);
        backoff.succeeded(now);
        let soon = now + Duration::from_secs(29);
        backoff.failed(soon, &RULES, 0);
        assert_eq!(backoff.failures(), 2);
        backoff.succeeded(soon);
        backoff.failed(soon + Duration::from_secs(30), &RULES, 0);
        assert_eq!(backoff.failures(), 1);
        // It went well once, not before every failure that follows.
        backoff.failed(soon + Duration::from_secs(90), &RULES, 0);
        assert_eq!(backoff.failures(), 2);
    }

    #[test]
    fn extreme_rules_give_no_extreme_waits() {
        let rules = BackoffRules {
            min: Duration::MAX,
            max: Duration::MAX,
            factor: u32::MAX,
            ..RULES
        };
        assert_eq!(
            Backoff::default().failed(origin(), &rules, u64::MAX),
            Duration::MAX
        );
        let rules = BackoffRules {
            min: Duration::ZERO,
            ..rules
        };
        assert_eq!(waits(&rules, u64::MAX, 2), [0, 0]);
        let rules = BackoffRules {
            min: Duration::from_secs(5),
            max: Duration::ZERO,
            factor: 0,
            ..RULES
        };
        assert_eq!(waits(&rules, u64::MAX, 2), [5000, 5000]);
    }
}
