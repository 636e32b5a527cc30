//! The life of the process: bind everything, say so, follow signals, drain.

use crate::config::{Settings, Source};
use crate::edge;
use crate::events::{EventLog, Lost};
use crate::problem::Problem;
use crate::{descriptors, metrics, reload};
use std::io::{self, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{error, info, warn};
use wharf_turn_server::{StartError, TurnServer};

/// How the server came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// No allocation was left, or the drain's deadline had come.
    Drained,
    /// A second signal came before that.
    Forced,
}

/// Starts the server, follows signals, and returns when it has ended. `banner` goes to standard
/// output once all sockets are bound. Without `source` there is nothing to reload.
///
/// # Errors
/// What kept the server from starting; nothing is left running.
pub(crate) fn run(
    settings: &Settings,
    source: Option<Source>,
    banner: &str,
) -> Result<Ending, Problem> {
    descriptors::raise();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(|error| system("start the runtime", &error))?;
    let listener = settings.metrics.listen.map(bind_metrics).transpose()?;
    let (hook, log) = EventLog::start().map_err(|error| system("start a thread", &error))?;
    let server = TurnServer::start(edge::config(settings, hook)?).map_err(not_started)?;
    descriptors::warn_if_few(settings);
    let lost = log.lost();
    let ending = runtime.block_on(async {
        let signals = Signals::new().map_err(|error| system("watch for signals", &error))?;
        let metrics = listener.map(tokio::net::TcpListener::from_std).transpose();
        let metrics = metrics.map_err(|error| system("serve metrics", &error))?;
        let life = Life {
            settings,
            source,
            signals,
        };
        life.run(server, metrics, lost, banner).await
    })?;
    // After a second signal the wait for the drain still occupies a thread; it ends with the process.
    runtime.shutdown_background();
    if ending == Ending::Drained {
        log.finish();
    }
    Ok(ending)
}

struct Life<'a> {
    settings: &'a Settings,
    source: Option<Source>,
    signals: Signals,
}

impl Life<'_> {
    async fn run(
        mut self,
        server: TurnServer,
        metrics: Option<tokio::net::TcpListener>,
        lost: Lost,
        banner: &str,
    ) -> Result<Ending, Problem> {
        let handle = server.handle();
        let mut scraped_at = String::new();
        if let Some(listener) = metrics {
            let address = listener
                .local_addr()
                .map_err(|error| system("serve metrics", &error))?;
            scraped_at = format!("http://{address}/metrics");
            let handle = handle.clone();
            tokio::spawn(async move {
                if let Err(error) = metrics::serve(listener, handle, lost).await {
                    error!(%error, "the metrics endpoint has ended");
                }
            });
        }
        // Whoever closed the output does not want the banner; that is no reason to end.
        let _ = io::stdout().write_all(banner.as_bytes());
        let listen = list(server.local_addrs());
        let version = env!("CARGO_PKG_VERSION");
        info!(target: "wharfd", listen, metrics = scraped_at, version, "ready");
        while self.signals.next().await == Asked::Reload {
            if let Some(source) = &mut self.source {
                reload::reload(&handle, source);
            } else {
                warn!("there is no file to reload");
            }
        }
        handle.drain();
        let deadline = self.settings.server.drain_deadline;
        let allocations = handle.allocations();
        info!(target: "wharfd", allocations, deadline_seconds = deadline.as_secs(), "draining");
        self.drain(server, deadline).await
    }

    async fn drain(&mut self, server: TurnServer, limit: Duration) -> Result<Ending, Problem> {
        let handle = server.handle();
        let drained = tokio::task::spawn_blocking(move || {
            let done = server.wait_drained(limit);
            server.stop();
            done
        });
        tokio::select! {
            done = drained => {
                let done = done.map_err(|error| system("drain", &error.into()))?;
                let message = if done { "drained" } else { "the drain's deadline has come" };
                info!(target: "wharfd", allocations = handle.allocations(), "{message}");
                Ok(Ending::Drained)
            }
            () = self.signals.end() => {
                warn!(target: "wharfd", allocations = handle.allocations(), "ended by a second signal");
                Ok(Ending::Forced)
            }
        }
    }
}

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Reload,
    End,
}

/// SIGHUP reloads; SIGTERM and SIGINT end.
struct Signals {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.hangup.recv() => Asked::Reload,
            _ = self.terminate.recv() => Asked::End,
            _ = self.interrupt.recv() => Asked::End,
        }
    }

    async fn end(&mut self) {
        while self.next().await == Asked::Reload {
            warn!("the server is draining: nothing is reloaded");
        }
    }
}

fn bind_metrics(address: SocketAddr) -> Result<TcpListener, Problem> {
    let bound = TcpListener::bind(address).and_then(|listener| {
        listener.set_nonblocking(true)?;
        Ok(listener)
    });
    bound.map_err(|error| Problem {
        at: "metrics.listen".to_owned(),
        given: Some(address.to_string()),
        reason: refused(&error),
    })
}

/// What kept the server from starting, at the key that can change it.
fn not_started(error: StartError) -> Problem {
    let (key, given, reason) = match error {
        StartError::Listen { address, source } => {
            ("listen.udp", Some(address.to_string()), refused(&source))
        }
        StartError::Relay { address, why } => ("relay.addresses", Some(address.to_string()), why),
        StartError::Workers { given, limit } => {
            let reason = format!("at most {limit} for this range of relay ports");
            ("server.workers", Some(given.to_string()), reason)
        }
        other => return Problem::new("the server", other.to_string()),
    };
    Problem {
        at: key.to_owned(),
        given,
        reason,
    }
}

/// Why an address could not be bound, and what to do.
fn refused(error: &io::Error) -> String {
    let hint = match error.kind() {
        io::ErrorKind::AddrInUse => "another process has this port; end it or choose another port",
        io::ErrorKind::AddrNotAvailable => "this host does not have this address",
        io::ErrorKind::PermissionDenied => "a port below 1024 needs CAP_NET_BIND_SERVICE",
        _ => return error.to_string(),
    };
    format!("{error}: {hint}")
}

fn system(what: &str, error: &io::Error) -> Problem {
    Problem::new("the system", format!("cannot {what}: {error}"))
}

fn list(addresses: &[SocketAddr]) -> String {
    addresses
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(" ")
}
