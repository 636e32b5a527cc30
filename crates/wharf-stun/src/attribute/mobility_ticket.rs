//! MOBILITY-TICKET: what lets a client move an allocation to another address (RFC 8016 §3.1).

use crate::{Attribute, AttributeError, AttributeType, TransactionId};

/// The ticket, opaque to the client; empty in an Allocate request that asks for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MobilityTicket<'a>(
    /// The ticket.
    pub &'a [u8],
);

impl<'a> Attribute<'a> for MobilityTicket<'a> {
    const TYPE: AttributeType = AttributeType::MOBILITY_TICKET;

    fn decode(value: &'a [u8], _: &TransactionId) -> Result<Self, AttributeError> {
        Ok(Self(value))
    }

    fn value_len(&self) -> usize {
        self.0.len()
    }

    fn encode(&self, out: &mut [u8], _: &TransactionId) {
        out.copy_from_slice(self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attribute::testing::{encoded, giant, lengths, round_trip};

    #[test]
    fn value() {
        assert_eq!(encoded(&MobilityTicket(b"example")), b"example");
        round_trip(&MobilityTicket(b"example"));
        round_trip(&MobilityTicket(b""));
    }

    #[test]
    fn s10_lengths() {
        assert!(
            lengths::<MobilityTicket<'_>>(&giant(b""))
                .into_iter()
                .eq(0..=65535)
        );
    }
}
