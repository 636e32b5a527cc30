//! Taking connections from the kernel: wait for room, accept, hand on.

use std::io;
use std::net;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::net as unix;
use std::sync::Arc;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::config::{AcceptOptions, Address, SctpOptions, SocketOptions, UnixOptions};
use crate::path::Endpoint;
#[cfg(feature = "quic")]
use crate::quic::{Front, Seat};
#[cfg(feature = "sctp")]
use crate::sctp;
use crate::sockets::{self, BindError, Listening, PeerCredentials, ReservedDescriptor, SocketFile};
use crate::wire::Socket;

pub(crate) use running::{room, run, tell_broken, turn_away};
use take::{take_sctp, take_tcp, take_unix};

mod running;
mod take;

/// A socket that connections arrive on.
#[derive(Debug)]
pub(crate) struct Acceptor {
    kind: Kind,
    /// Where it listens: clients find it there.
    local: Endpoint,
    /// What it was configured as.
    pub(crate) address: Option<Address>,
    /// The options that it was bound with; a TCP connection inherits them.
    bound: SocketOptions,
}

#[derive(Debug)]
enum Kind {
    Tcp(AsyncFd<net::TcpListener>),
    /// With the file to remove at the end.
    Unix(AsyncFd<unix::UnixListener>, Option<SocketFile>),
    #[cfg(feature = "quic")]
    Quic(Arc<Front>),
    /// One-to-one SCTP, which comes by the same calls as TCP.
    Sctp(AsyncFd<net::TcpListener>),
    #[cfg(feature = "sctp")]
    SctpOverUdp(Arc<sctp::Front>),
    #[cfg(any(test, feature = "testkit"))]
    Memory(crate::testkit::MemoryAcceptor),
}

/// What arrived.
pub(crate) struct Arrival {
    pub(crate) socket: Socket,
    pub(crate) peer: Endpoint,
    pub(crate) credentials: Option<PeerCredentials>,
}

impl Acceptor {
    /// From a listening socket, which is the one of this number among so many of its address; on the
    /// server's runtime.
    pub(crate) fn new(
        listening: Listening,
        (number, count): (usize, usize),
        address: Option<Address>,
        bound: SocketOptions,
    ) -> io::Result<Self> {
        let (kind, local) = match listening {
            Listening::Tcp(listener) => {
                let local = Endpoint::from_socket(listener.local_addr()?);
                (Kind::Tcp(watched(listener)?), local)
            }
            Listening::Unix(listener, file) => {
                let local = match &file {
                    Some(file) => Endpoint::Unix(Some(file.path().to_string_lossy().into())),
                    None => Endpoint::from_unix(&listener.local_addr()?),
                };
                let socket = watched(listener)?;
                (Kind::Unix(socket, file), local)
            }
            #[cfg(feature = "quic")]
            Listening::Udp(socket) => {
                let front = Front::new(socket, Seat { number, count })?;
                let local = front.local()?;
                (Kind::Quic(Arc::new(front)), local)
            }
            #[cfg(not(feature = "quic"))]
            Listening::Udp(_) => return Err(io::ErrorKind::Unsupported.into()),
            Listening::Sctp(listener) => {
                let listener = net::TcpListener::from(listener);
                let local = Endpoint::from_socket(listener.local_addr()?);
                (Kind::Sctp(watched(listener)?), local)
            }
            #[cfg(feature = "sctp")]
            Listening::SctpOverUdp(socket, options) => {
                let front = sctp::Front::new(socket, options)?;
                let local = front.local();
                (Kind::SctpOverUdp(Arc::new(front)), local)
            }
            #[cfg(not(feature = "sctp"))]
            Listening::SctpOverUdp(..) => return Err(io::ErrorKind::Unsupported.into()),
        };
        Ok(Self {
            kind,
            local,
            address,
            bound,
        })
    }

    #[cfg(any(test, feature = "testkit"))]
    pub(crate) fn memory(listener: crate::testkit::MemoryAcceptor) -> Self {
        let local = listener.local().clone();
        let bound = SocketOptions::default();
        Self {
            kind: Kind::Memory(listener),
            local,
            address: None,
            bound,
        }
    }

