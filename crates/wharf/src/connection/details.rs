//! What only some connections have.

use std::sync::OnceLock;
#[cfg(feature = "quic")]
use std::sync::{Mutex, MutexGuard, PoisonError};

use wharf_policy::first_bytes::Protocol;

use crate::admission::Proxied;
use crate::config::Transport;
use crate::sockets::PeerCredentials;
use crate::tls::TlsInfo;
use crate::websocket::UpgradeRequest;

/// Apart from the rest, so that a plain idle connection does not pay for it.
#[derive(Default)]
pub(crate) struct Details {
    pub(crate) proxied: OnceLock<Box<Proxied>>,
    pub(crate) credentials: OnceLock<PeerCredentials>,
    pub(crate) tls: OnceLock<Box<TlsInfo>>,
    /// What the first bytes were, and what is spoken because of them.
    pub(crate) first: OnceLock<(Option<Protocol>, Transport)>,
    pub(crate) upgrade: OnceLock<Box<UpgradeRequest>>,
    /// Of a WebSocket, if one was agreed on.
    pub(crate) subprotocol: OnceLock<Option<Box<str>>>,
    #[cfg(feature = "quic")]
    quic: Mutex<Option<quinn::Connection>>,
}

#[cfg(feature = "quic")]
impl Details {
    /// The connection of QUIC while it is there: it counts its own bytes, since its streams are read
    /// and written by several tasks at once.
    pub(crate) fn quic(&self) -> MutexGuard<'_, Option<quinn::Connection>> {
        self.quic.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
