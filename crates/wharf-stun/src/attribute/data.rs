//! DATA: the payload of a Send or Data indication (RFC 8656 §18.4).

use crate::{Attribute, AttributeError, AttributeType, TransactionId};

/// The bytes of one datagram to or from a peer; may be empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Data<'a>(
    /// The payload.
    pub &'a [u8],
);

impl<'a> Attribute<'a> for Data<'a> {
    const TYPE: AttributeType = AttributeType::DATA;

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
        assert_eq!(encoded(&Data(b"example")), b"example");
        round_trip(&Data(b"example"));
        round_trip(&Data(b""));
    }

    #[test]
    fn s10_lengths() {
        assert!(lengths::<Data<'_>>(&giant(b"")).into_iter().eq(0..=65535));
    }
}
