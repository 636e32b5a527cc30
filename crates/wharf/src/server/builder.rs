//! Building a server: everything is checked and bound, and every problem told at once.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{HealthState, Inner, Server, State, bind};
use crate::batch::{BatchHandler, Seat};
use crate::config::{HealthOptions, Problem, Problems, ServerConfig, ServerLimits};
use crate::events::{Event, Events, Hook};
use crate::gate::Gate;
use crate::handlers::{Handler, Handlers, Outcome};
use crate::handover::{Handover, Handovers};
use crate::hooks::{Admit, Arriving, Hello, HelloChoice, Hooks};
use crate::listen::Foreign;
use crate::memory::Budget;
use crate::{Datagrams, Listen, Messages, Stream};

/// Why a server cannot be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The configuration, a certificate or an address is no good. All problems are listed.
    #[error(transparent)]
    Configuration(#[from] Problems),
    /// `build` was called outside a tokio runtime.
    #[error("a server must be built within a tokio runtime")]
    NoRuntime,
}

/// Builds a [`Server`].
#[derive(Default)]
pub struct Builder {
    config: ServerConfig,
    foreign: BTreeMap<String, Vec<Foreign>>,
    handlers: BTreeMap<String, Handlers>,
    hooks: Hooks,
    events: Vec<Hook>,
    drain_deadline: Option<Duration>,
    inherited: Option<Handover>,
    problems: Vec<Problem>,
}

impl Builder {
    /// A configuration, read from a file; its listeners get their functions by
    /// [`handler`](Self::handler). What was said before is replaced.
    #[must_use]
    pub fn config(mut self, config: ServerConfig) -> Self {
        self.config = config;
        self
    }

    /// A listener whose connections `function` handles as bytes.
    #[must_use]
    pub fn listen<F, Fut>(self, name: &str, listen: impl Into<Listen>, function: F) -> Self
    where
        F: Fn(Stream) -> Fut + Send + Sync + 'static,
        Fut: Future<Output: Outcome> + Send + 'static,
    {
        self.listen_with(name, listen, Handler::stream(function))
    }

    /// A listener of datagrams that `function` handles one by one, without flows.
    #[must_use]
    pub fn listen_datagrams<F, Fut>(
        self,
        name: &str,
        listen: impl Into<Listen>,
        function: F,
    ) -> Self
    where
        F: Fn(Datagrams) -> Fut + Send + Sync + 'static,
        Fut: Future<Output: Outcome> + Send + 'static,
    {
        self.listen_with(name, listen, Handler::datagrams(function))
    }

    /// A WebSocket listener whose connections `function` handles as messages.
    #[must_use]
    pub fn listen_messages<F, Fut>(self, name: &str, listen: impl Into<Listen>, function: F) -> Self
    where
        F: Fn(Messages) -> Fut + Send + Sync + 'static,
        Fut: Future<Output: Outcome> + Send + 'static,
    {
        self.listen_with(name, listen, Handler::messages(function))
    }

    /// A datagram listener with worker threads, each with a handler of its own that `make` makes for its
    /// seat; see [`batch`](crate::batch).
    #[must_use]
    pub fn listen_batch<F, H>(self, name: &str, listen: impl Into<Listen>, make: F) -> Self
    where
        F: Fn(&Seat) -> H + Send + Sync + 'static,
        H: BatchHandler,
    {
        self.listen_with(name, listen, Handler::batch(make))
    }

    /// A listener with handlers by application protocol, or one that was made before.
    #[must_use]
    pub fn listen_with(
        mut self,
        name: &str,
        listen: impl Into<Listen>,
        handlers: impl Into<Handlers>,
    ) -> Self {
        let mut listen = listen.into();
        for problem in &mut listen.problems {
            problem.key = format!("listeners.{name}.{}", problem.key);
        }
        self.problems.append(&mut listen.problems);
        if self.config.listeners.contains_key(name) {
            let allowed = "expected each listener once, but this name is given twice";
            self.problems
                .push(Problem::new(format!("listeners.{name}"), allowed));
        }
        self.config.listeners.insert(name.to_owned(), listen.config);
        self.foreign.insert(name.to_owned(), listen.foreign);
        self.handler(name, handlers)
    }

    /// The function of a listener that the configuration names, now or later.
    #[must_use]
    pub fn handler(mut self, name: &str, handlers: impl Into<Handlers>) -> Self {
        self.handlers.insert(name.to_owned(), handlers.into());
        self
    }

