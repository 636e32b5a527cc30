//! ADDITIONAL-ADDRESS-FAMILY: a second relayed transport address (RFC 8656 §18.11).

use crate::attribute::{self, AddressFamily};
use crate::{Attribute, AttributeError, AttributeType, TransactionId};

/// The family of a second relayed transport address. Only IPv6 makes sense; the answer to IPv4 is
/// the server's to give (RFC 8656 §7.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdditionalAddressFamily(
    /// The family.
    pub AddressFamily,
);

impl Attribute<'_> for AdditionalAddressFamily {
    const TYPE: AttributeType = AttributeType::ADDITIONAL_ADDRESS_FAMILY;

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
            encoded(&AdditionalAddressFamily(AddressFamily::V4)),
            [1, 0, 0, 0]
        );
        assert_eq!(
            encoded(&AdditionalAddressFamily(AddressFamily::V6)),
            [2, 0, 0, 0]
        );
        round_trip(&AdditionalAddressFamily(AddressFamily::V6));
    }

    #[test]
    fn s10_lengths() {
        assert_eq!(lengths::<AdditionalAddressFamily>(&giant(&[1])), [4]);
    }

    #[test]
    fn t17_families() {
        for code in 0..=u8::MAX {
            let expected = match code {
                1 => Ok(AdditionalAddressFamily(AddressFamily::V4)),
                2 => Ok(AdditionalAddressFamily(AddressFamily::V6)),
                _ => Err(AttributeError::Value {
                    ty: AdditionalAddressFamily::TYPE,
                }),
            };
            // The reserved bytes are ignored.
            assert_eq!(
                AdditionalAddressFamily::decode(&[code, 0xff, 0xff, 0xff], &ID),
                expected
            );
        }
    }
}
