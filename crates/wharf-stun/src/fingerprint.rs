//! FINGERPRINT: a CRC-32 that tells STUN from other protocols on one port (RFC 8489 §14.7).

use crc32fast::Hasher;

use crate::HEADER_LEN;

/// Length of the value in bytes.
pub(crate) const LEN: usize = 4;

/// "STUN" in ASCII, so that the value differs from a CRC-32 of the application's own.
const MASK: u32 = 0x5354_554e;

/// The state of a message's FINGERPRINT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fingerprint {
    /// There is none.
    Absent,
    /// It fits the message.
    Valid,
    /// It does not fit: a usage that relies on it discards the message.
    Wrong,
}

/// The value for a message whose FINGERPRINT value begins at `start`: over everything before
/// the attribute, with the header's length ending behind it.
pub(crate) fn compute(message: &[u8], start: usize) -> u32 {
    let end = start + LEN;
    let mut crc = Hasher::new();
    crc.update(&message[..2]);
    crc.update(&((end - HEADER_LEN) as u16).to_be_bytes());
    crc.update(&message[4..start - 4]);
    crc.finalize() ^ MASK
}

/// Compares the value that a message carries with the one it should carry.
pub(crate) fn check(message: &[u8], start: usize, value: &[u8]) -> Fingerprint {
    if *value == compute(message, start).to_be_bytes() {
        Fingerprint::Valid
    } else {
        Fingerprint::Wrong
    }
}
