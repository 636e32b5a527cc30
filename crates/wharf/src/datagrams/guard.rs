//! What stands between a worker and the user's batch handler: the rules, and the orders of the control
//! plane.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::oneshot;
use wharf_udp::{BatchHandler, Burst, IcmpError, Turn, Via};

use super::crew::Orders;
use super::intake::Side;
use super::port::Mode;
use super::rules::{Rules, Verdict};
use super::socket::Source;
use crate::counters::Tally;
use crate::events::Event;
use crate::listener::Listener;
use crate::reason::Dropped;

pub(super) struct Guard {
    listener: Arc<Listener>,
    rules: Rules,
    orders: Arc<Orders>,
    tally: Arc<Tally>,
    handler: Box<dyn BatchHandler>,
    /// Dropped with the guard: the thread has ended.
    _ended: oneshot::Sender<()>,
}

impl Guard {
    pub(super) fn new(
        listener: Arc<Listener>,
        orders: Arc<Orders>,
        tally: Arc<Tally>,
        handler: Box<dyn BatchHandler>,
        ended: oneshot::Sender<()>,
    ) -> Self {
        Self {
            rules: Rules::new(&listener),
            listener,
            orders,
            tally,
            handler,
            _ended: ended,
        }
    }

    /// Hands on what the rules let through, in as few pieces as they leave.
    fn judge(&mut self, turn: &mut Turn<'_>, burst: &Burst<'_>) {
        self.rules.refresh(&self.listener);
        self.rules.now = turn.now();
        let received = burst.received();
        let side = Side {
            source: Source::Ip(received.from),
            local: received.local,
            tos: received.tos,
            ttl: received.ttl,
            timestamp: received.timestamp,
            credentials: None,
            proxied: None,
        };
        let mut begin = 0;
        for (number, datagram) in burst.datagrams().enumerate() {
            let verdict = self.rules.judge(&self.listener, &side, datagram.payload);
            match verdict {
                Verdict::Pass => continue,
                Verdict::Answer(answer) => {
                    turn.reply(&datagram, answer.as_bytes());
                    self.tally.answered();
                }
                Verdict::Drop(reason) => self.tally.dropped(reason),
                // A listener with a batch handler has no `proxy.mode`.
                Verdict::PassBehind { .. } => self.tally.dropped(Dropped::Proxy),
            }
            pass(
                &mut *self.handler,
                &self.tally,
                turn,
                burst.part(begin..number),
            );
            begin = number + 1;
        }
        let rest = match begin {
            0 => Some(*burst),
            _ => burst.part(begin..burst.count()),
        };
        pass(&mut *self.handler, &self.tally, turn, rest);
    }
}

fn pass(
    handler: &mut dyn BatchHandler,
    tally: &Tally,
    turn: &mut Turn<'_>,
    burst: Option<Burst<'_>>,
) {
    if let Some(burst) = burst {
        tally.delivered(burst.count());
        handler.datagrams(turn, &burst);
    }
}

impl BatchHandler for Guard {
    fn datagrams(&mut self, turn: &mut Turn<'_>, burst: &Burst<'_>) {
        match burst.via() {
            Via::Listener(_) => self.judge(turn, burst),
            // What comes to a socket of the handler's own is its own affair.
            Via::Own(_) => self.handler.datagrams(turn, burst),
        }
    }

    fn error(&mut self, turn: &mut Turn<'_>, via: Via, error: &IcmpError) {
        let owner = &self.listener.owner;
        owner.events.emit(|| Event::Icmp {
            listener: owner.name.clone(),
            peer: crate::Endpoint::from_socket(error.destination),
            icmp_type: error.icmp_type,
            code: error.code,
        });
        self.handler.error(turn, via, error);
    }

    /// The control plane has a new order, or the handler has been woken by its own.
    fn woken(&mut self, turn: &mut Turn<'_>) {
        let mode = self.orders.mode();
        if let Err(error) = turn.pause(mode != Mode::Running) {
            let owner = &self.listener.owner;
            owner.events.emit(|| Event::ListenerError {
                listener: owner.name.clone(),
                error: error.to_string(),
            });
        }
        if mode == Mode::Stopping {
            turn.stop();
        }
        self.handler.woken(turn);
    }

    fn deadline(&self) -> Option<Instant> {
        self.handler.deadline()
    }

    fn timeout(&mut self, turn: &mut Turn<'_>) {
        self.handler.timeout(turn);
    }

    fn finish(&mut self, turn: &mut Turn<'_>) {
        self.handler.finish(turn);
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.listener.owner.counters.workers.dismiss(&self.tally);
    }
}
