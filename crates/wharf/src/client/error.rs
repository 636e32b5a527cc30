//! Why there is no connection.

use std::fmt;
use std::io;
use std::time::Duration;

use crate::config::Problems;
use crate::config::units::format_duration;
use crate::path::Endpoint;
use crate::proxy::EncodeError;
use crate::reason::Refusal;
use crate::sockets::BindError;
use crate::tls::{HandshakeError as TlsHandshakeError, TlsError};
use crate::websocket::client::HandshakeError as UpgradeError;

/// A part of making a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stage {
    /// The PROXY header.
    Proxy,
    /// The TLS handshake.
    Tls,
    /// The WebSocket upgrade.
    Upgrade,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Proxy => "PROXY header",
            Self::Tls => "TLS handshake",
            Self::Upgrade => "WebSocket upgrade",
        })
    }
}

/// Why an address was not reached.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AttemptError {
    /// The kernel's answer.
    #[error("{0}")]
    Io(io::Error),
    /// Nothing was heard for `timeouts.connect`.
    #[error("no answer within {} (`timeouts.connect`)", format_duration(*.0))]
    Timeout(Duration),
    /// The socket cannot be made as the options say.
    #[error(transparent)]
    Socket(BindError),
    /// The PROXY header that datagrams are to begin with cannot say what the options ask for.
    #[error("PROXY header: {0}")]
    ProxyHeader(#[from] EncodeError),
    /// The DTLS handshake failed.
    #[cfg(feature = "dtls")]
    #[error("DTLS: {0}")]
    Dtls(crate::dtls::Failure),
    /// The association ended before it was there.
    #[cfg(feature = "sctp")]
    #[error("SCTP: {0}")]
    Sctp(wharf_sctp::Closed),
}

impl AttemptError {
    fn reason(&self) -> Refusal {
        match self {
            #[cfg(feature = "dtls")]
            Self::Dtls(_) => Refusal::Tls,
            Self::ProxyHeader(_) => Refusal::ProxyInvalid,
            _ => Refusal::Unreachable,
        }
    }
}

/// An address that was tried.
#[derive(Debug, thiserror::Error)]
#[error("{address}: {error}")]
pub struct Attempt {
    /// The address.
    pub address: Endpoint,
    /// Why it was not reached.
    pub error: AttemptError,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The URL is no good. All problems are listed.
    #[error(transparent)]
    Url(#[from] Problems),
    /// The client drains or has drained.
    #[error("the client is draining")]
    Draining,
    /// The name could not be looked up.
    #[error("cannot look up {host:?}: {source}")]
    Resolve {
        /// The name.
        host: String,
        /// The resolver's answer.
        source: io::Error,
    },
    /// No address was reached. Each that was tried is listed, in the order in which they failed;
    /// there is none when the name has no address of the family of `local`.
    #[error("cannot connect to {target}: {}", list(.attempts))]
    Unreachable {
        /// What was to be reached.
        target: String,
        /// Each address that was tried.
        attempts: Vec<Attempt>,
    },
    /// The URL names several hosts, and none of them could be connected to. There is an error of
    /// each, in their order.
    #[error("no host could be connected to: {}", each(.0))]
    Everywhere(Vec<ConnectError>),
    /// The connection that was there has ended meanwhile.
    #[error("{0}")]
    Io(io::Error),
    /// The PROXY header cannot say what the options ask for.
    #[error("PROXY header: {0}")]
    ProxyHeader(#[from] EncodeError),
    /// The connection failed while the PROXY header was sent.
    #[error("PROXY header: {0}")]
    Proxy(io::Error),
    /// The authorities of the system cannot be read.
    #[error("TLS: {0}")]
    TlsOptions(#[from] TlsError),
    /// The TLS handshake failed.
    #[error("TLS with {server}: {source}")]
    Tls {
        /// The name or address that was asked for.
        server: String,
        /// Why.
        source: TlsHandshakeError,
    },
    /// The WebSocket upgrade failed.
    #[error("WebSocket: {0}")]
    Upgrade(#[from] UpgradeError),
    /// The handshakes took longer than `timeouts.handshake`.
    #[error("the {stage} was not complete within {} (`timeouts.handshake`)", format_duration(*.limit))]
    Timeout {
        /// What was under way.
        stage: Stage,
        /// The limit for all handshakes together.
        limit: Duration,
    },
}

fn list(attempts: &[Attempt]) -> String {
    if attempts.is_empty() {
        return "it has no address of a family that can be used".to_owned();
    }
    let attempts: Vec<_> = attempts.iter().map(ToString::to_string).collect();
    attempts.join("; ")
}

fn each(errors: &[ConnectError]) -> String {
    let errors: Vec<_> = errors.iter().map(ToString::to_string).collect();
    errors.join("; ")
}

impl ConnectError {
    /// The reason under which [`Stats::refused`](crate::Stats::refused) counts it, of several hosts
    /// the last; `None` for what is found before anything is dialled.
    pub fn reason(&self) -> Option<Refusal> {
        Some(match self {
            Self::Url(_) | Self::Draining => return None,
            Self::Unreachable { attempts, .. } => {
                let last = attempts.last().map(|attempt| &attempt.error);
                last.map_or(Refusal::Unreachable, AttemptError::reason)
            }
            Self::Resolve { .. } => Refusal::Unreachable,
            // Each host was counted for itself.
            Self::Everywhere(errors) => return errors.last()?.reason(),
            Self::ProxyHeader(_) => Refusal::ProxyInvalid,
            Self::Proxy(_) | Self::Io(_) => Refusal::Io,
            Self::TlsOptions(_) | Self::Tls { .. } => Refusal::Tls,
            Self::Upgrade(_) => Refusal::Upgrade,
            Self::Timeout { .. } => Refusal::HandshakeTimeout,
        })
    }
}
