//! What quinn's errors mean here.

use std::io;

use quinn::{ConnectionError, TransportErrorCode};

use crate::admission::Refused;
use crate::connection::Shared;
use crate::reason::{Closed, Refusal};

/// Why a handshake failed. A code of 0x100 and more is an alert of TLS (RFC 9001 §4.8).
pub(super) fn refused(error: &ConnectionError) -> Refused {
    let (reason, detail) = match error {
        ConnectionError::VersionMismatch => (Refusal::Tls, "version"),
        ConnectionError::TransportError(error) if is_alert(error.code) => (Refusal::Tls, "alert"),
        ConnectionError::TransportError(_) => (Refusal::Tls, "transport"),
        ConnectionError::ConnectionClosed(close) if is_alert(close.error_code) => {
            (Refusal::Tls, "peer-alert")
        }
        ConnectionError::ConnectionClosed(_)
        | ConnectionError::ApplicationClosed(_)
        | ConnectionError::Reset => (Refusal::PeerClosed, ""),
        ConnectionError::TimedOut => (Refusal::HandshakeTimeout, ""),
        ConnectionError::LocallyClosed => (Refusal::Stopped, ""),
        ConnectionError::CidsExhausted => (Refusal::Exhausted, ""),
    };
    Refused { reason, detail }
}

fn is_alert(code: TransportErrorCode) -> bool {
    (0x100..0x200).contains(&u64::from(code))
}

/// Notes how an established connection was lost.
pub(super) fn note(shared: &Shared, error: &ConnectionError) {
    match error {
        // The application's own end is in order, whatever its code says.
        ConnectionError::ApplicationClosed(_) | ConnectionError::LocallyClosed => {}
        // RFC 9000 §20.1: NO_ERROR.
        ConnectionError::ConnectionClosed(close)
            if close.error_code == TransportErrorCode::NO_ERROR => {}
        ConnectionError::TimedOut => shared.note(Closed::ReadIdle),
        ConnectionError::Reset => shared.note(Closed::Reset),
        ConnectionError::CidsExhausted => shared.note(Closed::Io),
        ConnectionError::ConnectionClosed(_)
        | ConnectionError::TransportError(_)
        | ConnectionError::VersionMismatch => shared.note(Closed::Protocol),
    }
}

/// What reads and writes answer after `error`: the reason why the server has closed the connection,
/// if it has.
pub(super) fn told(shared: &Shared, error: io::Error) -> io::Error {
    shared.ending().map_or(error, Closed::error)
}
