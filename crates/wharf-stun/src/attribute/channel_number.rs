//! CHANNEL-NUMBER: the channel to bind (RFC 8656 §18.1).

use crate::attribute;
use crate::{Attribute, AttributeError, AttributeType, TransactionId};

/// A channel number. Whether it lies in 0x4000 to 0x4fff is the server's to check (RFC 8656 §12.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChannelNumber(
    /// The number.
    pub u16,
);

impl Attribute<'_> for ChannelNumber {
    const TYPE: AttributeType = AttributeType::CHANNEL_NUMBER;

    fn decode(value: &[u8], _: &TransactionId) -> Result<Self, AttributeError> {
        // The last two bytes are reserved and ignored.
        attribute::array(Self::TYPE, value).map(|[n0, n1, _, _]| Self(u16::from_be_bytes([n0, n1])))
    }

    fn value_len(&self) -> usize {
        4
    }

    fn encode(&self, out: &mut [u8], _: &TransactionId) {
        out[..2].copy_from_slice(&self.0.to_be_bytes());
        out[2..].fill(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attribute::testing::{ID, encoded, giant, lengths, round_trip};

    #[test]
    fn value() {
        assert_eq!(encoded(&ChannelNumber(0x4001)), [0x40, 1, 0, 0]);
        round_trip(&ChannelNumber(u16::MAX));
    }

    #[test]
    fn s10_lengths() {
        assert_eq!(lengths::<ChannelNumber>(&giant(&[1])), [4]);
    }

    #[test]
    fn t60_reserved_bits_are_ignored() {
        let decoded = ChannelNumber::decode(&[0x40, 1, 0xff, 0xff], &ID);
        assert_eq!(decoded, Ok(ChannelNumber(0x4001)));
    }
}
