//! A one-to-one SCTP socket on the runtime.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::task::{Context, Poll, ready};

use tokio::io::Interest;
use tokio::net::TcpStream;

use crate::path::Endpoint;

/// A connected one-to-one SCTP socket of the kernel.
///
/// The runtime's type for TCP holds it: what it does itself (readiness, names, shutdown) are the calls that both
/// protocols share. Messages go by the calls of their own.
#[derive(Debug)]
pub struct SctpSocket(TcpStream);

impl SctpSocket {
    /// A connected socket.
    ///
    /// # Errors
    /// Its association has ended already.
    pub(crate) fn new(socket: TcpStream) -> io::Result<Self> {
        wharf_udp::watch_sctp(&socket)?;
        Ok(Self(socket))
    }

    pub(crate) fn local(&self) -> io::Result<Endpoint> {
        self.0.local_addr().map(Endpoint::from_socket)
    }

    pub(crate) fn peer(&self) -> io::Result<Endpoint> {
        self.0.peer_addr().map(Endpoint::from_socket)
    }

    /// Begins the shutdown of the association; it completes when all that was sent has arrived.
    pub(crate) fn shut_down(&self) -> io::Result<()> {
        match socket2::SockRef::from(&self.0).shutdown(std::net::Shutdown::Write) {
            // It is over already.
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
            done => done,
        }
    }

    /// Sends what is taken at once, as a message on stream 0.
    pub(crate) fn send_now(&self, bytes: &[u8]) -> io::Result<usize> {
        wharf_udp::send_sctp(&self.0, bytes, 0, 0, false).map(|()| bytes.len())
    }

    /// Does `call` when the socket is ready for it, as often as it says `WouldBlock`.
    pub(crate) fn poll_with<T>(
        &self,
        cx: &mut Context<'_>,
        interest: Interest,
        mut call: impl FnMut(BorrowedFd<'_>) -> io::Result<T>,
    ) -> Poll<io::Result<T>> {
        loop {
            if interest.is_readable() {
                ready!(self.0.poll_read_ready(cx))?;
            } else {
                ready!(self.0.poll_write_ready(cx))?;
            }
            match self.0.try_io(interest, || call(self.0.as_fd())) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return Poll::Ready(done),
            }
        }
    }
}

impl AsFd for SctpSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
