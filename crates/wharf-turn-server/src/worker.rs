//! One worker: a thread with its own sockets, its own core and its own ports.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use wharf_turn::Server;
use wharf_udp::{Events, Poller, ReceiveBatch, Timer};

use crate::control::{Drained, Inbox};
use crate::counters::{Counter, Counters};
use crate::outbound::{Exits, Listener, Outbound};
use crate::relays::{RELAY, RelaySockets};
use crate::{Credentials, EventHook};

/// Slots to receive into: what is read in one turn before it is sent. More do not make a system call
/// cheaper, and make the first datagram wait for the last.
const SLOTS: usize = 64;
/// Events of one wait.
const EVENTS: usize = 256;
/// How often drop counters are read while there is traffic.
const TICK: Duration = Duration::from_secs(1);

/// Tokens of the waker, the alarm and the first listener.
const WAKER: u64 = 0;
const ALARM: u64 = 1;
const FIRST_LISTENER: u64 = 2;

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
pub(crate) use exits;

/// How far a worker has got with ending its allocations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Drain {
    /// It goes on as usual.
    No,
    /// It makes no more.
    Begun,
    /// None is left, and the operator knows.
    Done,
}

pub(crate) struct Worker {
    pub(crate) index: usize,
    pub(crate) core: Server,
    pub(crate) poller: Poller,
    pub(crate) alarm: Timer,
    /// When the alarm goes off.
    pub(crate) alarm_at: Option<Instant>,
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
    pub(crate) drain: Drain,
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
        self.poller.add(&self.alarm, ALARM)?;
        for (index, listener) in self.listeners.iter().enumerate() {
            self.poller
                .add(&listener.socket, FIRST_LISTENER + index as u64)?;
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
        self.outbound.streams.finish();
        self.inboxes[self.index].close();
    }

    /// In this order: the operator, time, clients, peers; then all that these lead to is sent.
    fn turn(&mut self, events: &mut Events) {
        if self.poller.wait(events, None).is_err() {
            // Only a defect of this program can make the wait fail, and it would for ever.
            self.counters.add(Counter::Panics, 1);
            self.stopped = true;
            return;
        }
        let now = Instant::now();
        if events.iter().any(|event| event.token == WAKER) {
            self.read_inbox(now);
        }
        if events.iter().any(|event| event.token == ALARM) {
            self.alarm.drain();
            self.alarm_at = None;
        }
        if self.core.poll_timeout().is_some_and(|at| at <= now) {
            self.core.handle_timeout(now);
            self.effects(now);
        }
        for event in events.iter().filter(|event| event.token & RELAY == 0) {
            if let Some(listener) = event.token.checked_sub(FIRST_LISTENER) {
                self.read_clients(now, listener as usize);
            }
        }
        for event in events.iter().filter(|event| event.token & RELAY != 0) {
            let Some(relay) = self.relays.by_token(event.token) else {
                continue;
            };
            if event.error {
                self.read_errors(now, relay);
            }
            if event.readable {
                self.read_peers(now, relay);
            }
        }
        self.dismiss_streams(now);
        // Before the replies leave, so that a client's next look finds what its request has changed.
        self.gauge();
        self.note_drained();
        self.flush();
        if self.busy && now >= self.next_tick {
            self.next_tick = now + TICK;
            self.busy = false;
            self.count_drops();
        }
        self.set_alarm(now);
    }

    /// Sees to it that a turn begins when the next thing is due. An alarm that is set for an earlier
    /// moment stays: one turn too many is cheaper than another system call in each.
    fn set_alarm(&mut self, now: Instant) {
        let tick = self.busy.then_some(self.next_tick);
        let next = [self.core.poll_timeout(), tick].into_iter().flatten().min();
        if let Some(next) = next
            && self.alarm_at.is_none_or(|at| next < at)
            && self.alarm.set(next.saturating_duration_since(now)).is_ok()
        {
            self.alarm_at = Some(next);
        }
    }

    pub(crate) fn flush(&mut self) {
        self.outbound.flush(&exits!(self));
        self.received.clear();
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
        set(Counter::Streams, self.outbound.streams.len());
        set(Counter::Allocations, self.core.allocations());
        set(Counter::Permissions, self.core.permissions());
        set(Counter::Channels, self.core.channels());
        set(Counter::FreePorts, self.core.free_ports());
    }
}
