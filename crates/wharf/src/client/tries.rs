//! What became of the addresses that were tried, counted.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::counters::one_more;

/// The counters of a client's attempts.
#[derive(Debug, Default)]
pub(super) struct Tries {
    begun: AtomicU64,
    reached: AtomicU64,
    failed: AtomicU64,
    abandoned: AtomicU64,
}

/// What became of the addresses that a client has tried. A connection ([`Stats::arrived`]) takes one
/// attempt or, when its name has several addresses, more.
///
/// At rest `begun = reached + failed + abandoned`.
///
/// [`Stats::arrived`]: crate::Stats::arrived
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct AttemptStats {
    /// Attempts that were begun.
    pub begun: u64,
    /// The socket was connected.
    pub reached: u64,
    /// The address refused, did not answer in time, or the socket could not be made.
    pub failed: u64,
    /// Given up: another address was faster, or nobody waited any more.
    pub abandoned: u64,
}

impl Tries {
    /// Counts an attempt; it is abandoned unless it is said to have ended.
    pub(super) fn begin(&self) -> Try<'_> {
        one_more(&self.begun);
        Try {
            tries: self,
            outcome: &self.abandoned,
        }
    }

    pub(super) fn snapshot(&self) -> AttemptStats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        AttemptStats {
            begun: read(&self.begun),
            reached: read(&self.reached),
            failed: read(&self.failed),
            abandoned: read(&self.abandoned),
        }
    }
}

/// An attempt that is under way.
pub(super) struct Try<'a> {
    tries: &'a Tries,
    outcome: &'a AtomicU64,
}

impl Try<'_> {
    pub(super) fn ended(mut self, reached: bool) {
        self.outcome = if reached {
            &self.tries.reached
        } else {
            &self.tries.failed
        };
    }
}

impl Drop for Try<'_> {
    fn drop(&mut self) {
        one_more(self.outcome);
    }
}
