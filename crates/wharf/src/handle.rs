//! The control plane.

mod apply;
mod change;
mod filter;
#[cfg(any(test, feature = "testkit"))]
mod held;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast;
use wharf_policy::health::Health;

pub use apply::ApplyError;
pub use change::ChangeError;
pub use filter::Filter;

use crate::config::{ListenerConfig, Plan, Problem, Problems, ServerConfig, plan};
use crate::events::{Event, Events};
use crate::handlers::Handlers;
use crate::listener::Listener;
use crate::path::Endpoint;
use crate::reason::Closed;
use crate::server::{DrainReport, Inner, open, report};
use crate::sockets::BindError;
use crate::{Connection, Listen, Stats};

/// No listener of this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no listener is named {0:?}")]
pub struct UnknownListener(pub String);

/// Controls a running server. Cheap to clone.
#[derive(Clone)]
pub struct Handle {
    inner: Arc<Inner>,
}

/// A listener as it is now.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ListenerInfo {
    /// Its name.
    pub name: String,
    /// Where it listens, with the ports that the kernel chose. Empty once it is stopped.
    pub addresses: Vec<Endpoint>,
    /// Whether it leaves connections in the backlog.
    pub suspended: bool,
    /// Its counters.
    pub stats: Stats,
    /// Its configuration, as it is in force.
    pub config: ListenerConfig,
}

impl Handle {
    pub(crate) fn new(inner: Arc<Inner>) -> Self {
        Self { inner }
    }

    fn listener(&self, name: &str) -> Result<Arc<Listener>, UnknownListener> {
        let listener = self.inner.state().listeners.get(name).cloned();
        listener.ok_or_else(|| UnknownListener(name.to_owned()))
    }

    /// The names of the listeners.
    pub fn listeners(&self) -> Vec<String> {
        self.inner.state().listeners.keys().cloned().collect()
    }

    /// One listener.
    ///
    /// # Errors
    /// There is none of this name.
    pub fn inspect(&self, name: &str) -> Result<ListenerInfo, UnknownListener> {
        self.listener(name).map(|listener| ListenerInfo {
            name: name.to_owned(),
            addresses: listener.addresses(),
            suspended: listener.is_suspended(),
            stats: listener.owner.stats(),
            config: listener.config(),
        })
    }

    /// The first address of a listener: where a test or a client connects.
    ///
    /// # Errors
    /// There is no listener of this name, or it has no address.
    pub fn address(&self, name: &str) -> Result<Endpoint, UnknownListener> {
        let found = self.listener(name)?.addresses().into_iter().next();
        found.ok_or_else(|| UnknownListener(name.to_owned()))
    }

    /// The counters of every listener, by name; those of removed ones as long as they have
    /// connections.
    pub fn stats(&self) -> Vec<(String, Stats)> {
        let listeners = self.inner.listeners();
        listeners
            .iter()
            .map(|one| (one.owner.name.to_string(), one.owner.stats()))
            .collect()
    }

    /// The state that the server judges itself to be in.
    pub fn health(&self) -> Health {
        self.inner.health.now()
    }

    /// Whether it is good to send clients here: the server neither drains, nor fails most of what it
    /// does, nor is full. Handshakes that are left half done and attacks make no difference, and
    /// hide nothing, so that strangers cannot take a server out of service.
    pub fn is_ready(&self) -> bool {
        !self.is_draining() && self.inner.health.is_fit()
    }

    /// Bytes that wait in write buffers and `Session` buffers over all connections.
    pub fn memory(&self) -> u64 {
        self.inner.memory.used()
    }

    /// The configuration in force.
    pub fn config(&self) -> ServerConfig {
        let state = self.inner.state();
        let listeners = state
            .listeners
            .iter()
            .map(|(name, one)| (name.clone(), one.config()));
        ServerConfig {
            listeners: listeners.collect(),
            ..state.config.clone()
        }
    }

