//! The server: its listeners, its limits, and what runs it.

mod bind;
mod builder;
mod drain;
mod monitor;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub(crate) use bind::{all, announce, certificates, check, open, sockets_of};
pub use builder::{BuildError, Builder};
pub use drain::{DrainReport, ListenerDrain};
pub(crate) use drain::{all as drain_all, owners as drain_owners, these as drain_these};
pub(crate) use monitor::Health as HealthState;

use crate::Handle;
use crate::config::ServerConfig;
use crate::events::{Event, Events};
use crate::gate::Gate;
use crate::handlers::Handlers;
use crate::handover::{self, HandoverError, Handovers};
use crate::hooks::Hooks;
use crate::listener::Listener;
use crate::memory::Budget;

/// What the server's handles share.
pub(crate) struct Inner {
    pub(crate) events: Arc<Events>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) memory: Arc<Budget>,
    pub(crate) hooks: Arc<Hooks>,
    pub(crate) ids: Arc<AtomicU64>,
    /// Cancelled when the server begins to drain.
    pub(crate) draining: CancellationToken,
    pub(crate) runtime: tokio::runtime::Handle,
    /// Handlers for listeners that a configuration adds, by name.
    pub(crate) handlers: BTreeMap<String, Handlers>,
    pub(crate) health: HealthState,
    pub(crate) handovers: Handovers,
    /// How long a drain that nobody else sets a deadline for may take.
    pub(crate) drain_deadline: Duration,
    state: Mutex<State>,
    /// Held while the configuration changes: one change sees all of those before it.
    changing: Mutex<()>,
    /// The report, once the server has drained.
    pub(crate) drained: watch::Sender<Option<DrainReport>>,
}

/// What changes while the server runs.
pub(crate) struct State {
    /// As configured; listeners are in `listeners`.
    pub(crate) config: ServerConfig,
    pub(crate) listeners: BTreeMap<String, Arc<Listener>>,
    /// Removed, with connections that may still be there.
    pub(crate) leaving: Vec<Arc<Listener>>,
    pub(crate) started: bool,
}

impl Inner {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until no other change is under way, and keeps others from beginning.
    pub(crate) fn turn(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All listeners, those that are leaving too.
    pub(crate) fn listeners(&self) -> Vec<Arc<Listener>> {
        let mut state = self.state();
        // Forgotten once the last connection is gone.
        state
            .leaving
            .retain(|listener| listener.owner.connections.len() > 0);
        state
            .listeners
            .values()
            .chain(&state.leaving)
            .cloned()
            .collect()
    }
}

/// A server whose sockets are bound. It accepts while it runs.
///
/// ```no_run
/// use wharf::{BoxError, Server, Stream, Tcp, Unix};
///
/// async fn echo(mut stream: Stream) -> Result<(), BoxError> {
///     let (mut reader, mut writer) = tokio::io::split(&mut stream);
///     tokio::io::copy(&mut reader, &mut writer).await?;
///     Ok(())
/// }
///
/// #[tokio::main(flavor = "current_thread")]
/// async fn main() -> Result<(), BoxError> {
///     let server = Server::builder()
///         .listen("tcp", Tcp::bind("[::]:7000"), echo)
///         .listen("unix", Unix::bind("/run/echo.sock").mode(0o660), echo)
///         .build()?;
///     let report = server.run_until(async { tokio::signal::ctrl_c().await.unwrap() }).await;
///     println!("{report}");
///     Ok(())
/// }
/// ```
#[must_use = "a server accepts connections only while it runs"]
pub struct Server {
    inner: Arc<Inner>,
}

impl Server {
    /// Begins a server.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The control plane. Handles may be cloned and outlive the server.
    pub fn handle(&self) -> Handle {
        Handle::new(self.inner.clone())
    }

    /// Accepts connections until `shutdown` completes or a handle drains the server, then drains
    /// with the builder's deadline.
    ///
    /// Dropping the future stops the listeners; connections that are there go on by themselves.
    ///
    /// A server with [inherited](Builder::inherit) sockets [takes over](Self::take_over) first, if it
    /// has not yet; when the predecessor refuses, it logs why and ends at once.
    pub async fn run_until(self, shutdown: impl Future<Output = ()>) -> DrainReport {
        let handle = self.handle();
        if let Err(error) = self.take_over().await {
            tracing::error!(%error, "not taken over");
            let error = error.to_string();
            self.inner.events.emit(|| Event::HandoverFailed { error });
            return handle.drain(Duration::ZERO).await;
        }
        self.start();
        let mut drained = self.inner.drained.subscribe();
        tokio::select! {
            () = shutdown => handle.drain(self.inner.drain_deadline).await,
            report = report(&mut drained) => report,
        }
    }

    /// Accepts connections until a handle drains the server.
    pub async fn run(self) -> DrainReport {
        self.run_until(std::future::pending()).await
    }

    /// Tells the predecessor that this server is ready, and waits until it has stopped accepting.
    /// Then [`run`](Self::run) must follow soon. It needs to be called only by who wants the error.
    /// Without [inherited](Builder::inherit) sockets, or the second time, it does nothing.
    ///
    /// A predecessor that has died, or does not answer within 5 s, is not waited for.
    ///
    /// # Errors
    /// The predecessor refuses and goes on as before: this server has been built too late (60 s after
    /// the sockets were taken), or the predecessor's listeners have changed, or it stops. Or it is gone
    /// and the file of a Unix listener with it.
    pub async fn take_over(&self) -> Result<(), HandoverError> {
        handover::take_over(&self.inner).await
    }

    fn start(&self) {
        let mut state = self.inner.state();
        state.started = true;
        for listener in state.listeners.values() {
            bind::announce(listener);
            listener.start();
        }
        drop(state);
        self.inner.handovers.start(&self.inner);
        let monitor = tokio::spawn(monitor::run(Arc::downgrade(&self.inner)));
        *self
            .inner
            .health
            .task
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(monitor.abort_handle());
    }
}

/// Waits for the report of a drain.
pub(crate) async fn report(drained: &mut watch::Receiver<Option<DrainReport>>) -> DrainReport {
    let report = drained
        .wait_for(Option::is_some)
        .await
        .ok()
        .and_then(|report| report.clone());
    match report {
        Some(report) => report,
        // The sender lives as long as any handle; without one nobody can drain.
        None => std::future::pending().await,
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        for listener in self.inner.listeners() {
            listener.stop();
        }
        self.inner.handovers.stop();
        if let Some(task) = self
            .inner
            .health
            .task
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
        {
            task.abort();
        }
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server")
            .field("listeners", &self.handle().listeners())
            .finish()
    }
}
