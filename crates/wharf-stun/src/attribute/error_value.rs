//! The value that ERROR-CODE and ADDRESS-ERROR-CODE share (RFC 8489 §14.8, RFC 8656 §18.12).

use super::{MAX_TEXT, text};
use crate::{AttributeError, AttributeType};

pub(super) fn value_len(reason: &str) -> usize {
    4 + reason.len()
}

/// The first byte, which is the family in one of the two and reserved in the other, the code and
/// the reason.
pub(super) fn decode(ty: AttributeType, value: &[u8]) -> Result<(u8, u16, &str), AttributeError> {
    let Some((&[first, _, class, number], reason)) = value.split_first_chunk() else {
        return Err(AttributeError::Length {
            ty,
            len: value.len(),
        });
    };
    // The class has three bits; those before it are reserved and ignored.
    let class = class & 7;
    if !(3..=6).contains(&class) || number > 99 {
        return Err(AttributeError::Value { ty });
    }
    Ok((
        first,
        u16::from(class) * 100 + u16::from(number),
        text(ty, reason, MAX_TEXT)?,
    ))
}

/// `out` has [`value_len`] bytes.
pub(super) fn encode(first: u8, code: u16, reason: &str, out: &mut [u8]) {
    out[..4].copy_from_slice(&[first, 0, (code / 100) as u8, (code % 100) as u8]);
    out[4..].copy_from_slice(reason.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    const TY: AttributeType = AttributeType::ERROR_CODE;

    #[test]
    fn s12_classes_and_numbers() {
        for class in 0..=u8::MAX {
            for number in 0..=u8::MAX {
                let expected = match (class & 7, number) {
                    (class @ 3..=6, 0..=99) => {
                        Ok((9, u16::from(class) * 100 + u16::from(number), ""))
                    }
                    _ => Err(AttributeError::Value { ty: TY }),
                };
                assert_eq!(decode(TY, &[9, 0xff, class, number]), expected);
            }
        }
    }

    #[test]
    fn s12_reason_is_utf8() {
        assert_eq!(decode(TY, b"\0\0\x04\x01\xc3\xa9"), Ok((0, 401, "é")));
        assert_eq!(
            decode(TY, b"\0\0\x04\x01\xc3"),
            Err(AttributeError::Utf8 { ty: TY })
        );
    }
}
