//! Why an upgrade request is refused, and the answer that says so.

use std::io;

/// The reason of a refusal, each with its status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// Not HTTP, no `Host` or several, a body, or a field that may stand once and stands twice: 400.
    #[error("not a well-formed HTTP/1.1 request")]
    Malformed,
    /// The head is above `max-head`, or has more than 100 fields: 431.
    #[error("the head of the request is longer than `max-head` or has more than 100 fields")]
    HeadTooLong,
    /// Not GET: 405.
    #[error("the method is not GET")]
    Method,
    /// Not HTTP/1.1: 505.
    #[error("the version of HTTP is not 1.1")]
    HttpVersion,
    /// A plain request, not an upgrade to WebSocket: 426.
    #[error("not an upgrade to WebSocket")]
    NotWebSocket,
    /// `Sec-WebSocket-Version` is not 13: 426.
    #[error("the version of WebSocket is not 13")]
    Version,
    /// No `Sec-WebSocket-Key`, or not 16 bytes in base64: 400.
    #[error("Sec-WebSocket-Key is not 16 bytes in base64")]
    Key,
    /// The path is not among `paths`: 404.
    #[error("the path is not served")]
    Path,
    /// The host is not among `hosts`: 421.
    #[error("the host is not served")]
    Host,
    /// The origin is not among `origins`: 403.
    #[error("the origin is not allowed")]
    Origin,
    /// None of `subprotocols` is offered and one is required: 400.
    #[error("no common subprotocol")]
    Subprotocol,
}

impl Refusal {
    /// The status code of the answer.
    pub fn status(self) -> u16 {
        self.line().0
    }

    fn line(self) -> (u16, &'static str) {
        match self {
            Refusal::Malformed | Refusal::Key | Refusal::Subprotocol => (400, "Bad Request"),
            Refusal::Origin => (403, "Forbidden"),
            Refusal::Path => (404, "Not Found"),
            Refusal::Method => (405, "Method Not Allowed"),
            Refusal::Host => (421, "Misdirected Request"),
            // RFC 6455 §4.2.2 for the version; RFC 9110 §15.5.22 for a request without an upgrade.
            Refusal::NotWebSocket | Refusal::Version => (426, "Upgrade Required"),
            Refusal::HeadTooLong => (431, "Request Header Fields Too Large"),
            Refusal::HttpVersion => (505, "HTTP Version Not Supported"),
        }
    }

    /// A short constant name, for counters.
    pub fn label(self) -> &'static str {
        match self {
            Refusal::Malformed => "malformed",
            Refusal::HeadTooLong => "head_too_long",
            Refusal::Method => "method",
            Refusal::HttpVersion => "http_version",
            Refusal::NotWebSocket => "not_websocket",
            Refusal::Version => "version",
            Refusal::Key => "key",
            Refusal::Path => "path",
            Refusal::Host => "host",
            Refusal::Origin => "origin",
            Refusal::Subprotocol => "subprotocol",
        }
    }

    /// The whole answer; the connection ends behind it.
    pub(super) fn response(self) -> String {
        let (status, reason) = self.line();
        let fields = match self {
            Refusal::Method => "Allow: GET\r\n",
            // The field is a hop-by-hop one, so `Connection` names it (RFC 9110 §7.8).
            Refusal::NotWebSocket | Refusal::Version => {
                "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            }
            _ => "",
        };
        let connection = if fields.starts_with("Upgrade") {
            "Upgrade, close"
        } else {
            "close"
        };
        format!(
            "HTTP/1.1 {status} {reason}\r\n{fields}Connection: {connection}\r\nContent-Length: 0\r\n\r\n"
        )
    }
}

/// Why there is no WebSocket connection at the server.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UpgradeError {
    /// The connection failed.
    #[error("the connection failed: {0}")]
    Io(#[from] io::Error),
    /// The client ended the connection before its request was whole.
    #[error("the connection ended within the request")]
    Closed,
    /// The request was refused, and the answer has been written.
    #[error("refused with status {}: {_0}", .0.status())]
    Refused(#[from] Refusal),
}

impl UpgradeError {
    /// A short constant name, for counters.
    pub fn label(&self) -> &'static str {
        match self {
            UpgradeError::Io(_) => "io",
            UpgradeError::Closed => "closed",
            UpgradeError::Refused(refusal) => refusal.label(),
        }
    }

    /// The status that was answered; `None` when nothing was.
    pub fn status(&self) -> Option<u16> {
        match self {
            UpgradeError::Refused(refusal) => Some(refusal.status()),
            _ => None,
        }
    }
}
