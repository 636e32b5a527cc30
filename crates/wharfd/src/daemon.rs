//! The life of the process: bind everything, say so, follow signals, drain.

use crate::admin::{Admin, Request};
use crate::certificates::{Certificates, Read};
use crate::config::{Settings, Source, TCP, TLS, sip_names};
use crate::events::{EventLog, Lost};
use crate::notify::notify;
use crate::problem::{Problem, Problems};
use crate::reload::Reloader;
use crate::signals::{Asked, Signals};
use crate::sip::Service;
use crate::succession::{self, Predecessor};
use crate::{descriptors, edge, metrics, operations, streams};
use std::convert::Infallible;
use std::io::{self, Write as _};
use std::time::Duration;
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::sync::mpsc;
use tracing::{error, info, warn};
use wharf::events::Event;
use wharf::{Filter, Handle};
use wharf_turn_server::{StartError, TurnServer};

/// How long the daemon's own listeners may take to end, when all else has.
const LAST: Duration = Duration::from_secs(1);

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
) -> Result<Ending, Problems> {
    descriptors::raise();
    // The tasks of clients over TCP and TLS; the workers have threads of their own.
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    if let Some(workers) = settings.server.workers {
        runtime.worker_threads(usize::from(workers));
    }
    let runtime = runtime.enable_all().build();
    let runtime = runtime.map_err(|error| system("start the runtime", &error))?;
    let (hook, log) = EventLog::start().map_err(|error| system("start a thread", &error))?;
    let lost = log.lost();
    let ending = runtime.block_on(async {
        let signals = Signals::new().map_err(|error| system("watch for signals", &error))?;
        let mut predecessor = match &settings.server.handover {
            Some(path) => Predecessor::take(path).await?,
            None => Predecessor::default(),
        };
        let read = Read::new(settings)?;
        let context = read.as_ref().and_then(Read::context);
        let mut config = edge::config(settings, context, hook)?;
        config.legacy = predecessor.turn.take();
        let server = TurnServer::bind(config);
        let server = server.map_err(|error| not_started(error, settings))?;
        let certificates = Certificates::new(server.handle(), read);
        let life = Life::start(
            settings,
            source,
            signals,
            server,
            certificates,
            lost,
            predecessor,
        )
        .await?;
        descriptors::warn_if_few(settings);
        life.run(banner).await
    })?;
    // After a second signal the wait for the drain still occupies a thread; it ends with the process.
    runtime.shutdown_background();
    if ending == Ending::Drained {
        log.finish();
    }
    Ok(ending)
}

/// Why the server no longer serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reason {
    /// A signal or a tool said so.
    Asked,
    /// Another process has its sockets.
    Succeeded,
}

struct Life<'a> {
    settings: &'a Settings,
    signals: Signals,
    turn: TurnServer,
    streams: Handle,
    /// Of `streams`.
    events: broadcast::Receiver<Event>,
    operations: Handle,
    reloader: Reloader,
    requests: mpsc::Receiver<Request>,
    /// It has taken another process's place.
    succeeds: bool,
}

impl<'a> Life<'a> {
    /// Binds the listeners beside those of `turn`, or takes them over, and accepts.
    async fn start(
        settings: &'a Settings,
        source: Option<Source>,
        signals: Signals,
        mut turn: TurnServer,
        certificates: Certificates,
        lost: Lost,
        predecessor: Predecessor,
    ) -> Result<Self, Problems> {
        let succeeds = predecessor.streams.is_some();
        let handle = turn.handle();
        let sip = Service::new(settings)?;
        let clients = streams::server(settings, &handle, sip.as_ref(), predecessor.streams)?;
        let streams = clients.handle();
        let events = streams.events();
        let (admin, requests) = Admin::new(handle.clone(), streams.clone());
        let router = |own: Handle| {
            let counted = vec![streams.clone(), own];
            metrics::router(handle.clone(), counted, sip.clone(), lost)
                .merge(operations::health(streams.clone()))
        };
        let own = operations::server(settings, router, admin, predecessor.operations)?;
        let operations = own.handle();
        if let Some(path) = &settings.server.handover {
            succession::offer(path, &clients, &own, &turn)?;
        }
        // From here on the predecessor takes no new clients. What still ends this process, a thread that the system
        // refuses, ends the service: it is said, and a service manager starts anew.
        let taken = clients.take_over().await;
        taken.map_err(|error| succession::failed(&error))?;
        let begun = turn.begin();
        begun.map_err(|error| not_started(error, settings))?;
        if let Err(error) = own.take_over().await {
            // The clients are this process's already, which must not end for its tools.
            error!(target: "wharfd", %error, "the sockets of the tools are not taken over: metrics and tools may not \
                answer, and no successor can ask, before the next restart");
        }
        tokio::spawn(clients.run());
        tokio::spawn(own.run());
        let reloader = Reloader {
            turn: handle,
            streams: streams.clone(),
            certificates,
            sip,
            source,
        };
        Ok(Self {
            settings,
            signals,
            turn,
            streams,
            events,
            operations,
            reloader,
            requests,
            succeeds,
        })
    }

