//! Putting a new configuration in force, or none of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::Handle;
use super::change::{prepare, put_in_force};
use crate::bound::Bound;
use crate::config::{Address, Change, ListenerConfig, Plan, Problem, Problems, ServerConfig};
use crate::listen::Foreign;
use crate::listener::Listener;
use crate::reason::Closed;
use crate::server::{Inner, announce, check, drain_these, open, sockets_of};
use crate::sockets::BindError;

/// Why a configuration is not in force; nothing of it is.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct ApplyError(#[from] pub Problems);

/// Everything that can fail comes first, and is undone by dropping it.
pub(super) fn apply(
    handle: &Handle,
    config: ServerConfig,
    deadline: Duration,
) -> Result<Plan, ApplyError> {
    let inner = &handle.inner;
    let _guard = inner.runtime.enter();
    let _turn = inner.turn();
    if inner.draining.is_cancelled() {
        let allowed = "expected a server that is not draining";
        return Err(Problems(vec![Problem::new("listeners", allowed)]).into());
    }
    if inner.handovers.is_pending() {
        let allowed = "expected a server that has taken over from its predecessor";
        return Err(Problems(vec![Problem::new("listeners", allowed)]).into());
    }
    check(&config, &|name: &str| handle.is_bound_elsewhere(name))?;
    let plan = handle.plan(&config);
    let mut problems = Vec::new();
    let mut added = Vec::new();
    let mut rebound: Vec<(Arc<Listener>, Vec<Bound>)> = Vec::new();
    let given_up = given_up(&inner.state().listeners, &config);
    for name in &plan.added {
        let wanted = config.listeners[name].clone();
        let (handed, failed) = given_up.for_listener(name, &wanted);
        problems.extend(failed);
        match open(inner, name, wanted, handed, None) {
            Ok(listener) => added.push(listener),
            Err(found) => problems.extend(given_up.advise(found)),
        }
    }
    for name in config
        .listeners
        .keys()
        .filter(|name| plan.needs(name) >= Some(Change::Rebind))
    {
        let Ok(listener) = handle.listener(name) else {
            continue;
        };
        let wanted = &config.listeners[name];
        if wanted.transport != listener.config().transport {
            let allowed = "expected the transport that the listener has";
            let problem = Problem::new(format!("listeners.{name}.transport"), allowed)
                .given(wanted.transport.label())
                .advice("Remove the listener and add another, under another name");
            problems.push(problem);
            continue;
        }
        if wanted.demux.layers != listener.config().demux.layers {
            let allowed = "expected the layers that the listener has";
            let problem = Problem::new(format!("listeners.{name}.demux.layers"), allowed)
                .advice("Remove the listener and add another, under another name");
            problems.push(problem);
            continue;
        }
        let (bound, failed) = rebind(inner, name, &listener, wanted, &given_up);
        problems.extend(given_up.advise(failed));
        rebound.push((listener, bound));
    }
    crate::server::all(problems)?;
    let mut live = Vec::new();
    let mut problems = Vec::new();
    for name in config
        .listeners
        .keys()
        .filter(|name| plan.needs(name).is_some())
    {
        let Ok(listener) = handle.listener(name) else {
            continue;
        };
        match prepare(&listener, config.listeners[name].clone()) {
            Ok(rules) => live.push((listener, rules)),
            Err(found) => problems.extend(found),
        }
    }
    crate::server::all(problems)?;

    // From here on nothing fails.
    for (listener, rules) in live {
        put_in_force(&listener, rules);
    }
    for (listener, bound) in rebound {
        listener.rebind(bound);
        announce(&listener);
    }
    let mut state = inner.state();
    let mut removed = Vec::new();
    for name in &plan.removed {
        removed.extend(state.listeners.remove(name));
    }
    state.leaving.extend(removed.iter().cloned());
    for listener in added {
        if state.started {
            announce(&listener);
            listener.start();
        }
        state
            .listeners
            .insert(listener.owner.name.to_string(), listener);
    }
    state.config = ServerConfig {
        listeners: BTreeMap::new(),
        ..config.clone()
    };
    drop(state);
    inner.health.set(&config.health);
    handle.put_limits(config.limits);
    if !removed.is_empty() {
        for listener in &removed {
            listener.stop();
        }
        inner.runtime.spawn(async move {
            drain_these(removed, deadline, Closed::Removed).await;
        });
    }
    tracing::info!(%plan, "configuration applied");
    Ok(plan)
}

