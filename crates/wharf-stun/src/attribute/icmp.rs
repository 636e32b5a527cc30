//! ICMP: an ICMP error that came back for a datagram to a peer (RFC 8656 §18.13).

use crate::attribute;
use crate::{Attribute, AttributeError, AttributeType, TransactionId};

/// Type and code of an ICMP or ICMPv6 message, in a Data indication.
///
/// The figure of RFC 8656 §18.13 draws 7 bits of type and 9 of code, but both are 8 bits in ICMP
/// (RFC 792, RFC 4443) and the text calls them by these names. The value here is what is sent in
/// practice: 16 reserved bits, 8 bits of type, 8 bits of code, 32 bits of data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Icmp {
    /// The ICMP type.
    pub icmp_type: u8,
    /// The ICMP code.
    pub code: u8,
    /// The next-hop MTU for "packet too big", otherwise zero (RFC 8656 §11.5).
    pub data: [u8; 4],
}

impl Attribute<'_> for Icmp {
    const TYPE: AttributeType = AttributeType::ICMP;

    fn decode(value: &[u8], _: &TransactionId) -> Result<Self, AttributeError> {
        let [_, _, icmp_type, code, data @ ..] = attribute::array::<8>(Self::TYPE, value)?;
        Ok(Self {
            icmp_type,
            code,
            data,
        })
    }

    fn value_len(&self) -> usize {
        8
    }

    fn encode(&self, out: &mut [u8], _: &TransactionId) {
        out[..4].copy_from_slice(&[0, 0, self.icmp_type, self.code]);
        out[4..].copy_from_slice(&self.data);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attribute::testing::{ID, encoded, giant, lengths, round_trip};

    #[test]
    fn value() {
        let too_big = Icmp {
            icmp_type: 3,
            code: 4,
            data: [0, 0, 5, 0xdc],
        };
        assert_eq!(encoded(&too_big), [0, 0, 3, 4, 0, 0, 5, 0xdc]);
        round_trip(&too_big);
    }

    #[test]
    fn s10_lengths() {
        assert_eq!(lengths::<Icmp>(&giant(&[1])), [8]);
    }

    #[test]
    fn t55_reserved_bits_are_ignored() {
        let decoded = Icmp::decode(&[0xff, 0xff, 11, 1, 0, 0, 0, 0], &ID);
        let expired = Icmp {
            icmp_type: 11,
            code: 1,
            data: [0; 4],
        };
        assert_eq!(decoded, Ok(expired));
    }
}
