//! Random sequences of whatever can happen, against a model that is too simple to be wrong.

mod operation;
mod state;

use std::collections::VecDeque;

use proptest::prelude::*;
use wharf_stun::Method;
use wharf_stun::attribute::{
    ChannelNumber, Lifetime, RequestedAddressFamily, RequestedTransport, XorPeerAddress,
};

use self::operation::{Operation, PEERS, Request, operations};
use self::state::{Heard, Model};
use crate::support::{Client, Host, Reaction, addr, policy, rules, secs};

/// Clients of alice, bob and carol, and a second one of alice, over IPv6.
const CLIENTS: [&str; 4] = ["alice", "bob", "carol", "alice"];

struct Run {
    host: Host,
    clients: Vec<Client>,
    model: Model,
    /// Requests whose look-up is not answered yet, in order.
    waiting: VecDeque<(usize, Client, Request)>,
}

impl Run {
    fn new() -> Self {
        let mut host = Host::default();
        let mut clients: Vec<_> = (1..)
            .zip(CLIENTS)
            .map(|(port, name)| Client::new(&mut host, name, port))
            .collect();
        clients[3].path.client = addr("[2a00::7]:4");
        Self {
            model: Model::new(host.now, CLIENTS.len()),
            host,
            clients,
            waiting: VecDeque::new(),
        }
    }

    fn step(&mut self, operation: Operation) {
        match operation {
            Operation::Ask(n, request) => self.ask(n, request),
            Operation::Send(n, peer) => {
                let reaction = self.clients[n].send_to(&mut self.host, PEERS[peer], b"data");
                let expected = self.model.sends(n, PEERS[peer]);
                assert_eq!(
                    matches!(reaction, Reaction::ToPeer { .. }),
                    expected,
                    "{reaction:?}"
                );
            }
            Operation::Channel(n, number) => {
                let reaction = self.clients[n].channel_data(&mut self.host, number, b"data");
                let to = match reaction {
                    Reaction::ToPeer { peer, .. } => Some(peer),
                    _ => None,
                };
                assert_eq!(to, self.model.channel_leads_to(n, number));
            }
            Operation::Peer(n, peer) => self.hear(n, PEERS[peer]),
            Operation::Binds(outcomes) => {
                self.model.calm = false;
                self.host.binds.extend(outcomes);
            }
            Operation::Hold => {
                self.host.answers_look_ups = false;
                self.host.server.forget_credentials();
            }
            Operation::Release => self.release(),
            Operation::Wait(seconds) => {
                self.host.wait(secs(seconds));
                self.model.now = self.host.now;
            }
            Operation::Late(seconds) => {
                self.host.now += secs(seconds);
                self.model.now = self.host.now;
            }
            Operation::Deny(peers) => {
                let mut rules = rules();
                let denied = peers.iter().map(|peer| addr(PEERS[*peer]).ip());
                rules.deny = denied.clone().map(Into::into).collect();
                self.host.server.set_peers(policy(rules));
                self.model.deny(denied.collect());
            }
            Operation::Drain => {
                self.host.server.drain();
                self.model.calm = false;
            }
        }
    }

    fn ask(&mut self, n: usize, request: Request) {
        let token = self.model.token;
        let client = &mut self.clients[n];
        client.challenge(&mut self.host);
        let peers = |peers: &[usize]| {
            let all = peers.iter().map(|&peer| XorPeerAddress(addr(PEERS[peer])));
            all.collect::<Vec<_>>()
        };
        let bytes = match &request {
            Request::Allocate(wish, lifetime) => client.request(Method::ALLOCATE, |w| {
                w.push(&RequestedTransport::UDP)?
                    .push(&Lifetime(*lifetime))?;
                wish.write(w, token)
            }),
            Request::Refresh(lifetime, family) => client.request(Method::REFRESH, |w| {
                if let Some(family) = family {
                    w.push(&RequestedAddressFamily(*family))?;
                }
                w.push(&Lifetime(*lifetime)).map(drop)
            }),
            Request::Permit(some) => client.request(Method::CREATE_PERMISSION, |w| {
                peers(some)
                    .iter()
                    .try_for_each(|peer| w.push(peer).map(drop))
            }),
            Request::Bind(number, peer) => client.request(Method::CHANNEL_BIND, |w| {
                let peer = XorPeerAddress(addr(PEERS[*peer]));
                w.push(&ChannelNumber(*number))?.push(&peer).map(drop)
            }),
        };
        let asked = client.clone();
        match self.host.client(&asked.path, &bytes) {
            Reaction::Waiting => self.waiting.push_back((n, asked, request)),
            Reaction::Reply(answer) => {
                asked.check(&answer);
                self.model.answered(n, &request, &answer);
            }
            other => panic!("{other:?}"),
        }
    }

    /// Answers all look-ups that wait.
    fn release(&mut self) {
        self.host.answers_look_ups = true;
        while let Some((n, client, request)) = self.waiting.pop_front() {
            let answer = self.host.release_look_up().expect("it waits").reply();
            // The nonce may have become too old meanwhile.
            if answer.error != Some(438) {
                client.check(&answer);
                self.model.answered(n, &request, &answer);
            }
        }
    }

    fn hear(&mut self, n: usize, peer: &str) {
        let Some(relay) = self.model.relay(n, addr(peer).ip()) else {
            return;
        };
        let reaction = self.host.peer(relay, addr(peer), b"data");
        let heard = match reaction {
            Reaction::ToClient { client, bytes } => {
                assert_eq!(client, self.clients[n].path.client);
                match bytes[0] {
                    0..=3 => Heard::Indication,
                    _ => Heard::Channel(u16::from_be_bytes([bytes[0], bytes[1]])),
                }
            }
            _ => Heard::Not,
        };
        assert_eq!(heard, self.model.hears(n, peer), "{n} {peer}");
    }

    /// After all lifetimes nothing is left.
    fn finish(mut self) {
        self.release();
        self.host.wait(secs(4_000));
        self.host.forget();
        self.host.assert_initial();
    }
}

proptest! {
    #[test]
    fn whatever_happens_the_model_knows_and_nothing_is_left(all in operations()) {
        let mut run = Run::new();
        for operation in all {
            run.step(operation);
        }
        run.finish();
    }
}