/// The sockets of a listener by a new configuration: those of addresses that stay are taken over,
/// with the options that can change on a bound socket, and so are those that others give up.
fn rebind(
    inner: &Inner,
    name: &str,
    listener: &Listener,
    wanted: &ListenerConfig,
    given_up: &GivenUp,
) -> (Vec<Bound>, Vec<Problem>) {
    let keeps = fixed_at_bind(&listener.config()) == fixed_at_bind(wanted);
    let there = listener.bound();
    let stays = there.iter().filter(|one| match one.address() {
        Some(address) => keeps && wanted.bind.contains(address),
        None => true,
    });
    let (mut sockets, mut problems) = again(name, wanted, stays);
    let (handed, failed) = given_up.for_listener(name, wanted);
    sockets.extend(handed);
    problems.extend(failed);
    let (bound, failed) = sockets_of(&inner.handovers, name, wanted, sockets, &listener.handlers);
    problems.extend(failed);
    (bound, problems)
}

/// Sockets once more, for a listener of this configuration.
fn again<'a>(
    name: &str,
    wanted: &ListenerConfig,
    sockets: impl Iterator<Item = &'a Bound>,
) -> (Vec<Foreign>, Vec<Problem>) {
    let mut handed = Vec::new();
    let mut problems = Vec::new();
    for socket in sockets {
        match socket.again(wanted) {
            Ok(bound) => handed.push(Foreign::Handed(bound)),
            Err(error) => problems.push(not_bound(name, &error)),
        }
    }
    (handed, problems)
}

/// The sockets that listeners no longer have by a new configuration, each with the old one of its
/// listener. They listen until the new ones do, so their addresses cannot be bound anew: whoever
/// wants the same address gets the socket.
struct GivenUp(Vec<(Bound, ListenerConfig)>);

fn given_up(there: &BTreeMap<String, Arc<Listener>>, config: &ServerConfig) -> GivenUp {
    let mut given_up = Vec::new();
    for (name, listener) in there {
        let wanted = config.listeners.get(name);
        for bound in listener.bound() {
            let goes = |address: &Address| wanted.is_none_or(|new| !new.bind.contains(address));
            if bound.address().is_some_and(goes) {
                given_up.push((bound, listener.config()));
            }
        }
    }
    GivenUp(given_up)
}

impl GivenUp {
    /// Those that a listener takes over.
    fn for_listener(&self, name: &str, wanted: &ListenerConfig) -> (Vec<Foreign>, Vec<Problem>) {
        let fits = |old: &ListenerConfig, address: &Address| match address {
            // Port 0 asks for one that nobody has.
            Address::Ip(ip) => ip.port() != 0,
            Address::Path(_) | Address::Abstract(_) => true,
            // What it is only its old listener's transport says.
            _ => old.transport == wanted.transport,
        };
        let taken = self.0.iter().filter(|(bound, old)| {
            // A socket of datagrams stays with the flows that it has.
            bound
                .acceptor()
                .and(bound.address())
                .is_some_and(|address| {
                    wanted.bind.contains(address)
                        && fits(old, address)
                        && fixed_at_bind(old) == fixed_at_bind(wanted)
                })
        });
        again(name, wanted, taken.map(|(bound, _)| bound))
    }

    /// Says what to do where an address is in use by a socket that is given up, but is not the same,
    /// or differs in what is fixed when it is bound.
    fn advise(&self, mut problems: Vec<Problem>) -> Vec<Problem> {
        let addresses = self.0.iter().filter_map(|(one, _)| one.address());
        let addresses: Vec<_> = addresses.map(ToString::to_string).collect();
        for problem in &mut problems {
            let ports = addresses.iter().filter_map(|one| one.rsplit_once(':'));
            let mut ports = ports.map(|(_, port)| format!(":{port}: "));
            if problem.allowed.contains(IN_USE) && ports.any(|port| problem.allowed.contains(&port))
            {
                problem.advice = format!(
                    "The server itself listens at {} until the change is complete: apply a \
                     configuration without these addresses first",
                    addresses.join(", ")
                );
            }
        }
        problems
    }
}

/// How the system says that an address is taken.
const IN_USE: &str = "Address already in use";

fn not_bound(name: &str, error: &BindError) -> Problem {
    Problem::new(format!("listeners.{name}.bind"), error.to_string())
}

/// What a socket has for its life: with another value an address can be bound anew only where two
/// sockets may share it.
fn fixed_at_bind(config: &ListenerConfig) -> impl PartialEq + '_ {
    let socket = &config.socket;
    (
        config.accept.reuse_port.then_some(config.accept.acceptors),
        &socket.device,
        (socket.freebind, socket.transparent, socket.mptcp),
        (config.datagrams.gro, config.datagrams.timestamps),
        (config.datagrams.workers, config.datagrams.pin_workers),
        socket.dual_stack,
    )
}
