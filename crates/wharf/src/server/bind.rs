//! From a listener's configuration to a listener with its sockets.

mod batch;
mod fits;

use std::sync::Arc;

use super::Inner;
use crate::acceptor::Acceptor;
use crate::bound::Bound;
use crate::config::{Address, ListenerConfig, Problem, Problems, ServerConfig, Transport};
use crate::datagrams::Port;
use crate::events::Event;
use crate::handlers::{Handlers, MakeBatch};
use crate::handover::{Carries, Handovers, Shared};
use crate::listen::Foreign;
use crate::listener::{Listener, compile};
use crate::owner::Owner;
use crate::sockets::{self, BindError, BoundDatagrams, Listening};
use crate::tls::WatchEvent;

/// Binds a listener and compiles its rules. It does not accept yet.
pub(crate) fn open(
    inner: &Inner,
    name: &str,
    config: ListenerConfig,
    foreign: Vec<Foreign>,
    handlers: Option<Handlers>,
) -> Result<Arc<Listener>, Vec<Problem>> {
    let mut problems = Vec::new();
    let handlers = handlers.or_else(|| inner.handlers.get(name).cloned());
    let Some(handlers) = handlers else {
        let allowed = "expected a listener that the program has a handler for";
        let known = inner
            .handlers
            .keys()
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join(", ");
        let problem = Problem::new(format!("listeners.{name}"), allowed)
            .advice(format!("Handlers are there for: {known}"));
        return Err(vec![problem]);
    };
    problems.extend(fits::problems(name, &config, &handlers));
    let (bound, failed) = sockets_of(&inner.handovers, name, &config, foreign, &handlers);
    problems.extend(failed);
    let live = match compile(name, config, &handlers, None) {
        Ok(live) => live,
        Err(found) => {
            problems.extend(found);
            return Err(problems);
        }
    };
    if !problems.is_empty() {
        return Err(problems);
    }
    let owner = Owner::new(
        name.into(),
        live,
        inner.events.clone(),
        inner.memory.clone(),
        inner.ids.clone(),
        inner.draining.child_token(),
        Some(inner.runtime.clone()),
    );
    let listener = Listener::new(
        owner,
        handlers,
        inner.hooks.clone(),
        inner.gate.clone(),
        bound,
    );
    watch_certificates(inner, &listener);
    Ok(listener)
}

/// Adopts foreign sockets, and for the addresses of `config` that none was handed over for takes the
/// predecessor's sockets, or binds them. Every address is tried.
pub(crate) fn sockets_of(
    handovers: &Handovers,
    name: &str,
    config: &ListenerConfig,
    foreign: Vec<Foreign>,
    handlers: &Handlers,
) -> (Vec<Bound>, Vec<Problem>) {
    let mut all = Vec::new();
    let mut problems = Vec::new();
    let batch = handlers.batch();
    let config = &match batch {
        Some(_) => batch::for_workers(config),
        None => config.clone(),
    };
    for address in &config.bind {
        let is_handed = |one: &Foreign| match one {
            Foreign::Handed(bound) => bound.address() == Some(address),
            _ => false,
        };
        if foreign.iter().any(is_handed) {
            continue;
        }
        let bound = if config.transport == Transport::Sctp {
            bind_sctp(handovers, name, address, config)
        } else if config.transport.has_flows() {
            bind_datagrams(handovers, name, address, config)
        } else {
            bind_streams(handovers, name, address, config)
        };
        match bound {
            Ok(bound) => match on_runtime(bound, Some(address.clone()), config, batch) {
                Ok(bound) => all.extend(bound),
                Err(error) => problems.push(failed(name, &error.to_string())),
            },
            Err(error) => problems.push(problem(name, &error)),
        }
    }
    for foreign in foreign {
        match adopt(name, foreign, config, batch) {
            Ok(bound) => all.extend(bound),
            Err(found) => problems.push(found),
        }
    }
    (all, problems)
}

/// A socket that is bound, and not yet on the runtime.
enum Made {
    Streams(Listening),
    Datagrams(BoundDatagrams),
}