    async fn run(mut self, banner: &str) -> Result<Ending, Problems> {
        // Whoever closed the output does not want the banner; that is no reason to end.
        let _ = io::stdout().write_all(banner.as_bytes());
        let listen = list(self.turn.local_addrs());
        let (tcp, tls) = (addresses(&self.streams, TCP), addresses(&self.streams, TLS));
        let dtls = list(&self.settings.listen.dtls);
        let sip = sip_names().map(|name| (name, addresses(&self.streams, name)));
        let sip: Vec<String> = sip
            .into_iter()
            .filter(|(_, addresses)| !addresses.is_empty())
            .map(|(name, addresses)| format!("{} {addresses}", &name["sip-".len()..]))
            .collect();
        let sip = sip.join(", ");
        let metrics = match addresses(&self.operations, operations::METRICS) {
            none if none.is_empty() => none,
            address => format!("http://{address}/metrics"),
        };
        let admin = addresses(&self.operations, operations::ADMIN);
        let version = env!("CARGO_PKG_VERSION");
        info!(target: "wharfd", listen, tcp, tls, dtls, sip, metrics, admin, version, "ready");
        if self.succeeds {
            // The service manager has to be told which process is the service's now.
            notify(&format!("MAINPID={}\nREADY=1", std::process::id()));
        } else {
            notify("READY=1");
        }
        let reason = self.serve().await;
        match reason {
            Reason::Asked => notify("STOPPING=1"),
            Reason::Succeeded => {
                info!(target: "wharfd", "a successor has taken over");
                self.turn.handle().leave();
            }
        }
        self.drain(reason).await
    }

    /// Does what signals and tools ask for until the end is asked for, or has come with a successor.
    async fn serve(&mut self) -> Reason {
        loop {
            tokio::select! {
                event = self.events.recv() => match event {
                    Ok(Event::HandedOver { .. }) => return Reason::Succeeded,
                    // It may have been among those that were missed: nobody else drains them.
                    Err(RecvError::Lagged(_)) if self.streams.is_draining() => return Reason::Succeeded,
                    _ => {}
                },
                asked = self.signals.next() => match asked {
                    // What came of it is logged.
                    Asked::Reload => drop(self.reloader.reload()),
                    Asked::End => return Reason::Asked,
                },
                Some(request) = self.requests.recv() => match request {
                    // A tool that has hung up meanwhile does not want the answer.
                    Request::Plan(answer) => { let _ = answer.send(self.reloader.plan()); },
                    Request::Reload(answer) => { let _ = answer.send(self.reloader.reload()); },
                    Request::Drain(answer) => {
                        let _ = answer.send(());
                        return Reason::Asked;
                    }
                },
            }
        }
    }

    async fn drain(mut self, reason: Reason) -> Result<Ending, Problems> {
        let handle = self.turn.handle();
        let deadline = self.settings.server.drain_deadline;
        // No new connection; those that are there end with their allocations.
        let streams = self.streams.clone();
        // What the upstream sends over UDP is read no more, or by the successor, which does not have the
        // clients' connections: they had better come back at once. WebSockets are told so anyway.
        let abandoned = reason == Reason::Succeeded || self.settings.sip.may_use_udp();
        let streams = tokio::spawn(async move {
            let close = async {
                let [_, tcp, tls, ..] = sip_names();
                for name in [tcp, tls].into_iter().filter(|_| abandoned) {
                    streams.close(&Filter::default().listener(name));
                }
            };
            tokio::join!(streams.drain(deadline), close).0
        });
        handle.drain();
        let allocations = handle.allocations();
        info!(target: "wharfd", allocations, deadline_seconds = deadline.as_secs(), "draining");
        let turn = self.turn;
        let drained = tokio::task::spawn_blocking(move || {
            let done = turn.wait_drained(deadline);
            turn.stop();
            done
        });
        let ended = async {
            let done = drained
                .await
                .map_err(|error| system("drain", &error.into()))?;
            // Their last answers are written, or the deadline has come.
            let report = streams
                .await
                .map_err(|error| system("drain", &error.into()))?;
            let message = if done {
                "drained"
            } else {
                "the drain's deadline has come"
            };
            let (finished, forced) = (report.finished(), report.forced());
            let allocations = handle.allocations();
            info!(target: "wharfd", allocations, connections_finished = finished,
                connections_forced = forced, "{message}");
            // Where there was nothing to drain, these may still be on their way to the successor.
            if reason == Reason::Succeeded && !succession::given(&self.operations).await {
                warn!(target: "wharfd", "the successor has not taken the sockets of the tools");
            }
            Ok::<_, Problems>(Ending::Drained)
        };
        let requests = &mut self.requests;
        let ending = tokio::select! {
            ended = ended => ended?,
            () = self.signals.end() => {
                warn!(target: "wharfd", allocations = handle.allocations(), "ended by a second signal");
                return Ok(Ending::Forced);
            }
            never = refuse(requests) => match never {},
        };
        self.operations.drain(LAST).await;
        Ok(ending)
    }
}

/// Answers the tools while the server drains, and never returns.
async fn refuse(requests: &mut mpsc::Receiver<Request>) -> Infallible {
    while let Some(request) = requests.recv().await {
        let draining =
            || Problem::new("reload", "the server is draining: nothing is reloaded").into();
        match request {
            Request::Plan(answer) | Request::Reload(answer) => drop(answer.send(Err(draining()))),
            Request::Drain(answer) => {
                let _ = answer.send(());
            }
        }
    }
    std::future::pending().await
}

/// What kept the server from starting, at the key that can change it.
fn not_started(error: StartError, settings: &Settings) -> Problem {
    let (key, given, reason) = match error {
        StartError::Listen { address, source } => {
            let is_plain = settings.listen.udp.contains(&address);
            let key = if is_plain {
                "listen.udp"
            } else {
                "listen.dtls"
            };
            (key, Some(address.to_string()), refused(&source))
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

/// Where a listener listens; empty without it.
fn addresses(server: &Handle, name: &str) -> String {
    let listener = server.inspect(name);
    listener.map_or_else(|_| String::new(), |listener| list(&listener.addresses))
}

fn list(addresses: &[impl ToString]) -> String {
    let texts: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    texts.join(" ")
}
