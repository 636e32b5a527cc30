//! PADDING: bytes that make a message long (RFC 5780 §7.6).

use crate::{Attribute, AttributeError, AttributeType, TransactionId};

/// Bytes without a meaning, to test how long messages and fragments travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Padding<'a>(
    /// The bytes; RFC 5780 wants zeros.
    pub &'a [u8],
);

impl<'a> Attribute<'a> for Padding<'a> {
    const TYPE: AttributeType = AttributeType::PADDING;

    fn decode(value: &'a [u8], _: &TransactionId) -> Result<Self, AttributeError> {
        Ok(Self(value))
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
        assert_eq!(encoded(&Padding(b"example")), b"example");
        round_trip(&Padding(b"example"));
        round_trip(&Padding(b""));
    }

    #[test]
    fn s10_lengths() {
        assert!(
            lengths::<Padding<'_>>(&giant(b""))
                .into_iter()
                .eq(0..=65535)
        );
    }
}
