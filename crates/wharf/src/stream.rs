//! A connection as ordered bytes.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::TlsStream;

use crate::Connection;
use crate::layer::Layer;
use crate::path::Path;
#[cfg(feature = "quic")]
use crate::quic::QuicStream;
use crate::reason::Closed;
use crate::websocket::WebSocketBytes;
use crate::wire::{Lease, Socket, Wire};

/// A connection as ordered bytes: TCP, TLS, a Unix socket, or the binary messages of a WebSocket.
///
/// Reads and writes obey the listener's timeouts and rates: over its byte rate a stream is not
/// ready to be read; past a timeout, or when the control plane closes the connection, they fail
/// with an [`io::Error`] whose source is a [`ClosedByServer`](crate::ClosedByServer).
///
/// Half-close works in both directions: `shutdown` ends what we send, and reading goes on until the
/// peer has ended its side. When a stream is dropped, TLS and WebSocket say goodbye as far as the
/// socket takes it at once; whoever must know that everything was taken calls `shutdown`.
pub struct Stream {
    inner: Inner,
    connection: Connection,
}

enum Inner {
    Bytes(Layer),
    WebSocket(Box<WebSocketBytes<Layer>>),
    /// On the heap, so that other streams are not as large.
    #[cfg(feature = "quic")]
    Quic(Box<QuicStream>),
    /// It was taken out.
    Gone,
}

/// What was inside a [`Stream`].
#[derive(Debug)]
#[non_exhaustive]
pub enum IntoInner {
    /// A socket, and bytes that were received on it but not read.
    Socket(Socket, Bytes),
    /// A TLS session over the guarded socket: [`TlsStream::into_inner`](tokio_rustls::server::TlsStream::into_inner)
    /// gives the rustls connection, and [`Wire::into_parts`] the socket. With bytes that were decrypted
    /// but not read.
    Tls(Box<TlsStream<Wire>>, Bytes),
    /// The two halves of a bidirectional QUIC stream. The connection goes on without it.
    #[cfg(feature = "quic")]
    Quic(quinn::SendStream, quinn::RecvStream),
}

impl Stream {
    pub(crate) fn new(layer: Layer, connection: Connection) -> Self {
        Self {
            inner: Inner::Bytes(layer),
            connection,
        }
    }

    pub(crate) fn over_websocket(bytes: WebSocketBytes<Layer>, connection: Connection) -> Self {
        Self {
            inner: Inner::WebSocket(Box::new(bytes)),
            connection,
        }
    }

    #[cfg(feature = "quic")]
    pub(crate) fn over_quic(stream: QuicStream, connection: Connection) -> Self {
        Self {
            inner: Inner::Quic(Box::new(stream)),
            connection,
        }
    }

    /// The connection: who it is with, and how to close it.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Between whom it is, and over what.
    pub fn path(&self) -> Path {
        self.connection.path()
    }

    /// For whoever does not read now: ready when the control plane has closed the connection, and woken when
    /// its listener begins to drain. A read that is polled later takes the place of this one's waker.
    pub fn poll_ending(&mut self, cx: &mut Context<'_>) -> Poll<Closed> {
        self.connection.shared().poll_ending(cx)
    }

    /// For a connection that nobody uses: ready when it is of no more use, because it was closed,
    /// has failed, or something has come that nobody asked for. The time until then counts for no
    /// timeout of reading.
    pub(crate) fn poll_unusable(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut byte = [0];
        let read = Pin::new(&mut *self).poll_read(cx, &mut ReadBuf::new(&mut byte));
        if read.is_pending() {
            match &mut self.inner {
                Inner::Bytes(layer) => layer.wire().rest(),
                Inner::WebSocket(bytes) => bytes.get_mut().get_mut().wire().rest(),
                #[cfg(feature = "quic")]
                Inner::Quic(stream) => stream.rest(),
                Inner::Gone => {}
            }
        }
        read.map(drop)
    }

