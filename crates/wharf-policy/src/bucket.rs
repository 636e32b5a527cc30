//! A token bucket for one flow.

use std::time::{Duration, Instant};

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
    /// Billionths of a token: a nanosecond earns `per_second` of them. A `u32` burst fits. Negative
    /// in debt.
    level: i64,
    updated: Instant,
    per_second: u32,
    burst: u32,
}

const NANO: i64 = 1_000_000_000;

impl TokenBucket {
    /// A full bucket. `per_second` is the refill in tokens (0: never refilled), `burst` the
    /// capacity in tokens (0: nothing is ever granted).
    pub fn new(now: Instant, per_second: u32, burst: u32) -> Self {
        Self {
            level: i64::from(burst) * NANO,
            updated: now,
            per_second,
            burst,
        }
    }

    /// Takes `n` tokens if there are as many, otherwise none. A request for more than the burst is
    /// never granted. An earlier `now` than the last one counts as no time passed.
    pub fn take(&mut self, now: Instant, n: u32) -> bool {
        self.refill(now);
        let left = self.level.saturating_sub(i64::from(n) * NANO);
        if left >= 0 {
            self.level = left;
        }
        left >= 0
    }

    /// Takes `n` tokens whether they are there or not; what is missing becomes a debt, which the
    /// refill pays before anything else is granted. For work that is done already, like bytes that
    /// were read: ask [`ready_at`](Self::ready_at) when the next may follow.
    ///
    /// A debt beyond nine billion tokens is not counted.
    pub fn charge(&mut self, now: Instant, n: u32) {
        self.refill(now);
        self.level = self.level.saturating_sub(i64::from(n) * NANO);
    }

    /// Puts `n` tokens back that were taken and not used, as far as the burst holds them.
    pub fn give_back(&mut self, n: u32) {
        let level = self.level.saturating_add(i64::from(n) * NANO);
        self.level = level.min(self.capacity());
    }

    /// Whole tokens available at `now`; 0 in debt.
    pub fn available(&mut self, now: Instant) -> u32 {
        self.refill(now);
        (self.level.max(0) / NANO).cast_unsigned() as u32
    }

    /// When `n` tokens will be there if none is taken meanwhile: not after `now` if they are there
    /// already, `None` if that will never be, as `n` is more than the burst or nothing is refilled.
    pub fn next_at(&mut self, now: Instant, n: u32) -> Option<Instant> {
        self.refill(now);
        let missing = (i64::from(n) * NANO).saturating_sub(self.level);
        if missing <= 0 {
            return Some(now);
        }
        if n > self.burst || self.per_second == 0 {
            return None;
        }
        let wait = missing.cast_unsigned().div_ceil(self.per_second.into());
        self.updated.checked_add(Duration::from_nanos(wait))
    }

    /// When the debt of [`charge`](Self::charge) will be paid: not after `now` without one, `None`
    /// if nothing is refilled.
    ///
    /// Whoever waits for this before each charge of at most `n` tokens is granted, over any time
    /// `t` seconds, at most `burst + n + per_second × t`.
    pub fn ready_at(&mut self, now: Instant) -> Option<Instant> {
        self.next_at(now, 0)
    }

    /// Replaces rate and burst from `now` on. The tokens in the bucket stay, as far as the new
    /// burst holds them; so does a debt.
    pub fn set_rate(&mut self, now: Instant, per_second: u32, burst: u32) {
        self.refill(now);
        self.per_second = per_second;
        self.burst = burst;
        self.level = self.level.min(self.capacity());
    }

