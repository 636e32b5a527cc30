//! A view over the bytes of one message.

#[cfg(test)]
mod tests;
mod walk;

use thiserror::Error;

use self::walk::{Entry, Walk};
use crate::integrity::{Sha1Key, Sha256Key};
use crate::{
    Attribute, AttributeError, AttributeType, Class, Fingerprint, HEADER_LEN, MAGIC_COOKIE,
    MessageType, Method, TransactionId, fingerprint,
};

/// Distinct attribute types that one message may hold. The richest request of the RFCs that this
/// crate covers has less than half as many.
const MAX_TYPES: usize = 32;

/// One STUN message, checked for its form and indexed; it borrows the bytes it was parsed from.
///
/// Only attributes that count are seen: what follows an integrity attribute is ignored as
/// RFC 8489 §14.5 to §14.7 say, and the first of several attributes of one type is the one that
/// [`Message::get`] finds (§14).
#[derive(Clone)]
pub struct Message<'a> {
    bytes: &'a [u8],
    ty: MessageType,
    /// The first occurrence of each type, in the order of the message.
    entries: [Entry; MAX_TYPES],
    count: u8,
    /// The bits of [`seen_bit`] of all entries: most types that are absent are known to be without
    /// a search.
    seen: u64,
}

/// Why bytes are not a message. None of these deserves a reply, except `NoCookie` over DTLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ParseError {
    /// Shorter than a header, or one of the first two bits is set (RFC 8489 §5).
    #[error("not a STUN message")]
    NotStun,
    /// A header as RFC 3489 wrote it. Over DTLS a request is answered with 500 (RFC 8489 §11).
    #[error("no magic cookie in a message of type {ty:?}")]
    NoCookie {
        /// The type of the message.
        ty: MessageType,
        /// The 12 bytes that stand where the transaction ID is in a message with a cookie.
        id: TransactionId,
    },
    /// The length field is not a multiple of four or differs from the bytes that follow the header.
    #[error("the header gives a length of {stated} bytes, {present} follow it")]
    Length {
        /// The header's length field, in bytes.
        stated: u16,
        /// Bytes after the header.
        present: usize,
    },
    /// An attribute reaches past the end of the message.
    #[error("{ty} is stated to have {len} bytes and reaches past the end of the message")]
    Truncated {
        /// The type of the attribute.
        ty: AttributeType,
        /// Its length field, in bytes.
        len: u16,
    },
    /// More than 32 distinct attribute types.
    #[error("more than {MAX_TYPES} distinct attribute types")]
    TooManyAttributes,
}

impl<'a> Message<'a> {
    /// Reads one message that fills `bytes` exactly (RFC 8489 §6.3).
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ParseError> {
        let Some((header, body)) = bytes.split_first_chunk::<HEADER_LEN>() else {
            return Err(ParseError::NotStun);
        };
        let [t0, t1, l0, l1, c0, c1, c2, c3, id @ ..] = *header;
        let ty = MessageType::from_bits(u16::from_be_bytes([t0, t1])).ok_or(ParseError::NotStun)?;
        let stated = u16::from_be_bytes([l0, l1]);
        if usize::from(stated) != body.len() || stated % 4 != 0 {
            return Err(ParseError::Length {
                stated,
                present: body.len(),
            });
        }
        if u32::from_be_bytes([c0, c1, c2, c3]) != MAGIC_COOKIE {
            return Err(ParseError::NoCookie {
                ty,
                id: TransactionId(id),
            });
        }
        let mut message = Self {
            bytes,
            ty,
            entries: [Entry::NONE; MAX_TYPES],
            count: 0,
            seen: 0,
        };
        let mut walk = Walk::new(bytes);
        while let Some(entry) = walk.next_entry()? {
            if message.find(entry.ty).is_some() {
                continue;
            }
            let free = message.entries.get_mut(usize::from(message.count));
            *free.ok_or(ParseError::TooManyAttributes)? = entry;
            message.count += 1;
            message.seen |= seen_bit(entry.ty);
        }
        Ok(message)
    }

    /// The class of the message.
    pub fn class(&self) -> Class {
        self.ty.class
    }

    /// The method of the message.
    pub fn method(&self) -> Method {
        self.ty.method
    }

    /// The method and the class of the message.
    pub fn message_type(&self) -> MessageType {
        self.ty
    }

    /// The transaction ID, which a response repeats.
    pub fn transaction_id(&self) -> TransactionId {
        TransactionId(*self.bytes[8..].first_chunk().expect("a header was parsed"))
    }

    /// The whole message as it was received.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Whether an attribute of this type is there and counts.
    pub fn has(&self, ty: AttributeType) -> bool {
        self.find(ty).is_some()
    }

