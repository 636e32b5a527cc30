//! The endpoint that connections arrive at: who is let in, who must prove its address, and who is
//! turned away, all before anything is kept.

use std::fmt;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use quinn::{Endpoint, Incoming, Runtime, TokioRuntime};
use wharf_policy::access::Verdict;

use super::gate::Gated;
use super::handshake;
use super::seat::Seat;
use crate::acceptor::{room, tell_broken};
use crate::admission::{Declined, Newcomer, Standing, admit_placed};
use crate::config::{OnFull, SocketOptions};
use crate::connection::Places;
use crate::counters::one_more;
use crate::listener::Listener;
use crate::owner::Live;
use crate::path::Endpoint as End;
use crate::reason::Refusal;
use crate::sockets::{self, BindError};

/// Bytes of one client's first packets that are kept while it waits to be accepted: a ClientHello of
/// the largest size that is taken.
const FIRST_PACKETS: u64 = 16 << 10;
/// The same for all clients that wait.
const ALL_FIRST_PACKETS: u64 = 16 << 20;
/// How long the end of a listener waits for the peers of its last connections to be told.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// One UDP socket with its QUIC endpoint. The socket stays open until the last of its connections is
/// gone; without its front it hears no new client.
pub(crate) struct Front {
    endpoint: Endpoint,
    gate: Arc<Gated>,
    /// The same socket, for its options.
    socket: UdpSocket,
}

impl Front {
    /// On the server's runtime; `seat` is the socket's among those of its address. No client is heard
    /// before it is [`run`].
    ///
    /// # Errors
    /// The system's, and `InvalidInput` for more than [`Seat::MOST`] sockets.
    pub(crate) fn new(socket: UdpSocket, seat: Seat) -> io::Result<Self> {
        let config = seat.config()?;
        let options = socket.try_clone()?;
        let runtime = Arc::new(TokioRuntime);
        let gate = Gated::new(runtime.wrap_udp_socket(socket)?);
        let endpoint = Endpoint::new_with_abstract_socket(config, None, gate.clone(), runtime)?;
        Ok(Self {
            endpoint,
            gate,
            socket: options,
        })
    }

    pub(crate) fn local(&self) -> io::Result<End> {
        self.endpoint.local_addr().map(End::from_socket)
    }

    /// Gives the socket the options that can change on one that is bound.
    pub(crate) fn apply(&self, options: &SocketOptions) -> Result<(), BindError> {
        sockets::apply_to_datagrams(&self.socket, options).map_err(BindError::Option)
    }

    /// Hears clients from now on.
    fn open(&self, listener: &Listener) -> Result<(), Refusal> {
        let live = listener.owner.live();
        let mut config = listener.quic.server(listener, &live)?;
        config
            .max_incoming(live.config.accept.backlog as usize)
            .incoming_buffer_size(FIRST_PACKETS)
            .incoming_buffer_size_total(ALL_FIRST_PACKETS);
        self.endpoint.set_server_config(Some(config));
        self.gate.set(true);
        Ok(())
    }

    /// Lets a client in, or turns it away. Never waits.
    fn admit(&self, listener: &Arc<Listener>, incoming: Incoming, places: Places) {
        let live = listener.owner.live();
        let peer = incoming.remote_address();
        let standing = if incoming.remote_address_validated() || !incoming.may_retry() {
            Standing::Proven
        } else {
            Standing::Provable
        };
        if standing == Standing::Provable && must_prove(listener, &live, peer) {
            retry(listener, incoming);
            return;
        }
        let local = self
            .endpoint
            .local_addr()
            .map(|local| match incoming.local_ip() {
                Some(ip) => (ip, local.port()).into(),
                None => local,
            });
        let terms = listener.quic.terms(listener, &live);
        let (Ok(local), Ok(terms)) = (local, terms) else {
            listener.owner.counters.refused(Refusal::Io);
            incoming.refuse();
            return;
        };
        let newcomer = Newcomer {
            peer: End::from_socket(peer),
            local: End::from_socket(local),
            credentials: None,
            proxied: None,
            first: None,
            standing,
        };
        let mut waits = Some(incoming);
        let admitted = admit_placed(listener, newcomer, places, |hold| {
            let incoming = waits.take();
            async move {
                let incoming = incoming.ok_or(Refusal::Stopped)?;
                handshake::accept(incoming, terms, hold).await
            }
        });
        if let (Err(declined), Some(incoming)) = (admitted, waits) {
            let resets = live.config.limits.on_full == OnFull::Reset;
            match declined {
                Declined::Unproven => retry(listener, incoming),
                Declined::Ignored => incoming.ignore(),
                Declined::Refused(reason) if resets && reason.is_room() => incoming.ignore(),
                Declined::Refused(_) => incoming.refuse(),
            }
        }
    }

    /// Waits, after the last connection, until their peers are told; at most a second.
    pub(crate) async fn idle(endpoint: Endpoint) {
        // Who does not answer by then has had the time.
        let _ = tokio::time::timeout(LAST_WORDS, endpoint.wait_idle()).await;
    }

    /// The socket, for another process.
    pub(crate) fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Reads no more: another process does.
    pub(crate) fn leave(&self) {
        self.gate.set(false);
    }

    pub(crate) fn endpoint(&self) -> Endpoint {
        self.endpoint.clone()
    }
}

/// Whether a client must prove its address first. Who has no access is told so at once.
fn must_prove(listener: &Listener, live: &Live, peer: SocketAddr) -> bool {
    let peer = End::from_socket(peer);
    live.config.quic.retry.demands(listener.handshakes.inside())
        && peer
            .ip()
            .is_some_and(|peer| live.access.check(peer.ip()) == Verdict::Allow)
}

/// Asks a client to prove its address.
fn retry(listener: &Listener, incoming: Incoming) {
    one_more(&listener.owner.counters.challenged);
    if let Err(told) = incoming.retry() {
        // It has proved it, which was looked at before.
        told.into_incoming().ignore();
    }
}

/// Accepts until it is aborted, which happens where it waits: with `on-full = "wait"` for room, else
/// for clients. Those that nobody accepts wait in the endpoint, at most `accept.backlog`; more are
/// not heard.
pub(crate) async fn run(listener: Arc<Listener>, front: Arc<Front>) {
    if let Err(refusal) = front.open(&listener) {
        let error = io::Error::other(format!("no configuration for QUIC: {}", refusal.label()));
        tell_broken(&listener, &error);
        return;
    }
    loop {
        let Some(incoming) = front.endpoint.accept().await else {
            tell_broken(&listener, &io::ErrorKind::BrokenPipe.into());
            return;
        };
        // Who waits here waits in no other queue; those behind wait in the endpoint's, which is bounded.
        let places = if listener.owner.live().config.limits.on_full == OnFull::Wait {
            room(&listener).await
        } else {
            Places::default()
        };
        front.admit(&listener, incoming, places);
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.endpoint.set_server_config(None);
        while let Some(Some(incoming)) = self.endpoint.accept().now_or_never() {
            incoming.refuse();
        }
    }
}

impl fmt::Debug for Front {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Front").field(&self.endpoint).finish()
    }
}
