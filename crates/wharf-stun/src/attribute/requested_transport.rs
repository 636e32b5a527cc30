//! REQUESTED-TRANSPORT: the protocol between server and peers (RFC 8656 §18.8).

use crate::attribute;
use crate::{Attribute, AttributeError, AttributeType, TransactionId};

/// A protocol number of IANA's: 17 for UDP, 6 for TCP (RFC 6062 §4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestedTransport(
    /// The protocol number.
    pub u8,
);

impl RequestedTransport {
    /// UDP, the transport of RFC 8656.
    pub const UDP: Self = Self(17);
    /// TCP, the transport of RFC 6062.
    pub const TCP: Self = Self(6);
}

impl Attribute<'_> for RequestedTransport {
    const TYPE: AttributeType = AttributeType::REQUESTED_TRANSPORT;

    fn decode(value: &[u8], _: &TransactionId) -> Result<Self, AttributeError> {
        // The last three bytes are reserved and ignored.
        attribute::array(Self::TYPE, value).map(|[protocol, _, _, _]| Self(protocol))
    }

    fn value_len(&self) -> usize {
        4
    }

    fn encode(&self, out: &mut [u8], _: &TransactionId) {
        out.copy_from_slice(&[self.0, 0, 0, 0]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attribute::testing::{ID, encoded, giant, lengths, round_trip};

    #[test]
    fn value() {
        assert_eq!(encoded(&RequestedTransport::UDP), [17, 0, 0, 0]);
        assert_eq!(encoded(&RequestedTransport::TCP), [6, 0, 0, 0]);
        round_trip(&RequestedTransport(255));
    }

    #[test]
    fn s10_lengths() {
        assert_eq!(lengths::<RequestedTransport>(&giant(&[1])), [4]);
    }

    #[test]
    fn t13_reserved_bits_are_ignored() {
        let decoded = RequestedTransport::decode(&[17, 0xff, 0xff, 0xff], &ID);
        assert_eq!(decoded, Ok(RequestedTransport::UDP));
    }
}
