//! ACCESS-TOKEN: a self-contained token of an authorization server (RFC 7635 §6.2).

use crate::{Attribute, AttributeError, AttributeType, TransactionId};

/// The token, encrypted and authenticated between authorization server and STUN server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccessToken<'a>(
    /// Nonce length, nonce, ciphertext and tag (RFC 7635 §6.2).
    pub &'a [u8],
);

impl<'a> Attribute<'a> for AccessToken<'a> {
    const TYPE: AttributeType = AttributeType::ACCESS_TOKEN;

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
        assert_eq!(encoded(&AccessToken(b"example")), b"example");
        round_trip(&AccessToken(b"example"));
        round_trip(&AccessToken(b""));
    }

    #[test]
    fn s10_lengths() {
        assert!(
            lengths::<AccessToken<'_>>(&giant(b""))
                .into_iter()
                .eq(0..=65535)
        );
    }
}
