//! How many connections a source prefix may hold at once, in fixed memory.

use std::net::IpAddr;

use crate::key::PrefixKey;

/// Slots in a bucket of the table: eight of 16 bytes are two cache lines.
const WAYS: usize = 8;

/// The largest table, in slots: 256 MiB.
const MAX_SLOTS: usize = 1 << 24;

/// The settings of [`PrefixSlots`]. A value out of range acts as the nearest one in range; the
/// configuration reports it where it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PrefixSlotsLimits {
    /// Connections that one prefix may hold. 0, the default, is off: nothing is counted.
    pub per_prefix: u32,
    /// Bits of an IPv4 source that name its prefix, 0 to 32. Default 32: each address by itself.
    pub ipv4_prefix: u8,
    /// Bits of an IPv6 source that name its prefix, 0 to 128. Default 64: the range of one link
    /// (RFC 4291 §2.5.4), all of which one host can use.
    pub ipv6_prefix: u8,
    /// Prefixes that can hold connections at once, rounded up to a power of two, 16 to 2^24.
    /// Default 65,536, which is 1 MiB. Allow twice the prefixes that are expected: in a table half
    /// full practically no source finds its place taken.
    pub slots: usize,
}

impl Default for PrefixSlotsLimits {
    fn default() -> Self {
        Self {
            per_prefix: 0,
            ipv4_prefix: 32,
            ipv6_prefix: 64,
            slots: 1 << 16,
        }
    }
}

/// Why a connection was not counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Full {
    /// The source's prefix holds as many as one prefix may.
    #[error("the source prefix holds all {limit} of its connections")]
    PerPrefix {
        /// The limit in force.
        limit: u32,
    },
    /// Every slot that the source's prefix could use is held by another prefix.
    #[error("the table of source prefixes has no slot left for this one")]
    TableFull,
}

/// One connection that was counted in; hand it back to [`PrefixSlots::leave`] exactly once, to the
/// table that gave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "the connection stays counted until it is handed to `leave`"]
pub struct Entered {
    /// `None` for a connection that came in while the limit was off.
    slot: Option<u32>,
}

/// Counts the connections of each source prefix in a table that never grows.
///
/// A prefix hashes, with a secret seed, to two buckets of eight slots; it takes a free slot in the
/// emptier one and keeps it until its last connection has left. The count of a prefix is exact as
/// long as it holds a connection. When all sixteen slots are held by other prefixes the answer is
/// [`Full::TableFull`]: nothing is displaced, so that a flood of sources cannot make the table
/// forget who holds what. Such a flood needs connections that are really open, one a slot.
///
/// [`try_enter`](Self::try_enter) reads at most four cache lines, [`leave`](Self::leave) one;
/// neither allocates, so that a mutex around the table is held for well under a microsecond.
///
/// ```
/// use wharf_policy::{Full, PrefixSlots, PrefixSlotsLimits};
///
/// let limits = PrefixSlotsLimits { per_prefix: 1, ..PrefixSlotsLimits::default() };
/// let mut slots = PrefixSlots::new(limits, 0x5eed);
/// let source = "2001:db8::1".parse().unwrap();
/// let entered = slots.try_enter(source).unwrap();
/// let neighbour = "2001:db8::2".parse().unwrap();
/// assert_eq!(slots.try_enter(neighbour), Err(Full::PerPrefix { limit: 1 }));
/// slots.leave(entered);
/// assert!(slots.try_enter(neighbour).is_ok());
/// ```
#[derive(Debug, Clone)]
pub struct PrefixSlots {
    /// Empty until the limit is first on.
    buckets: Box<[[Slot; WAYS]]>,
    key: PrefixKey,
    per_prefix: u32,
    /// A power of two, at least 2: how many buckets the table has once it is needed.
    size: usize,
    prefixes: usize,
}

#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    /// The seeded hash of the prefix; without meaning while `held` is 0.
    prefix: u64,
    held: u32,
}

