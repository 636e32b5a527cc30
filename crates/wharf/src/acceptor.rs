//! Taking connections from the kernel: wait for room, accept, hand on.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::net::{TcpListener, UnixListener};
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
    Tcp(TcpListener),
    /// With the file to remove at the end.
    Unix(UnixListener, Option<SocketFile>),
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
                (Kind::Tcp(TcpListener::from_std(listener)?), local)
            }
            Listening::Unix(listener, file) => {
                let local = match &file {
                    Some(file) => Endpoint::Unix(Some(file.path().to_string_lossy().into())),
                    None => Endpoint::from_unix(&listener.local_addr()?),
                };
                (Kind::Unix(UnixListener::from_std(listener)?, file), local)
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

    async fn accept(&self) -> io::Result<Arrival> {
        match &self.kind {
            Kind::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                let peer = Endpoint::from_socket(peer);
                Ok(Arrival {
                    socket: Socket::Tcp(stream),
                    peer,
                    credentials: None,
                })
            }
            Kind::Unix(listener, _) => {
                let (stream, peer) = listener.accept().await?;
                let credentials = sockets::peer_credentials(&stream).ok();
                let peer = Endpoint::from_unix(&peer.into());
                Ok(Arrival {
                    socket: Socket::Unix(stream),
                    peer,
                    credentials,
                })
            }
            // Its clients come through `quic::run`.
            #[cfg(feature = "quic")]
            Kind::Quic(_) => std::future::pending().await,
            #[cfg(any(test, feature = "testkit"))]
            Kind::Memory(listener) => listener.accept().await,
        }
    }

    /// The socket that another process can accept on as well. A listener in memory has none, and a
    /// socket of QUIC carries connections, which are this process's.
    pub(crate) fn socket(&self) -> Option<BorrowedFd<'_>> {
        match &self.kind {
            Kind::Tcp(listener) => Some(listener.as_fd()),
            Kind::Unix(listener, _) => Some(listener.as_fd()),
            #[cfg(feature = "quic")]
            Kind::Quic(_) => None,
            #[cfg(any(test, feature = "testkit"))]
            Kind::Memory(_) => None,
        }
    }

    /// The file of its socket, if it has one.
    pub(crate) fn file(&self) -> Option<&SocketFile> {
        match &self.kind {
            Kind::Unix(_, file) => file.as_ref(),
            _ => None,
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
                let same = cloned(&|| socket2::SockRef::from(listener).try_clone())?;
                sockets::from_tcp(same.into(), accept, socket)?
            }
            Kind::Unix(_, Some(file)) => file.replace(accept, unix)?,
            Kind::Unix(listener, None) => {
                let same = cloned(&|| socket2::SockRef::from(listener).try_clone())?;
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
            Kind::Tcp(listener) => reserved.release_and_refuse(listener).unwrap_or(false),
            Kind::Unix(listener, _) => reserved.release_and_refuse(listener).unwrap_or(false),
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

/// Accepts until it is aborted, which happens where it waits.
pub(crate) async fn run(listener: Arc<Listener>, acceptor: Arc<Acceptor>) {
    #[cfg(feature = "quic")]
    if let Kind::Quic(front) = &acceptor.kind {
        return crate::quic::run(listener, front.clone()).await;
    }
    // Without one the peer that cannot be accepted waits until there is a descriptor.
    let mut reserved = ReservedDescriptor::new().ok();
    let mut backoff = Backoff::new();
    loop {
        let places = room(&listener).await;
        match acceptor.accept().await {
            Ok(arrival) => {
                backoff.succeeded();
                let places = server_place(&listener, places).await;
                admission::admit(&listener, &acceptor, arrival, places);
            }
            Err(error) => match sockets::classify(&error) {
                AcceptError::Transient => {}
                failure => {
                    // Not kept during the pause: another acceptor may have room.
                    drop(places);
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

/// With `on-full = "wait"`, waits until a connection may be taken, and holds its places.
pub(crate) async fn room(listener: &Arc<Listener>) -> Places {
    let mut places = Places::default();
    if listener.owner.live().config.limits.on_full == OnFull::Wait {
        places.listener = Some(listener.gate.enter().await);
        // Not held while nobody comes: other listeners may need it.
        drop(listener.server_gate.enter().await);
        let mut told = false;
        while let Err(at) = listener.take_accept_token() {
            if !std::mem::replace(&mut told, true) {
                listener.owner.events.emit(|| Event::RateLimited {
                    listener: listener.owner.name.clone(),
                    id: None,
                    key: "rates.accept",
                });
            }
            // Without a refill there is nothing to wait for but a change of the rate, which starts
            // this loop anew.
            match at {
                Some(at) => sleep_until(Instant::from_std(at)).await,
                None => std::future::pending().await,
            }
        }
    }
    places
}

/// With `on-full = "wait"`, the places by the limits of now. When these were lowered while nobody
/// came, or another listener has taken the server's last place, the arrival waits here.
pub(crate) async fn server_place(listener: &Arc<Listener>, mut places: Places) -> Places {
    if places.listener.is_some() {
        let mut in_hand = InHand(Some(listener));
        if listener.gate.is_overfull() {
            // The limit was lowered while the place was held.
            places.listener = None;
            places.listener = Some(listener.gate.enter().await);
        }
        places.server = Some(listener.server_gate.enter().await);
        in_hand.0 = None;
    }
    places
}

/// An arrival that waits in an acceptor: counted as refused if the acceptor is stopped.
struct InHand<'a>(Option<&'a Listener>);

impl Drop for InHand<'_> {
    fn drop(&mut self) {
        if let Some(listener) = self.0 {
            listener.owner.counters.refused(Refusal::Stopped);
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
