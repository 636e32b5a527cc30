//! The connections of an owner, to list and to end them.

use std::sync::{Arc, PoisonError, Weak};

use slab::Slab;

use crate::connection::Shared;
use crate::sync::{Mutex, MutexGuard, Notify};

/// The list holds nobody: a connection leaves it when the last who uses it is gone.
#[derive(Default)]
pub(crate) struct Registry {
    list: Mutex<List>,
    left: Notify,
}

#[derive(Default)]
struct List {
    connections: Slab<Weak<Shared>>,
    closed: bool,
}

impl Registry {
    fn list(&self) -> MutexGuard<'_, List> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lists a connection and returns its slot.
    pub(crate) fn insert(&self, connection: Weak<Shared>) -> u32 {
        // A process has fewer descriptors than that.
        self.list().connections.insert(connection) as u32
    }

    /// From here on nobody is welcome: who finds it so after [`insert`](Self::insert) leaves again.
    /// Who does not is waited for by [`empty`](Self::empty).
    pub(crate) fn close(&self) {
        self.list().closed = true;
    }

    /// Whether nobody is welcome any more.
    pub(crate) fn is_closed(&self) -> bool {
        self.list().closed
    }

    /// Takes the connection out of its slot.
    pub(crate) fn remove(&self, slot: u32) {
        let empty = {
            let mut list = self.list();
            list.connections.try_remove(slot as usize);
            list.connections.is_empty()
        };
        if empty {
            self.left.notify_waiters();
        }
    }

    /// All that are there now.
    pub(crate) fn all(&self) -> Vec<Arc<Shared>> {
        self.list()
            .connections
            .iter()
            .filter_map(|(_, connection)| connection.upgrade())
            .collect()
    }

    /// Those whose handshakes are pending or complete.
    pub(crate) fn len(&self) -> usize {
        self.list().connections.len()
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
