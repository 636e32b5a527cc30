//! One worker: a thread with its own sockets, its own core and its own ports.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use wharf_turn::{
    BindError, ClaimedRelay, ClientPath, Command, CommandId, Done, Event, FreedBy, Output, RelayId,
    Server, Transport,
};
use wharf_udp::{Events, Poller, ReceiveBatch, Socket};

use crate::control::{Claim, Drained, Inbox, Message};
use crate::counters::{Counter, Counters};
use crate::outbound::{Exits, Listener, Outbound, Source};
use crate::relays::{RELAY, RelaySockets};
use crate::{Credentials, EventHook};

/// Slots to receive into: what is read in one turn before it is sent. More do not make a system call
/// cheaper, and make the first datagram wait for the last.
const SLOTS: usize = 64;
/// Datagrams (or bursts) read from one socket at a time, so that a busy one does not starve others.
const LISTENER_BUDGET: usize = 64;
const RELAY_BUDGET: usize = 16;
/// ICMP errors read from one socket at a time.
const ICMP_BUDGET: usize = 16;
/// Events of one wait.
const EVENTS: usize = 256;
/// How often drop counters are read while there is traffic.
const TICK: Duration = Duration::from_secs(1);

/// Token of the waker; listeners follow from 1.
const WAKER: u64 = 0;

/// The parts of a worker that outputs leave by, borrowed apart from its core.
macro_rules! exits {
    ($worker:ident) => {
        Exits {
            listeners: &$worker.listeners,
            relays: &$worker.relays,
            received: &$worker.received,
            counters: &$worker.counters,
        }
    };
}

pub(crate) struct Worker {
    pub(crate) index: usize,
    pub(crate) core: Server,
    pub(crate) poller: Poller,
    pub(crate) listeners: Vec<Listener>,
    pub(crate) relays: RelaySockets,
    pub(crate) received: ReceiveBatch,
    pub(crate) outbound: Outbound,
    pub(crate) counters: Arc<Counters>,
    pub(crate) credentials: Arc<Credentials>,
    pub(crate) hook: Option<EventHook>,
    /// The inboxes of all workers, this one's among them.
    pub(crate) inboxes: Vec<Arc<Inbox>>,
    pub(crate) drained: Arc<Drained>,
    pub(crate) draining: bool,
    /// The operator knows that this worker has no allocation left.
    pub(crate) told: bool,
    pub(crate) stopped: bool,
    pub(crate) next_tick: Instant,
    pub(crate) busy: bool,
}

impl Worker {
    pub(crate) fn slots() -> ReceiveBatch {
        ReceiveBatch::new(SLOTS)
    }

    /// Watches the descriptors that are there from the start.
    pub(crate) fn watch(&self) -> std::io::Result<()> {
        self.poller.add(self.inboxes[self.index].waker(), WAKER)?;
        for (index, listener) in self.listeners.iter().enumerate() {
            self.poller.add(&listener.socket, index as u64 + 1)?;
        }
        Ok(())
    }

    /// Runs until it is told to stop. A panic ends the turn that it happens in: what was being handled
    /// is lost, everything else goes on.
    pub(crate) fn run(mut self) {
        let mut events = Events::new(EVENTS);
        self.gauge();
        while !self.stopped {
            let turn = catch_unwind(AssertUnwindSafe(|| self.turn(&mut events)));
            if turn.is_err() {
                self.counters.add(Counter::Panics, 1);
            }
        }
    }

    /// In this order: the operator, time, clients, peers; then all that these lead to is sent.
    fn turn(&mut self, events: &mut Events) {
        let now = Instant::now();
        let tick = self.busy.then_some(self.next_tick);
        let next = [self.core.poll_timeout(), tick].into_iter().flatten().min();
        let timeout = next.map(|at| at.saturating_duration_since(now));
        if let Err(error) = self.poller.wait(events, timeout) {
            // Only a defect of this program can make the wait fail; going on would be a busy loop.
            panic!("epoll: {error}");
        }
        let now = Instant::now();
        if events.iter().any(|event| event.token == WAKER) {
            self.read_inbox(now);
        }
        if self.core.poll_timeout().is_some_and(|at| at <= now) {
            self.core.handle_timeout(now);
            self.effects(now);
        }
        for event in events.iter().filter(|event| event.token & RELAY == 0) {
            if let Some(listener) = event.token.checked_sub(1) {
                self.read_clients(now, listener as usize);
            }
        }
        // `recvmmsg` looks once more after the last datagram. Where many sockets are ready, most hold
        // one, so that asking for one saves that look.
        let relays = events
            .iter()
            .filter(|event| event.token & RELAY != 0)
            .count();
        let budget = (SLOTS / relays.max(1)).clamp(1, RELAY_BUDGET);
        for event in events.iter().filter(|event| event.token & RELAY != 0) {
            let Some(relay) = self.relays.by_token(event.token) else {
                continue;
            };
            if event.error {
                self.read_errors(now, relay);
            }
            if event.readable {
                self.read_peers(now, relay, budget);
            }
        }
        // Before the replies leave, so that a client's next look finds what its request has changed.
        self.gauge();
        self.note_drained();
        self.flush();
        if self.busy && now >= self.next_tick {
            self.next_tick = now + TICK;
            self.busy = false;
            self.count_drops();
        }
    }

