//! Taking connections from the kernel: wait for room, accept, hand on.

use std::io;
use std::net;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::net as unix;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{SocketAddrUnix, SocketFlags, acceptfrom_with};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{Instant, sleep, sleep_until};

use crate::admission::{self, TurnAway};
use crate::config::OnFull;
use crate::config::{AcceptOptions, Address, SocketOptions, UnixOptions};
use crate::connection::Places;
use crate::counters::one_more;
use crate::events::Event;
use crate::listener::Listener;
use crate::path::Endpoint;
#[cfg(feature = "quic")]
use crate::quic::Front;
use crate::reason::Refusal;
use crate::sockets::{
    self, AcceptError, Backoff, BindError, Listening, PeerCredentials, ReservedDescriptor,
    SocketFile,
};
use crate::wire::Socket;

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
    /// From a listening socket; on the server's runtime.
    pub(crate) fn new(
        listening: Listening,
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
                let front = Front::new(socket)?;
                let local = front.local()?;
                (Kind::Quic(Arc::new(front)), local)
            }
            #[cfg(not(feature = "quic"))]
            Listening::Udp(_) => return Err(io::ErrorKind::Unsupported.into()),
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
            #[cfg(any(test, feature = "testkit"))]
            Kind::Memory(_) => None,
        }
    }

    /// Leaves the socket to another process. Says whether its connections are cut off by that: those
    /// of QUIC share it.
    pub(crate) fn leave(&self) -> bool {
        match &self.kind {
            #[cfg(feature = "quic")]
            Kind::Quic(front) => {
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
            #[cfg(any(test, feature = "testkit"))]
            Kind::Memory(listener) => return Ok(Self::memory(listener.clone())),
        };
        Self::new(listening, self.address.clone(), socket.clone()).map_err(|source| {
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

/// How a connection is accepted: it neither blocks nor outlives an `exec`.
const ACCEPT: SocketFlags = SocketFlags::NONBLOCK.union(SocketFlags::CLOEXEC);

fn take_tcp(listener: &net::TcpListener) -> io::Result<Arrival> {
    let (accepted, peer) = acceptfrom_with(listener, ACCEPT)?;
    let peer = peer.ok_or(io::ErrorKind::ConnectionAborted)?;
    Ok(Arrival {
        peer: Endpoint::from_socket(net::SocketAddr::try_from(peer)?),
        socket: Socket::Tcp(TcpStream::from_std(accepted.into())?),
        credentials: None,
    })
}

fn take_unix(listener: &unix::UnixListener) -> io::Result<Arrival> {
    let (accepted, peer) = acceptfrom_with(listener, ACCEPT)?;
    let stream = UnixStream::from_std(accepted.into())?;
    // Most clients have no name.
    let peer = peer.and_then(|peer| SocketAddrUnix::try_from(peer).ok());
    let peer = peer.as_ref();
    Ok(Arrival {
        peer: Endpoint::of_unix(
            peer.and_then(SocketAddrUnix::path_bytes),
            peer.and_then(SocketAddrUnix::abstract_name)
                .filter(|name| !name.is_empty()),
        ),
        credentials: sockets::peer_credentials(&stream).ok(),
        socket: Socket::Unix(stream),
    })
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

/// Accepts until it is aborted, which happens where it waits: never with an arrival in hand.
pub(crate) async fn run(listener: Arc<Listener>, acceptor: Arc<Acceptor>) {
    #[cfg(feature = "quic")]
    if let Kind::Quic(front) = &acceptor.kind {
        return crate::quic::run(listener, front.clone()).await;
    }
    // Without one the peer that cannot be accepted waits until there is a descriptor.
    let mut reserved = ReservedDescriptor::new().ok();
    let mut backoff = Backoff::new();
    loop {
        // A change of the rule begins this task anew.
        let taken = if listener.owner.live().config.limits.on_full == OnFull::Wait {
            accept_with_room(&listener, &acceptor).await
        } else {
            let arrival = acceptor.accept().await;
            arrival.map(|arrival| (arrival, Places::default()))
        };
        match taken {
            Ok((arrival, places)) => {
                backoff.succeeded();
                admission::admit(&listener, &acceptor, arrival, places);
            }
            Err(error) => match sockets::classify(&error) {
                AcceptError::Transient => {}
                failure => {
                    one_more(&listener.owner.counters.accept_errors);
                    if failure == AcceptError::Exhausted
                        && reserved.as_mut().is_some_and(|fd| acceptor.refuse_one(fd))
                    {
                        listener.owner.counters.refused(Refusal::Exhausted);
                    }
                    if failure == AcceptError::Fatal {
                        tell_broken(&listener, &error);
                    }
                    pause(&listener, &error, backoff.failed()).await;
                }
            },
        }
    }
}

/// With `on-full = "wait"`: leaves who arrives in the backlog until there is room and a token, and
/// accepts with both. Nothing is held while it waits, so that an address where nobody arrives keeps
/// nothing from the others, and a place that is taken is somebody's.
async fn accept_with_room(
    listener: &Listener,
    acceptor: &Acceptor,
) -> io::Result<(Arrival, Places)> {
    loop {
        acceptor.arrived().await?;
        let places = room(listener).await;
        match acceptor.take() {
            Ok(arrival) => return Ok((arrival, places)),
            Err(error) => {
                listener.return_accept_token();
                // Another acceptor of the socket was faster.
                if error.kind() != io::ErrorKind::WouldBlock {
                    return Err(error);
                }
            }
        }
    }
}

/// Waits for a place at the listener and at the server, and for a token; holds nothing while it
/// waits.
pub(crate) async fn room(listener: &Listener) -> Places {
    let mut told = false;
    loop {
        let at_listener = listener.gate.enter().await;
        let Some(at_server) = listener.server_gate.try_enter() else {
            drop(at_listener);
            drop(listener.server_gate.enter().await);
            continue;
        };
        let Err(at) = listener.take_accept_token() else {
            return Places {
                listener: Some(at_listener),
                server: Some(at_server),
                ..Places::default()
            };
        };
        drop((at_listener, at_server));
        if !std::mem::replace(&mut told, true) {
            listener.owner.events.emit(|| Event::RateLimited {
                listener: listener.owner.name.clone(),
                id: None,
                key: "rates.accept",
            });
        }
        // Without a refill there is nothing to wait for but a change of the rate, which begins the
        // acceptor anew.
        match at {
            Some(at) => sleep_until(Instant::from_std(at)).await,
            None => std::future::pending().await,
        }
    }
}

/// The listening socket itself has failed.
pub(crate) fn tell_broken(listener: &Listener, error: &io::Error) {
    let owner = &listener.owner;
    owner.events.emit(|| Event::ListenerError {
        listener: owner.name.clone(),
        error: error.to_string(),
    });
}

async fn pause(listener: &Listener, error: &io::Error, pause: std::time::Duration) {
    let owner = &listener.owner;
    owner.counters.accept_pauses.fetch_add(1, Ordering::Relaxed);
    owner.events.emit(|| Event::AcceptPaused {
        listener: owner.name.clone(),
        pause,
    });
    owner.events.accept_failed(&owner.name, error, pause);
    sleep(pause).await;
}

/// Ends what was not let in, as the listener says.
pub(crate) fn turn_away(mut socket: Socket, how: &TurnAway) {
    match how {
        TurnAway::Close => {}
        TurnAway::Reset => socket.reset_on_close(),
        TurnAway::Reply(bytes) => {
            // As far as the socket takes it at once: refusing must not cost a wait.
            let _ = socket.write_now(bytes.as_bytes());
        }
    }
}
