//! Putting a new configuration in force, or none of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::Handle;
use super::change::{prepare, put_in_force};
use crate::acceptor::Acceptor;
use crate::config::{Address, Change, ListenerConfig, Plan, Problem, Problems, ServerConfig};
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
    let mut rebound: Vec<(Arc<Listener>, Vec<Acceptor>)> = Vec::new();
    for name in &plan.added {
        match open(
            inner,
            name,
            config.listeners[name].clone(),
            Vec::new(),
            None,
        ) {
            Ok(listener) => added.push(listener),
            Err(found) => problems.extend(found),
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
        let (acceptors, failed) = rebind(inner, name, &listener, wanted);
        problems.extend(failed);
        rebound.push((listener, acceptors));
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
    for (listener, acceptors) in rebound {
        listener.rebind(acceptors);
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
    handle.set_limits(config.limits);
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
/// with the options that can change on a bound socket.
fn rebind(
    inner: &Inner,
    name: &str,
    listener: &Listener,
    wanted: &ListenerConfig,
) -> (Vec<Acceptor>, Vec<Problem>) {
    let old = listener.config();
    let keeps = fixed_at_bind(&old) == fixed_at_bind(wanted);
    let there = listener.acceptors();
    let stays = |address: &Address| {
        let found = there
            .iter()
            .filter(|one| one.address.as_ref() == Some(address));
        found.collect::<Vec<_>>()
    };
    let mut acceptors = Vec::new();
    let mut problems = Vec::new();
    let mut new = ListenerConfig {
        bind: Vec::new(),
        ..wanted.clone()
    };
    for address in &wanted.bind {
        let same = stays(address);
        if same.is_empty() || !keeps {
            new.bind.push(address.clone());
            continue;
        }
        for acceptor in same {
            match acceptor.again(&wanted.accept, &wanted.socket, &wanted.unix) {
                Ok(acceptor) => acceptors.push(acceptor),
                Err(error) => problems.push(not_bound(name, &error)),
            }
        }
    }
    for acceptor in there.iter().filter(|acceptor| acceptor.address.is_none()) {
        match acceptor.again(&wanted.accept, &wanted.socket, &wanted.unix) {
            Ok(acceptor) => acceptors.push(acceptor),
            Err(error) => problems.push(not_bound(name, &error)),
        }
    }
    let (bound, failed) = sockets_of(&inner.handovers, name, &new, Vec::new());
    acceptors.extend(bound);
    problems.extend(failed);
    (acceptors, problems)
}

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
        socket.dual_stack,
    )
}
