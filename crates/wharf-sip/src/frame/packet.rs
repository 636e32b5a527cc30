//! A message in a packet: a datagram, or a WebSocket message.

#[cfg(test)]
mod tests;

use super::{Frame, FrameError, FrameKind, PING, PONG, body_len};
use crate::limits::Limits;
use crate::scan::Scan;

/// What kind of packet bounds a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Boundary {
    /// A datagram. CRLF keep-alives are not for these (RFC 5626 §3.5): they are blank.
    Datagram,
    /// A WebSocket message, text or binary, put together of its fragments (RFC 7118 §5).
    WebSocket,
}

/// Finds the one message of a packet. Line ends before it are skipped; without a Content-Length
/// the body goes to the end (RFC 3261 §18.3, RFC 7118 §5); what follows the body is left out.
///
/// Line ends, NULs and spaces alone are a keep-alive: a ping or a pong in a WebSocket message
/// that is exactly one (RFC 7118 §6), blank otherwise. Nothing of it is to be answered with a
/// message.
///
/// ```
/// use wharf_sip::{Boundary, FrameError, FrameKind, Limits, packet};
///
/// let limits = Limits::default();
/// let bytes = b"SIP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nok, and more";
/// let frame = packet(bytes, Boundary::Datagram, &limits)?;
/// assert_eq!(&bytes[frame.start..frame.end], b"SIP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nok");
/// assert!(matches!(frame.kind, FrameKind::Message(_)));
///
/// let short = packet(b"SIP/2.0 200 OK\r\nl: 2\r\n\r\n", Boundary::Datagram, &limits);
/// assert_eq!(short, Err(FrameError::Short { announced: 2, available: 0 }));
/// # Ok::<(), FrameError>(())
/// ```
pub fn packet(bytes: &[u8], boundary: Boundary, limits: &Limits) -> Result<Frame, FrameError> {
    let is_line_end = |byte: &u8| matches!(byte, b'\r' | b'\n');
    let is_blank = |byte: &u8| is_line_end(byte) || matches!(byte, b' ' | 0);
    if bytes.iter().all(is_blank) {
        let kind = match boundary {
            Boundary::WebSocket if bytes == PING => FrameKind::Ping,
            Boundary::WebSocket if bytes == PONG => FrameKind::Pong,
            _ => FrameKind::Blank,
        };
        return Ok(Frame {
            start: 0,
            end: bytes.len(),
            kind,
        });
    }
    let start = bytes.iter().take_while(|byte| is_line_end(byte)).count();
    let message = &bytes[start..];
    let scan = Scan::of(message, limits)?;
    let available = message.len() - scan.head as usize;
    let body = body_len(&scan, limits, Ok(available))?;
    if body > available {
        return Err(FrameError::Short {
            announced: body as u64,
            available,
        });
    }
    let end = start + scan.head as usize + body;
    Ok(Frame {
        start,
        end,
        kind: FrameKind::Message(scan),
    })
}
