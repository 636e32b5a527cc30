//! Messages and keep-alives in a stream of bytes (RFC 3261 §18.3, RFC 5626 §3.5.1).

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Instant;

use super::{Frame, FrameError, FrameKind, body_len};
use crate::limits::Limits;
use crate::scan::{Scan, Scanner};

/// Finds the messages in the bytes received on one connection, over TCP, TLS or SCTP.
///
/// The caller keeps the buffer: it appends what it receives, asks for a [`Frame`], handles it and
/// removes the bytes up to its end. No byte is looked at twice, nothing is copied, and nothing is
/// kept for a length that is only announced. A message that is all there costs no allocation; while
/// one is under way what is known of it takes some 200 bytes, and between messages nothing.
///
/// An error is final: each later call gives it again, so that nothing behind a broken message is
/// ever taken for a message. Answer with [`FrameError::status`] when there is one, and close the
/// stream.
///
/// ```
/// use std::time::Instant;
/// use wharf_sip::{FrameKind, Framer, Limits};
///
/// let now = Instant::now();
/// let mut framer = Framer::new(Limits::default(), now);
/// let mut buffer = b"\r\n\r\nSIP/2.0 200 OK\r\nl: 2\r\n\r\nok".to_vec();
/// let mut kinds = Vec::new();
/// while let Some(frame) = framer.advance(&buffer, now)? {
///     buffer.drain(..frame.end);
///     kinds.push(frame.kind);
/// }
/// assert!(matches!(kinds[..], [FrameKind::Blank, FrameKind::Ping, FrameKind::Message(_)]));
/// # Ok::<(), wharf_sip::FrameError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Framer {
    limits: Arc<Limits>,
    state: State,
    /// When the first message must be complete; `None` once it was, or when it may never come.
    first_message: Option<Instant>,
    /// Pings of this side without an answer. At its bound a pong counts as blank: a peer is
    /// never that far behind.
    pings: u8,
}

#[derive(Clone, Debug)]
enum State {
    /// Between messages.
    Idle {
        /// The last bytes were a CRLF that may begin a ping.
        half_ping: bool,
    },
    /// Within a head that must end at `due`; a time beyond what the clock can say has no end.
    Head {
        scanner: Box<Scanner>,
        due: Option<Instant>,
    },
    /// Within a body that must end at `due`, where the message is `len` bytes long.
    Body {
        scan: Box<Scan>,
        len: usize,
        due: Option<Instant>,
    },
    /// Behind an error.
    Dead(FrameError),
}

impl Framer {
    /// The framer of a stream that began at `now`. Many streams may share their limits.
    pub fn new(limits: impl Into<Arc<Limits>>, now: Instant) -> Self {
        let limits = limits.into();
        let first_message = limits
            .first_message_time
            .and_then(|time| now.checked_add(time));
        Self {
            limits,
            state: State::Idle { half_ping: false },
            first_message,
            pings: 0,
        }
    }

    /// This side sent a [`PING`](super::PING): the next CRLF between messages is its answer and
    /// not the first half of a ping.
    pub const fn ping_sent(&mut self) {
        self.pings = self.pings.saturating_add(1);
    }

    /// The first frame of `buffer`, which holds all bytes that came in and were not removed;
    /// `None` when more are needed.
    pub fn advance(&mut self, buffer: &[u8], now: Instant) -> Result<Option<Frame>, FrameError> {
        let outcome = self.step(buffer, now);
        if let Err(error) = outcome {
            self.state = State::Dead(error);
        }
        outcome
    }

    /// When to call [`expire`](Self::expire), unless a frame comes first.
    pub fn deadline(&self) -> Option<Instant> {
        let due = match self.state {
            State::Head { due, .. } | State::Body { due, .. } => due,
            State::Idle { .. } => None,
            State::Dead(_) => return None,
        };
        [due, self.first_message].into_iter().flatten().min()
    }

    /// Ends the stream with an error when one of its times is over at `now`.
    pub fn expire(&mut self, now: Instant) -> Result<(), FrameError> {
        let over = |due: Option<Instant>| due.is_some_and(|due| due <= now);
        let error = match self.state {
            State::Head { due, .. } if over(due) => FrameError::HeadTime,
            State::Body { due, .. } if over(due) => FrameError::BodyTime,
            State::Dead(error) => error,
            _ if over(self.first_message) => FrameError::FirstMessageTime,
            _ => return Ok(()),
        };
        self.state = State::Dead(error);
        Err(error)
    }

    fn step(&mut self, buffer: &[u8], now: Instant) -> Result<Option<Frame>, FrameError> {
        match &mut self.state {
            State::Dead(error) => Err(*error),
            State::Idle { .. } => match buffer {
                [] | [b'\r'] => Ok(None),
                [b'\r', b'\n', ..] => Ok(Some(self.line_end())),
                _ => {
                    let mut scanner = Scanner::new(&self.limits);
                    if let Some(scan) = scanner.advance(buffer)? {
                        return self.body(buffer, &scan, now);
                    }
                    self.state = State::Head {
                        scanner: Box::new(scanner),
                        due: now.checked_add(self.limits.head_time),
                    };
                    Ok(None)
                }
            },
            State::Head { scanner, .. } => match scanner.advance(buffer)? {
                Some(scan) => self.body(buffer, &scan, now),
                None => Ok(None),
            },
            State::Body { scan, len, .. } => {
                let (scan, len) = (**scan, *len);
                Ok((buffer.len() >= len).then(|| self.message(scan, len)))
            }
        }
    }

    /// The head is complete.
    fn body(
        &mut self,
        buffer: &[u8],
        scan: &Scan,
        now: Instant,
    ) -> Result<Option<Frame>, FrameError> {
        let body = body_len(scan, &self.limits, Err(FrameError::NoContentLength))?;
        let len = scan.head as usize + body;
        if buffer.len() >= len {
            return Ok(Some(self.message(*scan, len)));
        }
        self.state = State::Body {
            scan: Box::new(*scan),
            len,
            due: now.checked_add(self.limits.body_time),
        };
        Ok(None)
    }

    /// A message of `len` bytes is complete.
    fn message(&mut self, scan: Scan, len: usize) -> Frame {
        self.state = State::Idle { half_ping: false };
        self.first_message = None;
        Frame {
            start: 0,
            end: len,
            kind: FrameKind::Message(scan),
        }
    }

    /// What a CRLF between messages means.
    fn line_end(&mut self) -> Frame {
        let half_ping = matches!(self.state, State::Idle { half_ping: true });
        let kind = if self.pings > 0 {
            self.pings -= 1;
            FrameKind::Pong
        } else if half_ping {
            FrameKind::Ping
        } else {
            FrameKind::Blank
        };
        self.state = State::Idle {
            half_ping: kind == FrameKind::Blank,
        };
        Frame {
            start: 0,
            end: 2,
            kind,
        }
    }
}
