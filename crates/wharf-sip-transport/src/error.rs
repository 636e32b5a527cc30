//! Why a message was not sent.

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
