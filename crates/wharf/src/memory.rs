//! The server's budget for bytes that wait in its memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How many bytes wait over all connections, and how many may.
#[derive(Debug)]
pub(crate) struct Budget {
    used: AtomicU64,
    /// `u64::MAX`: no limit.
    limit: AtomicU64,
}

impl Budget {
    /// A budget of `limit` bytes; `None` is no limit.
    pub(crate) fn new(limit: Option<u64>) -> Arc<Self> {
        let limit = AtomicU64::new(limit.unwrap_or(u64::MAX));
        Arc::new(Self {
            used: AtomicU64::new(0),
            limit,
        })
    }

    pub(crate) fn set_limit(&self, limit: Option<u64>) {
        self.limit
            .store(limit.unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub(crate) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// Whether nothing more should be kept.
    pub(crate) fn is_spent(&self) -> bool {
        self.used() >= self.limit.load(Ordering::Relaxed)
    }

    /// Takes `bytes` if they are within the limit; who is already over it gets none.
    pub(crate) fn take(self: &Arc<Self>, bytes: u64) -> Option<Share> {
        let limit = self.limit.load(Ordering::Relaxed);
        self.used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
                used.checked_add(bytes).filter(|sum| *sum <= limit)
            })
            .ok()
            .map(|_| Share {
                budget: self.clone(),
                bytes,
            })
    }
}

/// Bytes taken from a [`Budget`], given back when dropped.
#[derive(Debug)]
pub(crate) struct Share {
    budget: Arc<Budget>,
    bytes: u64,
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_over_the_limit_is_not_given() {
        let budget = Budget::new(Some(10));
        let six = budget.take(6).unwrap();
        assert!(budget.take(5).is_none());
        let four = budget.take(4).unwrap();
        assert!(budget.is_spent());
        drop((six, four));
        assert_eq!(budget.used(), 0);
        budget.set_limit(None);
        assert!(budget.take(u64::MAX - 1).is_some());
    }
}
