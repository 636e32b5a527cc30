//! Workers, clients and peers, and the clock that they share.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use wharf_policy::{QuotaLimits, Quotas};
use wharf_turn::{Config, Worker};

use super::actor::{Actor, Step};
use super::network::{Datagram, Network};
use crate::support::{Client, Did, Host, PEER, PORTS, Reaction, addr, config, secs};

/// Enough for every transaction and every lifetime.
const END: Duration = secs(3_600);

pub(crate) struct World {
    pub(crate) network: Network,
    pub(crate) addresses_in_use: u64,
    seed: u64,
    start: Instant,
    now: Duration,
    hosts: Vec<Host>,
    actors: Vec<Actor>,
    by_address: HashMap<SocketAddr, usize>,
    claims: u64,
}

impl World {
    /// Every fourth client asks for a pair of ports, and the next one takes the second of them, at
    /// another worker if there are two.
    pub(crate) fn new(workers: u8, clients: u16, seed: u64) -> Self {
        let quotas = Quotas::new(QuotaLimits::default());
        let mut hosts: Vec<_> = (0..workers)
            .map(|index| {
                let worker = Worker {
                    index,
                    count: workers,
                };
                let mut host = Host::with_quotas(Config { worker, ..config() }, quotas.clone());
                // Somebody else has a part of the ports.
                for port in PORTS.filter(|port| port % 7 == 0) {
                    host.occupied.extend(
                        config()
                            .relays
                            .iter()
                            .map(|relay| SocketAddr::new(relay.bind, port)),
                    );
                }
                host
            })
            .collect();
        let start = hosts[0].now;
        for host in &mut hosts {
            host.now = start;
        }
        let mut actors: Vec<_> = (0..clients)
            .map(|n| {
                let host = &mut hosts[usize::from(n % u16::from(workers))];
                let client =
                    Client::new(host, ["alice", "bob", "carol"][usize::from(n % 3)], n + 1);
                let mut peer = addr(PEER);
                peer.set_port(4_000 + n);
                Actor::new(client, peer)
            })
            .collect();
        for (n, actor) in actors.iter_mut().enumerate() {
            actor.wants_pair = n % 4 == 0;
            actor.client.nonce.clear();
            let step = if n % 4 == 1 {
                Step::Idle
            } else {
                Step::Allocate
            };
            actor.begin(Duration::ZERO, step);
        }
        let by_address = actors
            .iter()
            .enumerate()
            .map(|(n, a)| (a.client.path.client, n))
            .collect();
        Self {
            network: Network::new(seed),
            addresses_in_use: 0,
            seed,
            start,
            now: Duration::ZERO,
            hosts,
            actors,
            by_address,
            claims: 0,
        }
    }

    /// From event to event until nothing is to come.
    pub(crate) fn run(&mut self) {
        while let Some(next) = self.next_event() {
            assert!(
                next < END,
                "seed {}: still at work after {END:?}",
                self.seed
            );
            self.now = self.now.max(next);
            for host in &mut self.hosts {
                let passed = self.start + self.now - host.now;
                host.wait(passed);
            }
            while self.network.next_arrival().is_some_and(|at| at <= self.now) {
                let datagram = self.network.arrive().expect("there is one");
                self.deliver(&datagram);
            }
            for actor in &mut self.actors {
                if let Some(data) = actor.transmit(self.now) {
                    let path = actor.client.path;
                    let datagram = Datagram {
                        from: path.client,
                        to: path.server,
                        data,
                    };
                    self.network.send(self.now, &datagram);
                }
            }
            self.pass_on_tokens();
            self.settle();
        }
    }

    fn next_event(&self) -> Option<Duration> {
        let timers = self
            .hosts
            .iter()
            .filter_map(|host| host.server.poll_timeout());
        let timers = timers.map(|at| at.saturating_duration_since(self.start));
        let actors = self.actors.iter().filter_map(|actor| actor.due);
        timers
            .chain(actors)
            .chain(self.network.next_arrival())
            .min()
    }

