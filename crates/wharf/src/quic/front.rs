//! The endpoint that connections arrive at: who is let in, who must prove its address, and who is
//! turned away, all before anything is kept.

use std::fmt;
use std::io;
use std::net::UdpSocket;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use quinn::{Endpoint, EndpointConfig, Incoming, Runtime, TokioRuntime};
use wharf_policy::access::Verdict;

use super::crypto::{Asking, Refuses, for_quic, seal};
use super::gate::Gated;
use super::handshake::{self, Terms};
use super::transport::transport;
use crate::acceptor::{room, tell_broken};
use crate::admission::{Newcomer, admit_placed};
use crate::config::{OnFull, Retry, SocketOptions};
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
    /// What all configurations of this endpoint have in common: the key of Retry tokens.
    base: OnceLock<quinn::ServerConfig>,
    built: Mutex<Option<Arc<Built>>>,
}

/// The configuration of new connections, for as long as nothing has changed.
struct Built {
    /// What it was made of.
    tls: Arc<rustls::ServerConfig>,
    version: u32,
    quic: rustls::ServerConfig,
    config: Arc<quinn::ServerConfig>,
}

impl Front {
    /// On the server's runtime. No client is heard before it is [`run`].
    pub(crate) fn new(socket: UdpSocket) -> io::Result<Self> {
        let options = socket.try_clone()?;
        let runtime = Arc::new(TokioRuntime);
        let gate = Gated::new(runtime.wrap_udp_socket(socket)?);
        let config = EndpointConfig::default();
        let endpoint = Endpoint::new_with_abstract_socket(config, None, gate.clone(), runtime)?;
        Ok(Self {
            endpoint,
            gate,
            socket: options,
            base: OnceLock::new(),
            built: Mutex::new(None),
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
        let mut config = (*self.built(listener, &live)?.config).clone();
        config
            .max_incoming(live.config.accept.backlog as usize)
            .incoming_buffer_size(FIRST_PACKETS)
            .incoming_buffer_size_total(ALL_FIRST_PACKETS);
        self.endpoint.set_server_config(Some(config));
        self.gate.set(true);
        Ok(())
    }

    /// The configuration in force.
    fn built(&self, listener: &Listener, live: &Live) -> Result<Arc<Built>, Refusal> {
        // A QUIC listener has certificates from its start.
        let tls = live.tls.as_ref().ok_or(Refusal::Tls)?.config();
        let version = listener.owner.version();
        let mut built = self.built.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(built) = &*built
            && built.version == version
            && Arc::ptr_eq(&built.tls, &tls)
        {
            return Ok(built.clone());
        }
        let options = &live.config.quic;
        let quic = for_quic(&tls, options.zero_rtt);
        let crypto = seal(quic.clone())?;
        let base = self.base.get_or_init(|| {
            // With a random key for Retry tokens.
            quinn::ServerConfig::with_crypto(crypto.clone())
        });
        let mut config = base.clone();
        config.crypto = crypto;
        config
            .transport_config(transport(options, listener.handlers.takes()))
            .migration(options.migration);
        let new = Arc::new(Built {
            tls,
            version,
            quic,
            config: Arc::new(config),
        });
        *built = Some(new.clone());
        Ok(new)
    }

    /// What one connection is made with.
    fn terms(&self, listener: &Listener, live: &Live) -> Result<Terms, Refusal> {
        let built = self.built(listener, live)?;
        let (config, refuses) = if listener.hooks.client_hello.is_some() {
            let (config, refuses) = asking(&built, listener)?;
            (config, Some(refuses))
        } else {
            (built.config.clone(), None)
        };
        Ok(Terms {
            config,
            refuses,
            options: live.config.quic.clone(),
        })
    }

    /// Lets a client in, or turns it away. Never waits.
    fn admit(&self, listener: &Arc<Listener>, incoming: Incoming, places: Places) {
        let live = listener.owner.live();
        let peer = incoming.remote_address();
        if must_prove(listener, &live, &incoming) {
            one_more(&listener.owner.counters.challenged);
            if let Err(told) = incoming.retry() {
                // It has proved it meanwhile, which `must_prove` has looked at.
                told.into_incoming().ignore();
            }
            return;
        }
        let local = self
            .endpoint
            .local_addr()
            .map(|local| match incoming.local_ip() {
                Some(ip) => (ip, local.port()).into(),
                None => local,
            });
        let terms = self.terms(listener, &live);
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
        };
        let mut waits = Some(incoming);
        let admitted = admit_placed(listener, newcomer, places, |hold| {
            let incoming = waits.take();
            async move {
                let incoming = incoming.ok_or(Refusal::Stopped)?;
                handshake::accept(incoming, terms, hold).await
            }
        });
        if let (Err(reason), Some(incoming)) = (admitted, waits) {
            match live.config.limits.on_full {
                OnFull::Reset if reason.is_room() => incoming.ignore(),
                _ => incoming.refuse(),
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
fn must_prove(listener: &Listener, live: &Live, incoming: &Incoming) -> bool {
    let wanted = match live.config.quic.retry {
        Retry::Never => false,
        Retry::Always => true,
        Retry::Above(pending) => listener.handshakes.inside() > pending,
    };
    let peer = End::from_socket(incoming.remote_address());
    wanted
        && !incoming.remote_address_validated()
        && incoming.may_retry()
        && peer
            .ip()
            .is_some_and(|peer| live.access.check(peer.ip()) == Verdict::Allow)
}

/// A configuration of its own for one connection, which asks the user's hook.
fn asking(
    built: &Built,
    listener: &Listener,
) -> Result<(Arc<quinn::ServerConfig>, Refuses), Refusal> {
    let (tls, refuses) = Asking::before(&built.quic, &listener.hooks, &listener.owner.name);
    let mut config = (*built.config).clone();
    config.crypto = seal(tls)?;
    Ok((Arc::new(config), refuses))
}

/// Accepts until it is aborted, which happens where it waits: with `on-full = "wait"` for room, else
/// for clients. Those that nobody accepts wait in the endpoint, at most `accept.backlog`; more are
/// not heard.
pub(crate) async fn run(listener: Arc<Listener>, front: Arc<Front>) {
    if front.open(&listener).is_err() {
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
