//! XOR-RELAYED-ADDRESS: the relayed transport address (RFC 8656 §18.5).

use std::net::SocketAddr;

use crate::attribute::address;
use crate::{Attribute, AttributeError, AttributeType, TransactionId};

/// The address that the TURN server allocated to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct XorRelayedAddress(
    /// The transport address; flow label and scope are not carried.
    pub SocketAddr,
);

impl Attribute<'_> for XorRelayedAddress {
    const TYPE: AttributeType = AttributeType::XOR_RELAYED_ADDRESS;

    fn decode(value: &[u8], id: &TransactionId) -> Result<Self, AttributeError> {
        address::decode_xor(Self::TYPE, value, id).map(Self)
    }

    fn value_len(&self) -> usize {
        address::value_len(self.0)
    }

    fn encode(&self, out: &mut [u8], id: &TransactionId) {
        address::encode_xor(self.0, out, id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attribute::testing::{encoded, giant, lengths, round_trip};

    #[test]
    fn value() {
        let v4 = XorRelayedAddress(([192, 0, 2, 1], 32853).into());
        assert_eq!(encoded(&v4), b"\x00\x01\xa1\x47\xe1\x12\xa6\x43");
        round_trip(&v4);
        round_trip(&XorRelayedAddress(
            ([0x2001, 0xdb8, 1, 2, 3, 4, 5, 6], 0).into(),
        ));
    }

    #[test]
    fn s10_lengths() {
        assert_eq!(lengths::<XorRelayedAddress>(&giant(&[0, 1])), [8]);
        assert_eq!(lengths::<XorRelayedAddress>(&giant(&[0, 2])), [20]);
        assert_eq!(lengths::<XorRelayedAddress>(&giant(&[0, 0])), []);
        assert_eq!(lengths::<XorRelayedAddress>(&giant(&[0, 3])), []);
    }
}
