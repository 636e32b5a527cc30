//! CHANGE-REQUEST: where the response is to be sent from (RFC 5780 §7.2).

use crate::attribute;
use crate::{Attribute, AttributeError, AttributeType, TransactionId};

/// Asks for a response from the server's other IP address, its other port, or both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChangeRequest {
    /// From the other IP address (0x4).
    pub ip: bool,
    /// From the other port (0x2).
    pub port: bool,
}

impl Attribute<'_> for ChangeRequest {
    const TYPE: AttributeType = AttributeType::CHANGE_REQUEST;

    fn decode(value: &[u8], _: &TransactionId) -> Result<Self, AttributeError> {
        // The other bits are reserved and ignored.
        attribute::array(Self::TYPE, value).map(|[_, _, _, bits]| Self {
            ip: bits & 4 != 0,
            port: bits & 2 != 0,
        })
    }

    fn value_len(&self) -> usize {
        4
    }

    fn encode(&self, out: &mut [u8], _: &TransactionId) {
        out.copy_from_slice(&[0, 0, 0, u8::from(self.ip) << 2 | u8::from(self.port) << 1]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attribute::testing::{ID, encoded, giant, lengths, round_trip};

    #[test]
    fn value() {
        let both = ChangeRequest {
            ip: true,
            port: true,
        };
        assert_eq!(encoded(&both), [0, 0, 0, 6]);
        round_trip(&both);
        round_trip(&ChangeRequest {
            ip: true,
            port: false,
        });
        round_trip(&ChangeRequest {
            ip: false,
            port: true,
        });
    }

    #[test]
    fn s10_lengths() {
        assert_eq!(lengths::<ChangeRequest>(&giant(&[1])), [4]);
    }

    #[test]
    fn n2_other_bits_are_ignored() {
        let decoded = ChangeRequest::decode(&[0xff, 0xff, 0xff, 0xfb], &ID);
        assert_eq!(
            decoded,
            Ok(ChangeRequest {
                ip: false,
                port: true
            })
        );
    }
}
