//! ADDRESS-ERROR-CODE: why one of two families could not be allocated (RFC 8656 §18.12).

use crate::attribute::{AddressFamily, error_value};
use crate::{Attribute, AttributeError, AttributeType, TransactionId};

/// The error of one family in a success response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressErrorCode<'a> {
    /// The family that could not be allocated.
    pub family: AddressFamily,
    /// 300 to 699.
    pub code: u16,
    /// The reason for a human: UTF-8, up to 763 bytes, may be empty.
    pub reason: &'a str,
}

impl<'a> Attribute<'a> for AddressErrorCode<'a> {
    const TYPE: AttributeType = AttributeType::ADDRESS_ERROR_CODE;

    fn decode(value: &'a [u8], _: &TransactionId) -> Result<Self, AttributeError> {
        let (first, code, reason) = error_value::decode(Self::TYPE, value)?;
        let family = AddressFamily::decode(Self::TYPE, first)?;
        Ok(Self {
            family,
            code,
            reason,
        })
    }

    fn value_len(&self) -> usize {
        error_value::value_len(self.reason)
    }

    fn encode(&self, out: &mut [u8], _: &TransactionId) {
        error_value::encode(self.family.code(), self.code, self.reason, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attribute::testing::{encoded, giant, lengths, round_trip};

    #[test]
    fn s12_value() {
        let error = AddressErrorCode {
            family: AddressFamily::V6,
            code: 438,
            reason: "Stale Nonce",
        };
        assert_eq!(encoded(&error), b"\x02\0\x04\x26Stale Nonce");
        round_trip(&error);
        round_trip(&AddressErrorCode {
            family: AddressFamily::V6,
            code: 300,
            reason: "",
        });
        round_trip(&AddressErrorCode {
            family: AddressFamily::V6,
            code: 699,
            reason: "",
        });
    }

    #[test]
    fn s11_lengths() {
        let value = giant(&[2, 0, 3]);
        assert!(
            lengths::<AddressErrorCode<'_>>(&value)
                .into_iter()
                .eq(4..=4 + 763)
        );
    }
}
