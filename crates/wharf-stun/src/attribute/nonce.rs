//! NONCE: what a server gave the client to prove that it is fresh (RFC 8489 §14.10).

use crate::attribute;
use crate::{Attribute, AttributeError, AttributeType, TransactionId};

/// The nonce: fewer than 128 characters, that is up to 763 bytes. A server reads only its own
/// nonces, so that the bytes are not required to be UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nonce<'a>(
    /// The nonce without quotation marks.
    pub &'a [u8],
);

impl<'a> Attribute<'a> for Nonce<'a> {
    const TYPE: AttributeType = AttributeType::NONCE;

    fn decode(value: &'a [u8], _: &TransactionId) -> Result<Self, AttributeError> {
        attribute::bytes(Self::TYPE, value, attribute::MAX_TEXT).map(Self)
    }

    fn value_len(&self) -> usize {
        self.0.len()
    }

    fn encode(&self, out: &mut [u8], _: &TransactionId) {
        out.copy_from_slice(self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attribute::testing::{encoded, giant, lengths, round_trip};

    #[test]
    fn value() {
        assert_eq!(encoded(&Nonce(b"example")), b"example");
        round_trip(&Nonce(b"example"));
        round_trip(&Nonce(b""));
    }

    #[test]
    fn s11_lengths() {
        assert!(lengths::<Nonce<'_>>(&giant(b"")).into_iter().eq(0..=763));
    }
}
