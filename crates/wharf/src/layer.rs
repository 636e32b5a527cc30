//! Bytes over a socket, encrypted or not: what streams and WebSockets are built on.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::TlsStream;

use crate::wire::Wire;

/// A connection's bytes, on the heap: they are moved through several futures, and each keeps room for
/// them.
pub(crate) enum Layer {
    Plain(Box<Wire>),
    /// With decrypted bytes that were read too far, to be read first.
    Tls(Box<TlsStream<Wire>>, Option<Box<Bytes>>),
}

impl Layer {
    pub(crate) fn wire(&mut self) -> &mut Wire {
        match self {
            Self::Plain(wire) => wire,
            Self::Tls(stream, _) => stream.get_mut().0,
        }
    }

    /// Puts bytes back, to be read first.
    pub(crate) fn unread(&mut self, bytes: Bytes) {
        match self {
            Self::Plain(wire) => wire.unread(bytes),
            Self::Tls(_, unread) => {
                debug_assert!(unread.is_none(), "bytes are put back once");
                *unread = (!bytes.is_empty()).then(|| Box::new(bytes));
            }
        }
    }

    /// Whether TLS has decrypted bytes that were not read.
    pub(crate) fn has_plaintext(&mut self) -> bool {
        let Self::Tls(stream, unread) = self else {
            return false;
        };
        if unread.as_ref().is_some_and(|unread| !unread.is_empty()) {
            return true;
        }
        let state = match &mut **stream {
            TlsStream::Server(stream) => stream.get_mut().1.process_new_packets(),
            TlsStream::Client(stream) => stream.get_mut().1.process_new_packets(),
        };
        // An error is told by the next read.
        state.is_ok_and(|state| state.plaintext_bytes_to_read() > 0)
    }

    /// Sends `last` and the end of TLS, as far as the socket takes them at once: nobody is left to
    /// wait.
    pub(crate) fn goodbye(&mut self, last: &[u8]) {
        self.wire().last_words();
        let mut nobody = Context::from_waker(Waker::noop());
        // A failure is of no use to anybody here: the connection ends either way.
        if !last.is_empty() {
            let _ = Pin::new(&mut *self).poll_write(&mut nobody, last);
        }
        if let Self::Tls(stream, _) = self {
            let _ = Pin::new(stream).poll_shutdown(&mut nobody);
        }
    }
}

impl AsyncRead for Layer {
    #[inline]
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(wire) => Pin::new(&mut **wire).poll_read(cx, buf),
            Self::Tls(_, Some(unread)) if !unread.is_empty() => {
                let taken = unread.len().min(buf.remaining());
                buf.put_slice(&unread[..taken]);
                unread.advance(taken);
                Poll::Ready(Ok(()))
            }
            Self::Tls(stream, _) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Layer {
    #[inline]
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(wire) => Pin::new(&mut **wire).poll_write(cx, bytes),
            Self::Tls(stream, _) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    #[inline]
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(wire) => Pin::new(&mut **wire).poll_write_vectored(cx, slices),
            Self::Tls(stream, _) => Pin::new(stream).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    #[inline]
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(wire) => Pin::new(&mut **wire).poll_flush(cx),
            Self::Tls(stream, _) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(wire) => Pin::new(&mut **wire).poll_shutdown(cx),
            Self::Tls(stream, _) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
