//! How a server is started, and why it may not be.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use thiserror::Error;
use wharf_policy::{PeerRules, QuotaLimits};
use wharf_turn::Event;

use crate::{CoreConfig, Credentials, DtlsOptions, Legacy, RelayAddress, StreamOptions};

/// What a server is started with.
#[derive(Debug, Default)]
pub struct Config {
    /// Addresses to listen on with UDP, at least one, here or in `dtls`. Port 0 takes a free port. A
    /// wildcard address answers from the address that the client sent to.
    pub listen: Vec<SocketAddr>,
    /// Clients over DTLS. Default none.
    pub dtls: Option<DtlsOptions>,
    /// Addresses to relay from, at least one.
    pub relays: Vec<RelayAddress>,
    /// Worker threads. Default 0: one for each CPU that the process may use; at most 255.
    pub workers: usize,
    /// Ties each worker to a CPU. Default off.
    pub pin_workers: bool,
    /// Receive buffer of each listening socket in bytes. Default 4 MiB. Without CAP_NET_ADMIN the kernel
    /// cuts it to `net.core.rmem_max`.
    pub receive_buffer: Option<usize>,
    /// Send buffer of each listening socket in bytes. Default the system's.
    pub send_buffer: Option<usize>,
    /// Clients over TCP and TLS. Default see there.
    pub streams: StreamOptions,
    /// What becomes of DSCP and ECN. Default [`Tos::Copy`].
    pub tos: Tos,
    /// The core's options. `relays` and `worker` in it are set from the fields above.
    pub core: CoreConfig,
    /// Who may allocate. Default nobody.
    pub credentials: Credentials,
    /// Secret that nonces are derived from, to share among servers that stand for each other. Default
    /// random for each start.
    pub nonce_secret: Option<[u8; 32]>,
    /// Allocations per user and in total. Default without limit.
    pub quotas: QuotaLimits,
    /// Which peers may be reached. The addresses of this host, the listeners and the relays are added
    /// to `own` by the server.
    pub peers: PeerRules,
    /// The sockets of a server that runs, in whose place this one is: it has as many workers as that one,
    /// and addresses of `listen` that are the same are taken over; port 0 is none of them. Default none.
    pub legacy: Option<Legacy>,
    /// Told about each event, on the worker's thread: it must not wait. Default nobody.
    pub events: Option<EventHook>,
}

/// A function that is told about events.
#[derive(Clone)]
pub struct EventHook(Arc<dyn Fn(&Event) + Send + Sync>);

impl EventHook {
    /// A hook that calls `hook`, from several threads at once. A panic in it is caught and counted.
    pub fn new(hook: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        Self(Arc::new(hook))
    }

    pub(crate) fn call(&self, event: &Event) {
        (self.0)(event);
    }
}

impl fmt::Debug for EventHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EventHook")
    }
}

/// What becomes of the TOS or traffic class octet of relayed packets (RFC 8656 §13 to §16).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tos {
    /// DSCP and ECN go through as they came.
    #[default]
    Copy,
    /// Relayed packets carry zero.
    Clear,
}

/// Why a server did not start. Nothing is left running.
#[derive(Debug, Error)]
pub enum StartError {
    /// There is no address to listen on.
    #[error("there is no address to listen on")]
    NoListener,
    /// There is no address to relay from.
    #[error("there is no address to relay from")]
    NoRelay,
    /// A relay address can't be used.
    #[error("relay address {address}: {why}")]
    Relay {
        /// The address to bind.
        address: std::net::IpAddr,
        /// What is wrong with it.
        why: String,
    },
    /// More workers than can be told apart in a reservation token, or than there are port pairs.
    #[error("{given} workers are too many: at most {limit} for this port range")]
    Workers {
        /// The number given.
        given: usize,
        /// The largest number possible.
        limit: usize,
    },
    /// An address can't be listened on.
    #[error("cannot listen on udp {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The system's error.
        source: io::Error,
    },
    /// OpenSSL could not do it, for want of memory as a rule.
    #[error("cannot prepare DTLS: {0}")]
    Dtls(#[from] wharf_dtls::ConfigError),
    /// The operating system refused something else.
    #[error("cannot {what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// The system's error.
        source: io::Error,
    },
}
