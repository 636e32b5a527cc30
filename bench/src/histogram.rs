//! A log-linear histogram of durations: constant memory, no allocation per sample.

/// Bits of mantissa kept: a value lands in a bucket no wider than 1/64 of itself (1.6 %).
const PRECISION: u32 = 6;
const LINEAR: usize = 1 << PRECISION;
/// One linear stretch below `LINEAR`, then `LINEAR` buckets for each power of two up to 2^64.
const BUCKETS: usize = LINEAR * (64 - PRECISION as usize + 1);

/// Durations in nanoseconds, counted in buckets whose width is 1/64 of their value.
#[derive(Debug, Clone)]
pub(crate) struct Histogram {
    counts: Vec<u64>,
    total: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            counts: vec![0; BUCKETS],
            total: 0,
        }
    }
}

impl Histogram {
    /// Counts one sample.
    pub(crate) fn record(&mut self, nanoseconds: u64) {
        self.counts[bucket(nanoseconds)] += 1;
        self.total += 1;
    }

    /// Adds all samples of another histogram.
    pub(crate) fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine += theirs;
        }
        self.total += other.total;
    }

    /// The smallest bucket bound that at least `share` (0 to 1) of the samples do not exceed, in
    /// nanoseconds; not a number when nothing was recorded.
    pub(crate) fn quantile(&self, share: f64) -> f64 {
        if self.total == 0 {
            return f64::NAN;
        }
        #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
        #[expect(clippy::cast_sign_loss, reason = "both factors are positive")]
        let rank = ((share.clamp(0.0, 1.0) * self.total as f64).ceil() as u64).max(1);
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                #[expect(clippy::cast_precision_loss, reason = "the bucket is coarser than f64")]
                return upper_bound(index) as f64;
            }
        }
        f64::NAN
    }
}

fn bucket(value: u64) -> usize {
    let magnitude = u64::BITS - value.leading_zeros();
    if magnitude <= PRECISION {
        return value as usize;
    }
    let shift = magnitude - PRECISION - 1;
    let group = (shift + 1) as usize;
    (group << PRECISION) + ((value >> shift) as usize - LINEAR)
}

/// The largest value of a bucket.
fn upper_bound(index: usize) -> u64 {
    let group = index >> PRECISION;
    let step = (index & (LINEAR - 1)) as u64;
    if group == 0 {
        return step;
    }
    let shift = group - 1;
    let low = (LINEAR as u64 + step) << shift;
    low + ((1u64 << shift) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_lies_in_a_bucket_that_is_narrow_enough() {
        let mut value = 0u64;
        while value < u64::MAX / 3 {
            let upper = upper_bound(bucket(value));
            assert!(upper >= value, "{value} above its bucket's bound {upper}");
            assert!(
                upper - value <= value / LINEAR as u64,
                "{value} in a bucket up to {upper}"
            );
            value += value / 8 + 1;
        }
        assert_eq!(upper_bound(bucket(u64::MAX)), u64::MAX);
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn buckets_follow_each_other_without_a_gap() {
        for index in 0..BUCKETS - 1 {
            assert_eq!(bucket(upper_bound(index)), index);
            assert_eq!(bucket(upper_bound(index) + 1), index + 1);
        }
    }

    #[test]
    fn quantiles_count_samples() {
        let mut histogram = Histogram::default();
        assert!(histogram.quantile(0.5).is_nan());
        (1..=50).for_each(|value| histogram.record(value));
        let mut tail = Histogram::default();
        (0..50).for_each(|_| tail.record(1_000_000));
        histogram.merge(&tail);
        assert_eq!(histogram.quantile(0.25).to_bits(), 25f64.to_bits());
        assert_eq!(histogram.quantile(0.5).to_bits(), 50f64.to_bits());
        let p99 = histogram.quantile(0.99);
        assert!((1_000_000.0..1_016_000.0).contains(&p99), "{p99}");
    }
}
