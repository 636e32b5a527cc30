//! Connections that requests share: which one to use, when to dial, and when to close.
//!
//! ```
//! use std::time::Instant;
//! use wharf_sip::Transport;
//! use wharf_sip::flow::FlowId;
//! use wharf_sip::pool::{Pool, PoolKey, PoolRules, Way};
//!
//! let now = Instant::now();
//! let mut pool = Pool::new(PoolRules::default());
//! let key = PoolKey {
//!     transport: Transport::Tcp,
//!     address: "192.0.2.1:5060".parse().unwrap(),
//!     domain: None,
//!     local: None,
//! };
//! // Two requests at once open one connection between them.
//! let first = pool.want(now, &key).unwrap();
//! let second = pool.want(now, &key).unwrap();
//! let dial = first.dial.unwrap();
//! assert_eq!((first.way, second.way), (Way::Wait(dial), Way::Wait(dial)));
//! assert_eq!(second.dial, None);
//! let flow = FlowId::default();
//! assert!(pool.opened(now, dial, flow));
//! assert_eq!(pool.want(now, &key).unwrap().way, Way::Use(flow));
//! ```

mod life;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::flow::FlowId;
use crate::locate::Candidate;
use crate::{Domain, Transport};

pub use life::PoolClose;

/// How long a connection is kept after its last message at least, whatever the rules: the life of a
/// transaction, 64×T1 (RFC 3261 §18, "SHOULD remain open for some implementation-defined duration",
/// and §17.1.1.2).
const KEEP: Duration = Duration::from_secs(32);

/// What two requests have in common that may go over one connection.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PoolKey {
    /// The transport.
    pub transport: Transport,
    /// The address of the other end.
    pub address: SocketAddr,
    /// Over TLS, the domain that the other end has to prove: servers of several domains may share an
    /// address (RFC 5922 §7.3). None without TLS, where nobody proves anything.
    pub domain: Option<Domain>,
    /// The domain of this element whose certificate is shown, where there are several.
    pub local: Option<Domain>,
}

impl PoolKey {
    /// The key for a candidate.
    pub fn new(candidate: &Candidate, local: Option<Domain>) -> Self {
        let &Candidate {
            transport,
            address,
            ref domain,
            ..
        } = candidate;
        let domain = domain.clone().filter(|_| transport.is_secure());
        Self {
            transport,
            address,
            domain,
            local,
        }
    }
}

/// The settings of a [`Pool`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolRules {
    /// Connections for one key, used in turn. Default 1, which is also the least. The others are
    /// opened with the requests that follow the first.
    pub per_key: usize,
    /// Connections for all keys, those being dialled included. Default 10,000, at least 1. When there are as many,
    /// the one that was used longest ago makes room, if it has been idle for 32 s; otherwise the
    /// request is refused.
    pub total: usize,
    /// Requests that may wait for one connection to open. Default 1000; further ones are refused.
    pub waiting: usize,
    /// How long a connection stays open without a message. Default 5 min; at least 32 s.
    pub idle: Duration,
    /// How long a connection takes requests; after that it is closed as soon as it has been idle for
    /// 32 s. Default none: without end.
    pub lifetime: Option<Duration>,
}

impl Default for PoolRules {
    fn default() -> Self {
        Self {
            per_key: 1,
            total: 10_000,
            waiting: 1000,
            idle: Duration::from_mins(5),
            lifetime: None,
        }
    }
}

/// Names one attempt to open a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DialId(u64);

/// How a request gets its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// It is open.
    Use(FlowId),
    /// It is being opened: wait for the end of this attempt.
    Wait(DialId),
}

/// What [`Pool::want`] decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// How this request gets its connection.
    pub way: Way,
    /// An attempt to begin now. It has to end with [`Pool::opened`] or [`Pool::dial_failed`].
    pub dial: Option<DialId>,
    /// A connection to close, which makes room for that attempt.
    pub close: Option<FlowId>,
}

/// Why a request gets no connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum PoolError {
    /// There are as many connections as [`PoolRules::total`], all in use.
    #[error("all connections that may be open are in use")]
    Full,
    /// As many requests as [`PoolRules::waiting`] wait for this connection already.
    #[error("too many requests wait for this connection")]
    TooManyWaiting,
}

/// The connections that this element has opened for requests.
///
/// It holds no connection, only their ids: the caller opens and closes them, and says what became of
/// it. A connection that turns out dead when a request is sent over it is [`closed`](Self::closed), and
/// the request may [`want`](Self::want) another one, once.
#[derive(Debug)]
pub struct Pool {
    rules: PoolRules,
    places: BTreeMap<PoolKey, Place>,
    live: BTreeMap<FlowId, Live>,
    dials: BTreeMap<DialId, Dial>,
    /// All live connections by the end that was foreseen when they were looked at last.
    by_end: BTreeSet<(Instant, FlowId)>,
    next_dial: u64,
    /// Until then no connection has been idle for long enough to make room for another.
    crowded_until: Option<Instant>,
}

