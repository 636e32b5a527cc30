//! Why a message was not sent.

use wharf_sip::EditError;

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
