//! MAPPED-ADDRESS: the reflexive address in the clear (RFC 8489 §14.1).

use std::net::SocketAddr;

use crate::attribute::address;
use crate::{Attribute, AttributeError, AttributeType, TransactionId};

/// The client's address as the server saw it, for clients of RFC 3489.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MappedAddress(
    /// The transport address; flow label and scope are not carried.
    pub SocketAddr,
);

impl Attribute<'_> for MappedAddress {
    const TYPE: AttributeType = AttributeType::MAPPED_ADDRESS;

    fn decode(value: &[u8], _: &TransactionId) -> Result<Self, AttributeError> {
        address::decode(Self::TYPE, value).map(Self)
    }

    fn value_len(&self) -> usize {
        address::value_len(self.0)
    }

    fn encode(&self, out: &mut [u8], _: &TransactionId) {
        address::encode(self.0, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attribute::testing::{encoded, giant, lengths, round_trip};

    #[test]
    fn value() {
        let v4 = MappedAddress(([192, 0, 2, 1], 32853).into());
        assert_eq!(encoded(&v4), b"\x00\x01\x80\x55\xc0\x00\x02\x01");
        round_trip(&v4);
        round_trip(&MappedAddress(
            ([0x2001, 0xdb8, 1, 2, 3, 4, 5, 6], 0).into(),
        ));
    }

    #[test]
    fn s10_lengths() {
        assert_eq!(lengths::<MappedAddress>(&giant(&[0, 1])), [8]);
        assert_eq!(lengths::<MappedAddress>(&giant(&[0, 2])), [20]);
        assert_eq!(lengths::<MappedAddress>(&giant(&[0, 0])), []);
        assert_eq!(lengths::<MappedAddress>(&giant(&[0, 3])), []);
    }
}
