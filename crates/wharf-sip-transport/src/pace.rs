//! How fast the messages of one connection are taken.

use std::time::Instant;

use wharf::config::Rate;
use wharf_policy::TokenBucket;

/// The bucket of one connection; without a rate it takes no memory.
pub(crate) struct Pace(Option<Box<TokenBucket>>);

impl Pace {
    pub(crate) fn new(rate: Option<Rate>, now: Instant) -> Self {
        // A bucket without a refill, or without room, would hold the connection for ever.
        let bucket = |rate: Rate| TokenBucket::new(now, rate.per_second.max(1), rate.burst.max(1));
        Self(rate.map(|rate| Box::new(bucket(rate))))
    }

    /// When the next message may be taken, if that is not now.
    pub(crate) fn wait(&mut self, now: Instant) -> Option<Instant> {
        let at = self.0.as_mut()?.next_at(now, 1)?;
        (at > now).then_some(at)
    }

    /// A message was taken.
    pub(crate) fn took_one(&mut self, now: Instant) {
        if let Some(bucket) = &mut self.0 {
            bucket.charge(now, 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_zero_counts_as_one() {
        let now = crate::clock::now();
        let zero = Rate {
            per_second: 0,
            burst: 0,
        };
        let mut pace = Pace::new(Some(zero), now);
        assert_eq!(pace.wait(now), None);
        pace.took_one(now);
        assert_eq!(pace.wait(now), Some(now + Duration::from_secs(1)));
        let mut none = Pace::new(None, now);
        none.took_one(now);
        assert_eq!(none.wait(now), None);
    }
}
