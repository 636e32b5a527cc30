//! RESERVATION-TOKEN: a claim on a relayed transport address held in reserve (RFC 8656 §18.10).

use crate::attribute;
use crate::{Attribute, AttributeError, AttributeType, TransactionId};

/// The token, which the server chose and nobody can guess.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReservationToken(
    /// The token.
    pub [u8; 8],
);

impl Attribute<'_> for ReservationToken {
    const TYPE: AttributeType = AttributeType::RESERVATION_TOKEN;

    fn decode(value: &[u8], _: &TransactionId) -> Result<Self, AttributeError> {
        attribute::array(Self::TYPE, value).map(Self)
    }

    fn value_len(&self) -> usize {
        8
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
        assert_eq!(encoded(&ReservationToken(*b"reserved")), b"reserved");
        round_trip(&ReservationToken([0xff; 8]));
    }

    #[test]
    fn s10_lengths() {
        assert_eq!(lengths::<ReservationToken>(&giant(&[1])), [8]);
    }
}
