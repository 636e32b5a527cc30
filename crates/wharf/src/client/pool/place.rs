//! The places of a pool: who has one, who is free, who waits.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};

use futures_util::task::AtomicWaker;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::{Instant, Sleep};

use super::stats::Counters;
use super::{PoolError, PoolOptions, PoolStatus};
use crate::Stream;
use crate::client::{ConnectError, Inner, Target};
use crate::counters::one_more;

type Answer = Result<Stream, Arc<ConnectError>>;

/// What all who use a pool share.
pub(super) struct Places {
    client: Arc<Inner>,
    target: Target,
    /// That of the pool: a connection may be dropped where there is none.
    runtime: Handle,
    state: Mutex<State>,
    /// The task that watches over the free ones.
    keeper: AtomicWaker,
}

#[derive(Default)]
struct State {
    /// The one that was used last is at the back.
    idle: VecDeque<Idle>,
    /// Connections that are free, taken or being made.
    total: usize,
    /// One is being made.
    dials: bool,
    waiting: VecDeque<oneshot::Sender<Answer>>,
}

struct Idle {
    stream: Stream,
    since: Instant,
}

/// What a caller gets at once.
pub(super) enum Claim {
    /// A free connection; not looked at yet.
    Idle(Stream),
    /// A place among those that wait.
    Wait(Ticket),
}

/// A place among those that wait. What was handed over while nobody waited any more goes back.
pub(super) struct Ticket {
    answer: oneshot::Receiver<Answer>,
    places: Arc<Places>,
}

