//! REQUESTED-ADDRESS-FAMILY: the family of the relayed transport address (RFC 8656 §18.6).

use crate::attribute::{self, AddressFamily};
use crate::{Attribute, AttributeError, AttributeType, TransactionId};

/// The family that an Allocate request asks for, or that a Refresh request is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestedAddressFamily(
    /// The family.
    pub AddressFamily,
);

impl Attribute<'_> for RequestedAddressFamily {
    const TYPE: AttributeType = AttributeType::REQUESTED_ADDRESS_FAMILY;

    fn decode(value: &[u8], _: &TransactionId) -> Result<Self, AttributeError> {
        // The last three bytes are reserved and ignored.
        let [family, ..] = attribute::array::<4>(Self::TYPE, value)?;
        AddressFamily::decode(Self::TYPE, family).map(Self)
    }

    fn value_len(&self) -> usize {
        4
    }

    fn encode(&self, out: &mut [u8], _: &TransactionId) {
        out.copy_from_slice(&[self.0.code(), 0, 0, 0]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attribute::testing::{ID, encoded, giant, lengths, round_trip};

    #[test]
    fn value() {
        assert_eq!(
            encoded(&RequestedAddressFamily(AddressFamily::V4)),
            [1, 0, 0, 0]
        );
        assert_eq!(
            encoded(&RequestedAddressFamily(AddressFamily::V6)),
            [2, 0, 0, 0]
        );
        round_trip(&RequestedAddressFamily(AddressFamily::V6));
    }

    #[test]
    fn s10_lengths() {
        assert_eq!(lengths::<RequestedAddressFamily>(&giant(&[1])), [4]);
    }

    #[test]
    fn t17_families() {
        for code in 0..=u8::MAX {
            let expected = match code {
                1 => Ok(RequestedAddressFamily(AddressFamily::V4)),
                2 => Ok(RequestedAddressFamily(AddressFamily::V6)),
                _ => Err(AttributeError::Value {
                    ty: RequestedAddressFamily::TYPE,
                }),
            };
            // The reserved bytes are ignored.
            assert_eq!(
                RequestedAddressFamily::decode(&[code, 0xff, 0xff, 0xff], &ID),
                expected
            );
        }
    }
}
