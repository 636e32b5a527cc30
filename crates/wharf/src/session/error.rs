//! What can go wrong in a session.

use std::io;

use crate::messages::MessageError;

/// Why a session cannot go on. `E` is the codec's error.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError<E> {
    /// The socket failed, or the server closed the connection.
    #[error("the connection failed: {0}")]
    Io(#[from] io::Error),
    /// The connection of messages failed.
    #[error("{0}")]
    Messages(MessageError),
    /// A message was larger than `buffers.max-message`.
    #[error("a message is larger than {limit} bytes (`buffers.max-message`)")]
    Oversized {
        /// The limit in bytes.
        limit: u64,
    },
    /// The server's memory for waiting bytes is used up (`limits.memory`).
    #[error("the server's memory for waiting bytes is used up (`limits.memory`)")]
    Memory,
    /// The peer ended in the middle of a message.
    #[error("the connection ended in the middle of a message")]
    Incomplete,
    /// A message of the transport held less than one message, or more.
    #[error("a message of the transport did not hold exactly one message")]
    NotOne,
    /// The codec could not read or write a message.
    #[error("{0}")]
    Codec(E),
}
