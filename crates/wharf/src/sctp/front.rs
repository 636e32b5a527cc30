//! One UDP socket with SCTP on it, as a listener or a client holds it.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, mpsc, oneshot, watch};
use tokio::task::LocalSet;
use wharf_sctp::{Cookies, Opening};

use super::driver::{Driver, Setup};
use super::exchange::Exchange;
use super::link::SctpLink;
use super::sendable::Sendable;
use crate::acceptor::room;
use crate::admission::{
    Declined, Newcomer, Ready, Refused, Standing, admit_placed, tell_handshake,
};
use crate::config::{OnFull, SctpOptions, SocketOptions};
use crate::connection::{Connection, Hold, Places};
use crate::listener::Listener;
use crate::path::Endpoint;
use crate::reason::Refusal;
use crate::sockets::{self, BindError};

/// How long a cookie is good (RFC 9260 §16, `Valid.Cookie.Life`).
const COOKIE_LIFE: Duration = Duration::from_mins(1);
/// Peers whose cookie came back and that wait for the acceptor. Of more the COOKIE ECHO is lost: they send it again.
const BACKLOG: usize = 64;
/// Things asked of the thread and not yet done; who asks for more waits.
const COMMANDS: usize = 64;

/// A UDP socket whose packets, associations and timers have a thread of their own: the engine's state must not
/// move between threads. The thread ends with its last association, once this is dropped.
pub(crate) struct Front {
    local: SocketAddr,
    /// The same socket, for its options.
    socket: UdpSocket,
    commands: mpsc::Sender<Command>,
    reads: watch::Sender<bool>,
    options: watch::Sender<SctpOptions>,
    arrivals: Mutex<mpsc::Receiver<Arrival>>,
}

/// A peer whose cookie was good.
pub(super) struct Arrival {
    pub(super) opening: Opening,
    pub(super) peer: SocketAddr,
    /// The address of ours that it sends to, where there are many.
    pub(super) local: Option<IpAddr>,
}

/// What the thread is asked to do.
pub(super) enum Command {
    /// Make an association for a peer that was let in.
    Accept(
        Opening,
        Option<IpAddr>,
        Hold,
        oneshot::Sender<io::Result<Established>>,
    ),
    /// Tell a peer that was not let in.
    Refuse(Opening, Option<IpAddr>),
}

/// The handler's end of a new association.
pub(super) type Established = (Arc<Exchange>, Sendable);

impl Front {
    /// Takes a bound socket; its port is the SCTP port too. Nothing is read before it is [`run`].
    pub(crate) fn new(socket: UdpSocket, options: SctpOptions) -> io::Result<Self> {
        let local = socket.local_addr()?;
        let readiness = socket.try_clone()?;
        let adopted = wharf_udp::Socket::adopt(
            OwnedFd::from(socket.try_clone()?),
            &wharf_udp::SocketOptions {
                // Of a wildcard address, answers leave from the one that was asked.
                packet_info: local.ip().is_unspecified(),
                ..wharf_udp::SocketOptions::default()
            },
        )?;
        let (commands, asked) = mpsc::channel(COMMANDS);
        let (arrived, arrivals) = mpsc::channel(BACKLOG);
        let (reads, may_read) = watch::channel(false);
        let (options, in_force) = watch::channel(options);
        let setup = Setup {
            socket: adopted,
            readiness,
            options: in_force,
            cookies: cookies()?,
            commands: asked,
            reads: may_read,
            arrivals: arrived,
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        std::thread::Builder::new()
            .name("wharf-sctp".into())
            .spawn(move || {
                let associations = LocalSet::new();
                associations.block_on(&runtime, async move {
                    match Driver::new(setup) {
                        Ok(driver) => driver.run().await,
                        Err(error) => tracing::error!(%error, "no SCTP over UDP"),
                    }
                });
            })?;
        Ok(Self {
            local,
            socket,
            commands,
            reads,
            options,
            arrivals: Mutex::new(arrivals),
        })
    }

    /// The socket, for another process.
    pub(crate) fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Reads no more: another process does. What is there may still be sent.
    pub(crate) fn leave(&self) {
        self.reads.send_replace(false);
    }

    pub(crate) fn local(&self) -> Endpoint {
        Endpoint::from_socket(self.local)
    }

    /// Other options, for the socket and for new associations.
    pub(crate) fn apply(
        &self,
        socket: &SocketOptions,
        sctp: &SctpOptions,
    ) -> Result<(), BindError> {
        sockets::apply_to_datagrams(&self.socket, socket)?;
        self.options.send_replace(sctp.clone());
        Ok(())
    }

    async fn next(&self) -> Option<Arrival> {
        self.arrivals.lock().await.recv().await
    }
}

pub(super) fn cookies() -> io::Result<Cookies> {
    let mut secret = [0; 32];
    getrandom::fill(&mut secret).map_err(io::Error::other)?;
    let now = tokio::time::Instant::now().into_std();
    Ok(Cookies::new(secret, now, COOKIE_LIFE))
}

/// Lets peers in until it is aborted, which happens where it waits.
pub(crate) async fn run(listener: Arc<Listener>, front: Arc<Front>) {
    front.reads.send_replace(true);
    loop {
        let Some(arrival) = front.next().await else {
            return;
        };
        let waits = listener.owner.live().config.limits.on_full == OnFull::Wait;
        let places = if waits {
            room(&listener).await
        } else {
            Places::default()
        };
        let ours = arrival.local.unwrap_or(front.local.ip());
        let newcomer = Newcomer {
            peer: Endpoint::from_socket(arrival.peer),
            local: Endpoint::from_socket((ours, front.local.port()).into()),
            credentials: None,
            proxied: None,
            first: None,
            // By its cookie.
            standing: Standing::Proven,
        };
        let commands = front.commands.clone();
        let mut offered = Some(arrival);
        let admitted = admit_placed(&listener, newcomer, places, |hold| {
            let connection = Connection::new(hold.shared().clone());
            let arrival = offered.take();
            async move {
                let arrival = arrival.ok_or(Refusal::Stopped)?;
                let made = establish(arrival, hold, &commands).await;
                let result = if made.is_ok() { "ok" } else { "io" };
                tell_handshake(&connection, "sctp", result);
                made
            }
        });
        // Others hear nothing: their COOKIE ECHO comes again, and there may be room then.
        if let (Err(Declined::Refused(Refusal::Hook)), Some(arrival)) = (admitted, offered) {
            let refuse = Command::Refuse(arrival.opening, arrival.local);
            // A thread that is that far behind tells it by the next COOKIE ECHO.
            let _ = front.commands.try_send(refuse);
        }
    }
}

impl fmt::Debug for Front {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Front")
            .field("local", &self.local)
            .finish_non_exhaustive()
    }
}

async fn establish(
    arrival: Arrival,
    hold: Hold,
    commands: &mpsc::Sender<Command>,
) -> Result<Ready, Refused> {
    let (ready, made) = oneshot::channel();
    // The thread is gone only when its socket failed.
    let lost = || Refused::from(Refusal::Io);
    let accept = Command::Accept(arrival.opening, arrival.local, hold, ready);
    let asked = commands.send(accept).await;
    asked.map_err(|_| lost())?;
    let (exchange, limits) = made.await.map_err(|_| lost())?.map_err(|_| lost())?;
    Ok(Ready::Messages(Box::new(SctpLink::new(exchange, limits))))
}
