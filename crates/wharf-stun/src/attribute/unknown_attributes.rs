//! UNKNOWN-ATTRIBUTES: what a 420 response complains about (RFC 8489 §14.13).

use crate::{Attribute, AttributeError, AttributeType, TransactionId};

/// A list of attribute types, two bytes each.
#[derive(Clone, Copy, Debug)]
pub struct UnknownAttributes<'a>(List<'a>);

#[derive(Clone, Copy, Debug)]
enum List<'a> {
    Types(&'a [AttributeType]),
    Wire(&'a [[u8; 2]]),
}

impl<'a> UnknownAttributes<'a> {
    /// The list to be written.
    pub const fn new(types: &'a [AttributeType]) -> Self {
        Self(List::Types(types))
    }

    /// The types, in order.
    pub fn iter(&self) -> impl Iterator<Item = AttributeType> + use<'a> {
        let (types, wire): (&[_], &[_]) = match self.0 {
            List::Types(types) => (types, &[]),
            List::Wire(wire) => (&[], wire),
        };
        let wire = wire
            .iter()
            .map(|&bytes| AttributeType(u16::from_be_bytes(bytes)));
        types.iter().copied().chain(wire)
    }
}

impl PartialEq for UnknownAttributes<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl<'a> Attribute<'a> for UnknownAttributes<'a> {
    const TYPE: AttributeType = AttributeType::UNKNOWN_ATTRIBUTES;

    fn decode(value: &'a [u8], _: &TransactionId) -> Result<Self, AttributeError> {
        match value.as_chunks() {
            (wire, []) => Ok(Self(List::Wire(wire))),
            _ => Err(AttributeError::Length {
                ty: Self::TYPE,
                len: value.len(),
            }),
        }
    }

    fn value_len(&self) -> usize {
        match self.0 {
            List::Types(types) => types.len() * 2,
            List::Wire(wire) => wire.len() * 2,
        }
    }

    fn encode(&self, out: &mut [u8], _: &TransactionId) {
        for (out, ty) in out.as_chunks_mut().0.iter_mut().zip(self.iter()) {
            *out = ty.0.to_be_bytes();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attribute::testing::{ID, encoded, giant, lengths, round_trip};

    #[test]
    fn s5_value() {
        let list = UnknownAttributes::new(&[AttributeType(0x7f01), AttributeType::DONT_FRAGMENT]);
        assert_eq!(encoded(&list), [0x7f, 1, 0, 0x1a]);
        round_trip(&list);
        round_trip(&UnknownAttributes::new(&[]));
        let decoded = UnknownAttributes::decode(&[0x7f, 1, 0, 0x1a], &ID).expect("two types");
        assert_eq!(encoded(&decoded), [0x7f, 1, 0, 0x1a]);
        assert_ne!(decoded, UnknownAttributes::new(&[]));
    }

    #[test]
    fn s10_lengths() {
        let even = (0..=65535).filter(|len| len % 2 == 0);
        assert!(
            lengths::<UnknownAttributes<'_>>(&giant(&[]))
                .into_iter()
                .eq(even)
        );
    }
}
