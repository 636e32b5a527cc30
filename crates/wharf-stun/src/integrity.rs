//! MESSAGE-INTEGRITY and MESSAGE-INTEGRITY-SHA256: keyed hashes over a message
//! (RFC 8489 §14.5, §14.6).

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::Sha256;

use crate::HEADER_LEN;

/// A key for MESSAGE-INTEGRITY with both HMAC key blocks hashed beforehand, so that each message
/// costs only its own bytes.
///
/// The key is the password for short-term credentials (RFC 8489 §9.1.1) and
/// [`long_term_md5`](crate::credential::long_term_md5) or
/// [`long_term_sha256`](crate::credential::long_term_sha256) for long-term ones (§9.2.2). Its
/// memory is overwritten when it is dropped; `Debug` shows nothing of it.
#[derive(Clone)]
pub struct Sha1Key(Hmac<Sha1>);

/// A key for MESSAGE-INTEGRITY-SHA256; otherwise as [`Sha1Key`].
#[derive(Clone)]
pub struct Sha256Key(Hmac<Sha256>);

impl Sha1Key {
    /// Length of the attribute's value in bytes.
    pub const LEN: usize = 20;

    /// Takes a key of any length.
    pub fn new(key: &[u8]) -> Self {
        Self(Hmac::new_from_slice(key).expect("HMAC takes a key of any length"))
    }

    pub(crate) fn sign(&self, message: &[u8], start: usize) -> [u8; Self::LEN] {
        over(&self.0, message, start, Self::LEN)
            .finalize()
            .into_bytes()
            .into()
    }

    pub(crate) fn verify(&self, message: &[u8], start: usize, value: &[u8]) -> bool {
        over(&self.0, message, start, value.len())
            .verify_slice(value)
            .is_ok()
    }
}

impl Sha256Key {
    /// Length of the attribute's value in bytes when it is not truncated.
    pub const LEN: usize = 32;

    /// Takes a key of any length.
    pub fn new(key: &[u8]) -> Self {
        Self(Hmac::new_from_slice(key).expect("HMAC takes a key of any length"))
    }

    pub(crate) fn sign(&self, message: &[u8], start: usize) -> [u8; Self::LEN] {
        over(&self.0, message, start, Self::LEN)
            .finalize()
            .into_bytes()
            .into()
    }

    /// The value may be truncated on the right (RFC 8489 §14.6); the caller sets the bounds.
    pub(crate) fn verify(&self, message: &[u8], start: usize, value: &[u8]) -> bool {
        over(&self.0, message, start, value.len())
            .verify_truncated_left(value)
            .is_ok()
    }
}

/// The hash over everything before the attribute whose value begins at `start` and has `len`
/// bytes, with the header's length ending behind that attribute (RFC 8489 §14.5).
fn over<M: Mac + Clone>(key: &M, message: &[u8], start: usize, len: usize) -> M {
    let end = start + len;
    let mut mac = key.clone();
    mac.update(&message[..2]);
    mac.update(&((end - HEADER_LEN) as u16).to_be_bytes());
    mac.update(&message[4..start - 4]);
    mac
}

impl fmt::Debug for Sha1Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sha1Key(..)")
    }
}

impl fmt::Debug for Sha256Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sha256Key(..)")
    }
}