impl Ticket {
    pub(super) async fn wait(&mut self) -> Result<Stream, PoolError> {
        match (&mut self.answer).await {
            Ok(answer) => answer.map_err(PoolError::Connect),
            Err(_) => Err(PoolError::Abandoned),
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.answer.close();
        if let Ok(Ok(stream)) = self.answer.try_recv() {
            self.places.give_back(stream);
        }
    }
}

impl Places {
    pub(super) fn new(client: Arc<Inner>, target: Target) -> Arc<Self> {
        let places = Arc::new(Self {
            client,
            target,
            runtime: Handle::current(),
            state: Mutex::default(),
            keeper: AtomicWaker::new(),
        });
        places.runtime.spawn(watch(Arc::downgrade(&places)));
        places
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn options(&self) -> PoolOptions {
        self.client.rules.load().options.pool.clone()
    }

    pub(super) fn counters(&self) -> &Counters {
        &self.client.pools
    }

    pub(super) fn drains(&self) -> bool {
        self.client.owner.drains()
    }

    pub(super) fn status(&self) -> PoolStatus {
        let state = self.state();
        PoolStatus {
            total: state.total,
            idle: state.idle.len(),
            waiting: state.waiting.iter().filter(|one| !one.is_closed()).count(),
        }
    }

    /// A free connection, or a place among those that wait; `None` when too many wait.
    pub(super) fn claim(self: &Arc<Self>) -> Option<Claim> {
        let options = self.options();
        let mut state = self.state();
        if let Some(idle) = state.idle.pop_back() {
            return Some(Claim::Idle(idle.stream));
        }
        if state.waiting.len() >= options.max_waiting {
            state.waiting.retain(|one| !one.is_closed());
            if state.waiting.len() >= options.max_waiting {
                return None;
            }
        }
        let (sender, answer) = oneshot::channel();
        state.waiting.push_back(sender);
        self.dial_if_due(state, &options);
        Some(Claim::Wait(Ticket {
            answer,
            places: self.clone(),
        }))
    }

    /// Makes one more connection if somebody waits, there is room, and none is being made.
    fn dial_if_due(self: &Arc<Self>, mut state: MutexGuard<'_, State>, options: &PoolOptions) {
        let is_due = state.waiting.iter().any(|one| !one.is_closed());
        if state.dials || !is_due || state.total >= options.max_total {
            return;
        }
        state.dials = true;
        state.total += 1;
        // A runtime that ends drops what is spawned at once, and that looks at the state.
        drop(state);
        let dialled = Dialled {
            places: self.clone(),
            settled: false,
        };
        self.runtime.spawn(async move {
            let places = dialled.places.clone();
            let result = places.client.stream(&places.target).await;
            match result {
                Ok(stream) => places.hand_over(stream),
                Err(error) => places.fail(error),
            }
            dialled.settle();
        });
    }

    /// Looks whether a connection that comes back is of use, and hands it to whoever is next.
    pub(super) fn give_back(self: &Arc<Self>, mut stream: Stream) {
        let mut nobody = Context::from_waker(Waker::noop());
        if stream.poll_unusable(&mut nobody).is_ready() {
            one_more(&self.counters().unusable);
            drop(stream);
            self.leave();
        } else {
            self.hand_over(stream);
        }
    }

    /// To the first who waits, or to the free ones.
    fn hand_over(self: &Arc<Self>, mut stream: Stream) {
        let options = self.options();
        let mut state = self.state();
        while let Some(waiter) = state.waiting.pop_front() {
            match waiter.send(Ok(stream)) {
                Err(Ok(back)) => stream = back,
                _ => return,
            }
        }
        if state.idle.len() < options.max_idle && !self.drains() {
            let since = Instant::now();
            state.idle.push_back(Idle { stream, since });
            drop(state);
            self.keeper.wake();
        } else {
            state.total -= 1;
            drop(state);
            // Closing may take a while: TLS says goodbye.
            drop(stream);
        }
    }

    /// A connection is gone: its place is free.
    pub(super) fn leave(self: &Arc<Self>) {
        let options = self.options();
        let mut state = self.state();
        state.total -= 1;
        self.dial_if_due(state, &options);
    }

    /// Tells all who wait that none could be made.
    fn fail(&self, error: ConnectError) {
        one_more(&self.counters().failed);
        let error = Arc::new(error);
        let waiting = {
            let mut state = self.state();
            state.total -= 1;
            std::mem::take(&mut state.waiting)
        };
        for waiter in waiting {
            // Who waits no more need not know.
            let _ = waiter.send(Err(error.clone()));
        }
    }
}

/// A connection that is being made; when that is over another may be.
struct Dialled {
    places: Arc<Places>,
    /// It was made, or failed; otherwise it was ended where it stood.
    settled: bool,
}

impl Dialled {
    /// It has been made, or has failed: somebody takes it from here.
    fn settle(mut self) {
        self.settled = true;
    }
}

impl Drop for Dialled {
    fn drop(&mut self) {
        let options = self.places.options();
        let mut state = self.places.state();
        state.dials = false;
        if self.settled {
            self.places.dial_if_due(state, &options);
        } else {
            state.total -= 1;
            let waiting = std::mem::take(&mut state.waiting);
            drop(state);
            // Without an answer they know.
            drop(waiting);
        }
    }
}

impl Drop for Places {
    fn drop(&mut self) {
        self.keeper.wake();
    }
}

/// Watches over the free connections until the pool is gone: throws away those that the peer
/// closes, those that nobody uses, and in a drain all.
async fn watch(places: Weak<Places>) {
    let mut timer = None;
    std::future::poll_fn(|cx| match places.upgrade() {
        Some(places) => places.poll_idle(cx, &mut timer),
        None => Poll::Ready(()),
    })
    .await;
}

impl Places {
    fn poll_idle(
        self: &Arc<Self>,
        cx: &mut Context<'_>,
        timer: &mut Option<Pin<Box<Sleep>>>,
    ) -> Poll<()> {
        self.keeper.register(cx.waker());
        loop {
            let gone = self.sweep(cx);
            for stream in gone.streams {
                drop(stream);
                self.leave();
            }
            let Some(next) = gone.next else {
                *timer = None;
                return Poll::Pending;
            };
            let timer = timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(next)));
            if timer.deadline() != next {
                timer.as_mut().reset(next);
            }
            std::task::ready!(timer.as_mut().poll(cx));
        }
    }

    /// Takes out what is of no more use.
    fn sweep(&self, cx: &mut Context<'_>) -> Gone {
        let (limit, drains) = (self.options().idle, self.drains());
        let now = Instant::now();
        let mut gone = Gone {
            streams: Vec::new(),
            next: None,
        };
        let mut state = self.state();
        let mut kept = VecDeque::with_capacity(state.idle.len());
        for mut idle in std::mem::take(&mut state.idle) {
            let until = limit.and_then(|limit| idle.since.checked_add(limit));
            if drains {
                gone.streams.push(idle.stream);
            } else if until.is_some_and(|until| until <= now) {
                one_more(&self.counters().expired);
                gone.streams.push(idle.stream);
            } else if idle.stream.poll_unusable(cx).is_ready() {
                one_more(&self.counters().unusable);
                gone.streams.push(idle.stream);
            } else {
                gone.next = [gone.next, until].into_iter().flatten().min();
                kept.push_back(idle);
            }
        }
        state.idle = kept;
        gone
    }
}

/// What a sweep has taken out, and when the next connection expires.
struct Gone {
    streams: Vec<Stream>,
    next: Option<Instant>,
}
