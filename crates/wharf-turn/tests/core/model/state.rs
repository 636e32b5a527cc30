//! The model: what each client should have, in plain maps.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use wharf_stun::attribute::{AddressFamily, Lifetime, ReservationToken};

use super::operation::{PEERS, Request, Wish};
use crate::support::{Answer, addr, secs};

pub(crate) struct Model {
    pub(crate) now: Instant,
    /// Nothing has happened that lets an Allocate fail.
    pub(crate) calm: bool,
    pub(crate) token: Option<ReservationToken>,
    denied: BTreeSet<IpAddr>,
    allocations: Vec<Option<Allocation>>,
}

/// How something from a peer reaches a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    Not,
    Indication,
    Channel(u16),
}

#[derive(Default)]
struct Allocation {
    /// By family, with the end of the lifetime.
    relays: [Option<(SocketAddr, Instant)>; 2],
    permissions: BTreeMap<IpAddr, Instant>,
    channels: BTreeMap<u16, (SocketAddr, Instant)>,
}

impl Allocation {
    fn forget(&mut self, family: usize) {
        self.relays[family] = None;
        self.permissions
            .retain(|ip, _| usize::from(ip.is_ipv6()) != family);
        self.channels
            .retain(|_, (peer, _)| usize::from(peer.is_ipv6()) != family);
    }
}

impl Model {
    pub(crate) fn new(now: Instant, clients: usize) -> Self {
        Self {
            now,
            calm: true,
            token: None,
            denied: BTreeSet::new(),
            allocations: (0..clients).map(|_| None).collect(),
        }
    }

    /// A client's allocation, without what has expired.
    fn live(&mut self, n: usize) -> Option<&mut Allocation> {
        let now = self.now;
        let allocation = self.allocations[n].as_mut()?;
        for family in 0..2 {
            if allocation.relays[family].is_none_or(|(_, expires)| expires <= now) {
                allocation.forget(family);
            }
        }
        allocation.permissions.retain(|_, expires| now < *expires);
        allocation.channels.retain(|_, (_, expires)| now < *expires);
        if allocation.relays == [None; 2] {
            self.allocations[n] = None;
        }
        self.allocations[n].as_mut()
    }

    pub(crate) fn deny(&mut self, denied: BTreeSet<IpAddr>) {
        for allocation in self.allocations.iter_mut().flatten() {
            allocation.permissions.retain(|ip, _| !denied.contains(ip));
            allocation
                .channels
                .retain(|_, (peer, _)| !denied.contains(&peer.ip()));
        }
        self.denied = denied;
    }

    /// The relay that reaches peers like this one.
    pub(crate) fn relay(&mut self, n: usize, peer: IpAddr) -> Option<SocketAddr> {
        Some(self.live(n)?.relays[usize::from(peer.is_ipv6())]?.0)
    }

    fn permits(&mut self, n: usize, peer: IpAddr) -> bool {
        self.live(n)
            .is_some_and(|allocation| allocation.permissions.contains_key(&peer))
    }

    pub(crate) fn sends(&mut self, n: usize, peer: &str) -> bool {
        self.permits(n, addr(peer).ip())
    }

    pub(crate) fn channel_leads_to(&mut self, n: usize, number: u16) -> Option<SocketAddr> {
        let (peer, _) = *self.live(n)?.channels.get(&number)?;
        self.permits(n, peer.ip()).then_some(peer)
    }

    /// How a client hears a peer.
    pub(crate) fn hears(&mut self, n: usize, peer: &str) -> Heard {
        let peer = addr(peer);
        if !self.permits(n, peer.ip()) {
            return Heard::Not;
        }
        let channels = self.live(n).map(|a| &a.channels).into_iter().flatten();
        let mut bound = channels.filter(|(_, (to, _))| *to == peer);
        bound
            .next()
            .map_or(Heard::Indication, |(number, _)| Heard::Channel(*number))
    }

    /// Compares an answer with what it should be and takes over what it grants.
    pub(crate) fn answered(&mut self, n: usize, request: &Request, answer: &Answer) {
        if let Request::Allocate(wish, _) = request {
            return self.allocated(n, *wish, answer);
        }
        let expected = self.verdict(n, request);
        assert_eq!(answer.error, expected, "{request:?}");
        if expected.is_none() {
            self.grant(n, request, answer);
        }
    }