    /// The first attribute of this type; `None` when there is none that counts, an error when its
    /// value is malformed (a second one does not replace it, RFC 8489 §14).
    pub fn get<A: Attribute<'a>>(&self) -> Option<Result<A, AttributeError>> {
        let value = self.value(self.find(A::TYPE)?);
        Some(A::decode(value, &self.transaction_id()))
    }

    /// Every attribute of this type, in order, as XOR-PEER-ADDRESS in a CreatePermission request
    /// needs it (RFC 8656 §10.1).
    pub fn all<A: Attribute<'a>>(&self) -> impl Iterator<Item = Result<A, AttributeError>> {
        let id = self.transaction_id();
        self.attributes()
            .filter(|&(ty, _)| ty == A::TYPE)
            .map(move |(_, value)| A::decode(value, &id))
    }

    /// Type and value of every attribute that counts, in order, repeated ones included.
    pub fn attributes(&self) -> impl Iterator<Item = (AttributeType, &'a [u8])> {
        let mut walk = Walk::new(self.bytes);
        // `parse` walked the same bytes to their end.
        let entries = std::iter::from_fn(move || walk.next_entry().ok().flatten());
        entries.map(|entry| (entry.ty, self.value(entry)))
    }

    /// The comprehension-required types that are not in `understood`, each once, in order: what
    /// a 420 response lists in UNKNOWN-ATTRIBUTES (RFC 8489 §6.3.1).
    ///
    /// The integrity attributes and FINGERPRINT are not special: name those that are understood.
    pub fn unknown_required(
        &self,
        understood: &[AttributeType],
    ) -> impl Iterator<Item = AttributeType> {
        self.entries()
            .iter()
            .map(|entry| entry.ty)
            .filter(|ty| ty.is_comprehension_required() && !understood.contains(ty))
    }

    /// Whether MESSAGE-INTEGRITY is there and right (RFC 8489 §14.5); takes the same time for any
    /// wrong value.
    pub fn verify_sha1(&self, key: &Sha1Key) -> bool {
        self.find(AttributeType::MESSAGE_INTEGRITY)
            .is_some_and(|entry| key.verify(self.bytes, entry.start(), self.value(entry)))
    }

    /// Whether MESSAGE-INTEGRITY-SHA256 is there, whole and right; takes the same time for any
    /// wrong value. TURN does not allow truncation (RFC 8656 §5), so the value is 32 bytes.
    pub fn verify_sha256(&self, key: &Sha256Key) -> bool {
        self.find(AttributeType::MESSAGE_INTEGRITY_SHA256)
            .is_some_and(|entry| {
                entry.len == 32 && key.verify(self.bytes, entry.start(), self.value(entry))
            })
    }

    /// As [`Message::verify_sha256`] for a usage that allows truncation: the value is 16 to
    /// 32 bytes and a multiple of four (RFC 8489 §14.6).
    pub fn verify_sha256_truncated(&self, key: &Sha256Key) -> bool {
        self.find(AttributeType::MESSAGE_INTEGRITY_SHA256)
            .is_some_and(|entry| {
                (16..=32).contains(&entry.len)
                    && entry.len % 4 == 0
                    && key.verify(self.bytes, entry.start(), self.value(entry))
            })
    }

    /// Whether FINGERPRINT is there and right (RFC 8489 §14.7).
    pub fn fingerprint(&self) -> Fingerprint {
        match self.find(AttributeType::FINGERPRINT) {
            None => Fingerprint::Absent,
            Some(entry) => fingerprint::check(self.bytes, entry.start(), self.value(entry)),
        }
    }

    fn entries(&self) -> &[Entry] {
        &self.entries[..usize::from(self.count)]
    }

    fn find(&self, ty: AttributeType) -> Option<Entry> {
        if self.seen & seen_bit(ty) == 0 {
            return None;
        }
        self.entries().iter().copied().find(|entry| entry.ty == ty)
    }

    fn value(&self, entry: Entry) -> &'a [u8] {
        &self.bytes[entry.start()..][..usize::from(entry.len)]
    }
}

/// A bit that differs between the types that are often seen in one message.
fn seen_bit(AttributeType(ty): AttributeType) -> u64 {
    1 << ((ty ^ (ty >> 11)) & 63)
}

impl std::fmt::Debug for Message<'_> {
    /// Type, transaction ID and attribute types: no value, which may be a secret or large.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Message")
            .field("type", &self.ty)
            .field("transaction_id", &self.transaction_id())
            .field(
                "attributes",
                &self.attributes().map(|(ty, _)| ty).collect::<Vec<_>>(),
            )
            .finish()
    }
}
