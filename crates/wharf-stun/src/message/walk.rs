//! The walk over the attributes of a message.

use super::ParseError;
use crate::order::Order;
use crate::{AttributeType, HEADER_LEN, padded};

/// Where one attribute stands.
#[derive(Clone, Copy)]
pub(super) struct Entry {
    pub(super) ty: AttributeType,
    /// Of the value, from the end of the header: a message may have 65552 bytes.
    offset: u16,
    /// Of the value, without padding.
    pub(super) len: u16,
}

impl Entry {
    pub(super) const NONE: Self = Self {
        ty: AttributeType(0),
        offset: 0,
        len: 0,
    };

    /// Where the value begins, from the start of the message.
    pub(super) fn start(self) -> usize {
        HEADER_LEN + usize::from(self.offset)
    }
}

/// Steps from attribute to attribute and checks that each lies within the message.
pub(super) struct Walk<'a> {
    bytes: &'a [u8],
    next: usize,
    order: Order,
}

impl<'a> Walk<'a> {
    /// `bytes` begins with a header whose length was checked.
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            next: HEADER_LEN,
            order: Order::Open,
        }
    }

    /// The next attribute that counts; `None` at the end of the message.
    pub(super) fn next_entry(&mut self) -> Result<Option<Entry>, ParseError> {
        // The length of a message is a multiple of four, so that a step that begins inside it
        // has the four bytes of a type and a length, and padding never ends outside it.
        while let Some(&[t0, t1, l0, l1]) = self.bytes[self.next..].first_chunk() {
            let ty = AttributeType(u16::from_be_bytes([t0, t1]));
            let len = u16::from_be_bytes([l0, l1]);
            let start = self.next + 4;
            if usize::from(len) > self.bytes.len() - start {
                return Err(ParseError::Truncated { ty, len });
            }
            self.next = start + padded(usize::from(len));
            if self.order.admit(ty) {
                let offset = (start - HEADER_LEN) as u16;
                return Ok(Some(Entry { ty, offset, len }));
            }
        }
        Ok(None)
    }
}
