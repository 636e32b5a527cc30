//! How many of something a user, and everyone together, may hold at once.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use foldhash::quality::RandomState;
use hashbrown::HashMap;

/// The limits of [`Quotas`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct QuotaLimits {
    /// Permits one user may hold; 0, the default, is unlimited.
    pub per_user: u32,
    /// Permits all users together may hold; 0, the default, is unlimited.
    pub total: u32,
}

/// Why no permit was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum QuotaRefusal {
    /// The user holds as many as one user may (TURN: 486, RFC 8656 §7.2).
    #[error("the user holds all {limit} of its permits")]
    User {
        /// The limit in force.
        limit: u32,
    },
    /// All users together hold as many as the server gives (TURN: 508, RFC 8656 §7.2).
    #[error("all {limit} permits are held")]
    Total {
        /// The limit in force.
        limit: u32,
    },
}

/// Counts permits for each user and in total. A clone counts in the same books, so that all workers
/// share one; the lock is held for one look-up in a map.
///
/// Users are told apart by name, whatever address they come from. A user without permits costs no
/// memory.
#[derive(Debug, Clone, Default)]
pub struct Quotas(Arc<Mutex<Books>>);

/// The map's hasher seeds itself: nothing depends on the map's order, so the verdicts do not.
#[derive(Debug, Default)]
struct Books {
    limits: QuotaLimits,
    live: u32,
    users: HashMap<Arc<str>, u32, RandomState>,
}

impl Quotas {
    /// Empty books with these limits.
    pub fn new(limits: QuotaLimits) -> Self {
        Self(Arc::new(Mutex::new(Books {
            limits,
            ..Books::default()
        })))
    }

    /// One more for `user`, until the permit is dropped. A user at the limit is told so even when
    /// the server is full as well.
    pub fn acquire(&self, user: &Arc<str>) -> Result<QuotaPermit, QuotaRefusal> {
        let mut books = self.books();
        let QuotaLimits { per_user, total } = books.limits;
        let held = books.users.get(user).copied().unwrap_or(0);
        if held >= ceiling(per_user) {
            return Err(QuotaRefusal::User {
                limit: ceiling(per_user),
            });
        }
        if books.live >= ceiling(total) {
            return Err(QuotaRefusal::Total {
                limit: ceiling(total),
            });
        }
        books.live += 1;
        books.users.insert(Arc::clone(user), held + 1);
        Ok(QuotaPermit {
            quotas: self.clone(),
            user: Arc::clone(user),
        })
    }

    /// Replaces the limits at once. Permits beyond a lowered limit stay valid; none is added until
    /// enough of them are dropped.
    pub fn set_limits(&self, limits: QuotaLimits) {
        self.books().limits = limits;
    }

    /// The limits in force.
    pub fn limits(&self) -> QuotaLimits {
        self.books().limits
    }

    /// Permits held by all users.
    pub fn live(&self) -> u32 {
        self.books().live
    }

    /// Permits held by `user`.
    pub fn user(&self, user: &str) -> u32 {
        self.books().users.get(user).copied().unwrap_or(0)
    }

    /// Users that hold a permit.
    pub fn users(&self) -> usize {
        self.books().users.len()
    }

    /// Each change of the books is complete before anything can panic, so books left by a thread
    /// that panicked are in order and its neighbours go on with them.
    fn books(&self) -> MutexGuard<'_, Books> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn ceiling(limit: u32) -> u32 {
    if limit == 0 { u32::MAX } else { limit }
}

/// One permit of one user; given back when dropped.
#[must_use = "the permit is given back when dropped"]
pub struct QuotaPermit {
    quotas: Quotas,
    user: Arc<str>,
}

impl QuotaPermit {
    /// Whose permit this is.
    pub fn user(&self) -> &Arc<str> {
        &self.user
    }
}

impl Drop for QuotaPermit {
    fn drop(&mut self) {
        let mut books = self.quotas.books();
        books.live -= 1;
        if let Some(held) = books.users.get_mut(&self.user) {
            *held -= 1;
            if *held == 0 {
                books.users.remove(&self.user);
            }
        }
    }
}

impl fmt::Debug for QuotaPermit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QuotaPermit")
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
