//! The guarded socket below every shape: it counts, paces, times out, and can be closed from
//! outside.

mod guard;
mod pace;
mod packets;
#[cfg(feature = "sctp")]
mod sctp;
mod socket;

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use guard::{Guard, Side};
pub(crate) use packets::Packets;
#[cfg(feature = "sctp")]
pub(crate) use sctp::SctpFlow;
pub use socket::Socket;

use crate::connection::Hold;

/// A socket with the rules of its listener: the layer below TLS and WebSocket, so that whatever is
/// spoken above is counted, paced and timed in one place.
pub struct Wire {
    /// `None` once it was handed out.
    socket: Option<Socket>,
    /// Bytes that were read too far, to be read first.
    unread: Option<Box<Bytes>>,
    guard: Guard,
    last_words: bool,
    /// Dropped after the socket: its places are free when it is closed.
    hold: Hold,
}

impl Wire {
    pub(crate) fn new(socket: Socket, hold: Hold) -> Self {
        let guard = Guard::new(hold.shared());
        Self {
            socket: Some(socket),
            unread: None,
            guard,
            last_words: false,
            hold,
        }
    }

    /// Keeps the connection counted, whatever becomes of this.
    pub(crate) fn lease(&self) -> Lease {
        Lease(self.hold.clone())
    }

    /// Puts bytes back, to be read first.
    pub(crate) fn unread(&mut self, bytes: Bytes) {
        if bytes.is_empty() {
            return;
        }
        let bytes = match self.unread.take() {
            None => bytes,
            Some(behind) => [bytes, *behind].concat().into(),
        };
        self.unread = Some(Box::new(bytes));
    }

    /// The handshakes are complete: from here on `first-byte` and `read-idle` count. `spoken`: the
    /// peer's first bytes came with its handshakes.
    pub(crate) fn established(&mut self, spoken: bool) {
        let spoken = spoken || self.unread.is_some();
        self.guard.established(self.hold.shared(), spoken);
    }

    /// Nobody waits for the read that was under way.
    pub(crate) fn rest(&mut self) {
        self.guard.rest();
    }

    /// The socket and the bytes that were read too far; the connection counts until the
    /// [`Lease`] is dropped, but is no longer timed.
    pub fn into_parts(mut self) -> (Socket, Bytes, Lease) {
        self.hold.shared().forget_descriptor();
        let socket = self.socket.take().unwrap_or_else(Socket::closed);
        (
            socket,
            self.unread.take().map(|unread| *unread).unwrap_or_default(),
            Lease(self.hold.clone()),
        )
    }

    /// From here on writes are let through even though the server has closed the connection: the
    /// last words.
    pub(crate) fn last_words(&mut self) {
        self.last_words = true;
    }

    /// Has the peer told that the connection is cut off, where the server has closed it: closing the socket resets it.
    pub(crate) fn reset_if_closed(&self) {
        if let (Some(socket), Some(_)) = (&self.socket, self.hold.shared().ending()) {
            socket.reset_on_close();
        }
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        // Before the descriptor is closed, and can be somebody else's.
        self.hold.shared().forget_descriptor();
    }
}

/// The place of a connection whose socket was taken out: it counts as live until this is dropped.
pub struct Lease(Hold);

impl Lease {
    #[cfg(feature = "quic")]
    pub(crate) fn new(hold: Hold) -> Self {
        Self(hold)
    }

    /// The connection.
    pub fn connection(&self) -> crate::Connection {
        crate::Connection::new(self.0.shared().clone())
    }
}

impl std::fmt::Debug for Lease {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Lease").field(&self.0.shared().id).finish()
    }
}

impl std::fmt::Debug for Wire {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wire")
            .field("connection", &self.hold.shared().id)
            .finish_non_exhaustive()
    }
}

/// What a socket that was handed out answers.
fn gone() -> io::Error {
    io::ErrorKind::NotConnected.into()
}

impl AsyncRead for Wire {
    #[inline]
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Some(reason) = this.hold.shared().ending() {
            return Poll::Ready(Err(reason.error()));
        }
        if let Some(unread) = &mut this.unread {
            let taken = unread.len().min(buf.remaining());
            buf.put_slice(&unread[..taken]);
            unread.advance(taken);
            if unread.is_empty() {
                this.unread = None;
            }
            return Poll::Ready(Ok(()));
        }
        std::task::ready!(this.guard.poll_pace(cx, this.hold.shared()))?;
        let Some(socket) = &mut this.socket else {
            return Poll::Ready(Err(gone()));
        };
        if buf.remaining() == 0 {
            // Nothing can be read, which is not the end.
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        match Pin::new(socket).poll_read(cx, buf) {
            Poll::Ready(Ok(())) => {
                this.guard
                    .has_read(this.hold.shared(), buf.filled().len() - before);
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(this.hold.shared().noted(error))),
            Poll::Pending => this
                .guard
                .poll_waiting(cx, this.hold.shared(), Side::Read)
                .map(Err),
        }
    }
}

impl Wire {
    /// Receives something from the socket that says how many bytes it was, by the rules for reading.
    pub(crate) fn poll_receive<T>(
        &mut self,
        cx: &mut Context<'_>,
        receive: impl FnOnce(&mut Socket, &mut Context<'_>) -> Poll<io::Result<(T, usize)>>,
    ) -> Poll<io::Result<T>> {
        if let Some(reason) = self.hold.shared().ending() {
            return Poll::Ready(Err(reason.error()));
        }
        std::task::ready!(self.guard.poll_pace(cx, self.hold.shared()))?;
        let Some(socket) = &mut self.socket else {
            return Poll::Ready(Err(gone()));
        };
        match receive(socket, cx) {
            Poll::Ready(Ok((received, bytes))) => {
                self.guard.has_read(self.hold.shared(), bytes);
                Poll::Ready(Ok(received))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(self.hold.shared().noted(error))),
            Poll::Pending => self
                .guard
                .poll_waiting(cx, self.hold.shared(), Side::Read)
                .map(Err),
        }
    }

    #[inline]
    pub(crate) fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut Socket>, &mut Context<'_>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if let Some(reason) = self.hold.shared().ending().filter(|_| !self.last_words) {
            return Poll::Ready(Err(reason.error()));
        }
        let Some(socket) = &mut self.socket else {
            return Poll::Ready(Err(gone()));
        };
        match write(Pin::new(socket), cx) {
            Poll::Ready(Ok(sent)) => {
                self.guard.has_written(self.hold.shared(), sent);
                Poll::Ready(Ok(sent))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(self.hold.shared().noted(error))),
            Poll::Pending => self
                .guard
                .poll_waiting(cx, self.hold.shared(), Side::Write)
                .map(Err),
        }
    }
}

impl AsyncWrite for Wire {
    #[inline]
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.get_mut()
            .poll_send(cx, |socket, cx| socket.poll_write(cx, bytes))
    }

    #[inline]
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut()
            .poll_send(cx, |socket, cx| socket.poll_write_vectored(cx, slices))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // A socket keeps nothing back.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let Some(socket) = &mut this.socket else {
            return Poll::Ready(Ok(()));
        };
        this.hold.shared().tell(crate::events::State::CloseWrite);
        Pin::new(socket).poll_shutdown(cx)
    }
}
