//! The server behind an edge, and how requests get there.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use wharf_sip::Transport;
use wharf_sip::locate::{LocateRules, Locator, Next, Target};

use super::names::Hop;
use super::tokens::Side;
use super::{Edge, EdgeError};
use crate::room::Room;
use crate::{FlowRef, Manager, Request, SendError, Sip, SipError};

/// Requests at once that wait for their way: for DNS, or for a connection. Those that come then wait in the
/// kernel's buffers, over UDP they are dropped.
const WAITING: usize = 1024;
/// Requests at once of which it is heard whether ICMP says that their server is not there.
const HEARD: usize = 256;
/// How long that may take.
const HEARING: Duration = Duration::from_secs(1);
/// Addresses of the upstream that are remembered: those that requests have gone to last.
const REACHED: usize = 256;
/// What the edge adds to a request at most, in bytes: a Via, and two Record-Routes or a Path.
const ADDED: usize = 700;

#[derive(Debug)]
pub(super) struct Upstream {
    target: Target,
    /// Where it is, when DNS need not be asked.
    fixed: Option<(Transport, SocketAddr)>,
    /// The transport that is written, or follows from it.
    transport: Transport,
    managed: Option<Managed>,
    reached: RwLock<VecDeque<SocketAddr>>,
}

#[derive(Debug)]
struct Managed {
    manager: Manager,
    runtime: Handle,
    waiting: Arc<Semaphore>,
    /// Woken when one of these waits no longer.
    room: Arc<Room>,
    heard: Arc<Semaphore>,
}

/// The place of a request that waits, given back when this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    permit: Option<OwnedSemaphorePermit>,
    room: Arc<Room>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.permit = None;
        self.room.made();
    }
}

/// How a request gets to one side of the edge.
#[derive(Debug)]
pub(super) struct Way {
    pub(super) hop: Hop,
    /// The flow, where it is known beforehand.
    pub(super) flow: Option<FlowRef>,
    /// Whether the manager finds the way.
    pub(super) managed: bool,
}

impl Way {
    pub(super) fn over(side: Side, flow: FlowRef) -> Self {
        Self {
            hop: Hop::of(side, &flow.flow),
            flow: Some(flow),
            managed: false,
        }
    }
}

/// Where a target is, when DNS need not be asked.
pub(super) fn fixed(target: &Target) -> Result<Option<(Transport, SocketAddr)>, EdgeError> {
    let mut locator = Locator::new(target, Arc::new(LocateRules::default()), 0)?;
    match locator.next() {
        Next::Try(candidate) => Ok(Some((candidate.transport, candidate.address))),
        Next::Ask(_) => Ok(None),
        Next::End(end) => Err(end.err().map_or(EdgeError::Unreachable, EdgeError::from)),
    }
}

impl Upstream {
    /// The upstream at this target. Without a manager it has to be an address, over UDP.
    pub(super) fn new(target: Target, manager: Option<Manager>) -> Result<Self, EdgeError> {
        let fixed = fixed(&target)?;
        let usual = if target.secure {
            Transport::Tls
        } else {
            Transport::Udp
        };
        let transport = fixed.map(|(transport, _)| transport);
        let transport = transport.or(target.transport).unwrap_or(usual);
        if manager.is_none() && !matches!(fixed, Some((Transport::Udp, _))) {
            return Err(EdgeError::Unreachable);
        }
        Ok(Self {
            target,
            fixed,
            transport,
            managed: manager.map(|manager| Managed {
                manager,
                runtime: Handle::current(),
                waiting: Arc::new(Semaphore::new(WAITING)),
                room: Arc::default(),
                heard: Arc::new(Semaphore::new(HEARD)),
            }),
            reached: RwLock::default(),
        })
    }

    /// Whether this is its address over UDP, or one that requests have gone to.
    pub(super) fn is_at(&self, address: SocketAddr) -> bool {
        self.fixed == Some((Transport::Udp, address)) || self.reached().contains(&address)
    }

    fn reached(&self) -> std::sync::RwLockReadGuard<'_, VecDeque<SocketAddr>> {
        self.reached.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn reach(&self, flow: &FlowRef) {
        let (transport, address) = (flow.flow.transport, flow.flow.remote);
        if transport != Transport::Udp || self.is_at(address) {
            return;
        }
        let mut reached = self.reached.write().unwrap_or_else(PoisonError::into_inner);
        if reached.len() == REACHED {
            reached.pop_front();
        }
        reached.push_back(address);
    }

    /// The way of a request of so many `bytes` as it came: over a flow that is there, otherwise by the
    /// manager. It decides also where the request may be too long for a datagram (RFC 3261 §18.1.1).
    pub(super) fn way(&self, sip: &Sip, bytes: usize) -> Result<Way, SendError> {
        let flow = match self.fixed {
            Some((Transport::Udp, address)) => sip.datagrams_to(address),
            Some((transport, address)) => sip
                .to(transport, address)
                .filter(|flow| sip.is_dialled(flow)),
            None => None,
        };
        let is_long = |managed: &Managed| {
            let fixed = self.fixed.filter(|&(to, _)| to == Transport::Udp);
            fixed.is_some_and(|(_, to)| managed.manager.is_long(to, bytes + ADDED))
        };
        let managed = self.managed.as_ref();
        let managed = managed.is_some_and(|managed| flow.is_none() || is_long(managed));
        if flow.is_none() && !managed {
            return Err(SendError::NoSocket);
        }
        let hop = match &flow {
            Some(flow) => Hop::of(Side::Upstream, &flow.flow),
            None => Hop::opened(self.transport),
        };
        Ok(Way { hop, flow, managed })
    }

    /// A place for a request that has to wait; none while there are too many.
    pub(super) fn place(&self) -> Option<Place> {
        let Managed { waiting, room, .. } = self.managed.as_ref()?;
        let permit = waiting.clone().try_acquire_owned().ok()?;
        Some(Place {
            permit: Some(permit),
            room: room.clone(),
        })
    }

    /// Completes when there is a place.
    pub(super) async fn room(&self) {
        if let Some(managed) = &self.managed {
            let is_there = || managed.waiting.available_permits() > 0;
            managed.room.until(is_there).await;
        }
    }
}

impl Edge {
    /// Has the manager bring a request to the upstream, on a task of its own: to the same server as others of
    /// this `seed` (RFC 3263 §4.4). `failed` is called when no server can be reached.
    pub(super) fn bring(
        &self,
        message: Bytes,
        seed: u64,
        place: Place,
        failed: impl FnOnce(&SipError) + Send + 'static,
    ) {
        let upstream = self.upstream();
        let Some(managed) = &upstream.managed else {
            return;
        };
        let request = Request::to(upstream.target.clone()).seed(seed);
        let mut sending = managed.manager.request(request);
        let (edge, heard) = (self.clone(), managed.heard.clone());
        managed.runtime.spawn(async move {
            let sent = match sending.next(message).await {
                Ok(sent) => sent,
                Err(error) => return failed(&error),
            };
            edge.upstream().reach(&sent.flow);
            drop(place);
            // A server that is not there is left alone: the client's next attempt goes to another.
            if let Ok(_hearing) = heard.try_acquire()
                && sent.flow.flow.transport == Transport::Udp
                && let Ok(failure) = timeout(HEARING, sending.lost()).await
            {
                sending.failed(failure);
            }
        });
    }
}
