//! What ends a WebSocket connection before its time.

use std::io;

/// A breach of RFC 6455 or of a limit by the peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Violation {
    /// A reserved bit is set though no extension was negotiated (§5.2).
    #[error("a reserved bit is set")]
    ReservedBits,
    /// An opcode that is not defined (§5.2).
    #[error("an unknown opcode")]
    Opcode,
    /// A client's frame without a mask, or a server's with one (§5.1).
    #[error("a frame is masked that must not be, or the reverse")]
    Masking,
    /// A control frame in fragments or above 125 bytes (§5.5).
    #[error("a control frame is fragmented or longer than 125 bytes")]
    ControlFrame,
    /// A length in more bytes than it needs, or above 63 bits (§5.2).
    #[error("a length is not written in the shortest form")]
    Length,
    /// A continuation without a beginning, or a beginning within a message (§5.4).
    #[error("fragments out of order")]
    Fragments,
    /// A Close of one byte, or with a code that must not be sent (§5.5.1, §7.4).
    #[error("a Close frame with a code that must not be sent")]
    CloseCode,
    /// A text or the reason of a Close that is not UTF-8 (§8.1).
    #[error("a text is not UTF-8")]
    Utf8,
    /// A frame above `max-frame`.
    #[error("a frame is longer than `max-frame`")]
    FrameTooLong,
    /// A message above `max-message`.
    #[error("a message is longer than `max-message`")]
    MessageTooLong,
    /// A text on a [`WebSocketBytes`](super::WebSocketBytes), which takes binary messages alone.
    #[error("a text message where only binary ones are taken")]
    NotBinary,
}

impl Violation {
    /// The close code that tells it to the peer (§7.4.1).
    pub fn close_code(self) -> u16 {
        match self {
            Violation::Utf8 => super::close::INVALID_DATA,
            Violation::FrameTooLong | Violation::MessageTooLong => super::close::TOO_BIG,
            Violation::NotBinary => super::close::UNSUPPORTED,
            _ => super::close::PROTOCOL_ERROR,
        }
    }
}

/// Why receiving or sending failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The connection below failed.
    #[error("the connection failed: {0}")]
    Io(#[from] io::Error),
    /// The peer broke a rule; a Close with [`Violation::close_code`] has been sent.
    #[error("the peer broke the protocol: {0}")]
    Violation(#[from] Violation),
    /// The peer ended the connection without a Close (§7.1.5: 1006).
    #[error("the connection ended without a Close")]
    NoClose,
    /// Nothing came from the peer, not even the answer to a ping; a Close with 1011 has been sent.
    #[error("no answer to a ping")]
    PingTimeout,
    /// Sending after a Close was sent or received.
    #[error("the connection is closing")]
    Closing,
    /// A code that must not be sent, or a reason above 123 bytes (§5.5.1, §7.4).
    #[error(
        "a close code must be 1000 to 1003, 1007 to 1014 or 3000 to 4999, and its reason at most 123 bytes; got {0}"
    )]
    CloseCode(u16),
}

impl Error {
    /// A short constant name, for counters.
    pub fn label(&self) -> &'static str {
        match self {
            Error::Io(_) => "io",
            Error::Violation(Violation::Utf8) => "utf8",
            Error::Violation(Violation::FrameTooLong | Violation::MessageTooLong) => "too_long",
            Error::Violation(_) => "protocol",
            Error::NoClose => "no_close",
            Error::PingTimeout => "ping_timeout",
            Error::Closing | Error::CloseCode(_) => "closing",
        }
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> io::Error {
        let kind = match &error {
            Error::Io(inner) => inner.kind(),
            Error::Violation(_) => io::ErrorKind::InvalidData,
            Error::NoClose => io::ErrorKind::UnexpectedEof,
            Error::PingTimeout => io::ErrorKind::TimedOut,
            Error::Closing => io::ErrorKind::BrokenPipe,
            Error::CloseCode(_) => io::ErrorKind::InvalidInput,
        };
        match error {
            Error::Io(inner) => inner,
            other => io::Error::new(kind, other),
        }
    }
}
