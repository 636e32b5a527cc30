//! The state of one worker, and the doors in and out.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng as _, SeedableRng as _};
use slab::Slab;
use wharf_policy::{PeerPolicy, PeerRefusal, PrefixLimiter, PrefixLimits, Quotas};
use wharf_stun::attribute::PasswordAlgorithm;
use wharf_stun::security_features::SecurityFeatures;

use crate::allocation::{Allocations, Relays};
use crate::credential::Cache;
use crate::flows::Channels;
use crate::nonce::Nonces;
use crate::permission::Permissions;
use crate::ports::PortPool;
use crate::reply::{REPLY_ROOM, Refusal};
use crate::reservation::Reservations;
use crate::timers::Timers;
use crate::{
    ClientPath, Command, CommandId, Config, Credential, Done, DropReason, Event, Output, RelayId,
    Shared,
};

/// Room for a ChannelData or Data indication header.
const HEADER_ROOM: usize = 64;

/// One worker's share of a TURN server; see the crate's page for the contract.
#[derive(Debug)]
pub struct Server {
    pub(crate) config: Config,
    pub(crate) realm: Arc<str>,
    /// PASSWORD-ALGORITHMS as sent; empty when it is not.
    pub(crate) offered: &'static [PasswordAlgorithm<'static>],
    pub(crate) quotas: Quotas,
    pub(crate) peers: Arc<PeerPolicy>,
    pub(crate) nonces: Nonces,
    /// Limits on unauthenticated answers over UDP, and over connections.
    limiters: [PrefixLimiter; 2],
    pub(crate) rng: ChaCha8Rng,
    pub(crate) credentials: Cache,
    /// Stands in for an unknown user, so that the answer takes as long as for a known one.
    pub(crate) nobody: Arc<Credential>,
    pub(crate) allocations: Allocations,
    pub(crate) relays: Relays,
    pub(crate) permissions: Permissions,
    pub(crate) channels: Channels,
    pub(crate) reservations: Reservations,
    pub(crate) pools: Vec<PortPool>,
    /// Some relay address is not advertised as it is bound.
    pub(crate) translates: bool,
    pub(crate) timers: Timers,
    pub(crate) pending: Slab<(u32, Pending)>,
    pub(crate) look_ups: usize,
    pub(crate) draining: bool,
    pub(crate) commands: VecDeque<Command>,
    pub(crate) events: VecDeque<Event>,
    pub(crate) scratch: Box<[u8; REPLY_ROOM]>,
    pub(crate) header: [u8; HEADER_ROOM],
    next_command: u32,
}

/// What waits for the answer to a command.
#[derive(Debug)]
pub(crate) enum Pending {
    /// A request whose user is looked up.
    LookUp {
        path: ClientPath,
        datagram: Box<[u8]>,
    },
    /// A request whose user is looked up, of a client that is gone.
    Abandoned,
    /// An allocation whose socket is bound.
    Bind { index: u32, relay: RelayId },
    /// An allocation whose reserved socket is fetched from another worker.
    Claim { index: u32, relay: RelayId },
}

impl Server {
    /// A server without allocations. `unix` is the time since 1970 at `now`, for nonces that several
    /// servers share; `seed` is from the operating system's entropy and differs between workers.
    pub fn new(
        config: Config,
        shared: Shared,
        now: Instant,
        unix: Duration,
        seed: [u8; 32],
    ) -> Self {
        const OFFERED: [PasswordAlgorithm<'_>; 2] =
            [PasswordAlgorithm::MD5, PasswordAlgorithm::SHA256];
        let offered: &[_] = match (config.algorithms.md5, config.algorithms.sha256) {
            (_, false) => &[],
            (true, true) => &OFFERED,
            (false, true) => &OFFERED[1..],
        };
        let features = SecurityFeatures {
            password_algorithms: !offered.is_empty(),
            username_anonymity: config.username_anonymity,
        };
        let mut rng = ChaCha8Rng::from_seed(seed);
        let mut key = [0; 32];
        rng.fill_bytes(&mut key);
        let md5 = *key.first_chunk().expect("32 bytes hold 16");
        let nobody = Credential::from_keys("", "".into(), &config.realm, Some(md5), Some(key));
        let pools = config
            .relays
            .iter()
            .map(|relay| PortPool::new(relay.clone(), config.worker));
        Self {
            realm: config.realm.as_str().into(),
            offered,
            quotas: shared.quotas,
            peers: shared.peers,
            nonces: Nonces::new(
                shared.nonce_secret,
                features.encode(),
                config.nonce_lifetime,
                now,
                unix,
            ),
            limiters: limiters(config.unauthenticated, rng.next_u64()),
            credentials: Cache::new(config.credential_cache, rng.next_u64()),
            nobody: Arc::new(nobody),
            allocations: Allocations::new(rng.next_u64()),
            relays: Relays::new(rng.next_u64()),
            permissions: Permissions::new(rng.next_u64()),
            channels: Channels::new(rng.next_u64(), now),
            reservations: Reservations::default(),
            pools: pools.collect(),
            translates: config
                .relays
                .iter()
                .any(|relay| relay.bind != relay.advertised),
            timers: Timers::default(),
            pending: Slab::new(),
            look_ups: 0,
            draining: false,
            commands: VecDeque::new(),
            events: VecDeque::new(),
            scratch: Box::new([0; REPLY_ROOM]),
            header: [0; HEADER_ROOM],
            next_command: 0,
            rng,
            config,
        }
    }

    /// The answer to a command. Each command is answered once: what waits for it, an allocation that
    /// is being made included, stays until then. An answer to a command that is not outstanding is
    /// dropped.
    pub fn handle_done(&mut self, now: Instant, id: CommandId, done: Done) -> Output<'_> {
        let known = self
            .pending
            .get(id.index as usize)
            .is_some_and(|(g, _)| *g == id.generation);
        if !known {
            return Output::Dropped(DropReason::UnknownCommand);
        }
        match (self.pending.remove(id.index as usize).1, done) {
            (Pending::LookUp { path, datagram }, Done::Credential(answer)) => {
                self.look_ups -= 1;
                self.handle_looked_up(now, &path, &datagram, answer)
            }
            (Pending::Abandoned, Done::Credential(_)) => {
                self.look_ups -= 1;
                Output::Dropped(DropReason::ClientGone)
            }
            (Pending::Bind { index, relay }, Done::Bound(result)) => {
                self.handle_bound(now, index, relay, result)
            }
            (Pending::Claim { index, relay }, Done::Claimed(claimed)) => {
                self.handle_claimed(now, index, relay, claimed)
            }
            (pending, _) => {
                // The command stays outstanding: this was not its answer.
                let entry = self.pending.insert((id.generation, pending));
                debug_assert_eq!(entry, id.index as usize);
                Output::Dropped(DropReason::UnknownCommand)
            }
        }
    }