    fn allocated(&mut self, n: usize, wish: Wish, answer: &Answer) {
        if self.live(n).is_some() {
            return assert_eq!(answer.error, Some(437));
        }
        if answer.error.is_some() {
            assert_eq!(answer.error, Some(508));
            return assert!(!self.calm || wish == Wish::Claim);
        }
        let expires = self.now + secs(answer.get::<Lifetime>().expect("LIFETIME").0.into());
        let mut allocation = Allocation::default();
        for relay in answer.relayed() {
            let place = &mut allocation.relays[usize::from(relay.is_ipv6())];
            assert_eq!(place.replace((relay, expires)), None);
            let even = matches!(wish, Wish::Even | Wish::Pair);
            assert!(!even || relay.port() % 2 == 0);
            assert!(wish != Wish::Claim || relay.port() % 2 == 1);
        }
        let families = allocation.relays.map(|relay| relay.is_some());
        match wish {
            Wish::Dual if self.calm => assert_eq!(families, [true, true]),
            Wish::Dual => assert_ne!(families, [false, false]),
            Wish::V6 => assert_eq!(families, [false, true]),
            _ => assert_eq!(families, [true, false]),
        }
        let token = answer.get();
        assert_eq!(token.is_some(), wish == Wish::Pair);
        self.token = token.or(self.token);
        self.allocations[n] = Some(allocation);
    }

    /// The error that a request gets, in the order of the RFC's checks.
    fn verdict(&mut self, n: usize, request: &Request) -> Option<u16> {
        let denied = self.denied.clone();
        let Some(allocation) = self.live(n) else {
            return Some(437);
        };
        let relayed = |v6: bool| allocation.relays[usize::from(v6)].is_some();
        let judge = |peers: &[usize]| {
            let mut ips = peers.iter().map(|&peer| addr(PEERS[peer]).ip());
            if !ips.clone().all(|ip| relayed(ip.is_ipv6())) {
                return Some(443);
            }
            ips.any(|ip| denied.contains(&ip)).then_some(403)
        };
        match request {
            Request::Allocate(..) => unreachable!("judged elsewhere"),
            Request::Refresh(_, family) => {
                let family = (*family)?;
                (!relayed(family == AddressFamily::V6)).then_some(443)
            }
            Request::Permit(peers) => judge(peers),
            Request::Bind(number, peer) => judge(&[*peer]).or_else(|| {
                let peer = addr(PEERS[*peer]);
                let mut channels = allocation.channels.iter();
                let conflict =
                    |(n, (to, _)): (&u16, &(SocketAddr, Instant))| (n == number) != (*to == peer);
                channels.any(conflict).then_some(400)
            }),
        }
    }

    fn grant(&mut self, n: usize, request: &Request, answer: &Answer) {
        let now = self.now;
        let Some(allocation) = self.live(n) else {
            panic!("a success without an allocation");
        };
        match request {
            Request::Allocate(..) => unreachable!("granted elsewhere"),
            Request::Refresh(lifetime, family) => {
                let granted = answer.get::<Lifetime>().expect("LIFETIME").0;
                assert_eq!(granted == 0, *lifetime == 0);
                for (index, name) in [AddressFamily::V4, AddressFamily::V6].iter().enumerate() {
                    if family.is_some_and(|family| family != *name) {
                        continue;
                    }
                    match &mut allocation.relays[index] {
                        Some((_, expires)) if granted > 0 => *expires = now + secs(granted.into()),
                        _ => allocation.forget(index),
                    }
                }
            }
            Request::Permit(peers) => {
                for &peer in peers {
                    let ip = addr(PEERS[peer]).ip();
                    allocation.permissions.insert(ip, now + secs(300));
                }
            }
            Request::Bind(number, peer) => {
                let peer = addr(PEERS[*peer]);
                allocation.permissions.insert(peer.ip(), now + secs(300));
                allocation.channels.insert(*number, (peer, now + secs(600)));
            }
        }
    }
}
