//! What one message may cost.

use std::time::Duration;

/// The bounds of a message on its way in. Each has an error of its own, so that a log and a
/// counter tell them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes from the start line to the empty line, both with their line ends. Default 32 KiB.
    pub head: u32,
    /// Bytes of the start line or of one header field, with its folded lines and its line end.
    /// Default 8 KiB.
    pub line: u32,
    /// Lines of header fields; a folded one counts once. Default 256.
    pub fields: u16,
    /// Bytes of the body. Default 256 KiB.
    pub body: u32,
    /// From the first byte of a message on a stream to its empty line. Default 10 s.
    pub head_time: Duration,
    /// From the empty line to the last byte of the body, on a stream. Default 30 s.
    pub body_time: Duration,
    /// From the start of a stream to the end of its first message; keep-alives do not count.
    /// `None` for a stream that may stay silent, such as one that this side opened. Default 32 s,
    /// a transaction's life of 64*T1 (RFC 3261 §17.1.1.2).
    pub first_message_time: Option<Duration>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head: 32 << 10,
            line: 8 << 10,
            fields: 256,
            body: 256 << 10,
            head_time: Duration::from_secs(10),
            body_time: Duration::from_secs(30),
            first_message_time: Some(Duration::from_secs(32)),
        }
    }
}
