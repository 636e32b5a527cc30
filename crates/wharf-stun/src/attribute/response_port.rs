//! RESPONSE-PORT: the port that a response is to be sent to (RFC 5780 §7.5).

use crate::{Attribute, AttributeError, AttributeType, TransactionId};

/// The port of the client's address that the response goes to.
///
/// RFC 5780 has "2 bytes of padding" behind the port and does not say whether the length counts
/// them: both lengths are read, the longer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResponsePort(
    /// The port.
    pub u16,
);

impl Attribute<'_> for ResponsePort {
    const TYPE: AttributeType = AttributeType::RESPONSE_PORT;

    fn decode(value: &[u8], _: &TransactionId) -> Result<Self, AttributeError> {
        match *value {
            [p0, p1] | [p0, p1, _, _] => Ok(Self(u16::from_be_bytes([p0, p1]))),
            _ => Err(AttributeError::Length {
                ty: Self::TYPE,
                len: value.len(),
            }),
        }
    }

    fn value_len(&self) -> usize {
        4
    }

    fn encode(&self, out: &mut [u8], _: &TransactionId) {
        out[..2].copy_from_slice(&self.0.to_be_bytes());
        out[2..].fill(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attribute::testing::{encoded, giant, lengths, round_trip};

    #[test]
    fn value() {
        assert_eq!(encoded(&ResponsePort(0x1234)), [0x12, 0x34, 0, 0]);
        round_trip(&ResponsePort(0));
        round_trip(&ResponsePort(u16::MAX));
    }

    #[test]
    fn s10_lengths() {
        assert_eq!(lengths::<ResponsePort>(&giant(&[])), [2, 4]);
    }
}
