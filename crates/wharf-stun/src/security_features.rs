//! The security features that a server tells at the beginning of a nonce (RFC 8489 §9.2).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// What a nonce with security features begins with: the "nonce cookie".
pub const PREFIX: &[u8; 9] = b"obMatJos2";

/// Length of the prefix and the features in bytes.
pub const LEN: usize = 13;

/// The STUN Security Features (RFC 8489 §18.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SecurityFeatures {
    /// Bit 0: the server sends PASSWORD-ALGORITHMS.
    pub password_algorithms: bool,
    /// Bit 1: the server accepts USERHASH.
    pub username_anonymity: bool,
}

impl SecurityFeatures {
    /// The first 13 bytes of the nonce.
    ///
    /// Bit 0 is the most significant bit of the first byte, as RFC 8489 §9.2 says; the sample in
    /// its appendix B.1 counts from the other end.
    pub fn encode(self) -> [u8; LEN] {
        let first =
            u8::from(self.password_algorithms) << 7 | u8::from(self.username_anonymity) << 6;
        let mut out = [0; LEN];
        let (prefix, features) = out.split_at_mut(PREFIX.len());
        prefix.copy_from_slice(PREFIX);
        STANDARD
            .encode_slice([first, 0, 0], features)
            .expect("three bytes make four characters");
        out
    }

    /// The features in a nonce; `None` when it does not begin with the cookie and four
    /// characters of base64. Bits without a meaning are ignored.
    pub fn decode(nonce: &[u8]) -> Option<Self> {
        let features = nonce.strip_prefix(PREFIX)?.first_chunk::<4>()?;
        let mut bits = [0; 3];
        let len = STANDARD.decode_slice(features, &mut bits).ok()?;
        (len == bits.len()).then_some(Self {
            password_algorithms: bits[0] & 0x80 != 0,
            username_anonymity: bits[0] & 0x40 != 0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn l3_nonce_cookie() {
        for (password_algorithms, username_anonymity, expected) in [
            (false, false, b"obMatJos2AAAA"),
            (true, false, b"obMatJos2gAAA"),
            (false, true, b"obMatJos2QAAA"),
            (true, true, b"obMatJos2wAAA"),
        ] {
            let features = SecurityFeatures {
                password_algorithms,
                username_anonymity,
            };
            assert_eq!(&features.encode(), expected);
            assert_eq!(SecurityFeatures::decode(expected), Some(features));
            let nonce = [expected.as_slice(), b"//499k"].concat();
            assert_eq!(SecurityFeatures::decode(&nonce), Some(features));
        }
    }

    #[test]
    fn l3_other_nonces_have_no_features() {
        for nonce in [
            b"".as_slice(),
            b"obMatJos2",
            b"obMatJos2gAA",
            b"obMatJos3gAAA",
            b"obMatJos2gA==",
        ] {
            assert_eq!(SecurityFeatures::decode(nonce), None, "{nonce:?}");
        }
    }

    #[test]
    fn l3_the_sample_of_rfc_8489_appendix_b1_counts_bits_from_the_other_end() {
        let sample = b"obMatJos2AAACf//499k954d6OL34oL9FSTvy64sA";
        assert_eq!(
            SecurityFeatures::decode(sample),
            Some(SecurityFeatures::default())
        );
    }
}
