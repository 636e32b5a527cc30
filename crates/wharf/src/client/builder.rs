//! Building a client: every option is checked, and every problem told at once.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;
use tokio_util::sync::CancellationToken;

use super::{
    Client, ClientOptions, ClientTimeouts, ClientWebSocket, Inner, Rules, SendProxy, Tries, Ways,
};
use crate::config::{Problems, SocketOptions};
use crate::events::{Event, Events, Hook};
use crate::memory::Budget;
use crate::owner::Owner;
use crate::tls::ClientTlsOptions;
use crate::wire::Socket;

/// Builds a [`Client`].
#[derive(Default)]
#[must_use = "a builder does nothing before `build`"]
pub struct ClientBuilder {
    name: Option<String>,
    options: ClientOptions,
    events: Vec<Hook>,
    ways: Ways,
}

impl ClientBuilder {
    /// The name in events and logs: 1 to 63 lower-case letters, digits and hyphens. Default
    /// `client`.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// All options at once.
    pub fn options(mut self, options: ClientOptions) -> Self {
        self.options = options;
        self
    }

    /// Socket options.
    pub fn socket(mut self, socket: SocketOptions) -> Self {
        self.options.socket = socket;
        self
    }

    /// The address that connections over IP come from.
    pub fn local(mut self, local: SocketAddr) -> Self {
        self.options.local = Some(local);
        self
    }

    /// How long each thing may take.
    pub fn timeouts(mut self, timeouts: ClientTimeouts) -> Self {
        self.options.timeouts = timeouts;
        self
    }

    /// TLS.
    pub fn tls(mut self, tls: ClientTlsOptions) -> Self {
        self.options.tls = tls;
        self
    }

    /// WebSocket.
    pub fn websocket(mut self, websocket: ClientWebSocket) -> Self {
        self.options.websocket = websocket;
        self
    }

    /// Begins each connection with a PROXY header.
    pub fn proxy(mut self, proxy: SendProxy) -> Self {
        self.options.proxy = Some(proxy);
        self
    }

    /// Changes any other option.
    pub fn with(mut self, change: impl FnOnce(&mut ClientOptions)) -> Self {
        change(&mut self.options);
        self
    }

    /// Calls `hook` with every event, on the task where it happens: it must not block. See also
    /// [`Client::events`].
    pub fn on_event(mut self, hook: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        self.events.push(Box::new(hook));
        self
    }

    /// Looks names up with this function of the name and port, in place of the system's resolver.
    /// Its order is the order of preference within a family; what is beyond
    /// [`max_addresses`](ClientOptions::max_addresses) is left out.
    ///
    /// ```
    /// use wharf::Client;
    /// let client = Client::builder().resolver(async |host: String, port| match &*host {
    ///     "app.internal" => Ok(vec![([10, 0, 0, 1], port).into(), ([10, 0, 0, 2], port).into()]),
    ///     _ => Err(std::io::ErrorKind::NotFound.into()),
    /// });
    /// # let _ = client.build();
    /// ```
    pub fn resolver<F, Fut>(mut self, resolve: F) -> Self
    where
        F: Fn(String, u16) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'static,
    {
        self.ways.resolve_with(resolve);
        self
    }

    /// Reaches IP addresses with this function, in place of a TCP socket of ours: through a proxy,
    /// from another network namespace, or in memory. Transports that are not over TCP do not ask it. The option `socket` is then the function's
    /// own affair, and of `local` only the family counts; time, order and the race between addresses
    /// stay ours.
    pub fn connector<F, Fut>(mut self, connect: F) -> Self
    where
        F: Fn(SocketAddr) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = io::Result<Socket>> + Send + 'static,
    {
        self.ways.connect_with(connect);
        self
    }

    /// Takes the random numbers for the waits of [`Client::keep`] from this function, in place of the
    /// kernel's: any `u64`, evenly distributed. For tests.
    pub fn entropy(mut self, random: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        self.ways.random_with(random);
        self
    }

    /// Checks every option, and reads the files that the TLS options name.
    ///
    /// # Errors
    /// All problems at once.
    pub fn build(self) -> Result<Client, Problems> {
        let name = self.name.as_deref().unwrap_or("client");
        let rules = Rules::new(name, self.options)?;
        let owner = Owner::new(
            name.into(),
            rules.live(),
            Events::new(self.events),
            Budget::new(rules.options.memory),
            Arc::new(AtomicU64::new(1)),
            CancellationToken::new(),
            None,
        );
        Ok(Client(Arc::new(Inner {
            owner: Arc::new(owner),
            rules: ArcSwap::from_pointee(rules),
            changing: Mutex::new(()),
            ways: self.ways,
            tries: Tries::default(),
            pools: super::pool::Counters::default(),
            #[cfg(feature = "quic")]
            quic: crate::quic::Dialer::default(),
            #[cfg(feature = "sctp")]
            sctp: crate::sctp::Dialer::default(),
        })))
    }
}

impl std::fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientBuilder")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
