//! What a user may choose of an edge.

use std::collections::BTreeMap;
use std::fmt;

use super::upstream::fixed;
use ipnet::IpNet;
use wharf_sip::locate::{LocateError, Target};
use wharf_sip::route::SentBy;
use wharf_sip::{OwnedHost, Transport};

/// The options of an [`Edge`](super::Edge).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EdgeOptions {
    /// What the edge calls itself in Via, Record-Route and Path: a name or an address that its clients and
    /// the upstream reach it by. Never `0.0.0.0`.
    pub host: OwnedHost,
    /// Other names and addresses of it, which a client may have in a Route of its own. Default none.
    pub aliases: Vec<OwnedHost>,
    /// The port to write beside the host, by transport, where it is not that of the listener: behind a port
    /// that is mapped, or for the connections that the edge opens itself. Default none: the port of the
    /// listener, and for connections of its own the default port of the transport.
    pub ports: BTreeMap<Transport, u16>,
    /// Where requests of clients go, all of them. A name is looked up, and its transport chosen, for each
    /// request (RFC 3263); requests of one transaction go to one server.
    pub upstream: Target,
    /// Who else is upstream: whose requests go to clients, by flow tokens, and whose responses are
    /// believed. The upstream itself is: over UDP by its address and port (of several, those that requests
    /// have gone to), otherwise over the connections that the edge has opened to it. List it for those that
    /// it opens. Whoever is not upstream is a client, and so is every WebSocket. Default none.
    pub trusted: Vec<IpNet>,
    /// The key of the flow tokens. Default a random one: after a restart, or at another edge, the tokens of
    /// this one are forged ones (403); with a key that stays, flows over UDP live on and others are known
    /// to be gone (430).
    pub secret: Option<EdgeSecret>,
}

/// The key of flow tokens: 32 random bytes, not shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct EdgeSecret(pub [u8; 32]);

impl fmt::Debug for EdgeSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EdgeSecret(..)")
    }
}

/// Why there can be no such edge.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EdgeError {
    /// Nobody could answer to `0.0.0.0` or `::`.
    #[error("the unspecified address is no name of an edge: nobody can answer to it")]
    Unspecified,
    /// The upstream cannot be located.
    #[error("the upstream: {0}")]
    Upstream(#[from] LocateError),
    /// Without a [`Manager`](crate::Manager) the upstream has to be an address, over UDP.
    #[error("the upstream has to be an address, over UDP")]
    Unreachable,
    /// The system has no random bytes for the key.
    #[error("no random bytes for the key of flow tokens")]
    Entropy,
}

impl EdgeOptions {
    /// The defaults, for an edge of this name that stands before `upstream`.
    pub fn new(host: OwnedHost, upstream: Target) -> Self {
        Self {
            host,
            aliases: Vec::new(),
            ports: BTreeMap::new(),
            upstream,
            trusted: Vec::new(),
            secret: None,
        }
    }

    /// Whether there can be an edge with a manager and these options.
    ///
    /// # Errors
    /// [`EdgeError`].
    pub fn check(&self) -> Result<(), EdgeError> {
        if matches!(self.host, OwnedHost::Ip(ip) if ip.is_unspecified()) {
            return Err(EdgeError::Unspecified);
        }
        fixed(&self.upstream).map(|_| ())
    }

    /// What a manager is to write into the Via of requests that go over each transport: the host, and the port
    /// that [`ports`](Self::ports) has for it.
    ///
    /// # Errors
    /// [`EdgeError::Unspecified`].
    pub fn sent_by(&self) -> Result<BTreeMap<Transport, SentBy>, EdgeError> {
        let named = |(&transport, &port): (&Transport, &u16)| {
            let sent_by = SentBy::new(self.host.clone(), Some(port));
            let sent_by = sent_by.map_err(|_| EdgeError::Unspecified)?;
            Ok((transport, sent_by))
        };
        self.ports.iter().map(named).collect()
    }
}
