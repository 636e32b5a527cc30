//! The sessions of one worker.

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use slab::Slab;
use wharf_dtls::{SendError, ServerContext, Session};
use wharf_policy::PrefixLimits;
use wharf_turn::{ClientPath, DropReason, Transport};
use wharf_udp::{Outgoing, Turn, Via};

use super::gate::{Gate, Place};
use crate::DtlsOptions;
use crate::counters::{Counter, Counters};

/// One session.
pub(super) struct Slot {
    pub(super) path: ClientPath,
    /// The listening socket that it has come through.
    socket: u32,
    /// The random of the hello that it began with: a hello with the same one is a copy of that.
    pub(super) random: [u8; 32],
    /// What it holds of its prefix's share, until another session of its client has taken it over.
    place: Option<Place>,
    pub(super) session: Session,
    pub(super) phase: Phase,
    pub(super) allocated: bool,
    /// When it is looked at next, as `timers` has it.
    timer: Instant,
}

/// How far a session has got.
#[derive(Clone, Copy, Debug)]
pub(super) enum Phase {
    /// It is to be complete by then.
    Handshake { until: Instant },
    /// A message came then.
    Open { active: Instant },
}

impl Slot {
    pub(super) fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Open { .. })
    }
}

/// All sessions of one worker, by the number that a path has as its listener.
pub(crate) struct Sessions {
    pub(super) gate: Gate,
    /// Which of the listening sockets speak DTLS.
    speak: Vec<bool>,
    pub(super) slots: Slab<Slot>,
    /// By client and server.
    by_path: HashMap<(SocketAddr, SocketAddr), u32>,
    timers: BTreeSet<(Instant, u32)>,
    pub(super) handshakes: usize,
    /// Those that are to end when the core can be told, and why: they could not be sent to any more, or
    /// the server drains. One may be there several times.
    pub(super) over: Vec<(ClientPath, Counter)>,
    pub(super) handshake_timeout: Duration,
    pub(super) idle: Duration,
    /// Room for the message that is handled.
    pub(super) message: BytesMut,
}

impl Sessions {
    /// Those of one of `workers` workers, none yet; `secret` is from the system's entropy.
    pub(crate) fn new(
        options: &DtlsOptions,
        context: ServerContext,
        speak: Vec<bool>,
        limits: PrefixLimits,
        workers: usize,
        secret: &[u8; 32],
        now: Instant,
    ) -> Self {
        Self {
            gate: Gate::new(options, context, limits, workers, secret, now),
            speak,
            slots: Slab::new(),
            by_path: HashMap::new(),
            timers: BTreeSet::new(),
            handshakes: 0,
            over: Vec::new(),
            handshake_timeout: options.handshake_timeout,
            idle: options.idle.max(Duration::from_millis(1)),
            message: BytesMut::new(),
        }
    }

    /// Another context for sessions that begin from now on.
    pub(crate) fn set_context(&mut self, context: ServerContext) {
        self.gate.context = context;
    }

    /// Another limit on how often a prefix may begin a handshake.
    pub(crate) fn set_limit(&mut self, limits: PrefixLimits) {
        self.gate.set_limit(limits);
    }

    /// How many are open, and how many are in their handshakes.
    pub(crate) fn count(&self) -> (usize, usize) {
        (self.slots.len() - self.handshakes, self.handshakes)
    }

    /// Whether a listening socket speaks DTLS.
    pub(super) fn is_spoken_at(&self, listener: u32) -> bool {
        self.speak.get(listener as usize) == Some(&true)
    }

    pub(super) fn index(&self, client: SocketAddr, server: SocketAddr) -> Option<u32> {
        self.by_path.get(&(client, server)).copied()
    }

    /// The session of a path, if it is there still.
    fn find(&mut self, path: &ClientPath) -> Option<&mut Slot> {
        let slot = self.slots.get_mut(path.listener as usize)?;
        (slot.path == *path).then_some(slot)
    }

    /// Admits a client to a handshake, instead of its session `old` if it has one: what that one holds
    /// is the new one's then. `None` is a refusal, and changes nothing of `old`.
    pub(super) fn admit(
        &mut self,
        now: Instant,
        path: &ClientPath,
        old: Option<u32>,
    ) -> Option<Place> {
        let mut others = (self.slots.len(), self.handshakes);
        let old = old.and_then(|old| self.slots.get_mut(old as usize));
        if let Some(old) = &old {
            others.0 -= 1;
            others.1 -= usize::from(!old.is_open());
        }
        let held = old.as_ref().and_then(|old| old.place);
        let place = self.gate.admit(now, path.client, others, held)?;
        if let Some(old) = old {
            old.place = None;
        }
        Some(place)
    }

