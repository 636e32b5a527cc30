//! A driver for one core: it has sockets in name only, knows the users and keeps account of what it
//! was asked to do and of what happened. Whoever drops it has looked at all of it.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use wharf_policy::{QuotaLimits, Quotas};
use wharf_turn::{
    BindError, ClaimedRelay, ClientPath, Command, CommandId, Config, Credential, CredentialAnswer,
    Done, DropReason, Event, Output, RelayId, Server, Shared, UserId,
};

use super::{Reaction, config, origin, policy, rules};

/// A command that was carried out, with addresses instead of names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Did {
    LookUp(UserId),
    Bind(SocketAddr),
    Close(SocketAddr),
    Return { worker: u8, local: SocketAddr },
}

pub(crate) struct Host {
    pub(crate) server: Server,
    pub(crate) now: Instant,
    pub(crate) quotas: Quotas,
    pub(crate) users: HashMap<UserId, CredentialAnswer>,
    pub(crate) sockets: BTreeMap<RelayId, SocketAddr>,
    /// Addresses that somebody else has bound.
    pub(crate) occupied: HashSet<SocketAddr>,
    /// Outcomes of the binds to come; those beyond depend on `occupied`.
    pub(crate) binds: VecDeque<Option<BindError>>,
    /// Whether look-ups are answered at once; otherwise they wait in `held`, as claims always do.
    pub(crate) answers_look_ups: bool,
    pub(crate) held: VecDeque<Command>,
    pub(crate) did: Vec<Did>,
    pub(crate) events: Vec<Event>,
    free_ports: usize,
}

impl Default for Host {
    fn default() -> Self {
        Self::new(config())
    }
}

impl Host {
    pub(crate) fn new(config: Config) -> Self {
        Self::with_quotas(config, Quotas::new(QuotaLimits::default()))
    }

    pub(crate) fn with_limits(config: Config, per_user: u32, total: u32) -> Self {
        Self::with_quotas(config, Quotas::new(QuotaLimits { per_user, total }))
    }

    /// Users `alice`, `bob` and `carol` have the passwords `alice-password` and so on.
    pub(crate) fn with_quotas(config: Config, quotas: Quotas) -> Self {
        let now = origin();
        let shared = Shared {
            nonce_secret: [7; 32],
            quotas: quotas.clone(),
            peers: policy(rules()),
        };
        let realm = config.realm.clone();
        let seed = [9 + config.worker.index; 32];
        let server = Server::new(config, shared, now, Duration::from_hours(500_000), seed);
        let mut host = Self {
            free_ports: server.free_ports(),
            server,
            now,
            quotas,
            users: HashMap::new(),
            sockets: BTreeMap::new(),
            occupied: HashSet::new(),
            binds: VecDeque::new(),
            answers_look_ups: true,
            held: VecDeque::new(),
            did: Vec::new(),
            events: Vec::new(),
        };
        for name in ["alice", "bob", "carol"] {
            let password = format!("{name}-password");
            host.add_user(Credential::from_password(
                name,
                name.into(),
                &realm,
                &password,
            ));
        }
        host
    }

    /// Makes a user known by name and by hash.
    pub(crate) fn add_user(&mut self, credential: Credential) {
        let name = credential.name().to_owned();
        let realm = config().realm;
        let answer = CredentialAnswer::Found(vec![Arc::new(credential)]);
        let hash = wharf_stun::credential::userhash(&name, &realm);
        self.users.insert(UserId::Hash(hash), answer.clone());
        self.users.insert(UserId::Name(name.into()), answer);
    }

    pub(crate) fn client(&mut self, path: &ClientPath, datagram: &[u8]) -> Reaction {
        let output = self.server.handle_client(self.now, path, datagram);
        let reaction = Reaction::new(output, datagram);
        self.drain(reaction)
    }

    /// A datagram at the relay socket that is bound to `relay`.
    pub(crate) fn peer(&mut self, relay: SocketAddr, peer: SocketAddr, data: &[u8]) -> Reaction {
        let Some(relay) = self.relay(relay) else {
            return Reaction::Dropped(DropReason::NoRelay);
        };
        let output = self.server.handle_peer(self.now, relay, peer, data.len());
        let reaction = Reaction::new(output, data);
        self.drain(reaction)
    }

    pub(crate) fn relay(&self, local: SocketAddr) -> Option<RelayId> {
        let found = self.sockets.iter().find(|(_, bound)| **bound == local);
        found.map(|(relay, _)| *relay)
    }

    pub(crate) fn done(&mut self, id: CommandId, done: Done) -> Reaction {
        let output = self.server.handle_done(self.now, id, done);
        let reaction = Reaction::new(output, &[]);
        self.drain(reaction)
    }

