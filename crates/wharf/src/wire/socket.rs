//! The sockets that streams are made of.

use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

use crate::config::SocketOptions;
use crate::path::Endpoint;
use crate::sctp::SctpSocket;
use crate::sockets;

/// A connected socket.
#[derive(Debug)]
#[non_exhaustive]
pub enum Socket {
    /// TCP.
    Tcp(TcpStream),
    /// A Unix stream socket.
    Unix(UnixStream),
    /// A one-to-one SCTP socket, which carries messages and no bytes.
    Sctp(SctpSocket),
    /// Bytes in memory, for tests.
    #[cfg(any(test, feature = "testkit"))]
    Memory(crate::testkit::MemoryStream),
    /// What is left of a socket that was already taken out.
    Closed,
}

impl Socket {
    pub(crate) fn closed() -> Self {
        Self::Closed
    }

    /// Our address; the kernel is asked.
    pub(crate) fn local(&self) -> io::Result<Endpoint> {
        match self {
            Self::Tcp(stream) => stream.local_addr().map(Endpoint::from_socket),
            Self::Unix(stream) => stream
                .local_addr()
                .map(|address| Endpoint::from_unix(&address.into())),
            Self::Sctp(socket) => socket.local(),
            #[cfg(any(test, feature = "testkit"))]
            Self::Memory(stream) => Ok(stream.local().clone()),
            Self::Closed => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// The peer's address; the kernel is asked.
    pub(crate) fn peer(&self) -> io::Result<Endpoint> {
        match self {
            Self::Tcp(stream) => stream.peer_addr().map(Endpoint::from_socket),
            Self::Unix(stream) => stream
                .peer_addr()
                .map(|address| Endpoint::from_unix(&address.into())),
            Self::Sctp(socket) => socket.peer(),
            #[cfg(any(test, feature = "testkit"))]
            Self::Memory(stream) => Ok(stream.peer().clone()),
            Self::Closed => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// The process at the other end, where the kernel knows it.
    pub(crate) fn credentials(&self) -> Option<sockets::PeerCredentials> {
        match self {
            Self::Unix(stream) => sockets::peer_credentials(stream).ok(),
            _ => None,
        }
    }

    pub(crate) fn descriptor(&self) -> Option<RawFd> {
        match self {
            Self::Tcp(stream) => Some(stream.as_raw_fd()),
            _ => None,
        }
    }

    /// Gives it the options `wanted`, as far as it has not inherited them from a listener that was
    /// bound with `bound`.
    pub(crate) fn apply(&self, bound: &SocketOptions, wanted: &SocketOptions) -> io::Result<()> {
        match self {
            Self::Tcp(stream) if sockets::needs_apply(bound, wanted, true) => {
                sockets::apply_to_connection(stream, bound, wanted, true)
            }
            Self::Unix(stream) if sockets::needs_apply(bound, wanted, false) => {
                sockets::apply_to_connection(stream, bound, wanted, false)
            }
            _ => return Ok(()),
        }
        .map_err(|error| error.source)
    }

    /// Closing resets the connection instead of ending it in order.
    pub(crate) fn reset_on_close(&self) {
        // A socket that does not take the option is closed in order.
        let _ = match self {
            Self::Tcp(stream) => sockets::reset_on_close(stream),
            Self::Unix(stream) => sockets::reset_on_close(stream),
            Self::Sctp(socket) => sockets::reset_on_close(socket),
            #[cfg(any(test, feature = "testkit"))]
            Self::Memory(stream) => {
                stream.reset_on_close();
                Ok(())
            }
            Self::Closed => Ok(()),
        };
    }

    /// Writes what is taken at once. The kernel is asked even if the runtime does not know yet
    /// whether the socket is writable, as it does not just after the accept.
    pub(crate) fn write_now(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => socket2::SockRef::from(&*stream).send(bytes),
            Self::Unix(stream) => socket2::SockRef::from(&*stream).send(bytes),
            Self::Sctp(socket) => socket.send_now(bytes),
            #[cfg(any(test, feature = "testkit"))]
            Self::Memory(stream) => {
                let mut nobody = Context::from_waker(std::task::Waker::noop());
                match Pin::new(stream).poll_write(&mut nobody, bytes) {
                    Poll::Ready(result) => result,
                    Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
                }
            }
            Self::Closed => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}

impl From<TcpStream> for Socket {
    fn from(stream: TcpStream) -> Self {
        Self::Tcp(stream)
    }
}

impl From<UnixStream> for Socket {
    fn from(stream: UnixStream) -> Self {
        Self::Unix(stream)
    }
}

#[cfg(any(test, feature = "testkit"))]
impl From<crate::testkit::MemoryStream> for Socket {
    fn from(stream: crate::testkit::MemoryStream) -> Self {
        Self::Memory(stream)
    }
}

/// What a socket of messages answers to whoever wants bytes.
fn no_bytes() -> io::Error {
    io::ErrorKind::Unsupported.into()
}

impl AsyncRead for Socket {
    #[inline]
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Sctp(_) => Poll::Ready(Err(no_bytes())),
            #[cfg(any(test, feature = "testkit"))]
            Self::Memory(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Closed => Poll::Ready(Ok(())),
        }
    }
}

impl AsyncWrite for Socket {
    #[inline]
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Sctp(_) => Poll::Ready(Err(no_bytes())),
            #[cfg(any(test, feature = "testkit"))]
            Self::Memory(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Closed => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    #[inline]
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Self::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Self::Sctp(_) => Poll::Ready(Err(no_bytes())),
            #[cfg(any(test, feature = "testkit"))]
            Self::Memory(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Self::Closed => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Sctp(socket) => Poll::Ready(socket.shut_down()),
            #[cfg(any(test, feature = "testkit"))]
            Self::Memory(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Closed => Poll::Ready(Ok(())),
        }
    }
}
