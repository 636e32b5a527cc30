//! What the tasks of a manager share.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, broadcast, watch};
use wharf_policy::{PrefixLimiter, PrefixLimits};
use wharf_sip::balance::Balancer;
use wharf_sip::destinations::Destinations;
use wharf_sip::flow::FlowId;
use wharf_sip::locate::LocateRules;
use wharf_sip::pool::{DialId, Pool};
use wharf_sip::route::SendFailure;

use super::event::Counters;
use super::losses::Losses;
use super::{ManagerEvent, ManagerOptions, Transports};
use crate::clock::now;
use crate::{DialError, Event, FlowRef, Resolver, SipError};

/// Events that a receiver may be behind.
const EVENTS: usize = 1024;
/// Destinations that a throttle knows at once.
const THROTTLED: usize = 1 << 12;
/// Paths whose MTU is known at once.
const PATHS: usize = 1024;
/// How long the MTU of a path is taken for known (RFC 1191 §6.3).
const PATH_LIFE: Duration = Duration::from_mins(10);
/// What ICMP is believed of the MTU of a path, since anybody can send it: with less than IPv6 allows
/// (RFC 8200 §5) every request would go over TCP, with more than Ethernet has none.
const MTUS: RangeInclusive<usize> = 1280..=1500;

/// How an attempt to open a connection has ended; none before.
pub(super) type Dialled = Option<Result<FlowRef, DialError>>;

pub(super) struct Shared {
    pub(super) options: ManagerOptions,
    pub(super) rules: Arc<LocateRules>,
    pub(super) resolver: Box<dyn Resolver>,
    pub(super) transports: OnceLock<Box<dyn Transports>>,
    pub(super) counters: Counters,
    pub(super) events: broadcast::Sender<ManagerEvent>,
    /// For responses that may have to go another way.
    pub(super) memory: Arc<Semaphore>,
    state: Mutex<State>,
}

pub(super) struct State {
    pub(super) pool: Pool,
    /// The connections of the pool.
    pub(super) flows: HashMap<FlowId, FlowRef>,
    /// The ends of the attempts that the pool has begun.
    pub(super) dials: HashMap<DialId, watch::Receiver<Dialled>>,
    pub(super) destinations: Destinations,
    pub(super) balancer: Balancer,
    pub(super) limiter: Option<PrefixLimiter>,
    pub(super) losses: Losses,
    pub(super) paths: Paths,
    /// Whether a task looks after the ends of connections.
    pub(super) reaping: bool,
}