    fn deliver(&mut self, datagram: &Datagram) {
        let Datagram { from, to, data } = datagram;
        if let Some(&n) = self.by_address.get(to) {
            return self.actors[n].receive(self.now, data);
        }
        if let Some(&n) = self.by_address.get(from) {
            let path = self.actors[n].client.path;
            let worker = n % self.hosts.len();
            // A look-up may take its time, and what waits for it may come twice.
            self.hosts[worker].answers_look_ups = self.network.draw(2) == 0;
            let reaction = self.hosts[worker].client(&path, data);
            self.respond(worker, reaction);
        } else if to.ip() == addr(PEER).ip() {
            // A peer echoes.
            let (from, to, data) = (*to, *from, data.clone());
            self.network.send(self.now, &Datagram { from, to, data });
        } else if let Some(worker) = self.hosts.iter().position(|h| h.relay(*to).is_some()) {
            let reaction = self.hosts[worker].peer(*to, *from, data);
            self.respond(worker, reaction);
        }
    }

    /// Sends what a worker's core wants to be sent.
    fn respond(&mut self, worker: usize, reaction: Reaction) {
        let server = self.actors[0].client.path.server;
        let datagram = match reaction {
            Reaction::Dropped(_) | Reaction::Waiting => return,
            Reaction::Reply(answer) => Datagram {
                from: server,
                to: answer.path.client,
                data: answer.bytes,
            },
            Reaction::ToClient { client, bytes } => Datagram {
                from: server,
                to: client,
                data: bytes,
            },
            Reaction::ToPeer {
                relay, peer, data, ..
            } => {
                let from = self.hosts[worker].sockets[&relay];
                Datagram {
                    from,
                    to: peer,
                    data,
                }
            }
        };
        self.network.send(self.now, &datagram);
    }

    /// A client tells its token to the one that waits for it.
    fn pass_on_tokens(&mut self) {
        for n in 1..self.actors.len() {
            if self.actors[n].step == Step::Idle
                && let Some(token) = self.actors[n - 1].reserved
            {
                self.actors[n].token = Some(token);
                self.actors[n].begin(self.now, Step::Allocate);
            }
        }
    }

    /// What the hosts were asked to do and did not do at once.
    fn settle(&mut self) {
        for at in 0..self.hosts.len() {
            while let Some(command) = self.hosts[at].held.front() {
                let reaction = if matches!(command, wharf_turn::Command::ClaimReservation { .. }) {
                    self.claims += 1;
                    let mut hosts = self.hosts.iter_mut();
                    let (Some(one), Some(two)) = (hosts.next(), hosts.next()) else {
                        panic!("a claim needs two workers");
                    };
                    if at == 0 {
                        one.claim_from(two)
                    } else {
                        two.claim_from(one)
                    }
                } else {
                    self.hosts[at].release_look_up().expect("a look-up")
                };
                self.respond(at, reaction);
            }
            for did in self.hosts[at].take_did() {
                match did {
                    Did::Return { worker, local } => {
                        self.hosts[usize::from(worker)].server.return_port(local);
                    }
                    Did::Bind(local) => {
                        let taken = self.hosts[at].occupied.contains(&local);
                        self.addresses_in_use += u64::from(taken);
                    }
                    Did::LookUp(_) | Did::Close(_) => {}
                }
            }
            self.hosts[at].events();
        }
    }

    pub(crate) fn assert_all_got_through(&self) {
        for actor in &self.actors {
            assert!(actor.is_content(), "seed {}: {actor:?}", self.seed);
        }
        let crossing = self.hosts.len() > 1;
        assert_eq!(self.claims > 0, crossing, "seed {}: claims", self.seed);
    }

    pub(crate) fn assert_nothing_is_left(&mut self) {
        for host in &mut self.hosts {
            // The ports of somebody else are left alone for a minute.
            host.wait(secs(61));
            host.forget();
            host.assert_initial();
        }
    }
}
