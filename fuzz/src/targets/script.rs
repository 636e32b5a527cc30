//! The whole core: the input is a script of datagrams from clients and peers, authenticated ones among
//! them, of passing time and of things that go wrong.

use wharf_policy::PrefixLimits;
use wharf_stun::attribute::RequestedTransport;
use wharf_stun::{Class, Method, WriteError, Writer};
use wharf_turn::{BindError, Config, Transport};

use super::steps::steps;
use crate::support::{
    Algorithm, Client, Host, PEER, PEER_2, PEER_6, Raw, Reaction, addr, config, policy, rules, secs,
};

const PEERS: [&str; 4] = [PEER, PEER_2, PEER_6, "11.0.0.1:4001"];
/// The steps from here on end the connection of the client that has one.
const CLOSE: u8 = 250;

pub(crate) fn core_datagrams(data: &[u8]) {
    let unauthenticated = PrefixLimits {
        slots: 64,
        ..PrefixLimits::default()
    };
    let mut host = Host::new(Config {
        unauthenticated,
        ..config()
    });
    let mut clients: Vec<_> = [("alice", 1), ("bob", 2), ("alice", 3)]
        .into_iter()
        .map(|(name, port)| Client::new(&mut host, name, port))
        .collect();
    clients[1].algorithm = Algorithm::Legacy;
    clients[2].path.transport = Transport::Tcp;
    for (what, argument, bytes) in steps(data) {
        step(&mut host, &mut clients, what, argument, bytes);
    }
    while host.release_look_up().is_some() {}
    host.wait(secs(4_000));
    host.forget();
    host.assert_initial();
}

fn step(host: &mut Host, clients: &mut [Client], what: u8, argument: u8, bytes: &[u8]) {
    if what >= CLOSE {
        host.server.handle_client_closed(&clients[2].path);
        host.drain(Reaction::Waiting);
        return;
    }
    let at = usize::from(argument) % clients.len();
    let client = &mut clients[at];
    match what % 10 {
        0 => {
            host.client(&client.path, bytes);
        }
        1 => {
            client.challenge(host);
            let fill = |w: &mut Writer<'_>| {
                w.push(&RequestedTransport::UDP)?;
                attributes(w, bytes)
            };
            let request = client.request(Method::ALLOCATE, fill);
            answered(host, client, &request);
        }
        2 => {
            client.challenge(host);
            let methods = [
                Method::ALLOCATE,
                Method::REFRESH,
                Method::CREATE_PERMISSION,
                Method::CHANNEL_BIND,
            ];
            let method = methods[usize::from(argument >> 2) % methods.len()];
            let request = client.request(method, |w| attributes(w, bytes));
            answered(host, client, &request);
        }
        3 => {
            let send = client.message(Method::SEND, Class::Indication, |w| attributes(w, bytes));
            let reaction = host.client(&client.path, &send);
            assert!(!matches!(reaction, Reaction::Reply(_)), "T54: {reaction:?}");
        }
        4 => {
            let relays: Vec<_> = host.sockets.values().copied().collect();
            let peer = addr(PEERS[usize::from(argument) % PEERS.len()]);
            for relay in relays {
                if relay.is_ipv6() == peer.is_ipv6() {
                    host.peer(relay, peer, bytes);
                }
            }
        }
        5 => host.wait(secs(u64::from(argument) * 4)),
        6 => host.now += secs(u64::from(argument) * 4),
        7 => {
            let outcomes = [None, Some(BindError::AddressInUse), Some(BindError::Failed)];
            let all = bytes
                .iter()
                .map(|byte| outcomes[usize::from(*byte) % outcomes.len()]);
            host.binds.extend(all);
        }
        8 => {
            let mut rules = rules();
            rules.deny = vec![addr(PEERS[usize::from(argument) % PEERS.len()]).ip().into()];
            host.server.set_peers(policy(rules));
        }
        _ => {
            host.server.forget_credentials();
            host.answers_look_ups = argument.is_multiple_of(2);
            while host.release_look_up().is_some() {}
        }
    }
}

/// A request of somebody who knows the password is answered, at once or when the look-up is.
fn answered(host: &mut Host, client: &Client, request: &[u8]) {
    match host.client(&client.path, request) {
        Reaction::Reply(answer) => client.check(&answer),
        other => assert_eq!(other, Reaction::Waiting),
    }
}

/// Attributes as an index, a length and a value, or as good peers and channel numbers.
fn attributes(w: &mut Writer<'_>, mut bytes: &[u8]) -> Result<(), WriteError> {
    while let Some((&[index, len], rest)) = bytes.split_first_chunk() {
        let (value, rest) = rest.split_at(rest.len().min(len.into()));
        bytes = rest;
        match index % 16 {
            0 => w.push(&Raw::<0x000C>(value))?,
            1 => w.push(&Raw::<0x000D>(value))?,
            2 => w.push(&Raw::<0x0012>(value))?,
            3 => w.push(&Raw::<0x0013>(value))?,
            4 => w.push(&Raw::<0x0017>(value))?,
            5 => w.push(&Raw::<0x0018>(value))?,
            6 => w.push(&Raw::<0x0019>(value))?,
            7 => w.push(&Raw::<0x001A>(value))?,
            8 => w.push(&Raw::<0x0022>(value))?,
            9 => w.push(&Raw::<0x8000>(value))?,
            10 => w.push(&Raw::<0x7001>(value))?,
            11 => w.push(&Raw::<0x8777>(value))?,
            12 => w.push(&wharf_stun::attribute::ChannelNumber(
                0x4000 + u16::from(len),
            ))?,
            n => {
                let peer = addr(PEERS[usize::from(n) - 13]);
                w.push(&wharf_stun::attribute::XorPeerAddress(peer))?
            }
        };
    }
    Ok(())
}
