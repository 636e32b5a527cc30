//! PASSWORD-ALGORITHMS: the key derivations that the server offers (RFC 8489 §14.11).

use super::PasswordAlgorithm;
use crate::{Attribute, AttributeError, AttributeType, TransactionId, padded};

/// A list of algorithms, the server's preferred one first. The client sends it back unchanged:
/// two lists are equal when they have equal algorithms in the same order.
#[derive(Clone, Copy, Debug)]
pub struct PasswordAlgorithms<'a>(List<'a>);

#[derive(Clone, Copy, Debug)]
enum List<'a> {
    Algorithms(&'a [PasswordAlgorithm<'a>]),
    /// Checked to hold whole algorithms.
    Wire(&'a [u8]),
}

impl<'a> PasswordAlgorithms<'a> {
    /// The list to be written.
    pub const fn new(algorithms: &'a [PasswordAlgorithm<'a>]) -> Self {
        Self(List::Algorithms(algorithms))
    }

    /// The algorithms, in order.
    pub fn iter(&self) -> impl Iterator<Item = PasswordAlgorithm<'a>> + use<'a> {
        let (algorithms, mut wire): (&[_], &[u8]) = match self.0 {
            List::Algorithms(algorithms) => (algorithms, &[]),
            List::Wire(wire) => (&[], wire),
        };
        let wire = std::iter::from_fn(move || {
            let (algorithm, rest) = PasswordAlgorithm::split(wire)?;
            wire = rest;
            Some(algorithm)
        });
        algorithms.iter().copied().chain(wire)
    }
}

impl PartialEq for PasswordAlgorithms<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl<'a> Attribute<'a> for PasswordAlgorithms<'a> {
    const TYPE: AttributeType = AttributeType::PASSWORD_ALGORITHMS;

    fn decode(value: &'a [u8], _: &TransactionId) -> Result<Self, AttributeError> {
        let mut rest = value;
        while !rest.is_empty() {
            let length = AttributeError::Length {
                ty: Self::TYPE,
                len: value.len(),
            };
            (_, rest) = PasswordAlgorithm::split(rest).ok_or(length)?;
        }
        Ok(Self(List::Wire(value)))
    }

    fn value_len(&self) -> usize {
        self.iter()
            .map(|algorithm| padded(algorithm.value_len()))
            .sum()
    }

    fn encode(&self, mut out: &mut [u8], _: &TransactionId) {
        out.fill(0);
        for algorithm in self.iter() {
            algorithm.write(out);
            out = &mut out[padded(algorithm.value_len())..];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attribute::testing::{ID, encoded, giant, lengths, round_trip};

    const BOTH: PasswordAlgorithms<'_> =
        PasswordAlgorithms::new(&[PasswordAlgorithm::SHA256, PasswordAlgorithm::MD5]);

    #[test]
    fn value() {
        assert_eq!(encoded(&BOTH), [0, 2, 0, 0, 0, 1, 0, 0]);
        round_trip(&BOTH);
        round_trip(&PasswordAlgorithms::new(&[]));
        let odd = PasswordAlgorithm {
            algorithm: 7,
            parameters: b"abcde",
        };
        let list = [odd, PasswordAlgorithm::MD5];
        let list = PasswordAlgorithms::new(&list);
        assert_eq!(encoded(&list), b"\0\x07\0\x05abcde\0\0\0\0\x01\0\0");
        round_trip(&list);
    }

    #[test]
    fn l4_lists_are_compared_in_order() {
        let swapped = PasswordAlgorithms::decode(&[0, 1, 0, 0, 0, 2, 0, 0], &ID).expect("a list");
        assert_ne!(swapped, BOTH);
        let same = PasswordAlgorithms::decode(&[0, 2, 0, 0, 0, 1, 0, 0], &ID).expect("a list");
        assert_eq!(same, BOTH);
        assert_eq!(encoded(&same), encoded(&BOTH));
        assert_ne!(PasswordAlgorithms::new(&[PasswordAlgorithm::SHA256]), BOTH);
    }

    #[test]
    fn s10_lengths() {
        // One algorithm of 0xf004 bytes, then small ones.
        let value = giant(&[0, 1, 0xf0, 0]);
        let expected = (0..=65535).filter(|len| len % 4 == 0 && (*len == 0 || *len >= 0xf004));
        assert!(
            lengths::<PasswordAlgorithms<'_>>(&value)
                .into_iter()
                .eq(expected)
        );
        assert_eq!(
            lengths::<PasswordAlgorithms<'_>>(&giant(&[0, 1, 0xff, 0xff])),
            [0]
        );
    }
}
