//! DONT-FRAGMENT: send to the peer with the DF bit (RFC 8656 §18.9).

use crate::attribute;
use crate::{Attribute, AttributeError, AttributeType, TransactionId};

/// A flag: the datagram to the peer must not be fragmented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DontFragment;

impl Attribute<'_> for DontFragment {
    const TYPE: AttributeType = AttributeType::DONT_FRAGMENT;

    fn decode(value: &[u8], _: &TransactionId) -> Result<Self, AttributeError> {
        attribute::array(Self::TYPE, value).map(|[]| Self)
    }

    fn value_len(&self) -> usize {
        0
    }

    fn encode(&self, out: &mut [u8], _: &TransactionId) {
        debug_assert!(out.is_empty(), "the attribute has no value");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attribute::testing::{encoded, giant, lengths, round_trip};

    #[test]
    fn value() {
        assert_eq!(encoded(&DontFragment), []);
        round_trip(&DontFragment);
    }

    #[test]
    fn s10_lengths() {
        assert_eq!(lengths::<DontFragment>(&giant(&[1])), [0]);
    }
}
