//! What moves the packets and messages of one association.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;
use wharf_sctp::{Association, Closed};

use super::exchange::{End, Exchange};
use crate::message::{Lane, Message};
use crate::timer::Timer;

/// How long an association whose handler is gone may take to deliver what was sent and to shut down.
const LINGER: Duration = Duration::from_secs(30);
/// Rounds before other associations of the thread have their turn.
const BUDGET: u32 = 32;

/// What carries the packets of one association.
pub(crate) trait Carrier: Unpin {
    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Bytes>>;

    /// Sends a packet, or loses it.
    ///
    /// # Errors
    /// The server has closed the connection.
    fn send(&mut self, packet: &[u8]) -> io::Result<()>;

    /// Sends a last packet, as far as there is room at once, whatever has become of the connection.
    fn last(&mut self, packet: &[u8]);

    /// Whether the listener, or the client, drains.
    fn drains(&self) -> bool;
}

/// An association with its socket: a future that ends with the association.
pub(super) struct Pump<C: Carrier> {
    carrier: C,
    association: Association,
    exchange: Arc<Exchange>,
    timer: Timer,
    /// When the handler's going is no longer waited for.
    lingers: Option<Instant>,
    told_drain: bool,
}

enum Round {
    /// Something was done: there may be more.
    Moved,
    Idle,
    Over(End),
}

impl<C: Carrier> Pump<C> {
    pub(super) fn new(carrier: C, association: Association, exchange: Arc<Exchange>) -> Self {
        Self {
            carrier,
            association,
            exchange,
            timer: Timer::default(),
            lingers: None,
            told_drain: false,
        }
    }

    fn round(&mut self, cx: &mut Context<'_>) -> Round {
        self.exchange.register_pump(cx.waker());
        if !self.told_drain && self.carrier.drains() {
            // The handler's task says goodbye; the wakers of the socket are this task's.
            self.told_drain = true;
            self.exchange.wake_link();
        }
        let now = Instant::now();
        let mut moved = self.wishes(now);
        if self.due().is_some_and(|at| at <= now) {
            self.association.handle_timeout(now.into_std());
            moved = true;
        }
        while let Some(packet) = self.association.poll_packet() {
            if let Err(error) = self.carrier.send(&packet) {
                return self.cut(error);
            }
        }
        match self.carrier.poll_recv(cx) {
            Poll::Ready(Ok(packet)) => {
                // Why one was ignored is of no interest to anybody but its sender.
                let _ = self.association.handle_packet(now.into_std(), &packet);
                moved = true;
            }
            Poll::Ready(Err(error)) => return self.cut(error),
            Poll::Pending => {}
        }
        let association = &mut self.association;
        moved |= self
            .exchange
            .deliver(|| association.recv(now.into_std()).map(received));
        if let Some(closed) = self.association.closed() {
            // Its last packets leave first, and its last messages.
            if !moved {
                return Round::Over(End::Association(closed.clone()));
            }
        }
        // A drain that began before there was a waker to wake is seen in the next round.
        if moved || (!self.told_drain && self.carrier.drains()) {
            return Round::Moved;
        }
        self.wait(cx)
    }

    /// Does what the handler wants; whether there was anything.
    fn wishes(&mut self, now: Instant) -> bool {
        let mut any = false;
        while self.association.can_send() {
            let Some(message) = self.exchange.take().map(sent) else {
                break;
            };
            any = true;
            // The link has judged it, and the association is not closing: what fails is over.
            let _ = self.association.send(now.into_std(), message);
        }
        let (closes, left) = self.exchange.wishes();
        if closes && !any && self.association.can_send() && self.lingers.is_none() {
            self.association.shutdown(now.into_std());
            self.lingers = Some(now + LINGER);
            any = true;
        }
        if left && self.lingers.is_some_and(|at| at <= now) {
            self.association.abort(now.into_std());
        }
        any
    }

    /// The server has closed the connection: the peer is told at once.
    fn cut(&mut self, error: io::Error) -> Round {
        self.association.abort(Instant::now().into_std());
        while let Some(packet) = self.association.poll_packet() {
            self.carrier.last(&packet);
        }
        Round::Over(End::Socket(error))
    }

    fn due(&self) -> Option<Instant> {
        let association = self.association.deadline().map(Instant::from_std);
        association.into_iter().chain(self.lingers).min()
    }

    fn wait(&mut self, cx: &mut Context<'_>) -> Round {
        let due = self.due();
        match self.timer.poll(cx, due) {
            Poll::Ready(()) => Round::Moved,
            Poll::Pending => Round::Idle,
        }
    }
}

impl<C: Carrier> Future for Pump<C> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        for _ in 0..BUDGET {
            match this.round(cx) {
                Round::Moved => {}
                Round::Idle => return Poll::Pending,
                Round::Over(end) => {
                    this.exchange.end(end);
                    return Poll::Ready(());
                }
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<C: Carrier> Drop for Pump<C> {
    /// Whoever waits must not wait for a thread that has ended.
    fn drop(&mut self) {
        self.exchange.end(End::Association(Closed::Aborted));
    }
}

fn received(message: wharf_sctp::Message) -> Message {
    Message::binary(message.payload).on(Lane {
        stream: message.stream,
        ppid: message.ppid,
        unordered: message.unordered,
    })
}

fn sent(message: Message) -> wharf_sctp::Message {
    let lane = message.lane();
    wharf_sctp::Message {
        stream: lane.stream,
        ppid: lane.ppid,
        unordered: lane.unordered,
        payload: message.into_payload(),
    }
}