    /// Limits over all listeners.
    #[must_use]
    pub fn limits(mut self, limits: ServerLimits) -> Self {
        self.config.limits = limits;
        self
    }

    /// When the server calls itself degraded, unhealthy or under attack.
    #[must_use]
    pub fn health(mut self, health: HealthOptions) -> Self {
        self.config.health = health;
        self
    }

    /// Asks `hook` about each arrival once its real peer is known, before its handshake; on QUIC, DTLS,
    /// SCTP over UDP and flows of datagrams before anything is kept of it. It must not block.
    #[must_use]
    pub fn admit(mut self, hook: impl Fn(&Arriving<'_>) -> Admit + Send + Sync + 'static) -> Self {
        self.hooks.admit = Some(Box::new(hook));
        self
    }

    /// Asks `hook`, with the listener's name, what to do with each ClientHello of TLS, QUIC and DTLS. It
    /// must not block.
    #[must_use]
    pub fn client_hello(
        mut self,
        hook: impl Fn(&str, &Hello<'_>) -> HelloChoice + Send + Sync + 'static,
    ) -> Self {
        self.hooks.client_hello = Some(Box::new(hook));
        self
    }

    /// Calls `hook` with every event, on the task where it happens: it must not block. May be said
    /// more than once. See also [`Handle::events`](crate::Handle::events).
    #[must_use]
    pub fn on_event(mut self, hook: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        self.events.push(Box::new(hook));
        self
    }

    /// Listens on the sockets of the server that runs, where it has those that this one would bind
    /// ([`handover`](crate::handover)). It goes on to accept until this one is ready.
    #[must_use]
    pub fn inherit(mut self, predecessor: impl Into<Option<Handover>>) -> Self {
        self.inherited = predecessor.into();
        self
    }

    /// How long [`run_until`](Server::run_until) waits for connections to end, and a server that a
    /// successor has taken over from. Default 30 s.
    #[must_use]
    pub fn drain_deadline(mut self, deadline: Duration) -> Self {
        self.drain_deadline = Some(deadline);
        self
    }

    /// Checks everything and binds every address.
    ///
    /// # Errors
    /// All problems at once; then nothing stays bound.
    pub fn build(mut self) -> Result<Server, BuildError> {
        let runtime = tokio::runtime::Handle::try_current().map_err(|_| BuildError::NoRuntime)?;
        let mut problems = std::mem::take(&mut self.problems);
        let config = self.config;
        let foreign = &self.foreign;
        let is_foreign = |name: &str| foreign.get(name).is_some_and(|sockets| !sockets.is_empty());
        if let Err(found) = bind::check(&config, &is_foreign) {
            problems.extend(found.0);
        }
        let inner = Inner {
            events: Events::new(self.events),
            gate: Gate::new(config.limits.max_connections),
            memory: Budget::new(config.limits.memory),
            hooks: Arc::new(self.hooks),
            ids: Arc::new(AtomicU64::new(1)),
            draining: CancellationToken::new(),
            runtime,
            handlers: self.handlers,
            health: HealthState::new(&config.health),
            handovers: Handovers::new(self.inherited),
            drain_deadline: self.drain_deadline.unwrap_or(Duration::from_secs(30)),
            changing: Mutex::new(()),
            state: Mutex::new(State {
                config: ServerConfig {
                    listeners: BTreeMap::new(),
                    ..config.clone()
                },
                listeners: BTreeMap::new(),
                leaving: Vec::new(),
                started: false,
            }),
            drained: watch::Sender::new(None),
        };
        let mut foreign = self.foreign;
        let mut listeners = BTreeMap::new();
        // Problems of the configuration are told before the kernel's: what is bound by mistake
        // would only be in the way.
        if problems.is_empty() {
            for (name, config) in config.listeners {
                let foreign = foreign.remove(&name).unwrap_or_default();
                match bind::open(&inner, &name, config, foreign, None) {
                    Ok(listener) => {
                        listeners.insert(name, listener);
                    }
                    Err(found) => problems.extend(found),
                }
            }
        }
        if !problems.is_empty() {
            return Err(Problems(problems).into());
        }
        inner.state().listeners = listeners;
        Ok(Server {
            inner: Arc::new(inner),
        })
    }
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}