/// The connections for one key, the next one to use in front.
#[derive(Debug, Default)]
struct Place {
    live: VecDeque<FlowId>,
    dials: Vec<DialId>,
}

#[derive(Debug)]
struct Dial {
    key: PoolKey,
    waiting: usize,
}

#[derive(Debug)]
struct Live {
    key: PoolKey,
    opened: Instant,
    used: Instant,
    foreseen: Instant,
    /// It takes no more requests.
    retired: bool,
}

impl Pool {
    /// An empty pool.
    pub fn new(rules: PoolRules) -> Self {
        Self {
            rules,
            places: BTreeMap::new(),
            live: BTreeMap::new(),
            dials: BTreeMap::new(),
            by_end: BTreeSet::new(),
            next_dial: 0,
            crowded_until: None,
        }
    }

    /// A connection for a request. Over a connection that is found the request counts as sent now.
    pub fn want(&mut self, now: Instant, key: &PoolKey) -> Result<Wanted, PoolError> {
        let place = self.places.get(key);
        let (live, dials) = place.map_or((0, 0), |place| (place.live.len(), place.dials.len()));
        let mut close = None;
        let mut dial = None;
        if live + dials < self.rules.per_key.max(1) {
            // A second connection is not worth one of another destination.
            if live + dials == 0 && self.is_full() {
                close = Some(self.evict(now).ok_or(PoolError::Full)?);
            }
            if !self.is_full() {
                dial = Some(self.dial(key));
            }
        }
        let Some(place) = self.places.get_mut(key) else {
            return Err(PoolError::Full);
        };
        let way = if let Some(&flow) = place.live.front() {
            place.live.rotate_left(1);
            self.used(now, flow);
            Way::Use(flow)
        } else {
            let waits_for = dial.or(place.dials.first().copied());
            let under_way = waits_for.and_then(|id| Some((id, self.dials.get_mut(&id)?)));
            let (id, dial) = under_way.ok_or(PoolError::Full)?;
            if dial.waiting >= self.rules.waiting.max(1) {
                return Err(PoolError::TooManyWaiting);
            }
            dial.waiting += 1;
            Way::Wait(id)
        };
        Ok(Wanted { way, dial, close })
    }

    fn is_full(&self) -> bool {
        self.live.len() + self.dials.len() >= self.rules.total.max(1)
    }

    fn dial(&mut self, key: &PoolKey) -> DialId {
        let id = DialId(self.next_dial);
        self.next_dial += 1;
        self.dials.insert(
            id,
            Dial {
                key: key.clone(),
                waiting: 0,
            },
        );
        self.places.entry(key.clone()).or_default().dials.push(id);
        id
    }

    /// An attempt has led to this connection: those who wait for it may use it. False where the pool
    /// knows of no such attempt; the connection is not its own then.
    pub fn opened(&mut self, now: Instant, dial: DialId, flow: FlowId) -> bool {
        let Some(key) = self.end_dial(dial) else {
            return false;
        };
        self.places
            .entry(key.clone())
            .or_default()
            .live
            .push_back(flow);
        let live = Live {
            key,
            opened: now,
            used: now,
            foreseen: now,
            retired: false,
        };
        let foreseen = live.end(&self.rules);
        self.live.insert(flow, Live { foreseen, ..live });
        self.by_end.insert((foreseen, flow));
        true
    }

    /// An attempt has failed: for all who wait for it.
    pub fn dial_failed(&mut self, dial: DialId) {
        if let Some(key) = self.end_dial(dial) {
            self.tidy(&key);
        }
    }

    fn end_dial(&mut self, dial: DialId) -> Option<PoolKey> {
        let Dial { key, .. } = self.dials.remove(&dial)?;
        if let Some(place) = self.places.get_mut(&key) {
            place.dials.retain(|&one| one != dial);
        }
        Some(key)
    }

    fn tidy(&mut self, key: &PoolKey) {
        if self
            .places
            .get(key)
            .is_some_and(|place| place.live.is_empty() && place.dials.is_empty())
        {
            self.places.remove(key);
        }
    }

    /// Connections that are open.
    pub fn live(&self) -> usize {
        self.live.len()
    }

    /// Connections that are being opened.
    pub fn dialling(&self) -> usize {
        self.dials.len()
    }
}

#[cfg(test)]
mod tests;
