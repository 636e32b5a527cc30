//! What the source prefixes of one listener hold and how fast they come, in fixed memory.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use wharf_policy::concurrency::{Entered, Full, PrefixSlots, PrefixSlotsLimits};
use wharf_policy::{PrefixLimiter, PrefixLimits};

use crate::config::{Limits, Rate, Rates};
use crate::reason::Refusal;

/// The tables of a listener; each is behind a lock that is held for a look-up.
#[derive(Debug)]
pub(crate) struct Prefixes {
    connections: Arc<Mutex<PrefixSlots>>,
    handshakes: Arc<Mutex<PrefixSlots>>,
    rate: Mutex<PrefixLimiter>,
    datagrams: Mutex<PrefixLimiter>,
}

/// A connection counted under its prefix, until it is dropped.
#[derive(Debug)]
pub(crate) struct PrefixPass {
    table: Arc<Mutex<PrefixSlots>>,
    entered: Entered,
}

impl Drop for PrefixPass {
    fn drop(&mut self) {
        lock(&self.table).leave(self.entered);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn enter(table: &Arc<Mutex<PrefixSlots>>, source: IpAddr) -> Result<PrefixPass, Full> {
    let entered = lock(table).try_enter(source)?;
    Ok(PrefixPass {
        table: table.clone(),
        entered,
    })
}

impl Prefixes {
    pub(crate) fn new(limits: &Limits, rates: &Rates) -> Self {
        let slots = |per_prefix| {
            let limits = PrefixSlotsLimits {
                per_prefix,
                ipv4_prefix: limits.ipv4_prefix,
                ipv6_prefix: limits.ipv6_prefix,
                slots: limits.prefix_slots as usize,
            };
            Arc::new(Mutex::new(PrefixSlots::new(limits, seed())))
        };
        Self {
            connections: slots(limits.per_prefix),
            handshakes: slots(limits.handshakes_per_prefix),
            rate: Mutex::new(limiter(limits, rates.accept_per_prefix)),
            datagrams: Mutex::new(limiter(limits, rates.datagrams_per_prefix)),
        }
    }

    /// Puts new limits in force; what is held stays counted. Buckets are full again when their rate
    /// has changed.
    pub(crate) fn set(&self, limits: &Limits, rates: &Rates, rate_changed: bool) {
        lock(&self.connections).set_limit(limits.per_prefix);
        lock(&self.handshakes).set_limit(limits.handshakes_per_prefix);
        if rate_changed {
            *lock(&self.rate) = limiter(limits, rates.accept_per_prefix);
            *lock(&self.datagrams) = limiter(limits, rates.datagrams_per_prefix);
        }
    }

    /// Whether `source` may connect now, by its rate.
    pub(crate) fn within_rate(&self, now: Instant, source: IpAddr) -> Result<(), Refusal> {
        let allowed = lock(&self.rate).allow(now, source);
        if allowed {
            Ok(())
        } else {
            Err(Refusal::PrefixRate)
        }
    }

    /// Whether a datagram of `source` may be taken now, by its rate.
    pub(crate) fn takes_datagram(&self, now: Instant, source: IpAddr) -> bool {
        lock(&self.datagrams).allow(now, source)
    }

    /// Prefixes that hold anything.
    #[cfg(any(test, feature = "testkit"))]
    pub(crate) fn held(&self) -> u64 {
        (lock(&self.connections).prefixes() + lock(&self.handshakes).prefixes()) as u64
    }

    pub(crate) fn enter(&self, source: IpAddr) -> Result<PrefixPass, Refusal> {
        enter(&self.connections, source).map_err(|full| match full {
            Full::PerPrefix { .. } => Refusal::PrefixFull,
            Full::TableFull => Refusal::PrefixTableFull,
        })
    }

    pub(crate) fn enter_handshake(&self, source: IpAddr) -> Result<PrefixPass, Refusal> {
        enter(&self.handshakes, source).map_err(|full| match full {
            Full::PerPrefix { .. } => Refusal::PrefixHandshakesFull,
            Full::TableFull => Refusal::PrefixTableFull,
        })
    }
}

fn limiter(limits: &Limits, rate: Option<Rate>) -> PrefixLimiter {
    let limits = PrefixLimits {
        per_second: rate.map_or(0, |rate| rate.per_second),
        burst: rate.map_or(1, |rate| rate.burst),
        ipv4_prefix: limits.ipv4_prefix,
        ipv6_prefix: limits.ipv6_prefix,
        slots: limits.prefix_slots as usize,
    };
    PrefixLimiter::new(limits, seed())
}

/// A secret of its own for each table, so that nobody can choose prefixes that crowd a place.
fn seed() -> u64 {
    getrandom::u64().unwrap_or_else(|_| {
        use std::hash::{BuildHasher, RandomState};
        RandomState::new().hash_one(0)
    })
}
