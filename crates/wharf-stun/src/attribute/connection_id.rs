//! CONNECTION-ID: one TCP connection to a peer (RFC 6062 §6.2.1).

use crate::attribute;
use crate::{Attribute, AttributeError, AttributeType, TransactionId};

/// The number that the server chose for a peer's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionId(
    /// The number.
    pub u32,
);

impl Attribute<'_> for ConnectionId {
    const TYPE: AttributeType = AttributeType::CONNECTION_ID;

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
        assert_eq!(encoded(&ConnectionId(0x0102_0304)), [1, 2, 3, 4]);
        round_trip(&ConnectionId(u32::MAX));
    }

    #[test]
    fn s10_lengths() {
        assert_eq!(lengths::<ConnectionId>(&giant(&[1])), [4]);
    }
}