    /// Events from now on. A receiver that is 1,024 behind loses the oldest and is told how many.
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.inner.events.subscribe()
    }

    /// Adds a listener, and begins to accept if the server runs.
    ///
    /// # Errors
    /// It cannot be built, or there is one of this name.
    pub fn add(
        &self,
        name: &str,
        listen: impl Into<Listen>,
        handlers: impl Into<Handlers>,
    ) -> Result<(), Problems> {
        self.insert(name, listen.into(), Some(handlers.into()))
    }

    fn insert(
        &self,
        name: &str,
        listen: Listen,
        handlers: Option<Handlers>,
    ) -> Result<(), Problems> {
        let _guard = self.inner.runtime.enter();
        let _turn = self.inner.turn();
        let mut problems = listen.problems;
        let mut config = self.config();
        if config
            .listeners
            .insert(name.to_owned(), listen.config.clone())
            .is_some()
        {
            let allowed = "expected a new name: there is a listener of this name";
            problems.push(Problem::new(format!("listeners.{name}"), allowed));
        }
        let is_foreign = |checked: &str| {
            checked == name && !listen.foreign.is_empty() || self.is_bound_elsewhere(checked)
        };
        if let Err(found) = crate::server::check(&config, &is_foreign) {
            problems.extend(found.0);
        }
        if !problems.is_empty() {
            return Err(Problems(problems));
        }
        let listener =
            open(&self.inner, name, listen.config, listen.foreign, handlers).map_err(Problems)?;
        let mut state = self.inner.state();
        if self.inner.draining.is_cancelled() {
            listener.stop();
            let allowed = "expected a server that is not draining";
            return Err(Problems(vec![Problem::new(
                format!("listeners.{name}"),
                allowed,
            )]));
        }
        if state.started {
            crate::server::announce(&listener);
            listener.start();
        }
        state.listeners.insert(name.to_owned(), listener);
        Ok(())
    }

    /// Whether a listener has only sockets that were made elsewhere.
    fn is_bound_elsewhere(&self, name: &str) -> bool {
        self.inner
            .state()
            .listeners
            .get(name)
            .is_some_and(|one| one.config().bind.is_empty())
    }

    /// Removes a listener: it stops at once, its connections drain until `deadline`.
    ///
    /// # Errors
    /// There is none of this name.
    pub async fn remove(
        &self,
        name: &str,
        deadline: Duration,
    ) -> Result<DrainReport, UnknownListener> {
        let listener = {
            let mut state = self.inner.state();
            let listener = state.listeners.remove(name);
            let listener = listener.ok_or_else(|| UnknownListener(name.to_owned()))?;
            state.leaving.push(listener.clone());
            listener
        };
        // In a task of its own: who does not wait for the end does not keep it from coming.
        let drain = crate::server::drain_these(vec![listener], deadline, Closed::Removed);
        match self.inner.runtime.spawn(drain).await {
            Ok(report) => Ok(report),
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The runtime shuts down, and ends all connections with it.
                Err(_) => Ok(DrainReport::default()),
            },
        }
    }

    /// Leaves new connections in the kernel's backlog; those that are there go on.
    ///
    /// # Errors
    /// There is none of this name.
    pub fn suspend(&self, name: &str) -> Result<(), UnknownListener> {
        let listener = self.listener(name)?;
        listener.suspend();
        self.tell_suspended(&listener, true);
        Ok(())
    }

    /// Accepts again, first what waits in the backlog.
    ///
    /// # Errors
    /// There is none of this name.
    pub fn resume(&self, name: &str) -> Result<(), UnknownListener> {
        let listener = self.listener(name)?;
        let _guard = self.inner.runtime.enter();
        listener.resume();
        self.tell_suspended(&listener, false);
        Ok(())
    }

    fn tell_suspended(&self, listener: &Listener, suspended: bool) {
        let listener = listener.owner.name.clone();
        tracing::info!(%listener, suspended, "listener");
        self.inner.events.emit(|| Event::ListenerSuspended {
            listener,
            suspended,
        });
    }

    /// The connections that `filter` matches.
    pub fn connections(&self, filter: &Filter) -> Vec<Connection> {
        let listeners = self.inner.listeners();
        listeners
            .iter()
            .flat_map(|listener| listener.owner.connections.all())
            .map(Connection::new)
            .filter(|connection| filter.matches(connection))
            .collect()
    }

    /// Closes the connections that `filter` matches; says how many.
    pub fn close(&self, filter: &Filter) -> usize {
        close(&self.connections(filter), &self.inner.events)
    }

    /// What [`apply`](Self::apply) would do.
    pub fn plan(&self, config: &ServerConfig) -> Plan {
        plan(&self.config(), config)
    }

    /// Puts a new configuration in force: changes what is live, binds anew what must be (the old
    /// socket stays until the new one is bound), adds and removes listeners. What was removed
    /// drains until `deadline`, which is not waited for.
    ///
    /// # Errors
    /// Then nothing of it is in force.
    pub fn apply(&self, config: ServerConfig, deadline: Duration) -> Result<Plan, ApplyError> {
        apply::apply(self, config, deadline)
    }

    /// Offers the sockets of the listeners to a successor, from now on or as soon as the server runs
    /// ([`handover`](crate::handover)): a Unix socket at `path`, of mode 0600, on which
    /// [`Handover::take`](crate::handover::Handover::take) asks. Once a successor is ready, this
    /// server drains, with the builder's deadline, and [`run`](crate::Server::run) ends.
    ///
    /// A second call offers at the new path instead. A server that has inherited its sockets goes on
    /// with the socket of its predecessor, if that was at `path`.
    ///
    /// # Errors
    /// The socket cannot be made: the first server still offers there, or something else is in the way.
    pub fn offer_handover(&self, path: impl AsRef<std::path::Path>) -> Result<(), BindError> {
        let _guard = self.inner.runtime.enter();
        crate::handover::offer(&self.inner, path.as_ref())
    }

    /// Hands a descriptor that the program listens on by itself to successors too, under this name
    /// ([`Handover::carried`](crate::handover::Handover::carried)). It is kept until the server is gone.
    pub fn carry(&self, name: impl Into<String>, descriptor: std::os::fd::OwnedFd) {
        self.inner.handovers.carry(name.into(), descriptor);
    }

    /// Drains the server: stops accepting, tells every handler, says goodbye in each protocol, ends
    /// early when nothing is left, and closes what remains at the deadline.
    pub async fn drain(&self, deadline: Duration) -> DrainReport {
        let first = {
            let _state = self.inner.state();
            let first = !self.inner.draining.is_cancelled();
            self.inner.draining.cancel();
            first
        };
        if first {
            // A task of its own: whoever gives up waiting for the drain does not stop it.
            let inner = self.inner.clone();
            self.inner.runtime.spawn(async move {
                let report = crate::server::drain_all(&inner, deadline).await;
                inner.drained.send_replace(Some(report));
            });
        }
        report(&mut self.inner.drained.subscribe()).await
    }

    /// Whether the server drains or has drained: no longer ready, but alive.
    pub fn is_draining(&self) -> bool {
        self.inner.draining.is_cancelled()
    }
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handle")
            .field("listeners", &self.listeners())
            .finish()
    }
}

/// Closes connections, a listener's or a client's, and tells how many were not closed before.
pub(crate) fn close(connections: &[Connection], events: &Events) -> usize {
    let closed = connections
        .iter()
        .filter(|one| one.shared().end(Closed::Control))
        .count();
    events.emit(|| Event::ConnectionsClosed { count: closed });
    closed
}