    fn read_clients(&mut self, now: Instant, index: usize) {
        let first = self.make_room();
        let listener = &self.listeners[index];
        let Ok(count) = listener.socket.receive(&mut self.received, LISTENER_BUDGET) else {
            return;
        };
        let local = listener.socket.local_addr();
        for slot in first..first + count {
            let datagrams = self.received.get(slot);
            if datagrams.truncated {
                self.counters.add(Counter::Truncated, 1);
                continue;
            }
            let mut path = ClientPath {
                transport: Transport::Udp,
                client: datagrams.from,
                server: local,
                listener: index as u16,
            };
            if let Some(ip) = datagrams.local {
                path.server.set_ip(ip);
            }
            let segments = datagrams.segments();
            let tos = datagrams.tos;
            self.counters
                .add(Counter::ClientBytes, datagrams.data.len() as u64);
            for range in segments {
                self.counters.add(Counter::ClientPackets, 1);
                let source = Source {
                    slot,
                    start: range.start,
                    tos,
                };
                let datagram = &self.received.get(slot).data[range];
                let output = self.core.handle_client(now, &path, datagram);
                if matches!(output, Output::ToClient(_)) {
                    self.counters.add(Counter::HandedAcross, 1);
                }
                self.outbound.stage(output, source, &exits!(self));
                self.effects(now);
            }
        }
        self.busy |= count > 0;
    }

    fn read_peers(&mut self, now: Instant, relay: RelayId, budget: usize) {
        let first = self.make_room();
        let Some(socket) = self.relays.get(relay) else {
            return;
        };
        let Ok(count) = socket.receive(&mut self.received, budget) else {
            return;
        };
        for slot in first..first + count {
            let datagrams = self.received.get(slot);
            if datagrams.truncated {
                self.counters.add(Counter::Truncated, 1);
                continue;
            }
            self.counters
                .add(Counter::PeerBytes, datagrams.data.len() as u64);
            for range in datagrams.segments() {
                self.counters.add(Counter::PeerPackets, 1);
                let source = Source {
                    slot,
                    start: range.start,
                    tos: datagrams.tos,
                };
                let output = self
                    .core
                    .handle_peer(now, relay, datagrams.from, range.len());
                self.outbound.stage(output, source, &exits!(self));
            }
        }
        self.busy |= count > 0;
    }

    fn read_errors(&mut self, now: Instant, relay: RelayId) {
        for _ in 0..ICMP_BUDGET {
            let Some(socket) = self.relays.get(relay) else {
                return;
            };
            let Ok(Some(error)) = socket.receive_error() else {
                return;
            };
            self.counters.add(Counter::IcmpErrors, 1);
            let output = self.core.handle_peer_error(
                now,
                relay,
                error.destination,
                error.icmp_type,
                error.code,
                error.mtu,
            );
            let source = Source::default();
            self.outbound.stage(output, source, &exits!(self));
        }
    }

    /// The first free slot; all are free after a flush.
    fn make_room(&mut self) -> usize {
        if self.received.is_full() {
            self.flush();
        }
        self.received.len()
    }

    fn flush(&mut self) {
        self.outbound.flush(&exits!(self));
        self.received.clear();
    }

    /// Does what the core asks for, until it asks for nothing more.
    fn effects(&mut self, now: Instant) {
        while let Some(command) = self.core.poll_command() {
            self.execute(now, command);
        }
        while let Some(event) = self.core.poll_event() {
            self.happened(&event);
        }
    }

    fn execute(&mut self, now: Instant, command: Command) {
        match command {
            Command::LookUpCredential { id, user, path } => {
                let inbox = &self.inboxes[self.index];
                let credentials = Arc::clone(&self.credentials);
                let look_up = || credentials.look_up(now, user, path, id, inbox);
                match catch_unwind(AssertUnwindSafe(look_up)) {
                    Ok(Some(answer)) => self.done(now, id, Done::Credential(answer)),
                    Ok(None) => {}
                    // A back-end that panics drops its question, which is an answer.
                    Err(_) => self.counters.add(Counter::Panics, 1),
                }
            }
            Command::BindRelay { id, relay, local } => {
                let result = self.relays.bind(&self.poller, relay, local);
                match result {
                    Err(BindError::AddressInUse) => self.counters.add(Counter::PortInUse, 1),
                    Err(BindError::Failed) => self.counters.add(Counter::BindFailed, 1),
                    Ok(()) => {}
                }
                self.done(now, id, Done::Bound(result));
            }
            Command::ClaimReservation {
                id,
                worker,
                token,
                relay,
            } => {
                let claim = Claim {
                    token,
                    id,
                    relay,
                    from: self.index,
                };
                if !self.inboxes[usize::from(worker)].claim(claim) {
                    self.done(now, id, Done::Claimed(None));
                }
            }
            Command::CloseRelay { relay } => self.close(relay),
            Command::ReturnPort { worker, local } => {
                self.inboxes[usize::from(worker)].send(Message::ReturnPort(local));
            }
        }
    }