    /// The next thing for the driver to do. Drained after each input, so the queue holds what one
    /// input leads to.
    pub fn poll_command(&mut self) -> Option<Command> {
        self.commands.pop_front()
    }

    /// The next thing that happened. Drained after each input, as commands are.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// No more allocations from now on: an Allocate gets a 300 to
    /// [`Config::alternate_servers`], or a 508. Live ones go on.
    pub fn drain(&mut self) {
        self.draining = true;
    }

    /// Other rules for peers. Permissions and channels that they refuse end at once.
    pub fn set_peers(&mut self, peers: Arc<PeerPolicy>) {
        self.peers = peers;
        for index in self.allocations.indices() {
            self.enforce_peers(index);
        }
    }

    /// Forgets the credentials looked up so far. Live allocations keep theirs (RFC 8656 §5).
    pub fn forget_credentials(&mut self) {
        self.credentials.clear();
    }

    /// Another limit on unauthenticated answers, counted afresh, over UDP and over
    /// connections.
    pub fn set_unauthenticated_limit(&mut self, limits: PrefixLimits) {
        self.config.unauthenticated = limits;
        self.limiters = limiters(limits, self.rng.next_u64());
    }

    /// Whether a client who has proved nothing may have an answer. Connections count for themselves:
    /// forged datagrams do not use up the share of a prefix that has connections.
    pub(crate) fn may_answer(&mut self, now: Instant, path: &ClientPath) -> bool {
        let limiter = &mut self.limiters[usize::from(path.transport.is_connection())];
        limiter.allow(now, path.client.ip())
    }

    /// A port of this worker's pool, lent to another worker with a reservation, is free again.
    pub fn return_port(&mut self, local: SocketAddr) {
        if let Some(pool) = self.pools.iter_mut().find(|pool| pool.owns(local)) {
            pool.give_back(local.port());
        }
    }

    /// Allocations, those being made included.
    pub fn allocations(&self) -> usize {
        self.allocations.len()
    }

    /// Whether there is an allocation of this five-tuple.
    pub fn knows(&self, path: &ClientPath) -> bool {
        self.allocations.find(path).is_some()
    }

    /// Permissions of all allocations.
    pub fn permissions(&self) -> usize {
        self.permissions.len()
    }

    /// Channels of all allocations.
    pub fn channels(&self) -> usize {
        self.channels.len()
    }

    /// Relay sockets, reserved ones included.
    pub fn relays(&self) -> usize {
        self.relays.len()
    }

    /// Commands that are still to be answered.
    pub fn pending(&self) -> usize {
        self.pending.len()
    }

    /// Ports that may be allocated, of all relay addresses.
    pub fn free_ports(&self) -> usize {
        self.pools.iter().map(PortPool::free).sum()
    }

    pub(crate) fn push_pending(&mut self, pending: Pending) -> CommandId {
        self.next_command = self.next_command.wrapping_add(1);
        let generation = self.next_command;
        let index = self.pending.insert((generation, pending)) as u32;
        CommandId { index, generation }
    }

    pub(crate) fn forbid(
        &mut self,
        path: &ClientPath,
        peer: SocketAddr,
        why: PeerRefusal,
    ) -> Refusal {
        self.events.push_back(Event::PeerRefused {
            path: *path,
            peer,
            why,
        });
        Refusal::Forbidden
    }
}

fn limiters(limits: PrefixLimits, seed: u64) -> [PrefixLimiter; 2] {
    [(); 2].map(|()| PrefixLimiter::new(limits, seed))
}
