//! What watches over a socket's reads and writes: timeouts, the byte rate, the counters.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep};
use wharf_policy::TokenBucket;

use crate::config::Rate;
use crate::connection::Shared;
use crate::counters::one_more;
use crate::events::{Event, State};
use crate::owner::Live;
use crate::reason::Closed;

/// Which of the two is waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Read,
    Write,
}

/// What a peer has sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Heard {
    Nothing,
    Bytes,
    /// All that it sends.
    End,
}

/// The clock is read only when a socket makes its user wait, and only if a timeout is set: reading
/// and writing what is there costs two counters.
pub(super) struct Guard {
    live: Arc<Live>,
    /// The [`version`](crate::owner::Owner::version) that `live` is of.
    version: u32,
    /// The handshakes are complete.
    established: bool,
    /// What was received since then.
    heard: Heard,
    /// A byte was sent since then.
    answered: bool,
    reading_since: Option<Instant>,
    writing_since: Option<Instant>,
    /// One timer for both sides: it wakes both, and whoever looks judges both.
    timer: Option<Pin<Box<Sleep>>>,
    pacer: Option<Box<Pacer>>,
    meter: Option<Box<super::pace::Meter>>,
}

impl Guard {
    pub(super) fn new(shared: &Shared) -> Self {
        let version = shared.owner.version();
        let live = shared.owner.live();
        let mut guard = Self {
            live,
            version,
            established: false,
            heard: Heard::Nothing,
            answered: false,
            reading_since: None,
            writing_since: None,
            timer: None,
            pacer: None,
            meter: None,
        };
        guard.adopt();
        guard
    }

    pub(super) fn established(&mut self, shared: &Shared, spoken: bool) {
        self.established = true;
        if spoken {
            self.heard = Heard::Bytes;
            shared.tell(State::Read);
        }
        self.reading_since = None;
        self.adopt();
    }

    /// A read that waits is given up: its time counts no more.
    pub(super) fn rest(&mut self) {
        self.reading_since = None;
        if let Some(meter) = &mut self.meter {
            meter.pause(now());
        }
    }

    /// Takes over rates that have changed.
    fn adopt(&mut self) {
        self.pacer = match (self.live.config.rates.bytes, self.pacer.take()) {
            (None, _) => None,
            (Some(rate), Some(mut pacer)) => {
                pacer.bucket.set_rate(now(), rate.per_second, rate.burst);
                Some(pacer)
            }
            (Some(rate), None) => Some(Box::new(Pacer::new(rate))),
        };
        let rule = self
            .live
            .config
            .timeouts
            .minimum_rate
            .filter(|_| self.established);
        self.meter = rule.map(|rule| Box::new(super::pace::Meter::new(rule)));
    }

    #[inline]
    fn refresh(&mut self, shared: &Shared) {
        let version = shared.owner.version();
        if version != self.version {
            self.version = version;
            self.live = shared.owner.live();
            self.adopt();
        }
    }

    /// Waits while the connection is over its byte rate.
    #[inline]
    pub(super) fn poll_pace(
        &mut self,
        cx: &mut Context<'_>,
        shared: &Shared,
    ) -> Poll<io::Result<()>> {
        self.refresh(shared);
        match &mut self.pacer {
            None => Poll::Ready(Ok(())),
            Some(pacer) => pacer.poll(cx, shared),
        }
    }

    /// `bytes` were read into a buffer with room; 0 is the end.
    #[inline]
    pub(super) fn has_read(&mut self, shared: &Shared, bytes: usize) {
        if bytes > 0 {
            return self.has_received(shared, bytes);
        }
        self.reading_since = None;
        if std::mem::replace(&mut self.heard, Heard::End) != Heard::End {
            shared.tell(State::CloseRead);
        }
    }

    /// Bytes, or a datagram that may be empty, have come.
    #[inline]
    pub(super) fn has_received(&mut self, shared: &Shared, bytes: usize) {
        shared.count_received(bytes);
        self.reading_since = None;
        if self.established && self.heard == Heard::Nothing {
            self.heard = Heard::Bytes;
            shared.tell(State::Read);
        }
        if let Some(meter) = &mut self.meter {
            meter.pause(now());
        }
        if let Some(pacer) = &mut self.pacer {
            pacer
                .bucket
                .charge(now(), u32::try_from(bytes).unwrap_or(u32::MAX));
        }
    }

    #[inline]
    pub(super) fn has_written(&mut self, shared: &Shared, bytes: usize) {
        shared.count_sent(bytes);
        self.writing_since = None;
        if self.established && !self.answered {
            self.answered = true;
            shared.tell(State::Write);
        }
    }

