//! Channels of all allocations, found from either side with one look-up. This is the data path: a record
//! holds all that forwarding needs, so that a packet touches one index and one record.

use std::net::SocketAddr;
use std::time::Instant;

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use slab::Slab;
use std::hash::BuildHasher as _;

use crate::RelayId;
use crate::path::{PathKey, PeerKey};

/// A channel binding (RFC 8656 §12).
#[derive(Debug)]
pub(crate) struct Channel {
    /// The client's five-tuple with the channel number.
    pub(crate) client: PathKey,
    /// Until when packets flow: the earliest end of binding, permission and allocation. `None` when
    /// there is no permission.
    pub(crate) usable_until: Option<Instant>,
    /// Where the relay socket sends: the peer, or the bound address of a relay of this server.
    pub(crate) send_to: SocketAddr,
    pub(crate) relay: RelayId,
    pub(crate) number: u16,
    /// The peer's address is one that this server relays from.
    pub(crate) hairpin: bool,
    /// The peer as the client knows it.
    pub(crate) peer: SocketAddr,
    /// The end of the binding itself.
    pub(crate) expires: Instant,
}

impl Channel {
    pub(crate) fn is_usable(&self, now: Instant) -> bool {
        self.usable_until.is_some_and(|until| now < until)
    }

    fn peer_key(&self) -> PeerKey {
        PeerKey::new(self.relay.index, self.peer)
    }
}

#[derive(Debug)]
pub(crate) struct Channels {
    slab: Slab<Channel>,
    by_client: HashTable<u32>,
    by_peer: HashTable<u32>,
    hasher: FixedState,
}

impl Channels {
    /// `seed` keeps clients from choosing addresses and channel numbers that collide.
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            slab: Slab::new(),
            by_client: HashTable::new(),
            by_peer: HashTable::new(),
            hasher: FixedState::with_seed(seed),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.slab.len()
    }

    pub(crate) fn get(&self, index: u32) -> &Channel {
        &self.slab[index as usize]
    }

    pub(crate) fn get_mut(&mut self, index: u32) -> &mut Channel {
        &mut self.slab[index as usize]
    }

    pub(crate) fn by_client(&self, key: PathKey) -> Option<&Channel> {
        let hash = self.hasher.hash_one(key);
        let index = *self
            .by_client
            .find(hash, |&i| self.slab[i as usize].client == key)?;
        Some(&self.slab[index as usize])
    }

    pub(crate) fn by_peer(&self, relay: u32, peer: SocketAddr) -> Option<(u32, &Channel)> {
        let key = PeerKey::new(relay, peer);
        let hash = self.hasher.hash_one(key);
        let index = *self.by_peer.find(hash, |&i| {
            let channel = &self.slab[i as usize];
            channel.relay.index == relay && channel.peer == peer
        })?;
        Some((index, &self.slab[index as usize]))
    }

    /// The caller has made sure that neither the number nor the peer is bound.
    pub(crate) fn insert(&mut self, channel: Channel) -> u32 {
        let client = self.hasher.hash_one(channel.client);
        let peer = self.hasher.hash_one(channel.peer_key());
        let index = self.slab.insert(channel) as u32;
        let Self { slab, hasher, .. } = self;
        self.by_client
            .insert_unique(client, index, |&i| hasher.hash_one(slab[i as usize].client));
        self.by_peer.insert_unique(peer, index, |&i| {
            hasher.hash_one(slab[i as usize].peer_key())
        });
        index
    }

    pub(crate) fn remove(&mut self, index: u32) {
        let channel = self.slab.remove(index as usize);
        for (table, hash) in [
            (&mut self.by_client, self.hasher.hash_one(channel.client)),
            (&mut self.by_peer, self.hasher.hash_one(channel.peer_key())),
        ] {
            if let Ok(entry) = table.find_entry(hash, |&i| i == index) {
                entry.remove();
            }
        }
    }
}