    /// The next arrival, as soon as there is one.
    async fn accept(&self) -> io::Result<Arrival> {
        match &self.kind {
            Kind::Tcp(socket) => socket.async_io(Interest::READABLE, take_tcp).await,
            Kind::Unix(socket, _) => socket.async_io(Interest::READABLE, take_unix).await,
            // Its clients come through `quic::run`.
            #[cfg(feature = "quic")]
            Kind::Quic(_) => std::future::pending().await,
            // Its peers come through `sctp::run`.
            #[cfg(feature = "sctp")]
            Kind::SctpOverUdp(_) => std::future::pending().await,
            Kind::Sctp(socket) => socket.async_io(Interest::READABLE, take_sctp).await,
            #[cfg(any(test, feature = "testkit"))]
            Kind::Memory(listener) => listener.accept().await,
        }
    }

    /// Its socket, for another process; a listener in memory has none.
    pub(crate) fn socket(&self) -> Option<BorrowedFd<'_>> {
        match &self.kind {
            Kind::Tcp(socket) => Some(socket.get_ref().as_fd()),
            Kind::Unix(socket, _) => Some(socket.get_ref().as_fd()),
            #[cfg(feature = "quic")]
            Kind::Quic(front) => Some(front.socket()),
            Kind::Sctp(socket) => Some(socket.get_ref().as_fd()),
            #[cfg(feature = "sctp")]
            Kind::SctpOverUdp(front) => Some(front.socket()),
            #[cfg(any(test, feature = "testkit"))]
            Kind::Memory(_) => None,
        }
    }

    /// Leaves the socket to another process. Says whether its connections are cut off by that: those
    /// of QUIC and of SCTP over UDP share it.
    pub(crate) fn leave(&self) -> bool {
        match &self.kind {
            #[cfg(feature = "quic")]
            Kind::Quic(front) => {
                front.leave();
                true
            }
            #[cfg(feature = "sctp")]
            Kind::SctpOverUdp(front) => {
                front.leave();
                true
            }
            _ => false,
        }
    }

    /// The file of its socket, if it has one.
    pub(crate) fn file(&self) -> Option<&SocketFile> {
        match &self.kind {
            Kind::Unix(_, file) => file.as_ref(),
            _ => None,
        }
    }

    /// Waits until somebody can be accepted, or the socket has failed; takes nothing.
    async fn arrived(&self) -> io::Result<()> {
        match &self.kind {
            Kind::Tcp(socket) => readable(socket).await,
            Kind::Unix(socket, _) => readable(socket).await,
            Kind::Sctp(socket) => readable(socket).await,
            #[cfg(feature = "sctp")]
            Kind::SctpOverUdp(_) => std::future::pending().await,
            #[cfg(feature = "quic")]
            Kind::Quic(_) => std::future::pending().await,
            #[cfg(any(test, feature = "testkit"))]
            Kind::Memory(listener) => {
                listener.arrived().await;
                Ok(())
            }
        }
    }

    /// Who is there now; `WouldBlock` if nobody is.
    fn take(&self) -> io::Result<Arrival> {
        match &self.kind {
            Kind::Tcp(socket) => take_tcp(socket.get_ref()),
            Kind::Unix(socket, _) => take_unix(socket.get_ref()),
            Kind::Sctp(socket) => take_sctp(socket.get_ref()),
            #[cfg(feature = "sctp")]
            Kind::SctpOverUdp(_) => Err(io::ErrorKind::WouldBlock.into()),
            #[cfg(feature = "quic")]
            Kind::Quic(_) => Err(io::ErrorKind::WouldBlock.into()),
            #[cfg(any(test, feature = "testkit"))]
            Kind::Memory(listener) => listener.take(),
        }
    }

    /// Where it listens.
    pub(crate) fn local(&self) -> &Endpoint {
        &self.local
    }

    /// Gives an accepted connection the options in force, and says which address it came to.
    pub(crate) fn prepare(&self, socket: &Socket, wanted: &SocketOptions) -> io::Result<Endpoint> {
        socket.apply(&self.bound, wanted)?;
        match &self.local {
            // The kernel is asked only where it knows more than we do.
            Endpoint::Ip(local) if local.ip().is_unspecified() => socket.local(),
            local => Ok(local.clone()),
        }
    }

    /// Another acceptor on the same socket, with the options that can change on one that is bound.
    /// For a socket file, another socket in its place.
    pub(crate) fn again(
        &self,
        accept: &AcceptOptions,
        socket: &SocketOptions,
        unix: &UnixOptions,
        sctp: &SctpOptions,
    ) -> Result<Self, BindError> {
        let address = self.address.clone();
        let cloned = |source: &dyn Fn() -> io::Result<socket2::Socket>| {
            source().map_err(|source| BindError::Address {
                address: address
                    .clone()
                    .unwrap_or(Address::Abstract(self.local.to_string())),
                source,
            })
        };
        let listening = match &self.kind {
            Kind::Tcp(listener) => {
                let same = cloned(&|| socket2::SockRef::from(listener.get_ref()).try_clone())?;
                sockets::from_tcp(same.into(), accept, socket)?
            }
            Kind::Unix(_, Some(file)) => file.replace(accept, unix)?,
            Kind::Unix(listener, None) => {
                let same = cloned(&|| socket2::SockRef::from(listener.get_ref()).try_clone())?;
                sockets::from_unix(std::os::fd::OwnedFd::from(same).into(), accept)?
            }
            #[cfg(feature = "quic")]
            Kind::Quic(front) => {
                front.apply(socket)?;
                return Ok(Self {
                    kind: Kind::Quic(front.clone()),
                    local: self.local.clone(),
                    address,
                    bound: socket.clone(),
                });
            }
            #[cfg(feature = "sctp")]
            Kind::SctpOverUdp(front) => {
                front.apply(socket, sctp)?;
                return Ok(Self {
                    kind: Kind::SctpOverUdp(front.clone()),
                    local: self.local.clone(),
                    address,
                    bound: socket.clone(),
                });
            }
            Kind::Sctp(listener) => {
                let same = cloned(&|| socket2::SockRef::from(listener.get_ref()).try_clone())?;
                sockets::from_sctp(same, accept, socket, sctp)?
            }
            #[cfg(any(test, feature = "testkit"))]
            Kind::Memory(listener) => return Ok(Self::memory(listener.clone())),
        };
        Self::new(listening, (0, 1), self.address.clone(), socket.clone()).map_err(|source| {
            BindError::Address {
                address: address
                    .clone()
                    .unwrap_or(Address::Abstract(self.local.to_string())),
                source,
            }
        })
    }

    /// Takes the waiting connection with the reserved descriptor and closes it, so that its peer is
    /// not left waiting. Says whether there was one.
    fn refuse_one(&self, reserved: &mut ReservedDescriptor) -> bool {
        match &self.kind {
            Kind::Tcp(listener) => reserved
                .release_and_refuse(listener.get_ref())
                .unwrap_or(false),
            Kind::Unix(listener, _) => reserved
                .release_and_refuse(listener.get_ref())
                .unwrap_or(false),
            // It takes no descriptor to accept a client of QUIC.
            #[cfg(feature = "quic")]
            Kind::Quic(_) => false,
            #[cfg(feature = "sctp")]
            Kind::SctpOverUdp(_) => false,
            Kind::Sctp(listener) => reserved
                .release_and_refuse(listener.get_ref())
                .unwrap_or(false),
            #[cfg(any(test, feature = "testkit"))]
            Kind::Memory(listener) => listener.refuse_one(),
        }
    }

    /// The endpoint of QUIC whose last connections outlive the acceptor.
    #[cfg(feature = "quic")]
    pub(crate) fn endpoint(&self) -> Option<quinn::Endpoint> {
        match &self.kind {
            Kind::Quic(front) => Some(front.endpoint()),
            _ => None,
        }
    }
}

/// A listening socket that the runtime watches.
#[expect(
    deprecated,
    reason = "it asks for a descriptor that stays the same and open, which std's sockets are"
)]
fn watched<T: AsFd + AsRawFd>(socket: T) -> io::Result<AsyncFd<T>> {
    AsyncFd::with_interest(socket, Interest::READABLE)
}

/// Waits until a listening socket has something to tell. The runtime knows only that it had since
/// the last failed accept, so the kernel is asked.
async fn readable(socket: &AsyncFd<impl AsFd + AsRawFd>) -> io::Result<()> {
    loop {
        let mut ready = socket.readable().await?;
        let mut asked = [PollFd::new(socket.get_ref(), PollFlags::IN)];
        if poll(&mut asked, Some(&Timespec::default()))? > 0 {
            return Ok(());
        }
        ready.clear_ready();
    }
}
