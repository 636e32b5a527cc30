//! Messages and control frames in, bytes out: the writing half.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::AsyncWrite;

use super::close;
use super::error::Error;
use super::frame::{Header, MAX_HEADER, Opcode};
use super::mask::{self, Keys};

/// Payloads up to this are copied behind their header and leave in one piece; longer ones are
/// written from where they are.
const COPIED: usize = 4 << 10;

/// Waiting bytes above which the next message waits until they are written.
const HIGH: usize = 16 << 10;

/// What waits to be written: frames in `buffer`, then `tail`, then the control frames. All of it is
/// bounded: `buffer` by `HIGH` and one frame, `tail` by one message; of the pongs that find no room
/// only the last waits, so that a peer that pings and does not read costs no more than that
/// (RFC 6455 §5.5.3 allows to answer the last ping only).
#[derive(Debug)]
pub(super) struct Outbound {
    /// A client masks (RFC 6455 §5.3); a server has no keys.
    keys: Option<Box<Keys>>,
    buffer: BytesMut,
    tail: Bytes,
    pong: Option<Bytes>,
    ping: bool,
    close: Option<Bytes>,
    /// A Close has been asked for: nothing may follow it.
    closing: bool,
}

impl Outbound {
    pub(super) fn new(client: bool) -> Outbound {
        Outbound {
            keys: client.then(|| Box::new(Keys::new())),
            buffer: BytesMut::new(),
            tail: Bytes::new(),
            pong: None,
            ping: false,
            close: None,
            closing: false,
        }
    }

    pub(super) fn is_client(&self) -> bool {
        self.keys.is_some()
    }

    /// A Close has been queued or sent.
    pub(super) fn is_closing(&self) -> bool {
        self.closing
    }

    /// Nothing waits to be written.
    pub(super) fn is_idle(&self) -> bool {
        let frames = self.buffer.is_empty() && self.tail.is_empty();
        frames && self.pong.is_none() && !self.ping && self.close.is_none()
    }

    /// Whether a message may be pushed now.
    pub(super) fn has_room(&self) -> bool {
        self.tail.is_empty() && self.buffer.len() < HIGH
    }

    /// Queues a message whose payload the caller gives away.
    pub(super) fn push(&mut self, opcode: Opcode, payload: Bytes) -> Result<(), Error> {
        if payload.len() <= COPIED {
            return self.push_slice(opcode, &payload);
        }
        let key = self.open()?;
        Header::append(opcode, payload.len(), key, &mut self.buffer);
        self.tail = match key {
            None => payload,
            Some(key) => {
                let mut own = payload
                    .try_into_mut()
                    .unwrap_or_else(|shared| BytesMut::from(&shared[..]));
                mask::apply(key, &mut own);
                own.freeze()
            }
        };
        Ok(())
    }

    /// Queues a message by copying its payload.
    pub(super) fn push_slice(&mut self, opcode: Opcode, payload: &[u8]) -> Result<(), Error> {
        let key = self.open()?;
        self.frame(opcode, payload, key);
        Ok(())
    }

    /// Queues the answer to a ping: behind the frames that wait while there is room, then apart, in
    /// the place of an earlier one (RFC 6455 §5.5.3).
    pub(super) fn pong(&mut self, payload: Bytes) {
        if self.closing {
            return;
        }
        if self.pong.is_none()
            && self.has_room()
            && let Ok(key) = self.key()
        {
            self.frame(Opcode::Pong, &payload, key);
        } else {
            self.pong = Some(payload);
        }
    }

    /// Queues a ping.
    pub(super) fn ping(&mut self) {
        self.ping = !self.closing;
    }

    /// Queues a Close behind everything that waits; of several the first is sent.
    pub(super) fn close(&mut self, payload: Bytes) {
        if !self.closing {
            self.closing = true;
            self.close = Some(payload);
        }
    }

    /// Writes all that waits and flushes the connection below.
    pub(super) fn poll_flush<IO: AsyncWrite + Unpin>(
        &mut self,
        io: &mut IO,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let mut io = Pin::new(io);
        loop {
            if self.buffer.is_empty() && self.tail.is_empty() {
                self.buffer = BytesMut::new();
                self.control_frames()?;
                if self.buffer.is_empty() {
                    return io.poll_flush(cx);
                }
            }
            let written = if self.tail.is_empty() {
                ready!(io.as_mut().poll_write(cx, &self.buffer))?
            } else if self.buffer.is_empty() {
                ready!(io.as_mut().poll_write(cx, &self.tail))?
            } else {
                let parts = [IoSlice::new(&self.buffer), IoSlice::new(&self.tail)];
                ready!(io.as_mut().poll_write_vectored(cx, &parts))?
            };
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            let buffered = written.min(self.buffer.len());
            self.buffer.advance(buffered);
            self.tail.advance(written - buffered);
            if self.tail.is_empty() {
                self.tail = Bytes::new();
            }
        }
    }

    /// Takes what waits with a Close behind it, for a single write at the end; `None` when a long
    /// payload is on its way or a Close has left.
    pub(super) fn goodbye(&mut self, code: u16) -> Option<Bytes> {
        if !self.tail.is_empty() || (self.closing && self.close.is_none()) {
            return None;
        }
        self.close(close::payload(code, "").ok()?.freeze());
        self.control_frames().ok()?;
        Some(std::mem::take(&mut self.buffer).freeze())
    }

    /// The mask of the next message; an error after a Close.
    fn open(&mut self) -> Result<Option<[u8; 4]>, Error> {
        if self.closing {
            return Err(Error::Closing);
        }
        Ok(self.key()?)
    }

    fn key(&mut self) -> io::Result<Option<[u8; 4]>> {
        let key = self.keys.as_mut().map(|keys| keys.next()).transpose();
        key.map_err(io::Error::from)
    }

    fn control_frames(&mut self) -> io::Result<()> {
        if let Some(payload) = self.pong.take() {
            let key = self.key()?;
            self.frame(Opcode::Pong, &payload, key);
        }
        if std::mem::take(&mut self.ping) {
            let key = self.key()?;
            self.frame(Opcode::Ping, b"", key);
        }
        if let Some(payload) = self.close.take() {
            let key = self.key()?;
            self.frame(Opcode::Close, &payload, key);
        }
        Ok(())
    }

    fn frame(&mut self, opcode: Opcode, payload: &[u8], key: Option<[u8; 4]>) {
        self.buffer.reserve(MAX_HEADER + payload.len());
        Header::append(opcode, payload.len(), key, &mut self.buffer);
        match key {
            Some(key) => mask::append(key, payload, &mut self.buffer),
            None => self.buffer.extend_from_slice(payload),
        }
    }
}
