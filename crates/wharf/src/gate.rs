//! A hard limit on how many are inside, with the possibility to wait.

use std::sync::Arc;

use crate::sync::{AtomicU64, Notify, Ordering};

/// How many are inside and how many may be. The limit is never exceeded by one; it can change at
/// any time, for those who come after.
#[derive(Debug)]
pub(crate) struct Gate {
    inside: AtomicU64,
    /// `u64::MAX`: no limit.
    limit: AtomicU64,
    room: Notify,
}

impl Gate {
    /// A gate for `limit` at once; 0 is no limit.
    pub(crate) fn new(limit: u64) -> Arc<Self> {
        let gate = Self {
            inside: AtomicU64::new(0),
            limit: AtomicU64::new(0),
            room: Notify::new(),
        };
        gate.set_limit(limit);
        Arc::new(gate)
    }

    /// Changes the limit; 0 is no limit. Those inside stay.
    pub(crate) fn set_limit(&self, limit: u64) {
        let limit = if limit == 0 { u64::MAX } else { limit };
        self.limit.store(limit, Ordering::SeqCst);
        self.room.notify_waiters();
    }

    pub(crate) fn inside(&self) -> u64 {
        self.inside.load(Ordering::Relaxed)
    }

    /// The limit; `None` when there is none.
    pub(crate) fn limit(&self) -> Option<u64> {
        Some(self.limit.load(Ordering::Relaxed)).filter(|limit| *limit != u64::MAX)
    }

    /// Goes in if there is room.
    pub(crate) fn try_enter(self: &Arc<Self>) -> Option<Pass> {
        self.inside
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |inside| {
                (inside < self.limit.load(Ordering::SeqCst)).then_some(inside + 1)
            })
            .ok()
            .map(|_| Pass(self.clone()))
    }

    /// Goes in as soon as there is room.
    pub(crate) async fn enter(self: &Arc<Self>) -> Pass {
        loop {
            let room = self.room.notified();
            tokio::pin!(room);
            // Registered before the look, so that room made in between is not missed.
            room.as_mut().enable();
            if let Some(pass) = self.try_enter() {
                return pass;
            }
            room.await;
        }
    }
}

/// A place inside a [`Gate`], given back when dropped.
#[derive(Debug)]
pub(crate) struct Pass(Arc<Gate>);

impl Drop for Pass {
    fn drop(&mut self) {
        self.0.inside.fetch_sub(1, Ordering::SeqCst);
        self.0.room.notify_one();
    }
}
