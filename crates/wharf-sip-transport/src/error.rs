//! Why a message was not sent.

use wharf_sip::destinations::Destination;
use wharf_sip::locate::{Failure, LocateError};
use wharf_sip::pool::PoolError;
use wharf_sip::route::SendFailure;
use wharf_sip::{EditError, ScanError};

use crate::DialError;

/// Why a message was not handed to a flow. Nothing of it was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The connection has closed. The proxy above answers 430 (RFC 5626 §5.3).
    #[error("the flow is gone")]
    FlowGone,
    /// So much waits for this peer, or for this socket, that no message of this priority is taken.
    #[error("the queue of the flow is full")]
    Full,
    /// No socket of ours has the local address of the flow.
    #[error("no socket for the flow")]
    NoSocket,
    /// Longer than any datagram may be: 65,507 bytes.
    #[error("{0} bytes do not fit into a datagram")]
    TooLarge(usize),
}

/// Why a message was not forwarded. Nothing of it was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ForwardError {
    /// It cannot be changed so.
    #[error(transparent)]
    Edit(#[from] EditError),
    /// It cannot be sent.
    #[error(transparent)]
    Send(#[from] SendError),
}

/// Why the layer has not taken a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum AttachError {
    /// There are as many connections as [`SipOptions::max_connections`](crate::SipOptions).
    #[error("there are as many connections as there may be")]
    Crowded,
    /// It is over none of TCP, TLS, WS and WSS.
    #[error("no transport of SIP")]
    Transport,
}

/// Why a message was not delivered, by who must act.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum SipError {
    /// The caller: the target cannot be followed, whoever is asked.
    #[error(transparent)]
    Target(LocateError),
    /// The caller: the message cannot be read.
    #[error("the message cannot be read: {0}")]
    Unreadable(#[from] ScanError),
    /// The caller: the message cannot be sent as it is.
    #[error("the message: {0}")]
    Message(#[from] EditError),
    /// The caller: the manager has nothing to send over yet, see [`Manager::begin`](crate::Manager::begin).
    #[error("the manager has nothing to send over yet")]
    NotBegun,
    /// The owner of the domain: DNS has no server for it, or does not answer.
    #[error(transparent)]
    Dns(LocateError),
    /// The operator of the server: nobody is reached there. Of several servers it is the last one.
    #[error("{} {}: {failure}", .to.transport, .to.address)]
    Server {
        /// The server.
        to: Destination,
        /// Why.
        failure: SendFailure,
    },
    /// The operator of the server: it has answered with a 503.
    #[error("{} {} is unavailable", .to.transport, .to.address)]
    Unavailable {
        /// The server.
        to: Destination,
    },
    /// The operator of the server, or of this element where a certificate or an option is wrong: there is no
    /// connection.
    #[error("{} {}: {error}", .to.transport, .to.address)]
    Dial {
        /// The server.
        to: Destination,
        /// Why.
        error: DialError,
    },
    /// This element: a flow takes no message.
    #[error(transparent)]
    Send(#[from] SendError),
    /// This element: there are as many connections as there may be.
    #[error(transparent)]
    Pool(#[from] PoolError),
    /// This element: the server gets as many requests as it may.
    #[error("{} {} gets as many requests as it may", .0.transport, .0.address)]
    Throttled(Destination),
}

impl SipError {
    /// Whether the same message may be delivered later on. A certificate that is refused stays what it is
    /// (RFC 5922 §7.3), and so do a target, a message and what DNS says.
    pub fn is_recoverable(&self) -> bool {
        match self {
            Self::Dns(LocateError::Dns { failure, .. }) => !failure.means_none(),
            Self::Dial { error, .. } => error.is_recoverable(),
            Self::Send(error) => matches!(error, SendError::FlowGone | SendError::Full),
            Self::Server { .. } | Self::Unavailable { .. } | Self::Pool(_) | Self::Throttled(_) => {
                true
            }
            Self::Target(_)
            | Self::Unreadable(_)
            | Self::Message(_)
            | Self::NotBegun
            | Self::Dns(_) => false,
        }
    }

    /// Whether somebody was waited for in vain: a name server, or a server.
    pub fn is_timeout(&self) -> bool {
        match self {
            Self::Dns(LocateError::Dns { failure, .. }) => *failure == Failure::Timeout,
            Self::Dial { error, .. } => error.is_timeout(),
            Self::Server { failure, .. } => *failure == SendFailure::TimedOut,
            _ => false,
        }
    }

    /// Whether it is a matter of TLS: a handshake or a certificate.
    pub fn is_tls(&self) -> bool {
        matches!(self, Self::Dial { error, .. } if error.is_tls())
    }

    /// Whether it is a matter of DNS.
    pub fn is_dns(&self) -> bool {
        matches!(self, Self::Dns(_))
    }

    /// Whether it is a matter of the WebSocket's upgrade.
    pub fn is_websocket(&self) -> bool {
        matches!(self, Self::Dial { error, .. } if error.is_websocket())
    }

    /// Whether a connection was closed that the message was to go over, or has gone over.
    pub fn is_connection_closed(&self) -> bool {
        match self {
            Self::Send(error) => *error == SendError::FlowGone,
            Self::Server { failure, .. } => *failure == SendFailure::Reset,
            _ => false,
        }
    }
}

impl From<LocateError> for SipError {
    fn from(error: LocateError) -> Self {
        match error {
            LocateError::Uri(_)
            | LocateError::Domain(_)
            | LocateError::Invalid(_)
            | LocateError::NotSecurable
            | LocateError::Unsupported(_)
            | LocateError::NoTransport => Self::Target(error),
            LocateError::NoService
            | LocateError::NoAddress
            | LocateError::Dns { .. }
            | LocateError::TooManyQueries => Self::Dns(error),
        }
    }
}

#[cfg(test)]
mod tests;
