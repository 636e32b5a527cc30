//! PASSWORD-ALGORITHM: the key derivation that the client chose (RFC 8489 §14.12).

use crate::{Attribute, AttributeError, AttributeType, TransactionId, padded};

/// An algorithm of IANA's "STUN Password Algorithms" with its parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PasswordAlgorithm<'a> {
    /// The algorithm's number.
    pub algorithm: u16,
    /// Its parameters, without padding; empty for both defined algorithms.
    pub parameters: &'a [u8],
}

impl<'a> PasswordAlgorithm<'a> {
    /// MD5(user ":" realm ":" password), without parameters (RFC 8489 §18.5.1.1).
    pub const MD5: Self = Self {
        algorithm: 1,
        parameters: &[],
    };
    /// SHA-256(user ":" realm ":" password), without parameters (RFC 8489 §18.5.1.2).
    pub const SHA256: Self = Self {
        algorithm: 2,
        parameters: &[],
    };

    /// The algorithm at the beginning of `value`, and what follows it and its padding. Padding
    /// may be missing at the end.
    pub(super) fn split(value: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (&[a0, a1, l0, l1], rest) = value.split_first_chunk()?;
        let len = usize::from(u16::from_be_bytes([l0, l1]));
        let parameters = rest.get(..len)?;
        let rest = rest.get(padded(len)..).unwrap_or_default();
        Some((
            Self {
                algorithm: u16::from_be_bytes([a0, a1]),
                parameters,
            },
            rest,
        ))
    }

    /// Writes the algorithm at the beginning of `out`; what lies behind is left alone.
    pub(super) fn write(&self, out: &mut [u8]) {
        let parameters = self.parameters;
        out[..2].copy_from_slice(&self.algorithm.to_be_bytes());
        out[2..4].copy_from_slice(&(parameters.len() as u16).to_be_bytes());
        out[4..4 + parameters.len()].copy_from_slice(parameters);
    }
}

impl<'a> Attribute<'a> for PasswordAlgorithm<'a> {
    const TYPE: AttributeType = AttributeType::PASSWORD_ALGORITHM;

    fn decode(value: &'a [u8], _: &TransactionId) -> Result<Self, AttributeError> {
        match Self::split(value) {
            Some((algorithm, [])) => Ok(algorithm),
            _ => Err(AttributeError::Length {
                ty: Self::TYPE,
                len: value.len(),
            }),
        }
    }

    fn value_len(&self) -> usize {
        4 + self.parameters.len()
    }

    fn encode(&self, out: &mut [u8], _: &TransactionId) {
        self.write(out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attribute::testing::{ID, encoded, giant, lengths, round_trip};

    #[test]
    fn value() {
        assert_eq!(encoded(&PasswordAlgorithm::MD5), [0, 1, 0, 0]);
        assert_eq!(encoded(&PasswordAlgorithm::SHA256), [0, 2, 0, 0]);
        round_trip(&PasswordAlgorithm::SHA256);
        round_trip(&PasswordAlgorithm {
            algorithm: 0xffff,
            parameters: b"abcde",
        });
    }

    #[test]
    fn padding_of_parameters_may_be_counted() {
        let expected = PasswordAlgorithm {
            algorithm: 9,
            parameters: b"a",
        };
        assert_eq!(
            PasswordAlgorithm::decode(b"\0\x09\0\x01a", &ID),
            Ok(expected)
        );
        assert_eq!(
            PasswordAlgorithm::decode(b"\0\x09\0\x01a\0\0\0", &ID),
            Ok(expected)
        );
    }

    #[test]
    fn s10_lengths() {
        assert_eq!(lengths::<PasswordAlgorithm<'_>>(&giant(&[0, 2, 0, 0])), [4]);
        assert_eq!(
            lengths::<PasswordAlgorithm<'_>>(&giant(&[0, 2, 0, 6])),
            [10, 11, 12]
        );
        assert_eq!(
            lengths::<PasswordAlgorithm<'_>>(&giant(&[0, 2, 0xff, 0xff])),
            []
        );
    }
}
