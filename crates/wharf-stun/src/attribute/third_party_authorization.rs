//! THIRD-PARTY-AUTHORIZATION: the server name to ask an authorization server for (RFC 7635 §6.1).

use crate::attribute;
use crate::{Attribute, AttributeError, AttributeType, TransactionId};

/// The name of the STUN server as its authorization server knows it: UTF-8, up to 763 bytes as
/// for the other texts (RFC 7635 gives no limit).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThirdPartyAuthorization<'a>(
    /// The server name.
    pub &'a str,
);

impl<'a> Attribute<'a> for ThirdPartyAuthorization<'a> {
    const TYPE: AttributeType = AttributeType::THIRD_PARTY_AUTHORIZATION;

    fn decode(value: &'a [u8], _: &TransactionId) -> Result<Self, AttributeError> {
        attribute::text(Self::TYPE, value, attribute::MAX_TEXT).map(Self)
    }

    fn value_len(&self) -> usize {
        self.0.len()
    }

    fn encode(&self, out: &mut [u8], _: &TransactionId) {
        out.copy_from_slice(self.0.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attribute::testing::{ID, encoded, giant, lengths, round_trip};

    #[test]
    fn value() {
        assert_eq!(
            encoded(&ThirdPartyAuthorization("example.org")),
            b"example.org"
        );
        round_trip(&ThirdPartyAuthorization("example.org"));
        round_trip(&ThirdPartyAuthorization(""));
    }

    #[test]
    fn s11_lengths() {
        assert!(
            lengths::<ThirdPartyAuthorization<'_>>(&giant(b""))
                .into_iter()
                .eq(0..=763)
        );
    }

    #[test]
    fn s10_not_utf8() {
        let error = AttributeError::Utf8 {
            ty: ThirdPartyAuthorization::TYPE,
        };
        assert_eq!(ThirdPartyAuthorization::decode(b"a\xff", &ID), Err(error));
    }
}
