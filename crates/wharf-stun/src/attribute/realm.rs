//! REALM: the realm of a long-term credential (RFC 8489 §14.9).

use crate::attribute;
use crate::{Attribute, AttributeError, AttributeType, TransactionId};

/// The realm: fewer than 128 characters, that is up to 763 bytes, of UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Realm<'a>(
    /// The realm without quotation marks.
    pub &'a str,
);

impl<'a> Attribute<'a> for Realm<'a> {
    const TYPE: AttributeType = AttributeType::REALM;

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
        assert_eq!(encoded(&Realm("example.org")), b"example.org");
        round_trip(&Realm("example.org"));
        round_trip(&Realm(""));
    }

    #[test]
    fn s11_lengths() {
        assert!(lengths::<Realm<'_>>(&giant(b"")).into_iter().eq(0..=763));
    }

    #[test]
    fn s10_not_utf8() {
        let error = AttributeError::Utf8 { ty: Realm::TYPE };
        assert_eq!(Realm::decode(b"a\xff", &ID), Err(error));
    }
}