    /// Takes in an admitted session of a client that came by `socket`, and says its number.
    pub(super) fn insert(
        &mut self,
        socket: &ClientPath,
        session: Session,
        random: [u8; 32],
        place: Place,
        now: Instant,
    ) -> u32 {
        let until = now + self.handshake_timeout;
        let entry = self.slots.vacant_entry();
        let index = entry.key() as u32;
        let path = ClientPath {
            transport: Transport::Dtls,
            listener: index,
            ..*socket
        };
        entry.insert(Slot {
            path,
            socket: socket.listener,
            random,
            place: Some(place),
            session,
            phase: Phase::Handshake { until },
            allocated: false,
            timer: until,
        });
        self.by_path.insert((path.client, path.server), index);
        self.timers.insert((until, index));
        self.handshakes += 1;
        index
    }

    /// Takes out a session that is over.
    pub(super) fn remove(&mut self, index: u32) {
        let Some(slot) = self.slots.try_remove(index as usize) else {
            return;
        };
        self.by_path.remove(&(slot.path.client, slot.path.server));
        self.timers.remove(&(slot.timer, index));
        self.handshakes -= usize::from(!slot.is_open());
        if let Some(place) = slot.place {
            self.gate.leave(place);
        }
    }

    /// Notes that a handshake is complete.
    pub(super) fn opened(&mut self, index: u32, now: Instant) {
        if let Some(slot) = self.slots.get_mut(index as usize) {
            slot.phase = Phase::Open { active: now };
            // A relayed datagram is as large as its sender has made it.
            slot.session.exceed_mtu();
            if let Some(place) = &mut slot.place {
                self.gate.opened(place);
            }
            self.handshakes -= 1;
        }
    }

    /// When the first session is to be looked at.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// One that is to be looked at.
    pub(super) fn due(&self, now: Instant) -> Option<u32> {
        let (at, index) = *self.timers.first()?;
        (at <= now).then_some(index)
    }

    /// Sets the time to look at a session again. An open one is looked at when it has been idle for
    /// its time, if by then nothing has come: a message sets no timer.
    pub(super) fn set_timer(&mut self, index: u32, now: Instant) {
        let Some(slot) = self.slots.get_mut(index as usize) else {
            return;
        };
        let at = match slot.phase {
            Phase::Handshake { until } => slot.session.deadline().map_or(until, |at| at.min(until)),
            Phase::Open { .. } if slot.allocated => now + self.idle,
            Phase::Open { active } => active + self.idle,
        };
        if at != slot.timer {
            self.timers.remove(&(slot.timer, index));
            self.timers.insert((at, index));
            slot.timer = at;
        }
    }

    /// Stages what a session has written. False if there was nothing.
    pub(super) fn flush(&mut self, turn: &mut Turn<'_>, index: u32) -> bool {
        let slot = self.slots.get_mut(index as usize);
        slot.is_some_and(|slot| flush(turn, slot, 0))
    }

    /// Sends a message over the session of a path.
    pub(crate) fn send(
        &mut self,
        turn: &mut Turn<'_>,
        path: &ClientPath,
        message: &[u8],
        tos: u8,
        counters: &Counters,
    ) {
        let Some(slot) = self.find(path) else {
            return counters.dropped(DropReason::ClientGone);
        };
        match slot.session.send(message) {
            Ok(()) => {
                flush(turn, slot, tos);
                counters.add(Counter::ToDtlsMessages, 1);
            }
            Err(SendError::TooLarge(..)) => counters.dropped(DropReason::TooLarge),
            // It is ended when the core can be told.
            Err(_) => self.over.push((*path, Counter::DtlsBroken)),
        }
    }

    /// An allocation of a session was made.
    pub(crate) fn allocated(&mut self, path: &ClientPath) {
        if let Some(slot) = self.find(path) {
            slot.allocated = true;
        }
    }

    /// An allocation of a session has ended, and the session with it if the server drains.
    pub(crate) fn freed(&mut self, path: &ClientPath, drains: bool, now: Instant) {
        let Some(slot) = self.find(path) else {
            return;
        };
        slot.allocated = false;
        // It has its time to make another one.
        slot.phase = Phase::Open { active: now };
        if drains {
            self.over.push((*path, Counter::DtlsDrained));
        }
    }

    /// The server begins to drain: sessions without an allocation end.
    pub(crate) fn drain(&mut self) {
        let open = self.slots.iter().filter(|(_, slot)| slot.is_open());
        let idle = open.filter(|(_, slot)| !slot.allocated);
        let idle = idle.map(|(_, slot)| (slot.path, Counter::DtlsDrained));
        self.over.extend(idle);
    }
}

fn flush(turn: &mut Turn<'_>, slot: &mut Slot, tos: u8) -> bool {
    let mut any = false;
    while let Some(datagram) = slot.session.transmit() {
        let outgoing = Outgoing {
            from: Some(slot.path.server.ip()),
            tos,
            header: datagram,
            ..Outgoing::to(slot.path.client)
        };
        turn.send(Via::Listener(slot.socket), &outgoing);
        slot.session.sent();
        any = true;
    }
    any
}
