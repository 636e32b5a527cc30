//! What the core asks a worker to do, and what reaches the worker from other threads.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use wharf_turn::{BindError, ClaimedRelay, Command, CommandId, Done, Event, FreedBy, Transport};
use wharf_udp::{Socket, Turn};

use crate::control::{Claim, Message};
use crate::counters::Counter;
use crate::outbound::Source;
use crate::relays;
use crate::worker::{Drain, Worker};

impl Worker {
    /// Does what the core asks for, until it asks for nothing more.
    pub(crate) fn effects(&mut self, turn: &mut Turn<'_>) {
        while let Some(command) = self.core.poll_command() {
            self.execute(turn, command);
        }
        while let Some(event) = self.core.poll_event() {
            self.happened(turn, &event);
        }
    }

    fn execute(&mut self, turn: &mut Turn<'_>, command: Command) {
        match command {
            Command::LookUpCredential { id, user, path } => {
                let (inbox, now) = (&self.inboxes[self.index], turn.now());
                let credentials = Arc::clone(&self.credentials);
                let look_up = || credentials.look_up(now, user, path, id, inbox);
                match catch_unwind(AssertUnwindSafe(look_up)) {
                    Ok(Some(answer)) => self.done(turn, id, Done::Credential(answer)),
                    Ok(None) => {}
                    // A back-end that panics drops its question, which is an answer.
                    Err(_) => self.counters.add(Counter::Panics, 1),
                }
            }
            Command::BindRelay { id, relay, local } => {
                let result = relays::bind(turn, relay, local, &self.relays);
                match result {
                    Err(BindError::AddressInUse) => self.counters.add(Counter::PortInUse, 1),
                    Err(BindError::Failed) => self.counters.add(Counter::BindFailed, 1),
                    Ok(()) => {}
                }
                self.done(turn, id, Done::Bound(result));
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
                    self.done(turn, id, Done::Claimed(None));
                }
            }
            // What its client had sent before leaves first.
            Command::CloseRelay { relay } => drop(turn.remove(relays::key(relay))),
            Command::ReturnPort { worker, local } => {
                self.inboxes[usize::from(worker)].send(Message::ReturnPort(local));
            }
        }
    }

    fn done(&mut self, turn: &mut Turn<'_>, id: CommandId, done: Done) {
        let output = self.core.handle_done(turn.now(), id, done);
        self.outbound
            .stage(turn, output, Source::Nothing, &self.counters);
    }

    fn happened(&mut self, turn: &Turn<'_>, event: &Event) {
        match event {
            Event::Allocated { path, .. } if path.transport.is_stream() => {
                self.stream_allocated(path, true);
            }
            Event::Freed { path, .. } if path.transport.is_stream() => {
                self.stream_allocated(path, false);
            }
            Event::Allocated { path, .. } if path.transport == Transport::Dtls => {
                if let Some(dtls) = &mut self.outbound.dtls {
                    dtls.allocated(path);
                }
            }
            Event::Freed { path, .. } if path.transport == Transport::Dtls => {
                if let Some(dtls) = &mut self.outbound.dtls {
                    dtls.freed(path, self.drain != Drain::No, turn.now());
                }
            }
            _ => {}
        }
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
            Event::Freed {
                by: FreedBy::Disconnect,
                ..
            } => self.counters.add(Counter::Disconnected, 1),
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

    pub(crate) fn read_inbox(&mut self, turn: &mut Turn<'_>) {
        for message in self.inboxes[self.index].take() {
            match message {
                Message::Credential(id, answer) => self.done(turn, id, Done::Credential(answer)),
                Message::Claim(claim) => self.release(turn, claim),
                Message::Claimed { claim, claimed } => self.claimed(turn, claim, claimed),
                Message::ReturnPort(local) => self.core.return_port(local),
                Message::Peers(peers) => self.core.set_peers(peers),
                Message::Credentials(credentials) => {
                    self.credentials = credentials;
                    self.core.forget_credentials();
                }
                Message::Unauthenticated(limits) => {
                    self.core.set_unauthenticated_limit(limits);
                    if let Some(dtls) = &mut self.outbound.dtls {
                        dtls.set_limit(limits);
                    }
                }
                Message::Dtls(context) => {
                    if let Some(dtls) = &mut self.outbound.dtls {
                        dtls.set_context(context);
                    }
                }
                Message::Stream(lane) => self.stream_is_ready(lane),
                Message::Drain if self.drain == Drain::No => {
                    self.drain_streams(turn);
                    if let Some(dtls) = &mut self.outbound.dtls {
                        dtls.drain();
                    }
                    self.drain = Drain::Begun;
                    self.core.drain();
                }
                Message::Drain => {}
                Message::Predecessor(end) => self.add_predecessor(turn, end),
                Message::Successor(end) => self.add_successor(turn, end),
                Message::Leave => {
                    // Read by both, they would only cost the successor more to hand back.
                    let _ = turn.pause(true);
                }
                Message::Stop => {
                    self.stop_sessions(turn);
                    turn.stop();
                }
            }
            self.effects(turn);
        }
        self.read_streams(turn);
    }

    /// Another worker's client has brought a token of ours: the socket goes to that worker.
    fn release(&mut self, turn: &mut Turn<'_>, claim: Claim) {
        let claimed = self
            .core
            .release_reservation(turn.now(), claim.token)
            .and_then(|claimed| {
                let socket = turn.remove(relays::key(claimed.relay))?;
                Some((claimed, socket))
            });
        self.inboxes[claim.from].send(Message::Claimed { claim, claimed });
    }

    /// The answer to a claim of ours: the socket is watched here from now on.
    fn claimed(
        &mut self,
        turn: &mut Turn<'_>,
        claim: Claim,
        claimed: Option<(ClaimedRelay, Socket)>,
    ) {
        let claimed = claimed.and_then(|(claimed, socket)| {
            let adopted = turn.add(relays::key(claim.relay), socket);
            if adopted.is_err() {
                // The socket is closed, and its port the other worker's again.
                let lender = usize::from(claim.token[0]);
                self.inboxes[lender].send(Message::ReturnPort(claimed.local));
            }
            adopted.ok().map(|()| claimed)
        });
        self.done(turn, claim.id, Done::Claimed(claimed));
    }

    /// Tells the operator once that no allocation is left.
    pub(crate) fn note_drained(&mut self) {
        if self.drain == Drain::Begun && self.core.allocations() == 0 {
            self.drain = Drain::Done;
            self.drained.add();
        }
    }
}
