//! Flows (RFC 5626 §3.3): what a message came over, so that another can go back the same way.
//!
//! A flow over a connection lives as long as that connection. A flow over UDP is its two addresses,
//! and nobody sees it end. A [`FlowTable`] holds those that end; a token from [`FlowTokens`] names
//! one to the outside, in a Path or a Record-Route, and cannot be made up there (§5.3).
//!
//! ```
//! use wharf_sip::Transport;
//! use wharf_sip::flow::{Flow, FlowTable, FlowTokens};
//!
//! let mut table = FlowTable::new(10_000);
//! let flow = Flow {
//!     transport: Transport::Tls,
//!     local: "192.0.2.1:5061".parse().unwrap(),
//!     remote: "198.51.100.7:40000".parse().unwrap(),
//! };
//! let id = table.insert(flow).unwrap();
//!
//! // The key is random, and the same on every host that is to understand the tokens.
//! let tokens = FlowTokens::new(&[7; 32]);
//! let token = tokens.seal(id, &flow);
//! assert_eq!(tokens.open(&token).and_then(|sealed| table.find(&sealed)), Ok(id));
//! table.remove(id);
//! let gone = tokens.open(&token).and_then(|sealed| table.find(&sealed)).unwrap_err();
//! assert_eq!(gone.status(), 430);
//! ```

mod token;

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

pub use token::{FlowTokens, SealedFlow};

use crate::Transport;

/// The two ends of a flow and the transport between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Flow {
    /// The transport.
    pub transport: Transport,
    /// This end.
    pub local: SocketAddr,
    /// The other end.
    pub remote: SocketAddr,
}

/// Names one connection among all that a [`FlowTable`] has held: a connection between the same two
/// addresses later on has another id.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlowId {
    slot: u32,
    generation: u32,
}

/// Why a flow cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum FlowError {
    /// Its connection is closed. The proxy above answers 430 (RFC 5626 §5.3).
    #[error("the flow is gone")]
    Gone,
    /// The token was not made with a key that is in use, or not whole. The proxy above answers 403
    /// (RFC 5626 §5.3).
    #[error("the flow token is not one of this element's")]
    Forged,
}

impl FlowError {
    /// The status of the response that tells it: 430 (Flow Failed) or 403 (Forbidden).
    pub fn status(self) -> u16 {
        match self {
            Self::Gone => 430,
            Self::Forged => 403,
        }
    }
}

/// The table holds as many flows as it may. Nothing was changed; the connection is to be refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there is no room for another flow")]
pub struct FlowTableFull;

/// What belongs to one flow, and says to which.
pub trait OfFlow {
    /// The flow.
    fn flow(&self) -> &Flow;
}

impl OfFlow for Flow {
    fn flow(&self) -> &Flow {
        self
    }
}

impl<T: OfFlow> OfFlow for Arc<T> {
    fn flow(&self) -> &Flow {
        (**self).flow()
    }
}

/// The flows over connections that are open, each as itself or within what its owner knows of it.
///
/// The owner enters a connection when it opens and removes it when it closes; the table forgets
/// nothing by itself and holds at most as many as it was made for. It takes memory as it fills.
#[derive(Debug)]
pub struct FlowTable<T = Flow> {
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
    by_remote: BTreeSet<(Remote, FlowId)>,
    capacity: usize,
}

#[derive(Debug)]
struct Slot<T> {
    generation: u32,
    held: Option<T>,
}

/// The order of the flows: small, as there is one for each. It does not tell an address of IPv4 from the same
/// in one of IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Remote {
    ip: [u8; 16],
    port: [u8; 2],
    transport: Transport,
}

impl Remote {
    fn new(transport: Transport, address: SocketAddr) -> Self {
        let ip = match address.ip() {
            IpAddr::V4(ip) => ip.to_ipv6_mapped(),
            IpAddr::V6(ip) => ip,
        };
        Self {
            ip: ip.octets(),
            port: address.port().to_be_bytes(),
            transport,
        }
    }

    fn of(flow: &Flow) -> Self {
        Self::new(flow.transport, flow.remote)
    }
}

impl FlowTable {
    /// Enters the flow of a connection that has been opened, from either side.
    pub fn insert(&mut self, flow: Flow) -> Result<FlowId, FlowTableFull> {
        self.insert_with(|_| flow).map(|(id, _)| id)
    }
}

impl<T: OfFlow> FlowTable<T> {
    /// A table for at most `capacity` flows, and no more than `u32` can number.
    pub fn new(capacity: usize) -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            by_remote: BTreeSet::new(),
            capacity: capacity.min(u32::MAX as usize),
        }
    }

    /// How many flows there are.
    pub fn len(&self) -> usize {
        self.by_remote.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.by_remote.is_empty()
    }

    /// Enters what `make` makes for a connection that has been opened, from either side, whose id it is
    /// told. In a full table it is not called.
    pub fn insert_with(
        &mut self,
        make: impl FnOnce(FlowId) -> T,
    ) -> Result<(FlowId, &T), FlowTableFull> {
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None if self.slots.len() < self.capacity => {
                self.slots.push(Slot {
                    generation: 0,
                    held: None,
                });
                self.slots.len() as u32 - 1
            }
            None => return Err(FlowTableFull),
        };
        let Slot { generation, held } = &mut self.slots[slot as usize];
        let id = FlowId {
            slot,
            generation: *generation,
        };
        let held = held.insert(make(id));
        self.by_remote.insert((Remote::of(held.flow()), id));
        Ok((id, held))
    }

    /// Removes a flow whose connection is closed; `None` when it was not there. Its id names nothing
    /// from now on.
    pub fn remove(&mut self, id: FlowId) -> Option<T> {
        let slot = self.slots.get_mut(id.slot as usize)?;
        let held = slot.held.take_if(|_| slot.generation == id.generation)?;
        self.by_remote.remove(&(Remote::of(held.flow()), id));
        // A slot whose generations are used up is not used again: no id ever comes back.
        if let Some(next) = slot.generation.checked_add(1) {
            slot.generation = next;
            self.free.push(id.slot);
        }
        Some(held)
    }

    /// What is held for this id, while its connection is open.
    pub fn get(&self, id: FlowId) -> Result<&T, FlowError> {
        let slot = self
            .slots
            .get(id.slot as usize)
            .filter(|slot| slot.generation == id.generation);
        slot.and_then(|slot| slot.held.as_ref())
            .ok_or(FlowError::Gone)
    }

    /// The flow that a token names, while its connection is open. One that was sealed before a
    /// restart is gone, even where its id is in use again.
    pub fn find(&self, sealed: &SealedFlow) -> Result<FlowId, FlowError> {
        match self.get(sealed.id) {
            Ok(held) if *held.flow() == sealed.flow => Ok(sealed.id),
            _ => Err(FlowError::Gone),
        }
    }

    /// The flows to this remote address over this transport, in any order: what a request may
    /// reuse instead of opening another connection (RFC 3261 §18.1.1).
    pub fn to(
        &self,
        transport: Transport,
        remote: SocketAddr,
    ) -> impl Iterator<Item = FlowId> + use<'_, T> {
        let place = Remote::new(transport, remote);
        let first = FlowId::default();
        let last = FlowId {
            slot: u32::MAX,
            generation: u32::MAX,
        };
        let there = move |id: &FlowId| self.get(*id).is_ok_and(|it| it.flow().remote == remote);
        let among = self.by_remote.range((place, first)..=(place, last));
        among.map(|&(_, id)| id).filter(there)
    }
}

#[cfg(test)]
mod tests;
