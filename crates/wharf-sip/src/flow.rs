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
use std::net::SocketAddr;

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

/// The flows over connections that are open.
///
/// The owner enters a connection when it opens and removes it when it closes; the table forgets
/// nothing by itself and holds at most as many as it was made for. It takes memory as it fills.
#[derive(Debug)]
pub struct FlowTable {
    slots: Vec<Slot>,
    free: Vec<u32>,
    by_remote: BTreeSet<(Transport, SocketAddr, FlowId)>,
    capacity: usize,
}

#[derive(Debug)]
struct Slot {
    generation: u32,
    flow: Option<Flow>,
}

impl FlowTable {
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

    /// Enters the flow of a connection that has been opened, from either side.
    pub fn insert(&mut self, flow: Flow) -> Result<FlowId, FlowTableFull> {
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None if self.slots.len() < self.capacity => {
                self.slots.push(Slot {
                    generation: 0,
                    flow: None,
                });
                self.slots.len() as u32 - 1
            }
            None => return Err(FlowTableFull),
        };
        let held = &mut self.slots[slot as usize];
        held.flow = Some(flow);
        let id = FlowId {
            slot,
            generation: held.generation,
        };
        self.by_remote.insert((flow.transport, flow.remote, id));
        Ok(id)
    }

    /// Removes a flow whose connection is closed; `None` when it was not there. Its id names nothing
    /// from now on.
    pub fn remove(&mut self, id: FlowId) -> Option<Flow> {
        let slot = self.slots.get_mut(id.slot as usize)?;
        let flow = slot.flow.take_if(|_| slot.generation == id.generation)?;
        self.by_remote.remove(&(flow.transport, flow.remote, id));
        // A slot whose generations are used up is not used again: no id ever comes back.
        if let Some(next) = slot.generation.checked_add(1) {
            slot.generation = next;
            self.free.push(id.slot);
        }
        Some(flow)
    }

    /// The flow with this id, while its connection is open.
    pub fn get(&self, id: FlowId) -> Result<&Flow, FlowError> {
        let slot = self
            .slots
            .get(id.slot as usize)
            .filter(|slot| slot.generation == id.generation);
        slot.and_then(|slot| slot.flow.as_ref())
            .ok_or(FlowError::Gone)
    }

    /// The flow that a token names, while its connection is open. One that was sealed before a
    /// restart is gone, even where its id is in use again.
    pub fn find(&self, sealed: &SealedFlow) -> Result<FlowId, FlowError> {
        match self.get(sealed.id) {
            Ok(flow) if *flow == sealed.flow => Ok(sealed.id),
            _ => Err(FlowError::Gone),
        }
    }

    /// The flows to this remote address over this transport, in any order: what a request may
    /// reuse instead of opening another connection (RFC 3261 §18.1.1).
    pub fn to(
        &self,
        transport: Transport,
        remote: SocketAddr,
    ) -> impl Iterator<Item = FlowId> + use<'_> {
        let first = (
            transport,
            remote,
            FlowId {
                slot: 0,
                generation: 0,
            },
        );
        let last = (
            transport,
            remote,
            FlowId {
                slot: u32::MAX,
                generation: u32::MAX,
            },
        );
        self.by_remote.range(first..=last).map(|&(_, _, id)| id)
    }
}

#[cfg(test)]
mod tests;