fn bind_streams(
    handovers: &Handovers,
    name: &str,
    address: &Address,
    config: &ListenerConfig,
) -> Result<Vec<Made>, BindError> {
    let (transport, accept, socket) = (config.transport, &config.accept, &config.socket);
    let share =
        |one: Shared| sockets::share(one.socket, one.file, address, transport, accept, socket);
    let carries = if transport.on_datagrams() {
        Carries::Datagrams
    } else {
        Carries::Streams
    };
    let shared = handovers.listening(name, address, carries);
    let bound: Result<Vec<_>, _> = if shared.is_empty() {
        sockets::bind(address, transport, accept, socket, &config.unix)
    } else {
        shared.into_iter().map(share).collect()
    };
    let bound = bound?;
    if transport == Transport::Quic {
        sockets::steer_quic(&bound)?;
    }
    Ok(bound.into_iter().map(Made::Streams).collect())
}

/// The kernel's SCTP or SCTP over UDP, which the host may decide.
fn bind_sctp(
    handovers: &Handovers,
    name: &str,
    address: &Address,
    config: &ListenerConfig,
) -> Result<Vec<Made>, BindError> {
    let (accept, socket, sctp) = (&config.accept, &config.socket, &config.sctp);
    let carries = if sockets::sctp_in_kernel(sctp.via) {
        Carries::Sctp
    } else {
        Carries::Datagrams
    };
    let shared = handovers.listening(name, address, carries);
    let bound: Result<Vec<_>, _> = if shared.is_empty() {
        sockets::bind_sctp(address, accept, socket, sctp)
    } else {
        let share = |one: Shared| sockets::adopt_sctp(one.socket, address, accept, socket, sctp);
        shared.into_iter().map(share).collect()
    };
    Ok(bound?.into_iter().map(Made::Streams).collect())
}

fn bind_datagrams(
    handovers: &Handovers,
    name: &str,
    address: &Address,
    config: &ListenerConfig,
) -> Result<Vec<Made>, BindError> {
    let (transport, socket, datagrams) = (config.transport, &config.socket, &config.datagrams);
    let shared = handovers.listening(name, address, Carries::Datagrams);
    if !shared.is_empty() {
        let share = |one: Shared| {
            let (fd, file) = (one.socket, one.file);
            sockets::share_datagrams(fd, file, address, transport, socket, datagrams)
        };
        let shared: Result<Vec<_>, _> = shared.into_iter().map(share).collect();
        let shared = shared?;
        // They are in the order in which the predecessor bound them.
        sockets::steer_all(&shared, datagrams.steering)?;
        return Ok(shared.into_iter().map(Made::Datagrams).collect());
    }
    let bound = sockets::bind_datagrams(
        address,
        config.transport,
        &config.accept,
        &config.socket,
        &config.unix,
        &config.datagrams,
    )?;
    Ok(bound.into_iter().map(Made::Datagrams).collect())
}

fn adopt(
    name: &str,
    foreign: Foreign,
    config: &ListenerConfig,
    batch: Option<&MakeBatch>,
) -> Result<Vec<Bound>, Problem> {
    let (transport, accept, socket) = (config.transport, &config.accept, &config.socket);
    let fits = match &foreign {
        Foreign::Handed(_) => true,
        Foreign::Udp(_) | Foreign::Unixgram(_) => transport.on_datagrams(),
        _ => !transport.on_datagrams(),
    };
    if !fits {
        let allowed = format!("expected a socket for {}", transport.label());
        return Err(failed(name, &allowed));
    }
    let adopted = match foreign {
        Foreign::Handed(bound) => return Ok(vec![bound]),
        Foreign::Tcp(one) => sockets::from_tcp(one, accept, socket).map(Made::Streams),
        Foreign::Unix(one) => sockets::from_unix(one, accept).map(Made::Streams),
        Foreign::Udp(one) if transport.has_flows() => {
            sockets::from_udp_datagrams(one, socket, &config.datagrams).map(Made::Datagrams)
        }
        Foreign::Udp(one) => sockets::from_udp(one, socket).map(Made::Streams),
        Foreign::Unixgram(one) => sockets::from_unixgram(one, socket).map(Made::Datagrams),
        #[cfg(any(test, feature = "testkit"))]
        Foreign::Memory(listener) => {
            return Ok(vec![Bound::Streams(Arc::new(Acceptor::memory(listener)))]);
        }
    };
    let made = adopted.map_err(|error| problem(name, &error))?;
    on_runtime(vec![made], None, config, batch).map_err(|error| failed(name, &error.to_string()))
}