    /// The tokio socket or rustls session inside. Limits go on counting the connection until the
    /// [`Lease`] is dropped; timeouts and rates end with a socket that is taken out, and go on
    /// beneath TLS.
    ///
    /// # Errors
    /// A WebSocket is given back: its framing has no meaning to anybody else.
    pub fn into_inner(mut self) -> Result<(IntoInner, Lease), Self> {
        match std::mem::replace(&mut self.inner, Inner::Gone) {
            Inner::Bytes(Layer::Plain(wire)) => {
                let (socket, unread, lease) = (*wire).into_parts();
                Ok((IntoInner::Socket(socket, unread), lease))
            }
            Inner::Bytes(Layer::Tls(stream, unread)) => {
                let lease = stream.get_ref().0.lease();
                let unread = unread.map(|unread| *unread).unwrap_or_default();
                Ok((IntoInner::Tls(stream, unread), lease))
            }
            #[cfg(feature = "quic")]
            Inner::Quic(stream) => {
                let lease = stream.lease();
                match stream.into_halves() {
                    Some((send, recv)) => Ok((IntoInner::Quic(send, recv), lease)),
                    None => Err(self),
                }
            }
            inner => {
                self.inner = inner;
                Err(self)
            }
        }
    }
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Stream").field(&self.connection).finish()
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        match &mut self.inner {
            Inner::Bytes(layer @ Layer::Tls(..)) => layer.goodbye(&[]),
            Inner::Bytes(Layer::Plain(_)) | Inner::Gone => {}
            // It ends as it is dropped.
            #[cfg(feature = "quic")]
            Inner::Quic(_) => {}
            Inner::WebSocket(bytes) => {
                let code = crate::messages::goodbye_code(&self.connection);
                let socket = bytes.get_mut();
                let last = socket.goodbye_frame(code);
                socket
                    .get_mut()
                    .goodbye(last.as_deref().unwrap_or_default());
            }
        }
    }
}

/// What a stream whose socket was taken out answers; nobody holds one.
fn gone() -> io::Error {
    io::ErrorKind::NotConnected.into()
}

impl AsyncRead for Stream {
    #[inline]
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.get_mut().inner {
            Inner::Bytes(layer) => Pin::new(layer).poll_read(cx, buf),
            Inner::WebSocket(bytes) => Pin::new(bytes).poll_read(cx, buf),
            #[cfg(feature = "quic")]
            Inner::Quic(stream) => Pin::new(&mut **stream).poll_read(cx, buf),
            Inner::Gone => Poll::Ready(Err(gone())),
        }
    }
}

impl AsyncWrite for Stream {
    #[inline]
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().inner {
            Inner::Bytes(layer) => Pin::new(layer).poll_write(cx, bytes),
            Inner::WebSocket(socket) => Pin::new(socket).poll_write(cx, bytes),
            #[cfg(feature = "quic")]
            Inner::Quic(stream) => Pin::new(&mut **stream).poll_write(cx, bytes),
            Inner::Gone => Poll::Ready(Err(gone())),
        }
    }

    #[inline]
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().inner {
            Inner::Bytes(layer) => Pin::new(layer).poll_write_vectored(cx, slices),
            Inner::WebSocket(socket) => Pin::new(socket).poll_write_vectored(cx, slices),
            #[cfg(feature = "quic")]
            Inner::Quic(stream) => Pin::new(&mut **stream).poll_write_vectored(cx, slices),
            Inner::Gone => Poll::Ready(Err(gone())),
        }
    }

    fn is_write_vectored(&self) -> bool {
        matches!(self.inner, Inner::Bytes(_))
    }

    #[inline]
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().inner {
            Inner::Bytes(layer) => Pin::new(layer).poll_flush(cx),
            Inner::WebSocket(bytes) => Pin::new(bytes).poll_flush(cx),
            #[cfg(feature = "quic")]
            Inner::Quic(stream) => Pin::new(&mut **stream).poll_flush(cx),
            Inner::Gone => Poll::Ready(Err(gone())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().inner {
            Inner::Bytes(layer) => Pin::new(layer).poll_shutdown(cx),
            Inner::WebSocket(bytes) => Pin::new(bytes).poll_shutdown(cx),
            #[cfg(feature = "quic")]
            Inner::Quic(stream) => Pin::new(&mut **stream).poll_shutdown(cx),
            Inner::Gone => Poll::Ready(Err(gone())),
        }
    }
}
