//! USERNAME: the user name in the clear (RFC 8489 §14.3).

use crate::attribute;
use crate::{Attribute, AttributeError, AttributeType, TransactionId};

/// The user name: UTF-8, up to 763 bytes. RFC 8489 has a sender stay below 509 bytes and RFC 5389
/// below 513; older senders may exceed both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Username<'a>(
    /// The user name.
    pub &'a str,
);

impl<'a> Attribute<'a> for Username<'a> {
    const TYPE: AttributeType = AttributeType::USERNAME;

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
        assert_eq!(encoded(&Username("example.org")), b"example.org");
        round_trip(&Username("example.org"));
        round_trip(&Username(""));
    }

    #[test]
    fn s11_lengths() {
        assert!(lengths::<Username<'_>>(&giant(b"")).into_iter().eq(0..=763));
    }

    #[test]
    fn s10_not_utf8() {
        let error = AttributeError::Utf8 { ty: Username::TYPE };
        assert_eq!(Username::decode(b"a\xff", &ID), Err(error));
    }
}
