//! A hard limit on how many are inside, with the possibility to wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Notify;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_never_exceeded_and_zero_is_none() {
        let gate = Gate::new(2);
        let first = gate.try_enter().unwrap();
        let _second = gate.try_enter().unwrap();
        assert!(gate.try_enter().is_none());
        drop(first);
        assert!(gate.try_enter().is_some());
        let open = Gate::new(0);
        let passes: Vec<_> = (0..10_000).map(|_| open.try_enter().unwrap()).collect();
        assert_eq!((open.inside(), passes.len()), (10_000, 10_000));
    }

    #[test]
    fn a_lowered_limit_leaves_those_inside() {
        let gate = Gate::new(3);
        let passes = [gate.try_enter(), gate.try_enter(), gate.try_enter()];
        gate.set_limit(1);
        assert!(gate.try_enter().is_none());
        assert_eq!(gate.inside(), 3);
        drop(passes);
        assert!(gate.try_enter().is_some());
    }

    #[tokio::test]
    async fn who_waits_enters_when_another_leaves_or_the_limit_rises() {
        let gate = Gate::new(1);
        let inside = gate.enter().await;
        let mut waiting = Box::pin(gate.enter());
        assert!(futures_util::poll!(&mut waiting).is_pending());
        drop(inside);
        let _second = waiting.await;
        let mut waiting = Box::pin(gate.enter());
        assert!(futures_util::poll!(&mut waiting).is_pending());
        gate.set_limit(2);
        drop(waiting.await);
    }
}
