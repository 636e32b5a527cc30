//! Building a client: every option is checked, and every problem told at once.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

use super::{
    Client, ClientOptions, ClientTimeouts, ClientWebSocket, Inner, ProxiedClient, SendProxy,
};
use crate::config::{Problem, Problems, SocketOptions};
use crate::events::{Event, Events, Hook};
use crate::memory::Budget;
use crate::owner::{Live, Owner};
use crate::proxy::Version;
use crate::tls::{ClientTls, ClientTlsOptions};
use crate::websocket::client::ClientRequest;

const YEAR: Duration = Duration::from_hours(24 * 365);

/// Builds a [`Client`].
#[derive(Default)]
#[must_use = "a builder does nothing before `build`"]
pub struct ClientBuilder {
    name: Option<String>,
    options: ClientOptions,
    events: Vec<Hook>,
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

    /// The address that TCP connections come from.
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

    /// Checks every option, and reads the files that the TLS options name.
    ///
    /// # Errors
    /// All problems at once.
    pub fn build(self) -> Result<Client, Problems> {
        let name = self.name.as_deref().unwrap_or("client");
        let options = self.options;
        let mut problems = check(name, &options);
        let tls = OnceCell::new();
        // The authorities of the system are read when the first secure connection needs them.
        if options.tls != ClientTlsOptions::default() {
            match ClientTls::new(&options.tls) {
                // A cell that is new is empty.
                Ok(read) => drop(tls.set(read)),
                Err(error) => problems.push(Problem::new("tls", error.to_string())),
            }
        }
        Problems(problems).into_result()?;
        let live = Live {
            config: options.rules(),
            access: wharf_policy::access::AccessRules::default(),
            identities: wharf_policy::access::IdentityRules::default(),
            tls: None,
        };
        let owner = Owner::new(
            name.into(),
            live,
            Events::new(self.events),
            Budget::new(options.memory),
            Arc::new(AtomicU64::new(1)),
            CancellationToken::new(),
            None,
        );
        Ok(Client(Arc::new(Inner {
            owner: Arc::new(owner),
            options,
            tls,
        })))
    }
}

/// Everything that is wrong with the options.
fn check(name: &str, options: &ClientOptions) -> Vec<Problem> {
    const RULES: &str = "client";
    let mut problems = Vec::new();
    if !crate::config::is_name(name) {
        let allowed = "expected 1 to 63 lower-case letters, digits and hyphens";
        problems.push(Problem::new("name", allowed).given(name));
    }
    if let Err(Problems(found)) = options.rules().check(RULES) {
        let at = format!("listeners.{RULES}.");
        problems.extend(found.into_iter().map(|mut problem| {
            if let Some(key) = problem.key.strip_prefix(&at) {
                problem.key = key.to_owned();
            }
            problem
        }));
    }
    let mut idle = |key: &str, given: bool, why: &str| {
        if given {
            let allowed = format!("has no effect {why}");
            problems.push(Problem::new(key, allowed).advice("Remove it."));
        }
    };
    let socket = &options.socket;
    let listening = "on connections that we make";
    idle("socket.fast-open", socket.fast_open.is_some(), listening);
    idle(
        "socket.defer-accept",
        socket.defer_accept.is_some(),
        listening,
    );
    if let Some(proxy) = &options.proxy {
        let first = proxy.version == Version::V1;
        idle(
            "proxy.tlvs",
            first && !proxy.tlvs.is_empty(),
            "in version 1",
        );
        idle("proxy.crc32c", first && proxy.crc32c, "in version 1");
        let nobody = proxy.of == ProxiedClient::Nobody && !first;
        let why = "in a header on nobody's behalf";
        idle("proxy.tlvs", nobody && !proxy.tlvs.is_empty(), why);
    }
    let millisecond = Duration::from_millis(1);
    if let Some(limit) = options.timeouts.connect
        && !(millisecond..=YEAR).contains(&limit)
    {
        let given = crate::config::units::format_duration(limit);
        problems.push(Problem::new("timeouts.connect", "expected 1ms to 1 year").given(given));
    }
    let websocket = &options.websocket;
    let request = ClientRequest {
        origin: websocket.origin.clone(),
        subprotocols: websocket.subprotocols.clone(),
        headers: websocket.headers.clone(),
        ..ClientRequest::new("host", "/")
    };
    if let Err(part) = request.check() {
        // The value is not shown: a header may be a secret.
        let allowed = "is empty or has a character that cannot stand in a request";
        problems.push(Problem::new(format!("websocket.{part}"), allowed));
    }
    problems
}

impl std::fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientBuilder")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