impl Shared {
    pub(super) fn new(options: ManagerOptions, resolver: impl Resolver) -> Self {
        let limiter = options.throttle.map(|throttle| {
            let limits = PrefixLimits {
                per_second: throttle.per_second,
                burst: throttle.burst,
                ipv4_prefix: 32,
                ipv6_prefix: 128,
                slots: THROTTLED,
            };
            PrefixLimiter::new(limits, fastrand::u64(..))
        });
        let state = State {
            pool: Pool::new(options.pool),
            flows: HashMap::new(),
            dials: HashMap::new(),
            destinations: Destinations::new(options.destinations),
            balancer: Balancer::new(options.balance),
            limiter,
            losses: Losses::default(),
            paths: Paths::default(),
            reaping: false,
        };
        let memory = options.remembered.min(Semaphore::MAX_PERMITS);
        Self {
            rules: Arc::new(options.locate.clone()),
            options,
            resolver: Box::new(resolver),
            transports: OnceLock::new(),
            counters: Counters::default(),
            events: broadcast::Sender::new(EVENTS),
            memory: Arc::new(Semaphore::new(memory)),
            state: Mutex::new(state),
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn transports(&self) -> Result<&dyn Transports, SipError> {
        let transports = self.transports.get().ok_or(SipError::NotBegun)?;
        Ok(&**transports)
    }

    /// Counts and tells.
    pub(super) fn tell(&self, event: ManagerEvent) {
        self.counters.event(&event);
        // Nobody may be listening.
        let _ = self.events.send(event);
    }

    /// What the layer below has told.
    pub(super) fn heard(&self, event: &Event) {
        match event {
            Event::Closed(flow, _) => {
                let mut state = self.state();
                state.forget(flow);
                state.losses.closed(flow);
            }
            Event::Unreachable { flow, failure, mtu } => {
                let mut state = self.state();
                let remote = flow.flow.remote;
                if let Some(mtu) = mtu {
                    state.paths.learn(now(), remote.ip(), *mtu as usize);
                }
                state.losses.unreachable(remote, *failure);
            }
            _ => {}
        }
    }

    /// A message has come over a connection.
    pub(super) fn used(&self, flow: &FlowRef) {
        self.state().pool.used(now(), flow.id);
    }
}

impl Drop for Shared {
    /// Nobody looks after the connections any more.
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        let flows = std::mem::take(&mut state.flows);
        if let Some(transports) = self.transports.get() {
            for flow in flows.values() {
                transports.close(flow);
            }
        }
    }
}

impl State {
    /// A connection has closed.
    pub(super) fn forget(&mut self, flow: &FlowRef) {
        if self.flows.remove(&flow.id).is_some() {
            self.pool.closed(flow.id);
        }
    }
}

/// What ICMP has said of the MTU of paths.
#[derive(Debug, Default)]
pub(super) struct Paths {
    known: HashMap<IpAddr, (usize, Instant)>,
    /// By when they were learnt, for the one to forget.
    order: VecDeque<(Instant, IpAddr)>,
}

impl Paths {
    fn learn(&mut self, now: Instant, to: IpAddr, mtu: usize) {
        let mtu = mtu.clamp(*MTUS.start(), *MTUS.end());
        self.known.insert(to, (mtu, now));
        self.order.push_back((now, to));
        while let Some(&(learnt, to)) = self.order.front()
            && (self.order.len() > PATHS || now.duration_since(learnt) >= PATH_LIFE)
        {
            self.order.pop_front();
            if self.known.get(&to).is_some_and(|known| known.1 == learnt) {
                self.known.remove(&to);
            }
        }
    }

    pub(super) fn mtu(&self, now: Instant, to: IpAddr) -> Option<usize> {
        let &(mtu, learnt) = self.known.get(&to)?;
        (now.duration_since(learnt) < PATH_LIFE).then_some(mtu)
    }
}

/// Why an attempt came to nothing.
pub(super) struct Trouble {
    pub(super) error: SipError,
    /// What the server has to do with it; none where it is a matter of this element alone.
    pub(super) failure: Option<SendFailure>,
}

impl<E: Into<SipError>> From<E> for Trouble {
    fn from(error: E) -> Self {
        let error = error.into();
        Self {
            error,
            failure: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c1_the_mtu_of_a_path_is_known_for_a_while_and_of_a_bounded_number() {
        let (start, to) = (now(), IpAddr::from([192, 0, 2, 1]));
        let mut paths = Paths::default();
        paths.learn(start, to, 1400);
        let later = start + PATH_LIFE / 2;
        paths.learn(later, to, 1280);
        assert_eq!(paths.mtu(start + PATH_LIFE, to), Some(1280));
        assert_eq!(paths.mtu(later + PATH_LIFE, to), None);
        for (said, believed) in [(68, 1280), (1400, 1400), (u32::MAX as usize, 1500)] {
            paths.learn(later, to, said);
            assert_eq!(paths.mtu(later, to), Some(believed));
        }
        for last in 0..2 * PATHS as u32 {
            paths.learn(later, IpAddr::from(last.to_be_bytes()), 1280);
        }
        assert_eq!((paths.known.len(), paths.order.len()), (PATHS, PATHS));
        assert_eq!(paths.mtu(later, to), None);
    }
}