    /// The socket makes its user wait. Ready when the server has closed the connection, or closes
    /// it now because it waited too long.
    pub(super) fn poll_waiting(
        &mut self,
        cx: &mut Context<'_>,
        shared: &Arc<Shared>,
        side: Side,
    ) -> Poll<io::Error> {
        match side {
            Side::Read => shared.reader.register(cx.waker()),
            Side::Write => shared.writer.register(cx.waker()),
        }
        // After the registration, so that no close in between goes unseen.
        if let Some(reason) = shared.ending() {
            return Poll::Ready(reason.error());
        }
        self.refresh(shared);
        let limits = (self.read_limit(), self.live.config.timeouts.write);
        let timed = match side {
            Side::Read => limits.0.is_some() || self.meter.is_some(),
            Side::Write => limits.1.is_some(),
        };
        if timed {
            let since = match side {
                Side::Read => &mut self.reading_since,
                Side::Write => &mut self.writing_since,
            };
            since.get_or_insert_with(Instant::now);
        }
        if self.reading_since.is_none() && self.writing_since.is_none() {
            self.timer = None;
            return Poll::Pending;
        }
        let received = shared.received.load(Ordering::Relaxed);
        let reason = ready!(self.poll_deadlines(shared, received, limits.0, limits.1));
        shared.fail(reason);
        Poll::Ready(reason.error())
    }

    /// How long a read may wait.
    fn read_limit(&self) -> Option<(Duration, Closed)> {
        let timeouts = &self.live.config.timeouts;
        if !self.established {
            // The handshakes have a deadline of their own.
            return None;
        }
        let first = timeouts.first_byte.filter(|_| self.heard == Heard::Nothing);
        let idle = timeouts.read_idle.map(|limit| (limit, Closed::ReadIdle));
        let read = first.map(|limit| (limit, Closed::FirstByte)).or(idle);
        // Nothing else tells that the peer of a flow is gone.
        let config = &self.live.config;
        let flow = config
            .datagrams
            .idle
            .filter(|_| config.transport.has_flows());
        let flow = flow.map(|limit| (limit, Closed::Idle));
        read.into_iter().chain(flow).min_by_key(|(limit, _)| *limit)
    }

    /// Ready with the reason when a deadline has passed.
    fn poll_deadlines(
        &mut self,
        shared: &Arc<Shared>,
        received: u64,
        read: Option<(Duration, Closed)>,
        write: Option<Duration>,
    ) -> Poll<Closed> {
        let at = |since: Option<Instant>, limit: Duration| since?.checked_add(limit);
        loop {
            let now = Instant::now();
            let read_at = read.and_then(|(limit, why)| Some((at(self.reading_since, limit)?, why)));
            let write_at = write
                .and_then(|limit| Some((at(self.writing_since, limit)?, Closed::WriteTimeout)));
            let pace_at = self
                .meter
                .as_mut()
                .filter(|_| self.reading_since.is_some())
                .and_then(|meter| {
                    let at = meter.judge(now.into_std(), received)?;
                    Some((Instant::from_std(at), Closed::TooSlow))
                });
            let Some((deadline, reason)) = [read_at, write_at, pace_at]
                .into_iter()
                .flatten()
                .min_by_key(|(at, _)| *at)
            else {
                self.timer = None;
                return Poll::Pending;
            };
            if deadline <= now {
                return Poll::Ready(reason);
            }
            let timer = self
                .timer
                .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
            // A timer that fires early is cheaper than one moved with every byte.
            if timer.deadline() > deadline || timer.is_elapsed() {
                timer.as_mut().reset(deadline);
            }
            // Reading and writing can be two tasks; whose deadline it is may not be who looked last.
            let both = Waker::from(shared.clone());
            ready!(timer.as_mut().poll(&mut Context::from_waker(&both)));
        }
    }
}

/// Keeps one connection to its byte rate.
struct Pacer {
    bucket: TokenBucket,
    wait: Option<Pin<Box<Sleep>>>,
}

fn now() -> std::time::Instant {
    Instant::now().into_std()
}

impl Pacer {
    fn new(rate: Rate) -> Self {
        Self {
            bucket: TokenBucket::new(now(), rate.per_second, rate.burst),
            wait: None,
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>, shared: &Shared) -> Poll<io::Result<()>> {
        let now = now();
        let ready_at = match self.bucket.ready_at(now) {
            Some(at) if at > now => Instant::from_std(at),
            _ => {
                self.wait = None;
                return Poll::Ready(Ok(()));
            }
        };
        if self.wait.is_none() {
            one_more(&shared.owner.counters.throttled);
            shared.owner.events.emit(|| Event::RateLimited {
                listener: shared.owner.name.clone(),
                id: Some(shared.id),
                key: "rates.bytes",
            });
        }
        let wait = self
            .wait
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(ready_at)));
        if wait.deadline() != ready_at {
            wait.as_mut().reset(ready_at);
        }
        if wait.as_mut().poll(cx).is_ready() {
            self.wait = None;
            return Poll::Ready(Ok(()));
        }
        shared.reader.register(cx.waker());
        match shared.ending() {
            Some(reason) => Poll::Ready(Err(reason.error())),
            None => Poll::Pending,
        }
    }
}
