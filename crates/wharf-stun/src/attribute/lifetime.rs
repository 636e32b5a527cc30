//! LIFETIME: how long an allocation lasts without a refresh (RFC 8656 §18.2).

use crate::attribute;
use crate::{Attribute, AttributeError, AttributeType, TransactionId};

/// A time in seconds; 0 in a Refresh request deletes the allocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetime(
    /// Seconds.
    pub u32,
);

impl Attribute<'_> for Lifetime {
    const TYPE: AttributeType = AttributeType::LIFETIME;

    fn decode(value: &[u8], _: &TransactionId) -> Result<Self, AttributeError> {
        attribute::array(Self::TYPE, value)
            .map(u32::from_be_bytes)
            .map(Self)
    }

    fn value_len(&self) -> usize {
        4
    }

    fn encode(&self, out: &mut [u8], _: &TransactionId) {
        out.copy_from_slice(&self.0.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attribute::testing::{encoded, giant, lengths, round_trip};

    #[test]
    fn value() {
        assert_eq!(encoded(&Lifetime(600)), [0, 0, 2, 0x58]);
        round_trip(&Lifetime(u32::MAX));
    }

    #[test]
    fn s10_lengths() {
        assert_eq!(lengths::<Lifetime>(&giant(&[1])), [4]);
    }
}
