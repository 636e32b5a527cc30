//! ADDITIONAL-ADDRESS-FAMILY as drafts of RFC 8656 numbered it (draft-ietf-tram-turn-ssoda), which
//! deployed clients still send.

use super::{AdditionalAddressFamily, AddressFamily};
use crate::{Attribute, AttributeError, AttributeType, TransactionId};

/// The value of [`AdditionalAddressFamily`] under type 0x8032. A server may take it for the same
/// wish; nothing but clients' requests carries it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DraftAdditionalAddressFamily(
    /// The family.
    pub AddressFamily,
);

impl Attribute<'_> for DraftAdditionalAddressFamily {
    const TYPE: AttributeType = AttributeType::DRAFT_ADDITIONAL_ADDRESS_FAMILY;

    fn decode(value: &[u8], id: &TransactionId) -> Result<Self, AttributeError> {
        match AdditionalAddressFamily::decode(value, id) {
            Ok(AdditionalAddressFamily(family)) => Ok(Self(family)),
            Err(AttributeError::Length { len, .. }) => Err(AttributeError::Length {
                ty: Self::TYPE,
                len,
            }),
            Err(_) => Err(AttributeError::Value { ty: Self::TYPE }),
        }
    }

    fn value_len(&self) -> usize {
        4
    }

    fn encode(&self, out: &mut [u8], id: &TransactionId) {
        AdditionalAddressFamily(self.0).encode(out, id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attribute::testing::{encoded, giant, lengths, round_trip};

    #[test]
    fn value() {
        assert_eq!(
            encoded(&DraftAdditionalAddressFamily(AddressFamily::V6)),
            [2, 0, 0, 0]
        );
        round_trip(&DraftAdditionalAddressFamily(AddressFamily::V4));
    }

    #[test]
    fn s10_lengths() {
        assert_eq!(lengths::<DraftAdditionalAddressFamily>(&giant(&[1])), [4]);
    }
}
