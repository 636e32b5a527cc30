//! Permissions (RFC 8656 §9): an IP address of a peer, for one relay, for 300 seconds.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use slab::Slab;
use std::hash::BuildHasher as _;
use wharf_stun::Message;
use wharf_stun::attribute::XorPeerAddress;

use crate::auth::Authenticated;
use crate::path::PeerKey;
use crate::reply::{Refusal, Request};
use crate::server::Server;
use crate::{ClientPath, Output};

/// How long a permission lasts (RFC 8656 §9).
pub(crate) const PERMISSION_LIFETIME: Duration = Duration::from_mins(5);
/// Peers of one CreatePermission: as many as fit a datagram of the smallest IPv6 MTU.
const PEERS_PER_REQUEST: usize = 128;
/// Up to here, passing over the channels of other peers is cheaper than updating them.
const FEW_PEERS: usize = 8;

/// One permission.
#[derive(Debug)]
pub(crate) struct Permission {
    key: PeerKey,
    pub(crate) peer: IpAddr,
    pub(crate) expires: Instant,
}

/// The permissions of all allocations.
#[derive(Debug)]
pub(crate) struct Permissions {
    slab: Slab<Permission>,
    index: HashTable<u32>,
    hasher: FixedState,
}

impl Permissions {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            slab: Slab::new(),
            index: HashTable::new(),
            hasher: FixedState::with_seed(seed),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.slab.len()
    }

    pub(crate) fn get(&self, index: u32) -> &Permission {
        &self.slab[index as usize]
    }

    /// When the permission of a relay for a peer ends, if there is one.
    pub(crate) fn expires(&self, relay: u32, peer: IpAddr) -> Option<Instant> {
        let index = self.find(PeerKey::any_port(relay, peer))?;
        Some(self.slab[index as usize].expires)
    }

    pub(crate) fn allows(&self, now: Instant, relay: u32, peer: IpAddr) -> bool {
        self.expires(relay, peer)
            .is_some_and(|expires| now < expires)
    }

    fn find(&self, key: PeerKey) -> Option<u32> {
        let hash = self.hasher.hash_one(key);
        self.index
            .find(hash, |&i| self.slab[i as usize].key == key)
            .copied()
    }

    /// Refreshes a permission, or makes one and says where.
    fn put(&mut self, relay: u32, peer: IpAddr, expires: Instant) -> Option<u32> {
        let key = PeerKey::any_port(relay, peer);
        if let Some(index) = self.find(key) {
            self.slab[index as usize].expires = expires;
            return None;
        }
        let index = self.slab.insert(Permission { key, peer, expires }) as u32;
        let Self {
            slab,
            index: table,
            hasher,
        } = self;
        table.insert_unique(hasher.hash_one(key), index, |&i| {
            hasher.hash_one(slab[i as usize].key)
        });
        Some(index)
    }

    pub(crate) fn remove(&mut self, index: u32) {
        let permission = self.slab.remove(index as usize);
        let hash = self.hasher.hash_one(permission.key);
        if let Ok(entry) = self.index.find_entry(hash, |&i| i == index) {
            entry.remove();
        }
    }
}

impl Server {
    /// CreatePermission (RFC 8656 §10.2): all of the peers, or none.
    pub(crate) fn create_permission(
        &mut self,
        now: Instant,
        request: &Request,
        message: &Message<'_>,
        user: &Authenticated,
    ) -> Output<'_> {
        match self.permit_peers(now, &request.path, message, user) {
            Ok(()) => self.success(request, user, |_| Ok(())),
            Err(refusal) => self.refuse(request, user, refusal),
        }
    }

    fn permit_peers(
        &mut self,
        now: Instant,
        path: &ClientPath,
        message: &Message<'_>,
        user: &Authenticated,
    ) -> Result<(), Refusal> {
        let index = self.own_allocation(now, path, user)?;
        let mut peers = [IpAddr::from([0; 4]); PEERS_PER_REQUEST];
        let mut count = 0;
        for peer in message.all::<XorPeerAddress>() {
            let XorPeerAddress(peer) = peer.map_err(|_| Refusal::BadRequest)?;
            *peers.get_mut(count).ok_or(Refusal::Capacity)? = peer.ip();
            count += 1;
        }
        let peers = &peers[..count];
        if peers.is_empty() {
            return Err(Refusal::BadRequest);
        }
        for peer in peers {
            self.relay_for(now, index, *peer)?;
        }
        for peer in peers {
            self.peers
                .check_ip(*peer)
                .map_err(|why| self.forbid(path, SocketAddr::new(*peer, 0), why))?;
        }
        self.make_room(now, index, peers)?;
        for peer in peers {
            self.permit(now, index, *peer);
        }
        // Of many peers, each is looked for in vain at most channels: then all are updated.
        self.update_channels(index, (peers.len() <= FEW_PEERS).then_some(peers));
        Ok(())
    }

    /// Whether the allocation may hold permissions for all of `peers`.
    pub(crate) fn make_room(
        &mut self,
        now: Instant,
        index: u32,
        peers: &[IpAddr],
    ) -> Result<(), Refusal> {
        let limit = self.config.max_permissions;
        if self.allocations.get(index).permissions.len() + peers.len() <= limit {
            return Ok(());
        }
        self.sweep(now, index);
        let allocation = self.allocations.get(index);
        let is_new = |(at, peer): &(usize, &IpAddr)| {
            let relay = allocation.relay(**peer);
            let known = relay
                .is_some_and(|relay| self.permissions.expires(relay.id.index, **peer).is_some());
            !known && !peers[..*at].contains(peer)
        };
        let new = peers.iter().enumerate().filter(is_new).count();
        if allocation.permissions.len() + new > limit {
            Err(Refusal::Capacity)
        } else {
            Ok(())
        }
    }

    /// Makes or refreshes a permission; the caller has checked family, policy and room, and updates
    /// the channels.
    pub(crate) fn permit(&mut self, now: Instant, index: u32, peer: IpAddr) {
        let expires = now + PERMISSION_LIFETIME;
        let Some(relay) = self.allocations.get(index).relay(peer) else {
            return;
        };
        if let Some(new) = self.permissions.put(relay.id.index, peer, expires) {
            self.allocations.get_mut(index).permissions.push(new);
        }
        self.schedule(index, expires);
    }
}
