//! What ends a connection of messages before its time.

use std::io;

use crate::BoxError;
use crate::counters::one_more;
use crate::events::Event;
use crate::reason::Closed;
use crate::websocket::{self, Violation};

use crate::Connection;

/// Why a message could not be received or sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MessageError {
    /// The socket failed, or the server closed the connection.
    #[error("the connection failed: {0}")]
    Io(#[from] io::Error),
    /// The WebSocket failed.
    #[error("{0}")]
    WebSocket(#[from] websocket::Error),
    /// A message is longer than the transport carries, or than a limit allows.
    #[error("a message of {length} bytes is longer than {limit}")]
    TooLong {
        /// Its length in bytes.
        length: u64,
        /// What is allowed, in bytes.
        limit: u64,
    },
    /// SCTP has no empty messages (RFC 9260 §3.3.1), and of DTLS none are sent.
    #[error("the transport has no empty messages")]
    Empty,
    /// A stream that the association does not have.
    #[error("there is no stream {stream}, only {streams} streams counted from 0")]
    NoSuchStream {
        /// The stream of the message.
        stream: u16,
        /// Streams to send on; 0 where only the kernel knows.
        streams: u16,
    },
    /// The peer broke the protocol below, or gave the connection up.
    #[error("the {protocol} peer broke the protocol: {error}")]
    Protocol {
        /// The protocol's name, such as `dtls`.
        protocol: &'static str,
        /// What went wrong.
        error: BoxError,
    },
    /// The connection is closing: nothing can be sent any more.
    #[error("the connection is closing")]
    Closing,
}

impl MessageError {
    /// Whether it is only that this side, or the peer, has closed.
    pub(crate) fn is_closing(&self) -> bool {
        matches!(
            self,
            Self::Closing | Self::WebSocket(websocket::Error::Closing)
        )
    }

    /// Counts it, and notes it as the reason of the connection's end.
    pub(super) fn note(&self, connection: &Connection) {
        let shared = connection.shared();
        let counters = &shared.owner.counters;
        let (counter, closed, what) = match self {
            Self::WebSocket(websocket::Error::Violation(
                Violation::FrameTooLong | Violation::MessageTooLong,
            )) => (&counters.messages_oversized, Closed::Oversized, "oversized"),
            Self::WebSocket(websocket::Error::Violation(_)) | Self::Protocol { .. } => (
                &counters.messages_unparsable,
                Closed::Protocol,
                "unparsable",
            ),
            Self::WebSocket(websocket::Error::NoClose) => (
                &counters.messages_incomplete,
                Closed::Protocol,
                "incomplete",
            ),
            Self::WebSocket(websocket::Error::PingTimeout) => {
                shared.note(Closed::PingTimeout);
                return;
            }
            Self::WebSocket(websocket::Error::Io(error)) | Self::Io(error) => {
                shared.note(Closed::of_io(error));
                return;
            }
            _ => return,
        };
        one_more(counter);
        shared.note(closed);
        shared.owner.events.emit(|| Event::BadMessage {
            listener: shared.owner.name.clone(),
            id: shared.id,
            what,
        });
    }
}

impl From<MessageError> for io::Error {
    fn from(error: MessageError) -> Self {
        let kind = match error {
            MessageError::Io(error) => return error,
            MessageError::WebSocket(error) => return error.into(),
            MessageError::TooLong { .. }
            | MessageError::Empty
            | MessageError::NoSuchStream { .. } => io::ErrorKind::InvalidInput,
            MessageError::Protocol { .. } => io::ErrorKind::InvalidData,
            MessageError::Closing => io::ErrorKind::BrokenPipe,
        };
        Self::new(kind, error)
    }
}