impl PrefixSlots {
    /// An empty table. `seed` should be unpredictable to the sources, otherwise they can choose
    /// prefixes that crowd one bucket.
    pub fn new(limits: PrefixSlotsLimits, seed: u64) -> Self {
        let slots = limits.slots.clamp(2 * WAYS, MAX_SLOTS).next_power_of_two();
        let mut table = Self {
            buckets: Box::default(),
            key: PrefixKey::new(limits.ipv4_prefix, limits.ipv6_prefix, seed),
            per_prefix: 0,
            size: slots / WAYS,
            prefixes: 0,
        };
        table.set_limit(limits.per_prefix);
        table
    }

    /// Replaces the limit at once; 0 turns it off. Connections beyond a lowered limit stay; none of
    /// their prefix is added until enough of them have left. Those that came in while the limit was
    /// off are never counted. The table's memory is taken the first time the limit is on.
    pub fn set_limit(&mut self, per_prefix: u32) {
        self.per_prefix = per_prefix;
        if per_prefix > 0 && self.buckets.is_empty() {
            self.buckets = vec![[Slot::default(); WAYS]; self.size].into();
        }
    }

    /// The limit in force; 0 is off.
    pub fn limit(&self) -> u32 {
        self.per_prefix
    }

    /// Counts one more connection of `source`'s prefix, or says why not; a refusal changes nothing.
    pub fn try_enter(&mut self, source: IpAddr) -> Result<Entered, Full> {
        if self.per_prefix == 0 {
            return Ok(Entered { slot: None });
        }
        let prefix = self.key.hash(source);
        let index = match self.find(prefix) {
            Some(index) => index,
            None => self.free(prefix).ok_or(Full::TableFull)?,
        };
        let slot = &mut self.buckets[index / WAYS][index % WAYS];
        if slot.held >= self.per_prefix {
            return Err(Full::PerPrefix {
                limit: self.per_prefix,
            });
        }
        if slot.held == 0 {
            slot.prefix = prefix;
            self.prefixes += 1;
        }
        slot.held += 1;
        Ok(Entered {
            slot: Some(index as u32),
        })
    }

    /// Gives back what [`try_enter`](Self::try_enter) gave. Also how a handler has its connection
    /// exempted from the count.
    pub fn leave(&mut self, entered: Entered) {
        let Some(index) = entered.slot.map(|slot| slot as usize) else {
            return;
        };
        let Some(bucket) = self.buckets.get_mut(index / WAYS) else {
            return;
        };
        let slot = &mut bucket[index % WAYS];
        if slot.held > 0 {
            slot.held -= 1;
            self.prefixes -= usize::from(slot.held == 0);
        }
    }

    /// Connections that `source`'s prefix holds.
    pub fn held(&self, source: IpAddr) -> u32 {
        let slot = self.find(self.key.hash(source));
        slot.map_or(0, |index| self.buckets[index / WAYS][index % WAYS].held)
    }

    /// Prefixes that hold a connection.
    pub fn prefixes(&self) -> usize {
        self.prefixes
    }

    /// The slot that a prefix holds.
    fn find(&self, prefix: u64) -> Option<usize> {
        if self.buckets.is_empty() {
            return None;
        }
        let held = |slot: &Slot| slot.held > 0 && slot.prefix == prefix;
        self.homes(prefix).into_iter().find_map(|bucket| {
            let way = self.buckets[bucket].iter().position(held)?;
            Some(bucket * WAYS + way)
        })
    }

    /// A free slot in the emptier of the prefix's two buckets.
    fn free(&self, prefix: u64) -> Option<usize> {
        let taken = |bucket: &usize| self.buckets[*bucket].iter().filter(|s| s.held > 0).count();
        let bucket = self.homes(prefix).into_iter().min_by_key(taken)?;
        let way = self.buckets[bucket].iter().position(|s| s.held == 0)?;
        Some(bucket * WAYS + way)
    }

    /// The two buckets of a prefix, always different.
    fn homes(&self, prefix: u64) -> [usize; 2] {
        let mask = self.size - 1;
        let first = prefix as usize & mask;
        let second = (prefix >> 32) as usize & mask;
        [first, if second == first { first ^ 1 } else { second }]
    }
}

#[cfg(test)]
mod tests;
