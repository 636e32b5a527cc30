//! ALTERNATE-DOMAIN: the domain to verify in the certificate of an alternate server (RFC 8489 §14.16).

use crate::attribute;
use crate::{Attribute, AttributeError, AttributeType, TransactionId};

/// The name of the domain, up to 255 bytes of ASCII (UTF-8 is let in).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AlternateDomain<'a>(
    /// The domain name.
    pub &'a str,
);

impl<'a> Attribute<'a> for AlternateDomain<'a> {
    const TYPE: AttributeType = AttributeType::ALTERNATE_DOMAIN;

    fn decode(value: &'a [u8], _: &TransactionId) -> Result<Self, AttributeError> {
        attribute::text(Self::TYPE, value, 255).map(Self)
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
        assert_eq!(encoded(&AlternateDomain("example.org")), b"example.org");
        round_trip(&AlternateDomain("example.org"));
        round_trip(&AlternateDomain(""));
    }

    #[test]
    fn s10_lengths() {
        assert!(
            lengths::<AlternateDomain<'_>>(&giant(b""))
                .into_iter()
                .eq(0..=255)
        );
    }

    #[test]
    fn s10_not_utf8() {
        let error = AttributeError::Utf8 {
            ty: AlternateDomain::TYPE,
        };
        assert_eq!(AlternateDomain::decode(b"a\xff", &ID), Err(error));
    }
}