    /// Answers the oldest look-up that was held.
    pub(crate) fn release_look_up(&mut self) -> Option<Reaction> {
        let Some(Command::LookUpCredential { id, user, .. }) = self.held.pop_front() else {
            return None;
        };
        let done = self.look_up(user);
        Some(self.done(id, done))
    }

    /// Carries out a held claim on the worker that holds the socket.
    pub(crate) fn claim_from(&mut self, lender: &mut Self) -> Reaction {
        let command = self.held.pop_front();
        let Some(Command::ClaimReservation {
            id, token, relay, ..
        }) = command
        else {
            panic!("not a claim: {command:?}");
        };
        let claimed = lender.server.release_reservation(self.now, token);
        if let Some(ClaimedRelay {
            relay: name, local, ..
        }) = claimed
        {
            assert_eq!(lender.sockets.remove(&name), Some(local));
            self.sockets.insert(relay, local);
        }
        self.done(id, Done::Claimed(claimed))
    }

    /// Lets time pass, with timers as they come due.
    pub(crate) fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(due) = self.server.poll_timeout().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.server.handle_timeout(self.now);
            let reaction = self.drain(Reaction::Waiting);
            assert_eq!(reaction, Reaction::Waiting);
        }
        self.now = end;
        self.server.handle_timeout(end);
        self.drain(Reaction::Waiting);
    }

    /// Carries out what an input led to; the reaction to the last answer replaces `Waiting`.
    pub(crate) fn drain(&mut self, mut reaction: Reaction) -> Reaction {
        self.take_events();
        while let Some(command) = self.server.poll_command() {
            if let Some((id, done)) = self.carry_out(command) {
                assert_eq!(reaction, Reaction::Waiting, "one output for each input");
                let output: Output<'_> = self.server.handle_done(self.now, id, done);
                reaction = Reaction::new(output, &[]);
                self.take_events();
            }
        }
        reaction
    }

    fn take_events(&mut self) {
        self.events
            .extend(std::iter::from_fn(|| self.server.poll_event()));
    }

    fn carry_out(&mut self, command: Command) -> Option<(CommandId, Done)> {
        match command {
            Command::LookUpCredential { id, user, .. } if self.answers_look_ups => {
                Some((id, self.look_up(user)))
            }
            Command::LookUpCredential { .. } | Command::ClaimReservation { .. } => {
                self.held.push_back(command);
                None
            }
            Command::BindRelay { id, relay, local } => {
                self.did.push(Did::Bind(local));
                let bound = match self.binds.pop_front() {
                    Some(outcome) => outcome.map_or(Ok(()), Err),
                    None if self.occupied.contains(&local) => Err(BindError::AddressInUse),
                    None => Ok(()),
                };
                if bound.is_ok() {
                    let taken = self.sockets.values().any(|other| *other == local);
                    assert!(!taken, "{local} is bound twice");
                    assert_eq!(self.sockets.insert(relay, local), None);
                }
                Some((id, Done::Bound(bound)))
            }
            Command::CloseRelay { relay } => {
                let local = self.sockets.remove(&relay).expect("a socket that is open");
                self.did.push(Did::Close(local));
                None
            }
            Command::ReturnPort { worker, local } => {
                self.did.push(Did::Return { worker, local });
                None
            }
        }
    }

    fn look_up(&mut self, user: UserId) -> Done {
        let answer = self.users.get(&user).cloned();
        self.did.push(Did::LookUp(user));
        Done::Credential(answer.unwrap_or(CredentialAnswer::Unknown))
    }

    /// What was done and has not been looked at yet.
    pub(crate) fn take_did(&mut self) -> Vec<Did> {
        std::mem::take(&mut self.did)
    }

    pub(crate) fn events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// Forgets what was done so far: for what another test looks at.
    pub(crate) fn forget(&mut self) {
        self.did.clear();
        self.events.clear();
    }

    /// Nothing is left of anything.
    pub(crate) fn assert_initial(&mut self) {
        let Self { server, quotas, .. } = self;
        let counts = [
            server.allocations(),
            server.permissions(),
            server.channels(),
            server.relays(),
            server.pending(),
            self.sockets.len(),
            quotas.live() as usize,
            quotas.users(),
        ];
        assert_eq!(counts, [0; 8]);
        assert_eq!(server.free_ports(), self.free_ports);
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert_eq!(self.did, [], "commands that the test did not look at");
            assert_eq!(self.events, [], "events that the test did not look at");
            assert_eq!(self.held, [], "commands that were never answered");
            assert_eq!(self.server.poll_command(), None);
            assert_eq!(self.server.poll_event(), None);
        }
    }
}
