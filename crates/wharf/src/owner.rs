//! What connections belong to: a listener, or a client.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use arc_swap::ArcSwap;
use tokio_util::sync::CancellationToken;
use wharf_policy::access::{AccessRules, IdentityRules};
use wharf_policy::first_bytes::Protocols;

use crate::config::ListenerConfig;
use crate::counters::{Counters, Stats};
use crate::events::Events;
use crate::memory::Budget;
use crate::registry::Registry;
use crate::tls::ServerTls;

/// The rules in force; of a client, what its connections obey. Replaced as a whole: who has loaded it sees one consistent set.
pub(crate) struct Live {
    pub(crate) config: ListenerConfig,
    pub(crate) access: AccessRules,
    pub(crate) identities: IdentityRules,
    /// The protocols that the first bytes are looked at for; none, where they decide nothing.
    pub(crate) wanted: Protocols,
    /// Never `None` on a secure transport: a reload changes what is inside.
    pub(crate) tls: Option<Arc<ServerTls>>,
}

/// What is shared by the connections of one listener, or of one client.
pub(crate) struct Owner {
    pub(crate) name: Arc<str>,
    pub(crate) counters: Counters,
    pub(crate) connections: Registry,
    pub(crate) events: Arc<Events>,
    pub(crate) memory: Arc<Budget>,
    /// Cancelled when it begins to drain.
    pub(crate) draining: CancellationToken,
    /// The same for those who look with each message: the token's own answer takes a lock.
    drains: AtomicBool,
    live: ArcSwap<Live>,
    /// Counts the changes of `live`, so that a connection sees with one load that it must look.
    version: AtomicU32,
    ids: Arc<AtomicU64>,
    /// Where its handlers run; a client has none.
    pub(crate) runtime: Option<tokio::runtime::Handle>,
}

impl Owner {
    pub(crate) fn new(
        name: Arc<str>,
        live: Live,
        events: Arc<Events>,
        memory: Arc<Budget>,
        ids: Arc<AtomicU64>,
        draining: CancellationToken,
        runtime: Option<tokio::runtime::Handle>,
    ) -> Self {
        Self {
            name,
            counters: Counters::default(),
            connections: Registry::default(),
            events,
            memory,
            draining,
            drains: AtomicBool::new(false),
            live: ArcSwap::from_pointee(live),
            version: AtomicU32::new(0),
            ids,
            runtime,
        }
    }

    pub(crate) fn next_id(&self) -> u64 {
        self.ids.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn live(&self) -> Arc<Live> {
        self.live.load_full()
    }

    /// The counters, with the bytes of connections that are there.
    pub(crate) fn stats(&self) -> Stats {
        let mut stats = self.counters.snapshot();
        for connection in self.connections.all() {
            let (received, sent) = connection.bytes();
            stats.received += received;
            stats.sent += sent;
        }
        stats
    }

    pub(crate) fn version(&self) -> u32 {
        self.version.load(Ordering::Relaxed)
    }

    /// Whether it has begun to drain.
    pub(crate) fn drains(&self) -> bool {
        self.drains.load(Ordering::Relaxed)
    }

    /// Begins to drain: whoever waits for that, or for a message, is told.
    pub(crate) fn drain(&self) {
        self.drains.store(true, Ordering::SeqCst);
        self.draining.cancel();
        for connection in self.connections.all() {
            connection.wake();
        }
    }

    /// Puts new rules in force, and wakes the connections so that none waits by the old ones.
    pub(crate) fn set_live(&self, live: Live) {
        self.live.store(Arc::new(live));
        self.version.fetch_add(1, Ordering::SeqCst);
        for connection in self.connections.all() {
            connection.wake();
        }
    }
}
