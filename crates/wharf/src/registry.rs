//! The connections of an owner, to list and to end them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use slab::Slab;
use tokio::sync::Notify;

use crate::connection::Shared;

/// The list holds nobody: a connection leaves it when the last who uses it is gone.
#[derive(Default)]
pub(crate) struct Registry {
    list: Mutex<Slab<Weak<Shared>>>,
    left: Notify,
}

impl Registry {
    fn list(&self) -> MutexGuard<'_, Slab<Weak<Shared>>> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lists a connection and returns its slot.
    pub(crate) fn insert(&self, connection: Weak<Shared>) -> usize {
        self.list().insert(connection)
    }

    /// Takes the connection out of its slot.
    pub(crate) fn remove(&self, slot: usize) {
        let empty = {
            let mut list = self.list();
            list.try_remove(slot);
            list.is_empty()
        };
        if empty {
            self.left.notify_waiters();
        }
    }

    /// All that are there now.
    pub(crate) fn all(&self) -> Vec<Arc<Shared>> {
        self.list()
            .iter()
            .filter_map(|(_, connection)| connection.upgrade())
            .collect()
    }

    /// Those whose handshakes are pending or complete.
    pub(crate) fn len(&self) -> usize {
        self.list().len()
    }

    /// Waits until none is left.
    pub(crate) async fn empty(&self) {
        loop {
            let left = self.left.notified();
            tokio::pin!(left);
            left.as_mut().enable();
            if self.len() == 0 {
                return;
            }
            left.await;
        }
    }
}
