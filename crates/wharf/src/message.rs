//! A message of a connection that keeps boundaries.

use bytes::Bytes;

/// What the payload of a [`Message`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// UTF-8 text (WebSocket: RFC 6455 §5.6, opcode 1).
    Text,
    /// Any bytes (WebSocket: opcode 2).
    Binary,
}

/// One message, of any length. The payload of a text message is UTF-8.
///
/// ```
/// use wharf::message::{Kind, Message};
/// let message = Message::text("ahoy");
/// assert_eq!(message.kind(), Kind::Text);
/// assert_eq!(message.as_text(), Some("ahoy"));
/// assert_eq!(Message::binary([1, 2].as_slice()).as_text(), None);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Message {
    payload: Bytes,
    kind: Kind,
    lane: Lane,
}

/// How an SCTP message travels; other transports have one lane only, all zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Lane {
    /// The stream that it belongs to; order holds within one (RFC 9260 §1.3).
    pub stream: u16,
    /// The payload protocol identifier, as a number (RFC 9260 §3.3.1).
    pub ppid: u32,
    /// Whether it may overtake others of its stream.
    pub unordered: bool,
}

impl Message {
    /// A message of text.
    pub fn text(text: impl Into<String>) -> Message {
        Message::checked(Kind::Text, Bytes::from(text.into()))
    }

    /// A message of any bytes.
    pub fn binary(payload: impl Into<Bytes>) -> Message {
        Message::checked(Kind::Binary, payload.into())
    }

    /// A message of a kind; the payload of a text has been found to be UTF-8.
    pub(crate) fn checked(kind: Kind, payload: Bytes) -> Message {
        Message {
            payload,
            kind,
            lane: Lane::default(),
        }
    }

    /// The same message on another lane. Only SCTP looks at it.
    #[must_use]
    pub fn on(self, lane: Lane) -> Message {
        Message { lane, ..self }
    }

    /// How it came, or is to be sent.
    pub fn lane(&self) -> Lane {
        self.lane
    }

    /// What the payload is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The payload.
    pub fn payload(&self) -> &Bytes {
        &self.payload
    }

    /// The payload alone.
    pub fn into_payload(self) -> Bytes {
        self.payload
    }

    /// The text of a text message; `None` for a binary one. Costs a check of the UTF-8.
    pub fn as_text(&self) -> Option<&str> {
        match self.kind {
            Kind::Text => std::str::from_utf8(&self.payload).ok(),
            Kind::Binary => None,
        }
    }
}
