//! What only some connections have.

use std::sync::OnceLock;

use crate::admission::Proxied;
use crate::sockets::PeerCredentials;
use crate::tls::TlsInfo;
use crate::websocket::UpgradeRequest;

/// Apart from the rest, so that a plain idle connection does not pay for it.
#[derive(Default)]
pub(crate) struct Details {
    pub(crate) proxied: OnceLock<Box<Proxied>>,
    pub(crate) credentials: OnceLock<PeerCredentials>,
    pub(crate) tls: OnceLock<Box<TlsInfo>>,
    pub(crate) upgrade: OnceLock<Box<UpgradeRequest>>,
    /// Of a WebSocket, if one was agreed on.
    pub(crate) subprotocol: OnceLock<Option<Box<str>>>,
}
