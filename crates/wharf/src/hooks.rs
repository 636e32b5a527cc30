//! The user's own say in admission.

use std::fmt;
use std::sync::Arc;

use crate::admission::Proxied;
use crate::path::{Endpoint, Path};
use crate::sockets::PeerCredentials;
use rustls::server::ClientHello;

/// What is known of a connection before its TLS handshake.
#[derive(Debug)]
#[non_exhaustive]
pub struct Arriving<'a> {
    /// The listener.
    pub listener: &'a str,
    /// Between whom it is; with a PROXY header, the client behind the proxy.
    pub path: Path,
    /// The other end of the socket itself.
    pub socket_peer: &'a Endpoint,
    /// What the PROXY header said.
    pub proxied: Option<&'a Proxied>,
    /// The process at the other end of a Unix socket.
    pub credentials: Option<PeerCredentials>,
    /// Connections that the listener has now.
    pub live: u64,
    /// Handshakes that are pending now.
    pub pending: u64,
}

/// What the `admit` hook says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admit {
    /// It may come in.
    Accept,
    /// It is closed.
    Refuse,
}

/// What the `client_hello` hook says.
#[derive(Debug, Clone)]
pub enum HelloChoice {
    /// The listener's own certificates.
    Proceed,
    /// This configuration.
    Use(Arc<rustls::ServerConfig>),
    /// The alert `access_denied`.
    Refuse,
}

type AdmitHook = Box<dyn Fn(&Arriving<'_>) -> Admit + Send + Sync>;
type HelloHook = Box<dyn Fn(&str, &ClientHello<'_>) -> HelloChoice + Send + Sync>;

/// The hooks of a server. They are called in the connection's path and must not block.
#[derive(Default)]
pub(crate) struct Hooks {
    pub(crate) admit: Option<AdmitHook>,
    pub(crate) client_hello: Option<HelloHook>,
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hooks")
            .field("admit", &self.admit.is_some())
            .field("client_hello", &self.client_hello.is_some())
            .finish()
    }
}
