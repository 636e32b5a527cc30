//! EVEN-PORT: an even port, for RTP (RFC 8656 §18.7).

use crate::attribute;
use crate::{Attribute, AttributeError, AttributeType, TransactionId};

/// Asks that the port of the relayed transport address be even.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EvenPort {
    /// The R bit: keep the next port in reserve for a RESERVATION-TOKEN.
    pub reserve_next: bool,
}

impl Attribute<'_> for EvenPort {
    const TYPE: AttributeType = AttributeType::EVEN_PORT;

    fn decode(value: &[u8], _: &TransactionId) -> Result<Self, AttributeError> {
        // The other seven bits are reserved and ignored.
        attribute::array(Self::TYPE, value).map(|[bits]| Self {
            reserve_next: bits & 0x80 != 0,
        })
    }

    fn value_len(&self) -> usize {
        1
    }

    fn encode(&self, out: &mut [u8], _: &TransactionId) {
        out[0] = u8::from(self.reserve_next) << 7;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attribute::testing::{ID, encoded, giant, lengths, round_trip};

    #[test]
    fn value() {
        assert_eq!(encoded(&EvenPort { reserve_next: true }), [0x80]);
        assert_eq!(
            encoded(&EvenPort {
                reserve_next: false
            }),
            [0]
        );
        round_trip(&EvenPort { reserve_next: true });
    }

    #[test]
    fn s10_lengths() {
        assert_eq!(lengths::<EvenPort>(&giant(&[1])), [1]);
    }

    #[test]
    fn t18_reserved_bits_are_ignored() {
        for bits in 0..=u8::MAX {
            let reserve_next = bits >= 0x80;
            assert_eq!(
                EvenPort::decode(&[bits], &ID),
                Ok(EvenPort { reserve_next })
            );
        }
    }
}
