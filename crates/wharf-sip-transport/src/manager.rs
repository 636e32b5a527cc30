//! What gets a message to a server: location, transport, connection, and the next server when one fails.
//!
//! ```no_run
//! # use bytes::Bytes;
//! # use wharf_sip::Uri;
//! # use wharf_sip::route::SendFailure;
//! # use wharf_sip_transport::*;
//! # async fn send(upper: impl Upper, first: Bytes, second: Bytes) -> Result<(), Box<dyn std::error::Error>> {
//! let resolver = DnsResolver::new(&DnsOptions::default())?;
//! let manager = Manager::new(ManagerOptions::default(), resolver);
//! // The layer below tells the manager what becomes of connections and datagrams.
//! let sip = Sip::new(SipOptions::default(), manager.watch(upper));
//! manager.begin(sip.clone(), Dialer::new(sip, DialOptions::default())?);
//!
//! let uri = Uri::parse(b"sip:alice@example.com")?;
//! let mut sending = manager.request(Request::to_uri(&uri)?);
//! let sent = sending.next(first).await?;
//! println!("over {:?}", sent.flow);
//! // The transaction above has heard nothing in time: the next server, with a new branch.
//! sending.failed(SendFailure::TimedOut);
//! sending.next(second).await?;
//! # Ok(())
//! # }
//! ```

mod answering;
mod connect;
mod dress;
mod event;
mod losses;
mod options;
mod sending;
mod state;
mod transports;
mod walk;
mod watch;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use tokio::sync::broadcast;
use wharf_sip::Transport;
use wharf_sip::destinations::Destination;
use wharf_sip::route::RequestRoute;

pub use answering::Answering;
pub use event::{ManagerEvent, ManagerStats};
pub use options::{ManagerOptions, Request, Throttle};
pub use sending::{Sending, Sent};
pub use transports::{Dialling, Transports};
pub use watch::Watched;

use crate::clock::now;
use crate::{Dialer, FlowRef, Resolver, Sip, SipError, Upper};
use state::Shared;
use transports::Layer;

/// Gets requests to their servers, and responses back. Cheap to clone.
///
/// Of a request it locates the servers (RFC 3263), chooses the transport, also by the size of the request
/// (RFC 3261 §18.1.1), opens a connection or uses one that is open, and goes on to the next server when one
/// fails; servers that have failed are left alone for a while. It has no transactions: those who have them ask
/// for one attempt after the other, see [`Sending`].
///
/// Its methods that send are for a tokio runtime. It holds: the connections of its pool, in bounds
/// ([`PoolRules`](wharf_sip::pool::PoolRules)); what has failed, in bounds
/// ([`DestinationRules`](wharf_sip::destinations::DestinationRules)); the MTU of 1024 paths; and what its
/// callers keep. When the last clone is gone, and with it all that is under way, the connections of the pool
/// close.
#[derive(Clone)]
pub struct Manager(Arc<Shared>);

impl Manager {
    /// A manager that asks this resolver. It sends when it has [begun](Self::begin).
    pub fn new(options: ManagerOptions, resolver: impl Resolver) -> Self {
        Self(Arc::new(Shared::new(options, resolver)))
    }

    /// The layer above, for [`Sip::new`]: the manager hears of connections that have closed, and of what ICMP
    /// says, before it does. An upper that keeps the manager keeps itself.
    pub fn watch<U: Upper>(&self, upper: U) -> Watched<U> {
        Watched {
            shared: Arc::downgrade(&self.0),
            upper,
        }
    }

    /// Sends over this layer, and opens connections so, from now on. Only the first call has an effect.
    pub fn begin(&self, sip: Sip, dialer: Dialer) {
        self.begin_with(Layer { sip, dialer });
    }

    /// [`begin`](Self::begin) with other transports.
    pub fn begin_with(&self, transports: impl Transports) {
        // The first one stays.
        let _ = self.0.transports.set(Box::new(transports));
    }

    /// A request. Nothing happens before [`Sending::next`].
    pub fn request(&self, request: Request) -> Sending {
        Sending::new(&self.0, request)
    }

    /// The response to a request that came on this flow, for those who want to know of each way. Nothing
    /// happens before [`Answering::next`].
    ///
    /// # Errors
    /// It has no top Via that can be read.
    pub fn response(&self, flow: &FlowRef, message: Bytes) -> Result<Answering, SipError> {
        Answering::new(&self.0, *flow, message)
    }

    /// Sends the response to a request that came on this flow: over the first way of RFC 3261 §18.2.2 that is
    /// open. Over UDP it goes another way, if there is one, should ICMP say within a second that it did not
    /// arrive.
    ///
    /// # Errors
    /// [`SipError`]; nothing is sent then.
    pub async fn respond(&self, flow: &FlowRef, message: Bytes) -> Result<FlowRef, SipError> {
        self.response(flow, message)?.send().await
    }

    /// What happens beside sending, from now on. A receiver that is 1024 events behind misses the oldest, and
    /// is told so.
    pub fn events(&self) -> broadcast::Receiver<ManagerEvent> {
        self.0.events.subscribe()
    }

    /// The counters.
    pub fn stats(&self) -> ManagerStats {
        self.0.counters.snapshot()
    }

    /// The connections of the pool that are open.
    pub fn connections(&self) -> usize {
        self.0.state().pool.live()
    }

    /// The destinations that have failed, and until when each is left alone; a time that is past means that
    /// the next request to it is a probe.
    pub fn unwell(&self) -> Vec<(Destination, Instant)> {
        self.0.state().destinations.unwell().collect()
    }

    /// The attempts under way to a destination: those of [`Sending`]s that are kept.
    pub fn busy(&self, to: Destination) -> usize {
        self.0.state().losses.busy(to)
    }
}

impl Manager {
    /// Whether a request of so many bytes to this address is too long for UDP (RFC 3261 §18.1.1).
    pub(crate) fn is_long(&self, to: SocketAddr, bytes: usize) -> bool {
        let mtu = self.0.state().paths.mtu(now(), to.ip());
        let route = RequestRoute::new(Transport::Udp, to, bytes, mtu, self.0.options.switch);
        route.is_ok_and(|route| route.first().transport != Transport::Udp)
    }
}

impl std::fmt::Debug for Manager {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Manager")
            .field("connections", &self.connections())
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
