//! Datagram sockets on the runtime, and who is at their other end.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::{self as unix, UnixDatagram};
use std::time::Duration;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::path::Endpoint;
use crate::sockets::{BoundDatagrams, SocketFile};

/// The kernel tells nobody when another process's Unix socket has room again: a send that found
/// none is tried anew after this long, twice as long each time.
const FIRST_RETRY: Duration = Duration::from_millis(1);
const LAST_RETRY: Duration = Duration::from_millis(50);

/// Where a datagram came from, and where one goes.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    Ip(SocketAddr),
    /// Most senders have no name: they cannot be answered.
    Unix(Option<unix::SocketAddr>),
}

impl Source {
    pub(crate) fn endpoint(&self) -> Endpoint {
        match self {
            Self::Ip(address) => Endpoint::from_socket(*address),
            Self::Unix(Some(address)) => Endpoint::from_unix(address),
            Self::Unix(None) => Endpoint::Unix(None),
        }
    }
}

/// What is sent with a datagram.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Manner {
    /// The address that it leaves from; `None` leaves it to the kernel.
    pub(crate) from: Option<IpAddr>,
    /// The TOS or traffic class octet; 0 is the socket's.
    pub(crate) tos: u8,
    /// Cut into datagrams of so many bytes.
    pub(crate) segment: Option<u16>,
}

/// A bound datagram socket. Many may send on it at once.
#[derive(Debug)]
pub(crate) enum DatagramSocket {
    Udp(AsyncFd<wharf_udp::Socket>),
    /// With the file to remove at the end.
    Unix(AsyncFd<UnixDatagram>, Option<SocketFile>),
}

impl DatagramSocket {
    /// On the server's runtime.
    #[expect(
        deprecated,
        reason = "its unsafe successor asks that a socket keep its descriptor for life, which these do"
    )]
    pub(crate) fn new(bound: BoundDatagrams) -> io::Result<Self> {
        let interest = Interest::READABLE | Interest::WRITABLE;
        Ok(match bound {
            BoundDatagrams::Udp(socket) => {
                Self::Udp(AsyncFd::with_interest(socket, interest | Interest::ERROR)?)
            }
            BoundDatagrams::Unix(socket, file) => {
                Self::Unix(AsyncFd::with_interest(socket, interest)?, file)
            }
        })
    }

    /// Where it is bound, as peers find it.
    pub(crate) fn local(&self) -> Endpoint {
        match self {
            Self::Udp(socket) => Endpoint::from_socket(socket.get_ref().local_addr()),
            Self::Unix(_, Some(file)) => Endpoint::Unix(Some(file.path().to_string_lossy().into())),
            Self::Unix(socket, None) => socket
                .get_ref()
                .local_addr()
                .map_or(Endpoint::Unix(None), |local| Endpoint::from_unix(&local)),
        }
    }

    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Udp(socket) => socket.as_fd(),
            Self::Unix(socket, _) => socket.as_fd(),
        }
    }

    /// The address and port of a UDP socket.
    pub(crate) fn local_ip(&self) -> Option<SocketAddr> {
        match self {
            Self::Udp(socket) => Some(socket.get_ref().local_addr()),
            Self::Unix(..) => None,
        }
    }

    /// Sends if there is room now.
    pub(crate) fn try_send(&self, to: &Source, how: Manner, bytes: &[u8]) -> io::Result<()> {
        match (self, to) {
            (Self::Udp(socket), Source::Ip(to)) => {
                socket
                    .get_ref()
                    .send(*to, how.from, how.tos, how.segment, bytes)
            }
            (Self::Unix(socket, _), Source::Unix(Some(to))) => {
                socket.get_ref().send_to_addr(bytes, to).map(|_| ())
            }
            (_, Source::Unix(None)) => Err(unnamed()),
            _ => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    /// Sends as soon as there is room.
    pub(crate) async fn send(&self, to: &Source, how: Manner, bytes: &[u8]) -> io::Result<()> {
        match self.try_send(to, how, bytes) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            done => return done,
        }
        match self {
            Self::Udp(socket) => {
                let send = |_: &wharf_udp::Socket| self.try_send(to, how, bytes);
                socket.async_io(Interest::WRITABLE, send).await
            }
            Self::Unix(..) => {
                let mut pause = FIRST_RETRY;
                loop {
                    tokio::time::sleep(pause).await;
                    match self.try_send(to, how, bytes) {
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                        done => return done,
                    }
                    pause = LAST_RETRY.min(pause * 2);
                }
            }
        }
    }
}

/// Our end of what came to this address of a socket.
pub(crate) fn local_end(socket: &DatagramSocket, address: Option<IpAddr>) -> Endpoint {
    match (socket.local_ip(), address) {
        (Some(bound), Some(address)) => {
            Endpoint::from_socket(SocketAddr::new(address, bound.port()))
        }
        _ => socket.local(),
    }
}

/// The error of answering a sender without a name.
fn unnamed() -> io::Error {
    io::Error::new(
        io::ErrorKind::AddrNotAvailable,
        "the sender's Unix socket has no name: it cannot be answered",
    )
}
