//! One connection, from its arrival to its end: who it is, what it holds, how it is counted.

mod details;
mod places;
mod shared;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub(crate) use details::Details;
pub(crate) use places::Places;
pub(crate) use shared::{Arrived, Hold, Shared};

use wharf_policy::first_bytes::Protocol;

use crate::admission::Proxied;
use crate::path::{Endpoint, Path};
use crate::reason::Closed;
use crate::sockets::{PeerCredentials, TcpInfo};
use crate::tls::TlsInfo;
use crate::websocket::UpgradeRequest;

/// A connection as its handler and the control plane see it. Cheap to clone; holding one keeps
/// neither the socket open nor its place taken.
#[derive(Clone)]
pub struct Connection(Arc<Shared>);

impl Connection {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self(shared)
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.0
    }

    /// A number that no other connection of this server has had.
    pub fn id(&self) -> u64 {
        self.0.id
    }

    /// The name of the listener that accepted it; for a connection that was dialled, of its client.
    pub fn listener(&self) -> &str {
        &self.0.owner.name
    }

    /// Between whom it is, and over what.
    pub fn path(&self) -> Path {
        self.0.path()
    }

    /// The peer; with a PROXY header, the client behind the proxy.
    pub fn peer(&self) -> Endpoint {
        self.0.path().peer
    }

    /// The other end of the socket itself: with a PROXY header, the proxy.
    pub fn socket_peer(&self) -> &Endpoint {
        &self.0.socket_peer
    }

    /// Our end of the socket itself.
    pub fn socket_local(&self) -> &Endpoint {
        &self.0.socket_local
    }

    /// What the PROXY header said, if there was one.
    pub fn proxied(&self) -> Option<&Proxied> {
        self.0.proxied()
    }

    /// What the TLS handshake agreed on, if there was one.
    pub fn tls(&self) -> Option<&TlsInfo> {
        self.0.known()?.tls.get().map(|tls| &**tls)
    }

    /// What the first bytes were, where they decide ([`Handlers::first`](crate::Handlers::first)):
    /// within TLS, those that were decrypted. `None` also for those of no protocol that has a handler.
    pub fn first(&self) -> Option<Protocol> {
        self.0.known()?.first.get()?.0
    }

    /// The request that a WebSocket began with, if this is one.
    pub fn upgrade(&self) -> Option<&UpgradeRequest> {
        self.0.known()?.upgrade.get().map(|request| &**request)
    }

    /// The subprotocol that a WebSocket has agreed on.
    pub fn subprotocol(&self) -> Option<&str> {
        self.0.known()?.subprotocol.get()?.as_deref()
    }

    /// The process at the other end of a Unix socket.
    pub fn credentials(&self) -> Option<PeerCredentials> {
        self.0.known()?.credentials.get().copied()
    }

    /// Bytes received, as on the wire (those of TLS and WebSocket framing too).
    pub fn bytes_received(&self) -> u64 {
        self.0.bytes().0
    }

    /// Bytes sent, as on the wire.
    pub fn bytes_sent(&self) -> u64 {
        self.0.bytes().1
    }

    /// Time since it was accepted.
    pub fn age(&self) -> Duration {
        self.0.since.elapsed()
    }

    /// What the kernel knows of the TCP connection; `None` for other sockets, and when it is closed.
    pub fn tcp_info(&self) -> Option<TcpInfo> {
        self.0.tcp_info()
    }

    /// Completes when the server, or the listener, begins to drain: finish what is begun, then
    /// return.
    pub async fn draining(&self) {
        self.0.owner.draining.cancelled().await;
    }

    /// Whether the server, or the listener, is draining.
    pub fn is_draining(&self) -> bool {
        self.0.owner.draining.is_cancelled()
    }

    /// Takes the connection out of the counts of `max-connections` and `per-prefix`: for long
    /// polls and relays, which wait more than they work. It stays listed, and is drained as all.
    pub fn exempt(&self) {
        self.0.places().exempt();
    }

    /// Closes it: reads and writes fail from now on, and a handler that does not return within a
    /// second is ended.
    pub fn close(&self) {
        self.0.end(Closed::Control);
    }

    /// Why the server has closed it, if it has.
    pub fn ending(&self) -> Option<Closed> {
        self.0.ending()
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("id", &self.id())
            .field("listener", &self.listener())
            .field("path", &self.path())
            .finish_non_exhaustive()
    }
}
