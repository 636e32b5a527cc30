//! Which attributes count once the integrity attributes have begun.

use crate::AttributeType;

/// How far a message has come. The integrity attributes stand at its end in a fixed order, and
/// what stands behind them is not protected: a receiver ignores it (RFC 8489 §14.5 to §14.7), a
/// sender must not write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Open,
    Sha1,
    Sha256,
    Closed,
}

impl Order {
    /// Whether an attribute of this type counts here; moves on if it does.
    #[inline]
    pub(crate) fn admit(&mut self, ty: AttributeType) -> bool {
        *self = match (*self, ty) {
            // RFC 8489 §14.7: FINGERPRINT is the last attribute.
            (Self::Closed, _) => return false,
            (_, AttributeType::FINGERPRINT) => Self::Closed,
            // RFC 8489 §14.6: after MESSAGE-INTEGRITY-SHA256 only FINGERPRINT counts.
            (Self::Sha256, _) => return false,
            (_, AttributeType::MESSAGE_INTEGRITY_SHA256) => Self::Sha256,
            // RFC 8489 §14.5: after MESSAGE-INTEGRITY only the two above count.
            (Self::Sha1, _) => return false,
            (Self::Open, AttributeType::MESSAGE_INTEGRITY) => Self::Sha1,
            (Self::Open, _) => Self::Open,
        };
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s7_what_counts_after_integrity() {
        let any = AttributeType::USERNAME;
        let sha1 = AttributeType::MESSAGE_INTEGRITY;
        let sha256 = AttributeType::MESSAGE_INTEGRITY_SHA256;
        let fingerprint = AttributeType::FINGERPRINT;
        let admitted = |types: &[AttributeType]| {
            let mut order = Order::Open;
            types.iter().map(|&ty| order.admit(ty)).collect::<Vec<_>>()
        };
        assert_eq!(
            admitted(&[any, any, sha1, any, sha1]),
            [true, true, true, false, false]
        );
        assert_eq!(
            admitted(&[sha1, any, sha256, fingerprint]),
            [true, false, true, true]
        );
        assert_eq!(
            admitted(&[sha256, sha1, any, fingerprint]),
            [true, false, false, true]
        );
        assert_eq!(
            admitted(&[sha1, fingerprint, sha256, any]),
            [true, true, false, false]
        );
        assert_eq!(
            admitted(&[fingerprint, any, fingerprint]),
            [true, false, false]
        );
    }
}