    fn refill(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.updated).as_nanos();
        let earned = elapsed.saturating_mul(u128::from(self.per_second));
        let earned = i64::try_from(earned).unwrap_or(i64::MAX);
        self.level = match self.level.checked_add(earned) {
            Some(level) => level.min(self.capacity()),
            None => self.capacity(),
        };
        self.updated = self.updated.max(now);
    }

    fn capacity(&self) -> i64 {
        i64::from(self.burst) * NANO
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::origin;
    use proptest::prelude::*;

    #[test]
    fn is_small() {
        assert!(size_of::<TokenBucket>() <= 32);
    }

    #[test]
    fn what_is_given_back_can_be_taken_again_up_to_the_burst() {
        let start = origin();
        let mut bucket = TokenBucket::new(start, 0, 2);
        assert!(bucket.take(start, 2));
        bucket.give_back(1);
        assert_eq!(bucket.available(start), 1);
        bucket.give_back(u32::MAX);
        assert_eq!(bucket.available(start), 2);
    }

    #[test]
    fn extremes_do_not_overflow() {
        let start = origin();
        let mut bucket = TokenBucket::new(start, u32::MAX, u32::MAX);
        assert!(bucket.take(start, u32::MAX));
        assert!(!bucket.take(start, 1));
        let century = start + Duration::from_secs(3_200_000_000);
        assert_eq!(bucket.available(century), u32::MAX);
        assert!(!TokenBucket::new(start, 5, 0).take(century, 1));
    }

    #[test]
    fn earlier_time_earns_nothing() {
        let start = origin();
        let later = start + Duration::from_secs(10);
        let mut bucket = TokenBucket::new(start, 1, 10);
        assert!(bucket.take(later, 10));
        assert!(!bucket.take(start, 1));
        assert!(
            !bucket.take(later, 1),
            "the ten seconds are not earned twice"
        );
    }

    #[test]
    fn the_time_to_wait_is_exact() {
        let start = origin();
        let at = |nanos| start + Duration::from_nanos(nanos);
        let mut bucket = TokenBucket::new(start, 3, 5);
        assert_eq!(bucket.next_at(start, 5), Some(start));
        assert_eq!(bucket.next_at(start, 6), None, "more than the burst");
        assert!(bucket.take(start, 5));
        let next = bucket.next_at(start, 1).unwrap();
        assert_eq!(next, at(333_333_334), "rounded up");
        assert!(!bucket.take(at(333_333_333), 1));
        assert!(bucket.take(next, 1));
        assert_eq!(TokenBucket::new(start, 0, 5).next_at(start, 5), Some(start));
        let mut dry = TokenBucket::new(start, 0, 5);
        assert!(dry.take(start, 1));
        assert_eq!(dry.next_at(start, 5), None, "nothing is refilled");
    }

    #[test]
    fn a_charge_beyond_the_burst_is_paid_later() {
        let start = origin();
        let mut bucket = TokenBucket::new(start, 1000, 100);
        bucket.charge(start, 100);
        assert_eq!(bucket.ready_at(start), Some(start), "no debt yet");
        bucket.charge(start, 16_384);
        let ready = start + Duration::from_millis(16_384);
        assert_eq!(bucket.ready_at(start), Some(ready));
        assert_eq!(bucket.available(start), 0);
        assert!(!bucket.take(start, 0), "in debt nothing is granted");
        let halfway = start + Duration::from_secs(8);
        assert_eq!(bucket.ready_at(halfway), Some(ready));
        assert_eq!(
            bucket.next_at(halfway, 100),
            Some(ready + Duration::from_millis(100))
        );
        assert_eq!(bucket.ready_at(ready), Some(ready));
        assert!(bucket.take(ready, 0) && !bucket.take(ready, 1));

        let mut stuck = TokenBucket::new(start, 0, 1);
        stuck.charge(start, 2);
        assert_eq!(stuck.ready_at(ready), None);
        for _ in 0..8 {
            bucket.charge(ready, u32::MAX);
        }
        assert!(bucket.ready_at(ready) > Some(ready));
    }

    #[test]
    fn a_new_rate_keeps_what_is_in_the_bucket() {
        let start = origin();
        let second = start + Duration::from_secs(1);
        let mut bucket = TokenBucket::new(start, 10, 40);
        assert!(bucket.take(start, 40));
        bucket.set_rate(second, 1, 100);
        assert_eq!(bucket.available(second), 10, "earned at the old rate");
        assert_eq!(bucket.available(second + Duration::from_secs(5)), 15);
        bucket.set_rate(second, 1, 4);
        assert_eq!(bucket.available(second), 4, "no more than the new burst");
        bucket.charge(second, 10);
        bucket.set_rate(second, 60, 4);
        let ready = bucket.ready_at(second).unwrap();
        assert_eq!(
            ready,
            second + Duration::from_secs(5) + Duration::from_millis(100)
        );
    }

    proptest! {
        /// Never more than burst + rate × time; and a patient taker does get the rate.
        #[test]
        fn grants_are_bounded(
            per_second in 1u32..2_000_000,
            burst in 1u32..10_000,
            steps in proptest::collection::vec((0u64..50_000_000, 1u32..40), 1..200),
        ) {
            let start = origin();
            let mut bucket = TokenBucket::new(start, per_second, burst);
            let (mut elapsed, mut granted) = (0u64, 0u128);
            for (step, n) in steps {
                elapsed += step;
                let now = start + Duration::from_nanos(elapsed);
                let available = bucket.available(now);
                prop_assert_eq!(bucket.take(now, n), n <= available);
                granted += u128::from(if n <= available { n } else { 0 });
                let earned = u128::from(per_second) * u128::from(elapsed);
                prop_assert!(granted * 1_000_000_000 <= u128::from(burst) * 1_000_000_000 + earned);
            }
        }

        /// Who waits until `ready_at` before each charge gets the rate, no less and no more.
        #[test]
        fn pacing_holds_the_rate(
            per_second in 1u32..1_000_000,
            burst in 0u32..10_000,
            charges in proptest::collection::vec(1u32..70_000, 1..100),
        ) {
            let start = origin();
            let mut bucket = TokenBucket::new(start, per_second, burst);
            let (mut now, mut charged) = (start, 0u128);
            for n in charges {
                now = bucket.ready_at(now).unwrap();
                prop_assert_eq!(bucket.ready_at(now), Some(now));
                let due = charged.saturating_sub(burst.into()) * 1_000_000_000;
                let elapsed = (now - start).as_nanos();
                prop_assert!(elapsed * u128::from(per_second) >= due);
                prop_assert!(elapsed.saturating_sub(1) * u128::from(per_second) <= due);
                bucket.charge(now, n);
                charged += u128::from(n);
            }
        }
    }
}
