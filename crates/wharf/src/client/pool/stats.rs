//! What pools have done, counted.

use std::sync::atomic::{AtomicU64, Ordering};

/// The counters of all pools of a client.
#[derive(Debug, Default)]
pub(in crate::client) struct Counters {
    pub(super) taken: AtomicU64,
    pub(super) reused: AtomicU64,
    pub(super) unusable: AtomicU64,
    pub(super) expired: AtomicU64,
    pub(super) failed: AtomicU64,
    pub(super) refused: AtomicU64,
}

/// What the pools of a client have done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct PoolStats {
    /// Connections that were given out.
    pub taken: u64,
    /// Of these, that were free when they were asked for.
    pub reused: u64,
    /// Free connections, or such that came back, that were closed by the peer or had something to
    /// read.
    pub unusable: u64,
    /// Free connections that nobody used for [`idle`](super::PoolOptions::idle).
    pub expired: u64,
    /// Connections that could not be made.
    pub failed: u64,
    /// Callers that were refused: too many waited, or for too long.
    pub refused: u64,
}

/// How many connections a [`Pool`](super::Pool) has now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct PoolStatus {
    /// All of them: free, taken and being made.
    pub total: usize,
    /// Of these, free ones.
    pub idle: usize,
    /// Callers that wait for one.
    pub waiting: usize,
}

impl Counters {
    pub(in crate::client) fn snapshot(&self) -> PoolStats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        PoolStats {
            taken: read(&self.taken),
            reused: read(&self.reused),
            unusable: read(&self.unusable),
            expired: read(&self.expired),
            failed: read(&self.failed),
            refused: read(&self.refused),
        }
    }
}