/// The sockets of one address; a batch handler has them together.
fn on_runtime(
    made: Vec<Made>,
    address: Option<Address>,
    config: &ListenerConfig,
    batch: Option<&MakeBatch>,
) -> std::io::Result<Vec<Bound>> {
    if let Some(make) = batch {
        return batch::crew(made, address, config, make).map(|crew| vec![crew]);
    }
    let count = made.len();
    let bound = made.into_iter().enumerate().map(|(number, made)| {
        let (address, options) = (address.clone(), config.socket.clone());
        Ok(match made {
            Made::Streams(listening) => {
                let acceptor = Acceptor::new(listening, (number, count), address, options)?;
                Bound::Streams(Arc::new(acceptor))
            }
            Made::Datagrams(bound) => Bound::Datagrams(Port::new(bound, address, options)?),
        })
    });
    bound.collect()
}

fn failed(name: &str, error: &str) -> Problem {
    Problem::new(format!("listeners.{name}.bind"), error)
}

/// What the kernel said, under the key that it is about.
fn problem(name: &str, error: &BindError) -> Problem {
    match error {
        BindError::NoSctp { .. } => {
            Problem::new(format!("listeners.{name}.sctp.via"), error.to_string())
        }
        BindError::Option(option) => Problem::new(
            format!("listeners.{name}.{}", option.key),
            error.to_string(),
        ),
        _ => failed(name, &error.to_string()),
    }
}

/// Reloads certificates when their files change, for as long as the listener is there.
fn watch_certificates(inner: &Inner, listener: &Arc<Listener>) {
    let Some(tls) = listener.owner.live().tls.clone() else {
        return;
    };
    let weak = Arc::downgrade(listener);
    let watch = inner.runtime.spawn(tls.watch(move |event| {
        let Some(listener) = weak.upgrade() else {
            return;
        };
        certificates(
            &listener,
            match &event {
                WatchEvent::Reloaded(_) => None,
                WatchEvent::Failed(error) => Some(error.to_string()),
            },
        );
    }));
    listener.keep_watch(watch.abort_handle());
}

/// Counts and tells a reload of certificates.
pub(crate) fn certificates(listener: &Listener, problem: Option<String>) {
    let owner = &listener.owner;
    let counter = match &problem {
        None => &owner.counters.certificate_reloads,
        Some(_) => &owner.counters.certificate_failures,
    };
    crate::counters::one_more(counter);
    match &problem {
        None => tracing::info!(listener = %owner.name, "certificates reloaded"),
        Some(problem) => {
            tracing::error!(listener = %owner.name, problem, "certificates not reloaded, the old ones stay");
        }
    }
    owner.events.emit(|| Event::Certificates {
        listener: owner.name.clone(),
        problem,
    });
}

/// Tells that a listener accepts.
pub(crate) fn announce(listener: &Listener) {
    let owner = &listener.owner;
    let addresses: Vec<_> = listener
        .addresses()
        .iter()
        .map(ToString::to_string)
        .collect();
    tracing::info!(
        listener = %owner.name,
        transport = listener.config().transport.label(),
        addresses = addresses.join(", "),
        "listening"
    );
    owner.events.emit(|| Event::ListenerStarted {
        listener: owner.name.clone(),
        addresses,
    });
}

/// Checks a configuration some of whose listeners have sockets that were made elsewhere: these need
/// no address.
pub(crate) fn check(
    config: &ServerConfig,
    is_foreign: &dyn Fn(&str) -> bool,
) -> Result<(), Problems> {
    let Err(Problems(mut found)) = config.check() else {
        return Ok(());
    };
    for (name, listener) in &config.listeners {
        if listener.bind.is_empty() && is_foreign(name) {
            let key = format!("listeners.{name}.bind");
            found.retain(|problem| problem.key != key);
        }
    }
    all(found)
}

/// Problems as an error.
pub(crate) fn all(problems: Vec<Problem>) -> Result<(), Problems> {
    if problems.is_empty() {
        Ok(())
    } else {
        Err(Problems(problems))
    }
}
