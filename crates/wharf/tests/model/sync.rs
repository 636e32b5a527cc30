//! What the modelled source is made of here. `Notify` does what tokio documents of its own: one
//! wake-up is kept while nobody waits, waiters are served in order, and a waiter that is dropped
//! with a wake-up it has not used hands it on.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

pub(crate) use loom::sync::atomic::{AtomicU64, Ordering};
pub(crate) use loom::sync::{Mutex, MutexGuard};

#[derive(Debug, Default)]
struct State {
    permit: bool,
    /// How often all were woken.
    rounds: u64,
    next: u64,
    waiting: VecDeque<(u64, Option<Waker>)>,
    /// Woken one by one, and not yet polled.
    woken: Vec<u64>,
}

#[derive(Debug, Default)]
pub(crate) struct Notify {
    state: Mutex<State>,
}

impl Notify {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn notified(&self) -> Notified<'_> {
        Notified {
            notify: self,
            round: self.state.lock().unwrap().rounds,
            place: Place::Outside,
        }
    }

    pub(crate) fn notify_one(&self) {
        let mut state = self.state.lock().unwrap();
        match state.waiting.pop_front() {
            None => state.permit = true,
            Some((id, waker)) => {
                state.woken.push(id);
                drop(state);
                waker.into_iter().for_each(Waker::wake);
            }
        }
    }

    pub(crate) fn notify_waiters(&self) {
        let mut state = self.state.lock().unwrap();
        state.rounds += 1;
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        for (_, waker) in waiting {
            waker.into_iter().for_each(Waker::wake);
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Outside,
    Waiting(u64),
    Done,
}

#[derive(Debug)]
pub(crate) struct Notified<'a> {
    notify: &'a Notify,
    round: u64,
    place: Place,
}

impl Notified<'_> {
    pub(crate) fn enable(self: Pin<&mut Self>) -> bool {
        self.get_mut().advance(None)
    }

    /// Whether it is notified; it waits from now on if it is not.
    fn advance(&mut self, waker: Option<&Waker>) -> bool {
        let mut state = self.notify.state.lock().unwrap();
        let mut place = self.place;
        let all_woken = state.rounds != self.round;
        match place {
            Place::Outside if all_woken || std::mem::take(&mut state.permit) => place = Place::Done,
            Place::Outside => {
                let id = state.next;
                state.next += 1;
                state.waiting.push_back((id, waker.cloned()));
                place = Place::Waiting(id);
            }
            Place::Waiting(id) => {
                if let Some((_, old)) = state.waiting.iter_mut().find(|(one, _)| *one == id) {
                    *old = waker.cloned().or_else(|| old.take());
                } else {
                    state.woken.retain(|one| *one != id);
                    place = Place::Done;
                }
            }
            Place::Done => {}
        }
        drop(state);
        self.place = place;
        place == Place::Done
    }
}

impl Future for Notified<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.get_mut().advance(Some(cx.waker())) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

impl Drop for Notified<'_> {
    fn drop(&mut self) {
        let Place::Waiting(id) = self.place else {
            return;
        };
        let mut state = self.notify.state.lock().unwrap();
        state.waiting.retain(|(one, _)| *one != id);
        let before = state.woken.len();
        state.woken.retain(|one| *one != id);
        let unused = state.woken.len() < before;
        drop(state);
        if unused {
            self.notify.notify_one();
        }
    }
}
