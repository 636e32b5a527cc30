//! The connections that are open, and how to send on one from anywhere.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use wharf::Connection;
use wharf_sip::flow::{Flow, FlowError, FlowId, FlowTable, OfFlow, SealedFlow};
use wharf_sip::identity::{Identities, Side};
use wharf_sip::{Priority, Transport};

use crate::SendError;
use crate::identity::Peer;
use crate::outbox::Outbox;

/// A flow, and which of the connections between its two addresses it is.
///
/// Good to be kept as long as one likes: a flow whose connection has ended is never that of another, and
/// sending on it says [`SendError::FlowGone`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FlowRef {
    /// The connection. Of no meaning on UDP.
    pub id: FlowId,
    /// The transport and both ends.
    pub flow: Flow,
}

/// What others may do with a connection while its task runs.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) flow: FlowRef,
    pub(crate) outbox: Outbox<Bytes>,
    pub(crate) connection: Connection,
    /// The client behind a proxy, where a PROXY header tells it.
    client: Option<Box<SocketAddr>>,
    /// Who it is, if it has shown a certificate.
    pub(crate) peer: Option<Box<Peer>>,
    /// Whether this element has opened it.
    pub(crate) dialled: bool,
    /// Whether it was told that its listener drains.
    drain_told: AtomicBool,
}

impl OfFlow for Entry {
    fn flow(&self) -> &Flow {
        &self.flow.flow
    }
}

impl Entry {
    /// The peer; with a PROXY header, the client behind the proxy.
    pub(crate) fn source(&self) -> SocketAddr {
        self.client
            .as_ref()
            .map_or(self.flow.flow.remote, |client| **client)
    }

    /// Whether it is now that it has to be told that its listener drains: once.
    pub(crate) fn tells_drain(&self) -> bool {
        !self.drain_told.swap(true, Ordering::Relaxed)
    }

    /// What the peer has proven to be.
    pub(crate) fn identities(&self) -> Option<&Identities> {
        self.peer.as_ref().map(|peer| &peer.identities)
    }
}

/// All entries, by id and by address.
type State = FlowTable<Arc<Entry>>;

#[derive(Debug)]
pub(crate) struct Flows {
    state: Mutex<State>,
    /// As many as there may be when one more is accepted.
    for_clients: usize,
}

impl Flows {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            state: Mutex::new(State::new(capacity)),
            for_clients: capacity - capacity / 8,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection has opened; `None` when there are as many as there may be.
    pub(crate) fn open(
        &self,
        flow: Flow,
        connection: Connection,
        side: Side,
    ) -> Option<Arc<Entry>> {
        let peer = Peer::of(&connection, side);
        let client = connection.peer().ip().filter(|ip| *ip != flow.remote);
        let client = client.map(Box::new);
        let mut state = self.state();
        if side == Side::Client && state.len() >= self.for_clients {
            return None;
        }
        let make = |id| {
            Arc::new(Entry {
                flow: FlowRef { id, flow },
                outbox: Outbox::new(),
                connection,
                client,
                peer,
                dialled: side == Side::Server,
                drain_told: AtomicBool::new(false),
            })
        };
        let (_, entry) = state.insert_with(make).ok()?;
        Some(entry.clone())
    }

    /// It has closed.
    pub(crate) fn close(&self, id: FlowId) {
        self.state().remove(id);
    }

    pub(crate) fn get(&self, id: FlowId) -> Option<Arc<Entry>> {
        self.state().get(id).ok().cloned()
    }

    /// The connection of a flow, while it is open; none for UDP.
    pub(crate) fn of(&self, flow: &FlowRef) -> Option<Arc<Entry>> {
        self.get(flow.id).filter(|entry| entry.flow == *flow)
    }

    /// A connection to this address (RFC 3261 §18.1.1).
    pub(crate) fn to(&self, transport: Transport, remote: SocketAddr) -> Option<FlowRef> {
        let state = self.state();
        let id = state.to(transport, remote).next()?;
        Some(state.get(id).ok()?.flow)
    }

    pub(crate) fn find(&self, sealed: &SealedFlow) -> Result<FlowRef, FlowError> {
        let state = self.state();
        let id = state.find(sealed)?;
        Ok(state.get(id)?.flow)
    }

    pub(crate) fn send(
        &self,
        id: FlowId,
        message: Bytes,
        priority: Priority,
        limit: usize,
    ) -> Result<(), SendError> {
        let entry = self.get(id).ok_or(SendError::FlowGone)?;
        entry.outbox.push(message, priority, limit)?;
        Ok(())
    }

    pub(crate) fn len(&self) -> usize {
        self.state().len()
    }
}
