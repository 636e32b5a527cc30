//! Bytes in, messages and control frames out: the reading half, without I/O.

use bytes::{Bytes, BytesMut};

use super::close::Close;
use super::error::Violation;
use super::frame::{Header, Opcode};
use super::mask;
use super::utf8::Utf8;
use crate::message::{Kind, Message};

/// Payloads up to this are copied out of a buffer that holds more, so that a message that is kept
/// does not keep the buffer of its neighbours; longer ones share it.
const COPIED: usize = 1024;

/// From this much missing payload on, it is read straight into the message.
pub(super) const DIRECT: u64 = 16 << 10;

/// The most that a message grows by before bytes have come to fill it.
const GROWTH: u64 = 256 << 10;

/// What came.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Event {
    Message(Message),
    Ping(Bytes),
    Pong,
    Close(Close),
}

/// A data frame whose payload is coming.
#[derive(Debug)]
struct Payload {
    missing: u64,
    fin: bool,
    key: [u8; 4],
}

/// The state of reading. It holds the bytes that were fed and not yet decoded, and the message that
/// is being put together: at most twice `max_message` and what one read brought, and nothing at all
/// between messages.
#[derive(Debug)]
pub(super) struct Inbound {
    masked: bool,
    max_frame: u64,
    max_message: u64,
    input: BytesMut,
    /// The kind of the message that has begun and not ended.
    kind: Option<Kind>,
    message: BytesMut,
    payload: Option<Payload>,
    utf8: Utf8,
}

impl Inbound {
    /// `masked`: reads what a client sends.
    pub(super) fn new(masked: bool, max_frame: u64, max_message: u64) -> Inbound {
        Inbound {
            masked,
            max_frame,
            max_message,
            input: BytesMut::new(),
            kind: None,
            message: BytesMut::new(),
            payload: None,
            utf8: Utf8::default(),
        }
    }

    pub(super) fn has_input(&self) -> bool {
        !self.input.is_empty()
    }

    /// Takes bytes from the peer.
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        if self.input.is_empty() {
            self.input = BytesMut::from(bytes);
        } else {
            self.input.extend_from_slice(bytes);
        }
    }

    /// Where the next bytes belong when much of a payload is missing: the message, with its room
    /// made, and the number of bytes to read at most. [`Inbound::filled`] must follow a read.
    /// Room grows with what has come, not with what a header announces.
    pub(super) fn direct(&mut self) -> Option<(&mut BytesMut, usize)> {
        let missing = self.payload.as_ref().map_or(0, |payload| payload.missing);
        if missing < DIRECT || !self.input.is_empty() {
            return None;
        }
        let room = missing.min(GROWTH.min(DIRECT.max(self.message.len() as u64))) as usize;
        self.message.reserve(room);
        Some((&mut self.message, room))
    }

    /// Takes the bytes that a read has appended to the message from `start` on.
    pub(super) fn filled(&mut self, start: usize) -> Result<(), Violation> {
        let payload = self.payload.as_mut().expect("`direct` gave a place");
        payload.missing -= (self.message.len() - start) as u64;
        payload.key = mask::apply(payload.key, &mut self.message[start..]);
        self.check_text(start)
    }

    /// The next event; `None` when more bytes are needed. After an error the connection is at its
    /// end and nothing more may be asked for.
    pub(super) fn next(&mut self) -> Result<Option<Event>, Violation> {
        loop {
            if let Some(payload) = &self.payload {
                let available = payload.missing.min(self.input.len() as u64) as usize;
                if available > 0 {
                    let start = self.message.len();
                    self.take(available);
                    self.filled(start)?;
                }
                match &self.payload {
                    Some(payload) if payload.missing > 0 => return Ok(None),
                    Some(payload) if payload.fin => return self.finish().map(Some),
                    _ => self.payload = None,
                }
            }
            let Some(header) = Header::parse(&self.input, self.masked)? else {
                if self.input.is_empty() {
                    self.input = BytesMut::new();
                }
                return Ok(None);
            };
            if header.opcode.is_control() {
                return self.control(header);
            }
            self.begin(header)?;
        }
    }

    /// A data frame begins (RFC 6455 §5.4).
    fn begin(&mut self, header: Header) -> Result<(), Violation> {
        let kind = match (header.opcode, self.kind) {
            (Opcode::Continuation, Some(kind)) => kind,
            (Opcode::Text, None) => Kind::Text,
            (Opcode::Binary, None) => Kind::Binary,
            _ => return Err(Violation::Fragments),
        };
        if header.length > self.max_frame {
            return Err(Violation::FrameTooLong);
        }
        // Both are below 2^63.
        if self.message.len() as u64 + header.length > self.max_message {
            return Err(Violation::MessageTooLong);
        }
        self.kind = Some(kind);
        self.drop_front(header.size);
        self.payload = Some(Payload {
            missing: header.length,
            fin: header.fin,
            key: header.key,
        });
        Ok(())
    }

    /// A control frame, once it is whole; it may stand within a message (RFC 6455 §5.5).
    fn control(&mut self, header: Header) -> Result<Option<Event>, Violation> {
        let end = header.size + header.length as usize;
        if self.input.len() < end {
            return Ok(None);
        }
        let payload = &mut self.input[header.size..end];
        mask::apply(header.key, payload);
        let event = match header.opcode {
            Opcode::Close => Event::Close(Close::parse(payload)?),
            Opcode::Ping => Event::Ping(Bytes::copy_from_slice(payload)),
            _ => Event::Pong,
        };
        self.drop_front(end);
        Ok(Some(event))
    }

    /// Moves the front of the input to the end of the message.
    fn take(&mut self, count: usize) {
        if !self.message.is_empty() || (count <= COPIED && count < self.input.len()) {
            self.message.extend_from_slice(&self.input[..count]);
            self.drop_front(count);
        } else if count == self.input.len() {
            self.message = std::mem::take(&mut self.input);
        } else {
            self.message = self.input.split_to(count);
        }
    }

    /// Lets the front of the input go, and its memory when nothing follows.
    fn drop_front(&mut self, count: usize) {
        if count == self.input.len() {
            self.input = BytesMut::new();
        } else {
            bytes::Buf::advance(&mut self.input, count);
        }
    }

    fn check_text(&mut self, start: usize) -> Result<(), Violation> {
        if self.kind == Some(Kind::Text) {
            let part = &self.message[start..];
            self.utf8.feed(part).map_err(|_| Violation::Utf8)?;
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<Event, Violation> {
        self.utf8.finish().map_err(|_| Violation::Utf8)?;
        self.payload = None;
        let kind = self.kind.take().expect("a data frame has a kind");
        let payload = std::mem::take(&mut self.message).freeze();
        Ok(Event::Message(Message::checked(kind, payload)))
    }
}

#[cfg(test)]
mod tests;
