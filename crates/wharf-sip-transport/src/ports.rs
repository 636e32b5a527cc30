//! The UDP sockets that there are, and how to send through one from anywhere.

use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use bytes::Bytes;
use wharf::batch::{Seat, Waker};
use wharf_sip::flow::Flow;
use wharf_sip::{Priority, Transport};

use crate::outbox::{Outbox, Weight};
use crate::{FlowRef, SendError};

/// The longest payload of a UDP datagram over IPv4: 65,535 bytes less the headers of IP and UDP.
const MAX_DATAGRAM: usize = 65_507;

/// A datagram on its way to the worker that sends it.
#[derive(Debug)]
pub(crate) struct Parcel {
    pub(crate) flow: Flow,
    pub(crate) message: Bytes,
}

impl Weight for Parcel {
    fn weight(&self) -> usize {
        self.message.weight()
    }
}

/// The socket of one worker thread.
#[derive(Debug)]
pub(crate) struct Port {
    /// The address that it is bound to.
    pub(crate) local: SocketAddr,
    /// Whether it takes both families.
    is_dual: bool,
    pub(crate) outbox: Outbox<Parcel>,
    waker: Waker,
}

impl Port {
    pub(crate) fn new(seat: &Seat) -> Self {
        Self {
            local: seat.local,
            is_dual: seat.is_dual,
            outbox: Outbox::new(),
            waker: seat.waker.clone(),
        }
    }

    /// Whether it can send from this address.
    pub(crate) fn has(&self, local: SocketAddr) -> bool {
        let same = self.local.ip() == local.ip();
        self.local.port() == local.port() && (same || self.is_wildcard_for(local.ip()))
    }

    fn is_wildcard_for(&self, ip: IpAddr) -> bool {
        self.local.ip().is_unspecified() && self.reaches(ip)
    }

    /// Whether addresses of this family can be reached.
    fn reaches(&self, ip: IpAddr) -> bool {
        self.local.is_ipv6() == ip.is_ipv6() || self.is_dual && ip.is_ipv4()
    }

    /// Has the worker look into its outbox.
    pub(crate) fn wake(&self) {
        self.waker.wake();
    }

    fn send(&self, parcel: Parcel, priority: Priority, limit: usize) -> Result<(), SendError> {
        if self.outbox.push(parcel, priority, limit)? {
            self.wake();
        }
        Ok(())
    }
}

/// All UDP sockets of a layer.
#[derive(Debug, Default)]
pub(crate) struct Ports {
    ports: RwLock<Vec<Arc<Port>>>,
    hasher: RandomState,
}

impl Ports {
    /// A socket has opened; says whether it is the first at its address.
    pub(crate) fn open(&self, port: Arc<Port>) -> bool {
        let mut ports = self.ports.write().unwrap_or_else(PoisonError::into_inner);
        let first = ports.iter().all(|one| one.local != port.local);
        ports.push(port);
        first
    }

    /// It has closed; says whether it was the last at its address.
    pub(crate) fn close(&self, port: &Arc<Port>) -> bool {
        let mut ports = self.ports.write().unwrap_or_else(PoisonError::into_inner);
        ports.retain(|one| !Arc::ptr_eq(one, port));
        ports.iter().all(|one| one.local != port.local)
    }

    fn all(&self) -> RwLockReadGuard<'_, Vec<Arc<Port>>> {
        self.ports.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// A flow to this address from the socket that is nearest to it.
    pub(crate) fn to(&self, remote: SocketAddr) -> Option<FlowRef> {
        let ports = self.all();
        let able = ports.iter().filter(|port| port.reaches(remote.ip()));
        let locals = able.map(|port| port.local);
        Some(FlowRef::datagrams(nearest(locals, remote.ip())?, remote))
    }

    /// Whether a socket can send from this address.
    pub(crate) fn has(&self, local: SocketAddr) -> bool {
        self.all().iter().any(|port| port.has(local))
    }

    /// Hands a datagram to the worker that sends to this peer: always the same one, so that they leave in
    /// order.
    pub(crate) fn send(
        &self,
        flow: Flow,
        message: Bytes,
        priority: Priority,
        limit: usize,
    ) -> Result<(), SendError> {
        fits(&message)?;
        let ports = self.all();
        let able = || ports.iter().filter(|port| port.has(flow.local));
        let count = able().count().max(1);
        let at = self.hasher.hash_one(flow.remote) as usize % count;
        let port = able().nth(at).ok_or(SendError::NoSocket)?;
        port.send(Parcel { flow, message }, priority, limit)
    }
}

/// The address to send from: a wildcard, for which the system looks at its routes; else the one that has the
/// longest prefix in common with the other end (RFC 6724 §5, rule 8), and of equals the first.
fn nearest(locals: impl Iterator<Item = SocketAddr>, remote: IpAddr) -> Option<SocketAddr> {
    let common = |local: IpAddr| match (local, remote) {
        _ if local.is_unspecified() => 129,
        (IpAddr::V4(local), IpAddr::V4(remote)) => {
            (local.to_bits() ^ remote.to_bits()).leading_zeros()
        }
        (IpAddr::V6(local), IpAddr::V6(remote)) => {
            (local.to_bits() ^ remote.to_bits()).leading_zeros()
        }
        _ => 0,
    };
    locals.reduce(|best, other| {
        if common(other.ip()) > common(best.ip()) {
            other
        } else {
            best
        }
    })
}

/// Whether a message fits into a datagram.
pub(crate) fn fits(message: &[u8]) -> Result<(), SendError> {
    if message.len() > MAX_DATAGRAM {
        return Err(SendError::TooLarge(message.len()));
    }
    Ok(())
}

impl FlowRef {
    /// The flow of UDP between these two addresses. `local` is that of a socket of ours, or the wildcard
    /// address that it is bound to: then the system chooses the address to send from.
    pub fn datagrams(local: SocketAddr, remote: SocketAddr) -> Self {
        let transport = Transport::Udp;
        Self {
            id: wharf_sip::flow::FlowId::default(),
            flow: Flow {
                transport,
                local,
                remote,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_sockets_the_nearest_one_sends() {
        let near = |locals: &[&str], remote: &str| {
            let locals = locals.iter().map(|one| one.parse().unwrap());
            nearest(locals, remote.parse().unwrap()).map(|one| one.to_string())
        };
        let two = ["203.0.113.1:5060", "10.0.0.1:5060"];
        assert_eq!(near(&two, "10.9.9.9").unwrap(), two[1]);
        assert_eq!(near(&two, "198.51.100.7").unwrap(), two[0]);
        let equal = ["203.0.113.1:5060", "203.0.113.1:5070"];
        assert_eq!(near(&equal, "203.0.113.9").unwrap(), equal[0]);
        let any = ["10.0.0.1:5060", "0.0.0.0:5070"];
        assert_eq!(near(&any, "10.0.0.2").unwrap(), any[1]);
        let v6 = ["[2001:db8::1]:5060", "[fd00::1]:5060"];
        assert_eq!(near(&v6, "fd00::9").unwrap(), v6[1]);
        assert_eq!(near(&[], "10.0.0.2"), None);
    }
}
