//! Close codes and the payload of a Close (RFC 6455 §5.5.1, §7.4).

use bytes::{BufMut, BytesMut};

use super::error::{Error, Violation};
use super::frame::MAX_CONTROL;

/// The purpose is fulfilled.
pub const NORMAL: u16 = 1000;
/// The server goes down, or the page is left.
pub const GOING_AWAY: u16 = 1001;
/// A breach of the protocol.
pub const PROTOCOL_ERROR: u16 = 1002;
/// A kind of message that is not taken, such as text where only binary is.
pub const UNSUPPORTED: u16 = 1003;
/// Data that do not fit the kind of message, such as bad UTF-8.
pub const INVALID_DATA: u16 = 1007;
/// A message too big to process.
pub const TOO_BIG: u16 = 1009;
/// An unexpected condition at the server, such as a peer that answers no ping.
pub const INTERNAL: u16 = 1011;

/// Whether a code may stand in a Close frame: 1004 to 1006 and 1015 are reserved, 1012 to 1014 are
/// registered with IANA, 3000 to 4999 are for libraries and applications (RFC 6455 §7.4).
fn may_be_sent(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

/// The Close that the peer sent.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Close {
    /// The code; `None` when the Close was empty (RFC 6455 §7.1.5: 1005).
    pub code: Option<u16>,
    /// The reason, at most 123 bytes.
    pub reason: Box<str>,
}

impl Close {
    /// Reads the payload of a Close frame.
    pub(super) fn parse(payload: &[u8]) -> Result<Close, Violation> {
        let (code, reason) = match payload {
            [] => (None, &[][..]),
            [a, b, reason @ ..] => (Some(u16::from_be_bytes([*a, *b])), reason),
            [_] => return Err(Violation::CloseCode),
        };
        if code.is_some_and(|code| !may_be_sent(code)) {
            return Err(Violation::CloseCode);
        }
        let reason = std::str::from_utf8(reason).map_err(|_| Violation::Utf8)?;
        Ok(Close {
            code,
            reason: reason.into(),
        })
    }
}

/// The payload of a Close; an error when the code must not be sent or the reason is too long.
pub(super) fn payload(code: u16, reason: &str) -> Result<BytesMut, Error> {
    if !may_be_sent(code) || reason.len() > MAX_CONTROL - 2 {
        return Err(Error::CloseCode(code));
    }
    let mut payload = BytesMut::with_capacity(2 + reason.len());
    payload.put_u16(code);
    payload.put_slice(reason.as_bytes());
    Ok(payload)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_that_must_not_be_sent_are_refused_both_ways() {
        let reserved = [
            0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2999, 5000, 65_535,
        ];
        for code in reserved {
            assert!(payload(code, "").is_err(), "{code}");
            let read = Close::parse(&code.to_be_bytes());
            assert_eq!(read, Err(Violation::CloseCode), "{code}");
        }
        for code in [1000, 1001, 1003, 1007, 1011, 1014, 3000, 4999] {
            let sent = payload(code, "why").expect("a code that may be sent");
            let read = Close::parse(&sent).expect("the same code");
            assert_eq!((read.code, &*read.reason), (Some(code), "why"));
        }
    }

    #[test]
    fn a_reason_has_123_bytes_of_utf8() {
        assert!(payload(1000, &"x".repeat(123)).is_ok());
        assert!(payload(1000, &"x".repeat(124)).is_err());
        assert_eq!(Close::parse(&[3, 0xe8, 0xff]), Err(Violation::Utf8));
        assert_eq!(Close::parse(&[3]), Err(Violation::CloseCode));
    }
}
