//! A rate limit for each source prefix, in fixed memory however many sources there are.

use std::net::IpAddr;
use std::time::Instant;

use crate::key::PrefixKey;

/// How many prefixes share a set: four records of 16 bytes are one cache line.
const WAYS: usize = 4;

/// The largest table, in records: 256 MiB.
const MAX_SLOTS: usize = 1 << 24;

/// The settings of a [`PrefixLimiter`]. A value out of range acts as the nearest one in range; the
/// configuration reports it where it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PrefixLimits {
    /// Requests a second for each prefix, rounded down to a whole number of nanoseconds per
    /// request. Default 1000. 0 turns the limiter off: everything is allowed and no memory is used.
    pub per_second: u32,
    /// Requests at once for a prefix that was idle. Default 2000, at least 1.
    pub burst: u32,
    /// Bits of an IPv4 source that name its prefix, 0 to 32. Default 32: each address by itself.
    /// Lower it when clients are spread over a provider's range that should be limited as one.
    pub ipv4_prefix: u8,
    /// Bits of an IPv6 source that name its prefix, 0 to 128. Default 56: a common size of the
    /// range that one customer is given (RFC 6177), all of which one customer can use.
    pub ipv6_prefix: u8,
    /// Prefixes remembered at once, rounded up to a power of two, 4 to 2^24. Default 65,536;
    /// 16 bytes each.
    pub slots: usize,
}

impl Default for PrefixLimits {
    fn default() -> Self {
        Self {
            per_second: 1000,
            burst: 2000,
            ipv4_prefix: 32,
            ipv6_prefix: 56,
            slots: 1 << 16,
        }
    }
}

/// A token bucket for each source prefix, in a table that never grows and never allocates after
/// [`new`](Self::new).
///
/// A prefix hashes, with a secret seed, to a set of four buckets. Where its own is not among them it
/// takes over the fullest of the four **with the tokens left in it**, and only if one is left. An
/// idle bucket is full, so a lone newcomer has its whole burst; but in a set whose buckets are in
/// use no source gains tokens by arriving under a new address. Hence, over any time `t` seconds, a
/// prefix that keeps its bucket is granted at most `burst + per_second × t`, and all prefixes of
/// one set together, however they rotate, at most four times as much.
#[derive(Debug, Clone)]
pub struct PrefixLimiter {
    /// Empty when the limiter is off.
    sets: Box<[[Slot; WAYS]]>,
    key: PrefixKey,
    /// The first `now` seen; slots count from here.
    epoch: Option<Instant>,
    /// Nanoseconds in which a bucket earns one token.
    token: u64,
    /// Nanoseconds in which an empty bucket fills.
    fill: u64,
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    /// The seeded hash of the prefix.
    prefix: u64,
    /// When the bucket is full again, in nanoseconds after the epoch. One number is the whole
    /// bucket: the tokens missing now are what will be earned until then.
    full_at: u64,
}

impl PrefixLimiter {
    /// A limiter with every bucket full. `seed` should be unpredictable to the sources, otherwise
    /// they can choose prefixes that crowd one set.
    pub fn new(limits: PrefixLimits, seed: u64) -> Self {
        let token = 1_000_000_000_u64.div_ceil(limits.per_second.max(1).into());
        let sets = match limits.per_second {
            0 => 0,
            _ => limits.slots.clamp(WAYS, MAX_SLOTS).next_power_of_two() / WAYS,
        };
        Self {
            sets: vec![
                [Slot {
                    prefix: 0,
                    full_at: 0
                }; WAYS];
                sets
            ]
            .into(),
            key: PrefixKey::new(limits.ipv4_prefix, limits.ipv6_prefix, seed),
            epoch: None,
            token,
            fill: token.saturating_mul(limits.burst.max(1).into()),
        }
    }

    /// Whether `source` may be answered now; if so, one token is taken from its prefix. An earlier
    /// `now` than the first one counts as that.
    pub fn allow(&mut self, now: Instant, source: IpAddr) -> bool {
        if self.sets.is_empty() {
            return true;
        }
        let epoch = *self.epoch.get_or_insert(now);
        let now = now.saturating_duration_since(epoch).as_nanos() as u64;
        let prefix = self.key.hash(source);
        let index = prefix as usize & (self.sets.len() - 1);
        let set = &mut self.sets[index];
        let way = set
            .iter()
            .position(|slot| slot.prefix == prefix)
            .unwrap_or_else(|| fullest(set));

        let full_at = set[way].full_at.max(now).saturating_add(self.token);
        let allowed = full_at - now <= self.fill;
        if allowed {
            set[way] = Slot { prefix, full_at };
        }
        allowed
    }
}

fn fullest(set: &[Slot; WAYS]) -> usize {
    (1..WAYS).fold(0, |best, way| {
        if set[way].full_at < set[best].full_at {
            way
        } else {
            best
        }
    })
}

#[cfg(test)]
mod tests;
