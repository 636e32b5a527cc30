//! OTHER-ADDRESS: the server's other address (RFC 5780 §7.4).

use std::net::SocketAddr;

use crate::attribute::address;
use crate::{Attribute, AttributeError, AttributeType, TransactionId};

/// The server's address that CHANGE-REQUEST would choose: other IP address and other port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OtherAddress(
    /// The transport address; flow label and scope are not carried.
    pub SocketAddr,
);

impl Attribute<'_> for OtherAddress {
    const TYPE: AttributeType = AttributeType::OTHER_ADDRESS;

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
        let v4 = OtherAddress(([192, 0, 2, 1], 32853).into());
        assert_eq!(encoded(&v4), b"\x00\x01\x80\x55\xc0\x00\x02\x01");
        round_trip(&v4);
        round_trip(&OtherAddress(([0x2001, 0xdb8, 1, 2, 3, 4, 5, 6], 0).into()));
    }

    #[test]
    fn s10_lengths() {
        assert_eq!(lengths::<OtherAddress>(&giant(&[0, 1])), [8]);
        assert_eq!(lengths::<OtherAddress>(&giant(&[0, 2])), [20]);
        assert_eq!(lengths::<OtherAddress>(&giant(&[0, 0])), []);
        assert_eq!(lengths::<OtherAddress>(&giant(&[0, 3])), []);
    }
}
