//! Sockets for the worker threads of a batch handler.

use super::Made;
use crate::bound::Bound;
use crate::config::{Address, ListenerConfig, Problem, ProxyMode, Transport};
use crate::datagrams::Crew;
use crate::handlers::{Handlers, MakeBatch};
use crate::sockets::BoundDatagrams;

/// The configuration by which the sockets of a batch handler are bound: as many as it has threads.
pub(super) fn for_workers(config: &ListenerConfig) -> ListenerConfig {
    let count = match config.datagrams.workers {
        0 => u32::try_from(wharf_udp::allowed_cpus().len()).unwrap_or(1),
        given => given,
    };
    let mut config = config.clone();
    config.accept.reuse_port = count > 1;
    config.accept.acceptors = count.max(1);
    config
}

/// What a batch handler cannot have.
pub(super) fn problems(name: &str, config: &ListenerConfig, handlers: &Handlers) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut expect = |fine: bool, key: &str, allowed: &str| {
        if !fine {
            problems.push(Problem::new(format!("listeners.{name}.{key}"), allowed));
        }
    };
    expect(
        config.transport == Transport::Udp,
        "transport",
        "expected \"udp\", which the batch handler is for",
    );
    expect(
        !handlers.takes_messages() && !handlers.takes_bytes(),
        "transport",
        "expected no other handler beside the batch handler",
    );
    expect(
        handlers.firsts().next().is_none() && config.demux.layers.is_empty(),
        "demux.layers",
        "expected none with a batch handler, which gets all datagrams",
    );
    expect(
        config.proxy.mode == ProxyMode::Off,
        "proxy.mode",
        "expected \"off\" with a batch handler",
    );
    expect(
        config.datagrams.flow_key.is_none(),
        "datagrams.flow-key",
        "expected none with a batch handler, which has no flows",
    );
    problems
}

/// Sockets of one address, to be served by a thread each.
pub(super) fn crew(
    made: Vec<Made>,
    address: Option<Address>,
    config: &ListenerConfig,
    make: &MakeBatch,
) -> std::io::Result<Bound> {
    let udp = made.into_iter().filter_map(|made| match made {
        Made::Datagrams(BoundDatagrams::Udp(socket)) => Some(socket),
        _ => None,
    });
    Ok(Bound::Batch(Crew::new(
        udp.collect(),
        address,
        config,
        make.clone(),
    )?))
}
