//! Where a message ends: one authority for streams, datagrams and WebSocket messages
//! (RFC 3261 §7.5, §18.3; RFC 7118 §5).

mod packet;
mod stream;

use thiserror::Error;

use crate::limits::Limits;
use crate::scan::{ContentLength, Scan, ScanError};

pub use packet::{Boundary, packet};
pub use stream::Framer;

/// One unit of what came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Where it begins in the bytes at hand: 0 on a stream.
    pub start: usize,
    /// Where it ends. On a stream, remove the bytes up to here before the next call.
    pub end: usize,
    /// What it is.
    pub kind: FrameKind,
}

/// What a frame is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(
    clippy::large_enum_variant,
    reason = "a message is the usual case; a scan has no heap"
)]
pub enum FrameKind {
    /// A message; offsets count from [`Frame::start`].
    Message(Scan),
    /// Two CRLFs, a keep-alive that wants an answer: send [`PONG`] (RFC 5626 §3.5.1, §4.4.1).
    Ping,
    /// A CRLF that answers a ping of this side (RFC 5626 §3.5.1).
    Pong,
    /// Line ends that mean nothing: drop them (RFC 3261 §7.5).
    Blank,
}

/// A keep-alive for a stream or a WebSocket (RFC 5626 §3.5.1).
pub const PING: &[u8] = b"\r\n\r\n";

/// The answer to a keep-alive (RFC 5626 §3.5.1).
pub const PONG: &[u8] = b"\r\n";

/// Why the bytes hold no message, or a message that may not pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum FrameError {
    /// The head is none.
    #[error(transparent)]
    Head(#[from] ScanError),
    /// A stream needs a Content-Length (RFC 3261 §18.3).
    #[error("a message on a stream has no Content-Length")]
    NoContentLength,
    /// The Content-Length is not a number.
    #[error("the Content-Length is not a number")]
    ContentLength,
    /// There are several Content-Lengths.
    #[error("there is more than one Content-Length")]
    RepeatedContentLength,
    /// The body is longer than [`Limits::body`].
    #[error("a body of {announced} bytes exceeds the limit of {max}")]
    BodyTooLong {
        /// Its length in bytes.
        announced: u64,
        /// The limit in bytes.
        max: u32,
    },
    /// The datagram or WebSocket message ends before its body does (RFC 3261 §18.3).
    #[error("{available} bytes of body where Content-Length says {announced}")]
    Short {
        /// What the Content-Length says.
        announced: u64,
        /// What is there, in bytes.
        available: usize,
    },
    /// The head was not complete after [`Limits::head_time`].
    #[error("the head of a message took too long")]
    HeadTime,
    /// The body was not complete after [`Limits::body_time`].
    #[error("the body of a message took too long")]
    BodyTime,
    /// No message was complete after [`Limits::first_message_time`].
    #[error("the first message took too long")]
    FirstMessageTime,
}

impl FrameError {
    /// The status to answer a request with whose head could be read;
    /// `None` when nothing is to be answered.
    /// A response is never answered, only dropped (RFC 3261 §18.3).
    pub const fn status(&self) -> Option<(u16, &'static str)> {
        match self {
            // RFC 3261 §18.3, §21.4.1; RFC 4475 §3.1.2.2, §3.1.2.3, §3.3.9
            Self::Short { .. } => Some((400, "Body Shorter Than Content-Length")),
            Self::ContentLength => Some((400, "Bad Content-Length")),
            Self::RepeatedContentLength => Some((400, "Repeated Content-Length")),
            // RFC 3261 §20.14
            Self::NoContentLength => Some((400, "Missing Content-Length")),
            // RFC 3261 §21.4.11
            Self::BodyTooLong { .. } => Some((413, "Request Entity Too Large")),
            Self::Head(_) | Self::HeadTime | Self::BodyTime | Self::FirstMessageTime => None,
        }
    }
}

/// The length of the body when `otherwise` says what an absent Content-Length means.
fn body_len(
    scan: &Scan,
    limits: &Limits,
    otherwise: Result<usize, FrameError>,
) -> Result<usize, FrameError> {
    let announced = match scan.content_length {
        ContentLength::Bytes(bytes, _) => bytes,
        ContentLength::Absent => otherwise? as u64,
        ContentLength::Malformed => return Err(FrameError::ContentLength),
        ContentLength::Repeated => return Err(FrameError::RepeatedContentLength),
    };
    // Nothing is kept for what is announced; a limit of 32 bits fits an index.
    match u32::try_from(announced) {
        Ok(bytes) if bytes <= limits.body => Ok(bytes as usize),
        _ => Err(FrameError::BodyTooLong {
            announced,
            max: limits.body,
        }),
    }
}
