//! Writing one message into a caller's buffer.

#[cfg(test)]
mod tests;

use thiserror::Error;

use crate::integrity::{Sha1Key, Sha256Key};
use crate::order::Order;
use crate::{
    Attribute, AttributeType, HEADER_LEN, MAGIC_COOKIE, MessageType, TransactionId, fingerprint,
    padded,
};

/// The longest body that the header's length field can tell.
const MAX_BODY: usize = 0xfffc;

/// Builds a message in a buffer: header first, then attributes in the order they are pushed.
///
/// After each call the buffer holds a complete message: the header's length is right and padding
/// is zero. A call that fails changes nothing.
#[derive(Debug)]
pub struct Writer<'b> {
    buffer: &'b mut [u8],
    len: usize,
    id: TransactionId,
    order: Order,
}

/// Why something was not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum WriteError {
    /// The buffer, or the 65532 bytes that the length field can tell, would be exceeded.
    #[error("{needed} bytes are needed, {available} are left")]
    Full {
        /// Bytes that the header or the attribute takes, padding included.
        needed: usize,
        /// Bytes that are left.
        available: usize,
    },
    /// The attribute would stand behind one that a receiver stops at (RFC 8489 §14.5 to §14.7).
    #[error("{0} cannot follow what is written")]
    Order(AttributeType),
}

impl<'b> Writer<'b> {
    /// Begins a message; the buffer needs 20 bytes for the header.
    pub fn new(
        buffer: &'b mut [u8],
        ty: MessageType,
        id: TransactionId,
    ) -> Result<Self, WriteError> {
        let available = buffer.len();
        let Some(header) = buffer.first_chunk_mut::<HEADER_LEN>() else {
            return Err(WriteError::Full {
                needed: HEADER_LEN,
                available,
            });
        };
        header[..2].copy_from_slice(&ty.to_bits().to_be_bytes());
        header[2..4].fill(0);
        header[4..8].copy_from_slice(&MAGIC_COOKIE.to_be_bytes());
        header[8..].copy_from_slice(&id.0);
        Ok(Self {
            buffer,
            len: HEADER_LEN,
            id,
            order: Order::Open,
        })
    }

    /// Appends an attribute.
    pub fn push<'a, A: Attribute<'a>>(&mut self, attribute: &A) -> Result<&mut Self, WriteError> {
        let id = self.id;
        let value = self.reserve(A::TYPE, attribute.value_len())?;
        attribute.encode(value, &id);
        Ok(self)
    }

    /// Appends MESSAGE-INTEGRITY over what is written (RFC 8489 §14.5).
    pub fn integrity_sha1(&mut self, key: &Sha1Key) -> Result<&mut Self, WriteError> {
        self.reserve(AttributeType::MESSAGE_INTEGRITY, Sha1Key::LEN)?;
        let start = self.len - Sha1Key::LEN;
        let mac = key.sign(self.buffer, start);
        self.buffer[start..self.len].copy_from_slice(&mac);
        Ok(self)
    }

    /// Appends MESSAGE-INTEGRITY-SHA256 over what is written, 32 bytes (RFC 8489 §14.6).
    pub fn integrity_sha256(&mut self, key: &Sha256Key) -> Result<&mut Self, WriteError> {
        self.reserve(AttributeType::MESSAGE_INTEGRITY_SHA256, Sha256Key::LEN)?;
        let start = self.len - Sha256Key::LEN;
        let mac = key.sign(self.buffer, start);
        self.buffer[start..self.len].copy_from_slice(&mac);
        Ok(self)
    }

    /// Appends FINGERPRINT, the last attribute (RFC 8489 §14.7).
    pub fn fingerprint(&mut self) -> Result<&mut Self, WriteError> {
        self.reserve(AttributeType::FINGERPRINT, fingerprint::LEN)?;
        let start = self.len - fingerprint::LEN;
        let crc = fingerprint::compute(self.buffer, start);
        self.buffer[start..self.len].copy_from_slice(&crc.to_be_bytes());
        Ok(self)
    }

    /// The message.
    pub fn finish(self) -> &'b [u8] {
        &self.buffer[..self.len]
    }

    /// Bytes written, header included.
    #[expect(
        clippy::len_without_is_empty,
        reason = "a writer always holds a header"
    )]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Writes type, length and padding of an attribute and gives the place of its value.
    fn reserve(&mut self, ty: AttributeType, len: usize) -> Result<&mut [u8], WriteError> {
        let needed = 4 + padded(len);
        let available = self.buffer.len().min(HEADER_LEN + MAX_BODY) - self.len;
        if needed > available {
            return Err(WriteError::Full { needed, available });
        }
        if !self.order.admit(ty) {
            return Err(WriteError::Order(ty));
        }
        let at = self.len;
        self.len += needed;
        let body = ((self.len - HEADER_LEN) as u16).to_be_bytes();
        self.buffer[2..4].copy_from_slice(&body);
        let attribute = &mut self.buffer[at..self.len];
        attribute[..2].copy_from_slice(&ty.0.to_be_bytes());
        attribute[2..4].copy_from_slice(&(len as u16).to_be_bytes());
        attribute[4 + len..].fill(0);
        Ok(&mut attribute[4..4 + len])
    }
}
