//! A stream of bytes over binary messages.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::close;
use super::connection::WebSocket;
use super::error::Violation;
use crate::message::Kind;

/// The most that one write puts into a message.
const MAX_WRITE: usize = 16 << 10;

/// A WebSocket connection as a stream of bytes: reading joins the payloads of binary messages, and
/// each write is one binary message of at most 16 KiB.
///
/// A text message is an error of kind [`io::ErrorKind::InvalidData`], and the peer gets a Close with
/// 1003. The end of the stream is the peer's Close. Shutting down sends a Close with 1000: other
/// than on TCP the peer then stops as well, after what it has under way. A write is handed on at
/// once as far as the connection takes it; flushing makes sure of all.
#[derive(Debug)]
pub struct WebSocketBytes<IO> {
    inner: WebSocket<IO>,
    /// What has come and has not been read.
    unread: Bytes,
}

impl<IO: AsyncRead + AsyncWrite + Unpin> WebSocketBytes<IO> {
    /// Bytes over a connection.
    pub fn new(inner: WebSocket<IO>) -> WebSocketBytes<IO> {
        WebSocketBytes {
            inner,
            unread: Bytes::new(),
        }
    }

    /// The connection.
    pub fn get_ref(&self) -> &WebSocket<IO> {
        &self.inner
    }

    /// The connection; taking messages from it takes bytes out of the stream.
    pub fn get_mut(&mut self) -> &mut WebSocket<IO> {
        &mut self.inner
    }

    /// The connection, and the bytes of the last message that were not read.
    pub fn into_inner(self) -> (WebSocket<IO>, Bytes) {
        (self.inner, self.unread)
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncRead for WebSocketBytes<IO> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        while this.unread.is_empty() {
            let Some(message) = ready!(this.inner.poll_recv(cx)).transpose()? else {
                return Poll::Ready(Ok(()));
            };
            if message.kind() != Kind::Binary {
                let error = this.inner.fail(Violation::NotBinary.into(), cx);
                return Poll::Ready(Err(error.into()));
            }
            this.unread = message.into_payload();
        }
        let count = this.unread.len().min(buffer.remaining());
        buffer.put_slice(&this.unread[..count]);
        this.unread.advance(count);
        if this.unread.is_empty() {
            this.unread = Bytes::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncWrite for WebSocketBytes<IO> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.inner.poll_ready(cx))?;
        let count = bytes.len().min(MAX_WRITE);
        if count > 0 {
            this.inner.start_send_slice(&bytes[..count])?;
            // What does not go now goes with the next call; a failure is told by it.
            let _ = this.inner.poll_flush(cx);
        }
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().inner.poll_flush(cx).map_err(io::Error::from)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.inner.start_close(close::NORMAL, "")?;
        this.inner.poll_flush(cx).map_err(io::Error::from)
    }
}
