//! Why a packet was ignored, a message refused, an association over.

/// Why a packet was ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Ignored {
    /// Shorter than a header and one chunk, or longer than such a packet can be.
    #[error("the length is no SCTP packet's")]
    Length,
    /// The CRC32C is wrong (RFC 9260 §6.8).
    #[error("the checksum is wrong")]
    Checksum,
    /// The chunks do not fill the packet, or the packet is not allowed to look like this.
    #[error("the packet is malformed")]
    Malformed,
    /// To another SCTP port, or from another one than the association's.
    #[error("the packet is for another port")]
    Port,
    /// An INIT with tag 0.
    #[error("the tag is not allowed")]
    Tag,
    /// A cookie that was not made here for this peer.
    #[error("the cookie is not one of ours")]
    Cookie,
    /// Belongs to no association and must not be answered (RFC 9260 §8.4).
    #[error("the packet belongs to no association")]
    Stray,
    /// Data on a stream beyond the negotiated ones.
    #[error("the stream was not negotiated")]
    Stream,
    /// The association is over.
    #[error("the association is over")]
    Closed,
}

impl Ignored {
    /// A short word for metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::Length => "length",
            Self::Checksum => "checksum",
            Self::Malformed => "malformed",
            Self::Port => "port",
            Self::Tag => "tag",
            Self::Cookie => "cookie",
            Self::Stray => "stray",
            Self::Stream => "stream",
            Self::Closed => "closed",
        }
    }
}

/// Why a message was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// [`Options::send_queue`](crate::Options::send_queue) is full: try again when
    /// [`can_send`](crate::Association::can_send) says so. The message was not taken.
    #[error("the send queue is full")]
    Full,
    /// SCTP has no empty messages (RFC 9260 §3.3.1).
    #[error("SCTP has no empty messages")]
    Empty,
    /// Larger than [`Options::max_message`](crate::Options::max_message).
    #[error("the message is {len} bytes long, {limit} are allowed")]
    TooLarge {
        /// Its length in bytes.
        len: usize,
        /// The option.
        limit: usize,
    },
    /// A stream beyond the negotiated ones.
    #[error("stream {stream} does not exist, the association has {streams}")]
    NoSuchStream {
        /// The stream asked for, counted from 0.
        stream: u16,
        /// Streams there are.
        streams: u16,
    },
    /// The association is shutting down, from either end, or over.
    #[error("the association is shutting down")]
    Closing,
}

/// Why streams were not reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResetError {
    /// The association is not established.
    #[error("the association is not established")]
    NotConnected,
    /// The peer does not know RFC 6525.
    #[error("the peer cannot reset streams")]
    NotSupported,
}

/// How an association ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Closed {
    /// Shut down by either end; all messages of both were delivered.
    #[error("shut down")]
    Finished,
    /// Aborted here.
    #[error("aborted")]
    Aborted,
    /// The peer aborted, with its reason.
    #[error("aborted by the peer: {0}")]
    ByPeer(String),
    /// The peer does not answer any more, or never did.
    #[error("the peer does not answer: {0}")]
    TimedOut(String),
    /// The peer broke the protocol.
    #[error("the peer broke the protocol: {0}")]
    Violation(String),
}
