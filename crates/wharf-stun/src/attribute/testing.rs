//! What the tests of the attributes share.

use std::fmt::Debug;

use crate::{Attribute, TransactionId};

pub(super) const ID: TransactionId = TransactionId(*b"a transactio");

/// The value's bytes, written over bytes that are not zero.
pub(super) fn encoded<'a, A: Attribute<'a>>(attribute: &A) -> Vec<u8> {
    let mut out = vec![0xaa; attribute.value_len()];
    attribute.encode(&mut out, &ID);
    out
}

/// Writes a value, reads it back and compares.
pub(super) fn round_trip<'a, A: Attribute<'a> + Debug + PartialEq>(attribute: &A) {
    let bytes = encoded(attribute).leak();
    assert_eq!(A::decode(bytes, &ID).as_ref(), Ok(attribute));
}

/// 65535 bytes that begin with `start`.
pub(super) fn giant(start: &[u8]) -> Vec<u8> {
    let mut bytes = start.to_vec();
    bytes.resize(usize::from(u16::MAX), 0);
    bytes
}

/// Of all lengths that an attribute may have, those that are decoded (S10).
pub(super) fn lengths<'a, A: Attribute<'a>>(value: &'a [u8]) -> Vec<usize> {
    assert_eq!(value.len(), usize::from(u16::MAX));
    (0..=value.len())
        .filter(|&len| A::decode(&value[..len], &ID).is_ok())
        .collect()
}
