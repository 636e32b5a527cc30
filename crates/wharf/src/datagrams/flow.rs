//! The flows of a socket: who has one, and what waits in it.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net as unix;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use tokio::sync::Notify;

use wharf_policy::first_bytes::Protocol;

use super::socket::Source;
use crate::Endpoint;
use crate::admission::Proxied;
use crate::memory::{Budget, Share};
use crate::reason::Dropped;

/// What a datagram that waits costs beside its payload.
const OVERHEAD: u64 = 128;

/// What a flow is known by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    /// What its datagrams are, where several protocols share the socket: one peer may speak them all.
    pub(crate) protocol: Option<Protocol>,
    pub(crate) peer: Peer,
}

/// Whose datagrams they are.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Peer {
    /// The peer, and the address of ours that it sends to.
    Address(SocketAddr, Option<IpAddr>),
    /// The name of a Unix peer.
    Name(Box<[u8]>),
    /// Bytes of its datagrams.
    Content(Box<[u8]>),
}

/// One flow. The driver of its socket puts in, its handler takes out.
#[derive(Debug)]
pub(crate) struct Flow {
    /// The ends that the PROXY header of its first datagram named.
    behind: Option<(Endpoint, Endpoint)>,
    inbox: Mutex<Inbox>,
    reader: AtomicWaker,
}

#[derive(Debug)]
struct Inbox {
    waiting: VecDeque<(Bytes, Share)>,
    bytes: u64,
    /// Where the last datagram came from, and to.
    remote: Source,
    local: Option<IpAddr>,
}

impl Peer {
    /// A Unix peer with a name.
    pub(crate) fn of_name(name: &unix::SocketAddr) -> Self {
        let bytes = match (name.as_pathname(), name.as_abstract_name()) {
            (Some(path), _) => path.as_os_str().as_bytes().into(),
            // The zero keeps it apart from all paths.
            (None, Some(name)) => [b"\0", name].concat().into(),
            (None, None) => Box::default(),
        };
        Self::Name(bytes)
    }
}

impl Flow {
    pub(crate) fn new(
        remote: Source,
        local: Option<IpAddr>,
        proxied: Option<&Proxied>,
    ) -> Arc<Self> {
        Arc::new(Self {
            behind: proxied.and_then(Proxied::endpoints),
            inbox: Mutex::new(Inbox {
                waiting: VecDeque::new(),
                bytes: 0,
                remote,
                local,
            }),
            reader: AtomicWaker::new(),
        })
    }

    fn inbox(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a datagram of this flow may come with this PROXY header: it must name whom the first
    /// one named.
    pub(crate) fn check_proxied(&self, proxied: Option<&Proxied>) -> Result<(), Dropped> {
        match proxied {
            Some(proxied) if proxied.endpoints() != self.behind => Err(Dropped::Proxy),
            _ => Ok(()),
        }
    }

    /// Queues a datagram, if the flow has `room` bytes in all and the server has memory.
    pub(crate) fn push(
        &self,
        datagram: &[u8],
        remote: &Source,
        local: Option<IpAddr>,
        room: u64,
        memory: &Arc<Budget>,
    ) -> Result<(), Dropped> {
        let cost = datagram.len() as u64 + OVERHEAD;
        let mut inbox = self.inbox();
        inbox.remote.clone_from(remote);
        inbox.local = local;
        // One is always taken, however long it is.
        if !inbox.waiting.is_empty() && inbox.bytes + cost > room {
            return Err(Dropped::QueueFull);
        }
        let share = memory.take(cost).ok_or(Dropped::Memory)?;
        inbox.bytes += cost;
        inbox
            .waiting
            .push_back((Bytes::copy_from_slice(datagram), share));
        drop(inbox);
        self.reader.wake();
        Ok(())
    }

    /// The next datagram.
    pub(crate) fn poll_next(&self, cx: &mut Context<'_>) -> Poll<Bytes> {
        if let Some(datagram) = self.try_next() {
            return Poll::Ready(datagram);
        }
        self.reader.register(cx.waker());
        // After the registration, so that none that came in between is missed.
        self.try_next().map_or(Poll::Pending, Poll::Ready)
    }

    /// The next datagram, if there is one.
    pub(crate) fn try_next(&self) -> Option<Bytes> {
        let mut inbox = self.inbox();
        let (datagram, _) = inbox.waiting.pop_front()?;
        inbox.bytes -= datagram.len() as u64 + OVERHEAD;
        Some(datagram)
    }

    /// Where its peer is now, and which address of ours it sends to.
    pub(crate) fn ends(&self) -> (Source, Option<IpAddr>) {
        let inbox = self.inbox();
        (inbox.remote.clone(), inbox.local)
    }
}

/// The flows of one socket; as many as have places in the listener.
#[derive(Debug, Default)]
pub(crate) struct Table {
    flows: Mutex<HashMap<Key, Arc<Flow>>>,
    emptied: Notify,
}

impl Table {
    fn flows(&self) -> MutexGuard<'_, HashMap<Key, Arc<Flow>>> {
        self.flows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn get(&self, key: &Key) -> Option<Arc<Flow>> {
        self.flows().get(key).cloned()
    }

    pub(crate) fn insert(&self, key: Key, flow: Arc<Flow>) {
        self.flows().insert(key, flow);
    }

    /// Takes out this very flow; another may have taken its place meanwhile.
    pub(crate) fn remove(&self, key: &Key, flow: &Arc<Flow>) {
        let mut flows = self.flows();
        if flows.get(key).is_some_and(|there| Arc::ptr_eq(there, flow)) {
            flows.remove(key);
        }
        // What a flood has made is given back.
        if flows.capacity() > 64 && flows.len() < flows.capacity() / 8 {
            let room = flows.len() * 2;
            flows.shrink_to(room);
        }
        let empty = flows.is_empty();
        drop(flows);
        if empty {
            self.emptied.notify_waiters();
        }
    }

    /// Waits until there is none.
    pub(crate) async fn empty(&self) {
        loop {
            let emptied = self.emptied.notified();
            tokio::pin!(emptied);
            emptied.as_mut().enable();
            if self.flows().is_empty() {
                return;
            }
            emptied.await;
        }
    }
}
