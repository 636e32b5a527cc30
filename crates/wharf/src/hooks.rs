//! The user's own say in admission.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::admission::Proxied;
use crate::path::{Endpoint, Path};
use crate::sockets::PeerCredentials;
use rustls::server::ClientHello;

/// What is known of an arrival before its handshake.
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
    /// Whether the peer is where it says: it is on all transports with connections, with QUIC after a
    /// Retry or a token of ours, with DTLS and SCTP behind a cookie. It is not on plain datagrams.
    pub proven: bool,
}

/// What the `admit` hook says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admit {
    /// It may come in.
    Accept,
    /// It must prove its address first, by QUIC's Retry or DTLS's cookie: nothing is kept of it, and
    /// when it comes back it is asked about again. Who has proven it, or cannot, may come in.
    Prove,
    /// It is closed; with QUIC, DTLS and SCTP over UDP it is told so.
    Refuse,
    /// It is not answered at all, where there is no connection yet: QUIC, DTLS, SCTP over UDP and
    /// datagrams. Others are closed.
    Ignore,
}

/// A client's hello, of TLS, QUIC or DTLS.
#[derive(Debug)]
pub struct Hello<'a>(View<'a>);

#[derive(Debug, Clone, Copy)]
enum View<'a> {
    Tls(&'a ClientHello<'a>),
    #[cfg(feature = "dtls")]
    Dtls(&'a wharf_dtls::Verified),
}

impl<'a> Hello<'a> {
    pub(crate) fn of_tls(hello: &'a ClientHello<'a>) -> Self {
        Self(View::Tls(hello))
    }

    #[cfg(feature = "dtls")]
    pub(crate) fn of_dtls(hello: &'a wharf_dtls::Verified) -> Self {
        Self(View::Dtls(hello))
    }

    /// The server name that the client asks for (RFC 6066 §3).
    pub fn server_name(&self) -> Option<&'a str> {
        match self.0 {
            View::Tls(hello) => hello.server_name(),
            #[cfg(feature = "dtls")]
            View::Dtls(hello) => hello.server_name(),
        }
    }

    /// The application protocols that the client offers, in its order (RFC 7301 §3.1).
    pub fn alpn(&self) -> Vec<&'a [u8]> {
        match self.0 {
            View::Tls(hello) => hello.alpn().map(Iterator::collect).unwrap_or_default(),
            #[cfg(feature = "dtls")]
            View::Dtls(hello) => hello.protocols(),
        }
    }

    /// All that rustls tells of it; `None` with DTLS.
    pub fn tls(&self) -> Option<&'a ClientHello<'a>> {
        match self.0 {
            View::Tls(hello) => Some(hello),
            #[cfg(feature = "dtls")]
            View::Dtls(_) => None,
        }
    }
}

/// What the `client_hello` hook says.
#[derive(Debug, Clone)]
pub enum HelloChoice {
    /// The listener's own certificates.
    Proceed,
    /// This configuration, of TLS and QUIC; with DTLS it refuses.
    Use(Arc<rustls::ServerConfig>),
    /// This configuration, of DTLS; with TLS and QUIC it refuses.
    #[cfg(feature = "dtls")]
    UseDtls(wharf_dtls::ServerContext),
    /// The alert `access_denied`.
    Refuse,
}

type AdmitHook = Box<dyn Fn(&Arriving<'_>) -> Admit + Send + Sync>;
type HelloHook = Box<dyn Fn(&str, &Hello<'_>) -> HelloChoice + Send + Sync>;

/// The hooks of a server. They are called in the connection's path and must not block.
#[derive(Default)]
pub(crate) struct Hooks {
    pub(crate) admit: Option<AdmitHook>,
    pub(crate) client_hello: Option<HelloHook>,
}

impl Hooks {
    /// What the user says of an arrival, and a label with more. A hook that panics has not said yes.
    pub(crate) fn admit(&self, arriving: &Arriving<'_>) -> (Admit, &'static str) {
        let Some(hook) = &self.admit else {
            return (Admit::Accept, "");
        };
        match catch_unwind(AssertUnwindSafe(|| hook(arriving))) {
            Ok(said) => (said, ""),
            Err(_) => (Admit::Refuse, "panic"),
        }
    }

    /// What the user says to a hello. A hook that panics has not said yes.
    pub(crate) fn client_hello(&self, listener: &str, hello: &Hello<'_>) -> HelloChoice {
        let Some(hook) = &self.client_hello else {
            return HelloChoice::Proceed;
        };
        let asked = AssertUnwindSafe(|| hook(listener, hello));
        catch_unwind(asked).unwrap_or(HelloChoice::Refuse)
    }
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hooks")
            .field("admit", &self.admit.is_some())
            .field("client_hello", &self.client_hello.is_some())
            .finish()
    }
}
