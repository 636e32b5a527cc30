//! USERHASH: the user name hidden in a hash (RFC 8489 §14.4).

use crate::attribute;
use crate::{Attribute, AttributeError, AttributeType, TransactionId};

/// SHA-256(user ":" realm), see [`userhash`](crate::credential::userhash).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserHash(
    /// The hash.
    pub [u8; 32],
);

impl Attribute<'_> for UserHash {
    const TYPE: AttributeType = AttributeType::USERHASH;

    fn decode(value: &[u8], _: &TransactionId) -> Result<Self, AttributeError> {
        attribute::array(Self::TYPE, value).map(Self)
    }

    fn value_len(&self) -> usize {
        32
    }

    fn encode(&self, out: &mut [u8], _: &TransactionId) {
        out.copy_from_slice(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attribute::testing::{encoded, giant, lengths, round_trip};

    #[test]
    fn value() {
        assert_eq!(encoded(&UserHash([7; 32])), [7; 32]);
        round_trip(&UserHash([9; 32]));
    }

    #[test]
    fn s10_lengths() {
        assert_eq!(lengths::<UserHash>(&giant(&[1])), [32]);
    }
}