    fn done(&mut self, now: Instant, id: CommandId, done: Done) {
        let output = self.core.handle_done(now, id, done);
        let source = Source::default();
        self.outbound.stage(output, source, &exits!(self));
    }

    fn close(&mut self, relay: RelayId) {
        if let Some((socket, drops)) = self.relays.remove(&self.poller, relay) {
            self.counters.add(Counter::KernelDrops, drops);
            drop(socket);
        }
    }

    fn happened(&mut self, event: &Event) {
        match event {
            Event::Allocated { .. } => self.counters.add(Counter::Allocated, 1),
            Event::Freed {
                by: FreedBy::Client,
                ..
            } => self.counters.add(Counter::Released, 1),
            Event::Freed {
                by: FreedBy::Expiry,
                ..
            } => self.counters.add(Counter::Expired, 1),
            Event::AuthenticationFailed { why, .. } => self.counters.failed(*why),
            Event::PeerRefused { .. } => self.counters.add(Counter::PeerRefused, 1),
            Event::NoRelay { .. } => self.counters.add(Counter::NoRelay, 1),
        }
        if let Some(hook) = &self.hook
            && catch_unwind(AssertUnwindSafe(|| hook.call(event))).is_err()
        {
            self.counters.add(Counter::Panics, 1);
        }
    }

    fn read_inbox(&mut self, now: Instant) {
        for message in self.inboxes[self.index].take() {
            match message {
                Message::Credential(id, answer) => self.done(now, id, Done::Credential(answer)),
                Message::Claim(claim) => self.release(now, claim),
                Message::Claimed { claim, claimed } => self.claimed(now, claim, claimed),
                Message::ReturnPort(local) => self.core.return_port(local),
                Message::Peers(peers) => self.core.set_peers(peers),
                Message::Credentials(credentials) => {
                    self.credentials = credentials;
                    self.core.forget_credentials();
                }
                Message::Unauthenticated(limits) => self.core.set_unauthenticated_limit(limits),
                Message::Drain if !self.draining => {
                    self.draining = true;
                    self.core.drain();
                }
                Message::Drain => {}
                Message::Stop => self.stopped = true,
            }
            self.effects(now);
        }
    }

    fn count_drops(&mut self) {
        let mut drops = self.relays.count_drops();
        for listener in &mut self.listeners {
            let before = listener.drops;
            listener.drops = listener.socket.drops().unwrap_or(before);
            drops += u64::from(listener.drops.wrapping_sub(before));
        }
        self.counters.add(Counter::KernelDrops, drops);
    }

    fn gauge(&self) {
        let set = |counter, value: usize| self.counters.set(counter, value as u64);
        set(Counter::Allocations, self.core.allocations());
        set(Counter::Permissions, self.core.permissions());
        set(Counter::Channels, self.core.channels());
        set(Counter::FreePorts, self.core.free_ports());
    }
}

impl Worker {
    /// Another worker's client has brought a token of ours: the socket goes to that worker.
    fn release(&mut self, now: Instant, claim: Claim) {
        let claimed = self
            .core
            .release_reservation(now, claim.token)
            .and_then(|claimed| {
                let (socket, drops) = self.relays.remove(&self.poller, claimed.relay)?;
                self.counters.add(Counter::KernelDrops, drops);
                Some((claimed, socket))
            });
        self.inboxes[claim.from].send(Message::Claimed { claim, claimed });
    }

    /// The answer to a claim of ours: the socket is watched here from now on.
    fn claimed(&mut self, now: Instant, claim: Claim, claimed: Option<(ClaimedRelay, Socket)>) {
        let claimed = claimed.and_then(|(claimed, socket)| {
            let adopted = self.relays.adopt(&self.poller, claim.relay, socket);
            if adopted.is_err() {
                // The socket is closed, and its port the other worker's again.
                let lender = usize::from(claim.token[0]);
                self.inboxes[lender].send(Message::ReturnPort(claimed.local));
            }
            adopted.ok().map(|()| claimed)
        });
        self.done(now, claim.id, Done::Claimed(claimed));
    }

    /// Tells the operator once that no allocation is left.
    fn note_drained(&mut self) {
        if self.draining && !self.told && self.core.allocations() == 0 {
            self.told = true;
            self.drained.add();
        }
    }
}
