//! ERROR-CODE: why a request failed (RFC 8489 §14.8).

use crate::attribute::error_value;
use crate::{Attribute, AttributeError, AttributeType, TransactionId};

/// The error of an error response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrorCode<'a> {
    /// 300 to 699.
    pub code: u16,
    /// The reason for a human: UTF-8, up to 763 bytes, may be empty.
    pub reason: &'a str,
}

impl<'a> Attribute<'a> for ErrorCode<'a> {
    const TYPE: AttributeType = AttributeType::ERROR_CODE;

    fn decode(value: &'a [u8], _: &TransactionId) -> Result<Self, AttributeError> {
        let (_, code, reason) = error_value::decode(Self::TYPE, value)?;
        Ok(Self { code, reason })
    }

    fn value_len(&self) -> usize {
        error_value::value_len(self.reason)
    }

    fn encode(&self, out: &mut [u8], _: &TransactionId) {
        error_value::encode(0, self.code, self.reason, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attribute::testing::{encoded, giant, lengths, round_trip};

    #[test]
    fn s12_value() {
        let error = ErrorCode {
            code: 438,
            reason: "Stale Nonce",
        };
        assert_eq!(encoded(&error), b"\x00\0\x04\x26Stale Nonce");
        round_trip(&error);
        round_trip(&ErrorCode {
            code: 300,
            reason: "",
        });
        round_trip(&ErrorCode {
            code: 699,
            reason: "",
        });
    }

    #[test]
    fn s11_lengths() {
        let value = giant(&[0, 0, 3]);
        assert!(lengths::<ErrorCode<'_>>(&value).into_iter().eq(4..=4 + 763));
    }
}
