//! A token bucket for one flow.

use std::time::Instant;

/// Tokens per second with a burst. Integer arithmetic throughout: nothing is lost to rounding, so
/// over any time `t` seconds it grants at most `burst + per_second × t` tokens.
///
/// 32 bytes, rate included. For a table of many sources see [`PrefixLimiter`](crate::PrefixLimiter).
///
/// ```
/// use std::time::{Duration, Instant};
/// let start = Instant::now();
/// let mut bucket = wharf_policy::TokenBucket::new(start, 2, 3);
/// assert!(bucket.take(start, 3));
/// assert!(!bucket.take(start, 1));
/// assert!(bucket.take(start + Duration::from_millis(500), 1));
/// ```
#[derive(Debug, Clone)]
pub struct TokenBucket {
    /// Billionths of a token: a nanosecond earns `per_second` of them. A `u32` burst fits.
    level: u64,
    updated: Instant,
    per_second: u32,
    burst: u32,
}

const NANO: u64 = 1_000_000_000;

impl TokenBucket {
    /// A full bucket. `per_second` is the refill in tokens (0: never refilled), `burst` the
    /// capacity in tokens (0: nothing is ever granted).
    pub fn new(now: Instant, per_second: u32, burst: u32) -> Self {
        Self {
            level: u64::from(burst) * NANO,
            updated: now,
            per_second,
            burst,
        }
    }

    /// Takes `n` tokens if there are as many, otherwise none. A request for more than the burst is
    /// never granted. An earlier `now` than the last one counts as no time passed.
    pub fn take(&mut self, now: Instant, n: u32) -> bool {
        self.refill(now);
        let left = self.level.checked_sub(u64::from(n) * NANO);
        self.level = left.unwrap_or(self.level);
        left.is_some()
    }

    /// Whole tokens available at `now`.
    pub fn available(&mut self, now: Instant) -> u32 {
        self.refill(now);
        (self.level / NANO) as u32
    }

    fn refill(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.updated).as_nanos();
        let earned = elapsed.saturating_mul(u128::from(self.per_second));
        let capacity = u64::from(self.burst) * NANO;
        let level = earned
            .saturating_add(self.level.into())
            .min(capacity.into());
        self.level = level as u64;
        self.updated = self.updated.max(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    #[test]
    fn is_small() {
        assert!(size_of::<TokenBucket>() <= 32);
    }

    #[test]
    #[allow(
        clippy::disallowed_methods,
        reason = "an origin for the test's own time"
    )]
    fn extremes_do_not_overflow() {
        let start = Instant::now();
        let mut bucket = TokenBucket::new(start, u32::MAX, u32::MAX);
        assert!(bucket.take(start, u32::MAX));
        assert!(!bucket.take(start, 1));
        let century = start + Duration::from_secs(3_200_000_000);
        assert_eq!(bucket.available(century), u32::MAX);
        assert!(!TokenBucket::new(start, 5, 0).take(century, 1));
    }

    #[test]
    #[allow(
        clippy::disallowed_methods,
        reason = "an origin for the test's own time"
    )]
    fn earlier_time_earns_nothing() {
        let start = Instant::now();
        let later = start + Duration::from_secs(10);
        let mut bucket = TokenBucket::new(start, 1, 10);
        assert!(bucket.take(later, 10));
        assert!(!bucket.take(start, 1));
        assert!(
            !bucket.take(later, 1),
            "the ten seconds are not earned twice"
        );
    }

    proptest! {
        /// Never more than burst + rate × time; and a patient taker does get the rate.
        #[test]
        #[allow(clippy::disallowed_methods, reason = "an origin for the test's own time")]
        fn grants_are_bounded(
            per_second in 1u32..2_000_000,
            burst in 1u32..10_000,
            steps in proptest::collection::vec((0u64..50_000_000, 1u32..40), 1..200),
        ) {
            let start = Instant::now();
            let mut bucket = TokenBucket::new(start, per_second, burst);
            let (mut elapsed, mut granted) = (0u64, 0u128);
            for (step, n) in steps {
                elapsed += step;
                let now = start + Duration::from_nanos(elapsed);
                let available = bucket.available(now);
                prop_assert_eq!(bucket.take(now, n), n <= available);
                granted += u128::from(if n <= available { n } else { 0 });
                let earned = u128::from(per_second) * u128::from(elapsed);
                prop_assert!(granted * u128::from(NANO) <= u128::from(burst) * u128::from(NANO) + earned);
            }
        }
    }
}
