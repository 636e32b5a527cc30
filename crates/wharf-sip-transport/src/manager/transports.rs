//! What a manager sends over.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;

use bytes::Bytes;
use wharf_sip::Priority;
use wharf_sip::alias::AliasWanted;
use wharf_sip::pool::PoolKey;

use crate::{DialError, Dialer, FlowRef, SendError, Sip};

/// A connection that is being opened.
pub type Dialling<'a> = Pin<Box<dyn Future<Output = Result<FlowRef, DialError>> + Send + 'a>>;

/// The sockets and connections that a [`Manager`](crate::Manager) sends over: those of a [`Sip`] layer and its
/// [`Dialer`], or others.
pub trait Transports: Send + Sync + 'static {
    /// Hands a message to a flow. Does not wait.
    fn send(&self, flow: &FlowRef, message: Bytes, priority: Priority) -> Result<(), SendError>;

    /// A flow over UDP to this address; none without a socket that reaches it.
    fn datagrams_to(&self, remote: SocketAddr) -> Option<FlowRef>;

    /// A connection that is open and does for this key, whichever side has opened it (RFC 3261 §18.1.1,
    /// RFC 5923).
    fn open(&self, key: &PoolKey) -> Option<FlowRef>;

    /// Opens a connection. Ends in bounded time.
    fn dial<'a>(&'a self, key: &'a PoolKey) -> Dialling<'a>;

    /// Closes a connection.
    fn close(&self, flow: &FlowRef);
}

/// A layer, and what opens its connections.
pub(super) struct Layer {
    pub(super) sip: Sip,
    pub(super) dialer: Dialer,
}

impl Transports for Layer {
    fn send(&self, flow: &FlowRef, message: Bytes, priority: Priority) -> Result<(), SendError> {
        self.sip.send(flow, message, priority)
    }

    fn datagrams_to(&self, remote: SocketAddr) -> Option<FlowRef> {
        self.sip.datagrams_to(remote)
    }

    fn open(&self, key: &PoolKey) -> Option<FlowRef> {
        if !key.transport.is_secure() {
            return self.sip.to(key.transport, key.address);
        }
        // Over TLS only a peer that has proven the domain will do (RFC 5923).
        self.sip.alias(&AliasWanted {
            transport: key.transport,
            address: key.address,
            domain: key.domain.as_ref()?,
            local: key.local.as_ref(),
        })
    }

    fn dial<'a>(&'a self, key: &'a PoolKey) -> Dialling<'a> {
        Box::pin(self.dialer.dial(key))
    }

    fn close(&self, flow: &FlowRef) {
        self.sip.close(flow);
    }
}
