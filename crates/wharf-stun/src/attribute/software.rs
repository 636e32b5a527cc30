//! SOFTWARE: what the sender runs (RFC 8489 §14.14).

use crate::attribute;
use crate::{Attribute, AttributeError, AttributeType, TransactionId};

/// A description of the sender's software: fewer than 128 characters, that is up to 763 bytes, of
/// UTF-8. It has no effect on the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Software<'a>(
    /// The description.
    pub &'a str,
);

impl<'a> Attribute<'a> for Software<'a> {
    const TYPE: AttributeType = AttributeType::SOFTWARE;

    fn decode(value: &'a [u8], _: &TransactionId) -> Result<Self, AttributeError> {
        attribute::text(Self::TYPE, value, attribute::MAX_TEXT).map(Self)
    }

    fn value_len(&self) -> usize {
        self.0.len()
    }

    fn encode(&self, out: &mut [u8], _: &TransactionId) {
        out.copy_from_slice(self.0.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attribute::testing::{ID, encoded, giant, lengths, round_trip};

    #[test]
    fn value() {
        assert_eq!(encoded(&Software("example.org")), b"example.org");
        round_trip(&Software("example.org"));
        round_trip(&Software(""));
    }

    #[test]
    fn s11_lengths() {
        assert!(lengths::<Software<'_>>(&giant(b"")).into_iter().eq(0..=763));
    }

    #[test]
    fn s10_not_utf8() {
        let error = AttributeError::Utf8 { ty: Software::TYPE };
        assert_eq!(Software::decode(b"a\xff", &ID), Err(error));
    }
}
