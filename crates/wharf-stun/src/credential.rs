//! Keys and strings of the credential mechanisms (RFC 8489 §9).
//!
//! The key functions hash the strings as they are given. Prepare user name, realm and password
//! first where they may hold anything but ASCII: with [`opaque_string`] as RFC 8489 asks, or with
//! [`saslprep`] for peers that follow RFC 5389.

use std::borrow::Cow;

use md5::Md5;
use precis_profiles::OpaqueString;
use precis_profiles::precis_core::profile::PrecisFastInvocation;
use sha2::{Digest, Sha256};
use thiserror::Error;

/// Why a string cannot be part of a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PrepareError {
    /// It is empty or holds a code point that the profile OpaqueString forbids (RFC 8265 §4.2).
    #[error("empty, or a character that OpaqueString does not allow")]
    OpaqueString,
    /// It holds a code point that SASLprep forbids (RFC 4013 §2.3).
    #[error("a character that SASLprep does not allow")]
    Saslprep,
}

/// The long-term key of the algorithm MD5: MD5(user ":" realm ":" password) (RFC 8489 §18.5.1.1).
pub fn long_term_md5(user: &str, realm: &str, password: &str) -> [u8; 16] {
    long_term::<Md5>(user, realm, password).finalize().into()
}

/// The long-term key of the algorithm SHA-256: SHA-256(user ":" realm ":" password)
/// (RFC 8489 §18.5.1.2).
pub fn long_term_sha256(user: &str, realm: &str, password: &str) -> [u8; 32] {
    long_term::<Sha256>(user, realm, password).finalize().into()
}

fn long_term<D: Digest>(user: &str, realm: &str, password: &str) -> D {
    D::new()
        .chain_update(user)
        .chain_update(":")
        .chain_update(realm)
        .chain_update(":")
        .chain_update(password)
}

/// The value of USERHASH: SHA-256(user ":" realm) (RFC 8489 §14.4).
pub fn userhash(user: &str, realm: &str) -> [u8; 32] {
    Sha256::new()
        .chain_update(user)
        .chain_update(":")
        .chain_update(realm)
        .finalize()
        .into()
}

/// Prepares a realm or a password with the profile OpaqueString (RFC 8265 §4.2): other spaces
/// become U+0020, and the string is normalised to NFC. The empty string is an error.
pub fn opaque_string(text: &str) -> Result<Cow<'_, str>, PrepareError> {
    OpaqueString::enforce(text).map_err(|_| PrepareError::OpaqueString)
}

/// Prepares a string with SASLprep (RFC 4013), as RFC 5389 asked and RFC 5769 shows.
pub fn saslprep(text: &str) -> Result<Cow<'_, str>, PrepareError> {
    stringprep::saslprep(text).map_err(|_| PrepareError::Saslprep)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn l9_keys() {
        let key = long_term_md5("user", "realm", "pass");
        assert_eq!(
            u128::from_be_bytes(key),
            0x8493_fbc5_3ba5_82fb_4c04_4c45_6bdc_40eb
        );
        let key = long_term_sha256("user", "realm", "pass");
        assert_eq!(key, <[u8; 32]>::from(Sha256::digest("user:realm:pass")));
    }

    #[test]
    fn l5_userhash() {
        assert_eq!(
            userhash("user", "realm"),
            <[u8; 32]>::from(Sha256::digest("user:realm"))
        );
    }

    #[test]
    fn l9_opaque_string() {
        assert_eq!(opaque_string("TheMatrIX"), Ok("TheMatrIX".into()));
        assert_eq!(opaque_string("a\u{3000}b\u{a0}c"), Ok("a b c".into()));
        assert_eq!(opaque_string("A\u{30a}"), Ok("\u{c5}".into()));
        assert_eq!(opaque_string("\u{2163}"), Ok("\u{2163}".into()));
        assert_eq!(opaque_string(""), Err(PrepareError::OpaqueString));
        assert_eq!(opaque_string("a\u{7f}"), Err(PrepareError::OpaqueString));
    }

    #[test]
    fn l9_saslprep() {
        assert_eq!(
            saslprep("The\u{ad}M\u{aa}tr\u{2168}"),
            Ok("TheMatrIX".into())
        );
        assert_eq!(saslprep("\u{2163}"), Ok("IV".into()));
        assert_eq!(saslprep("a\u{7}"), Err(PrepareError::Saslprep));
    }
}
