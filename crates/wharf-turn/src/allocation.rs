//! Allocations and their relays (RFC 8656 §3.2).

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use slab::Slab;
use std::hash::BuildHasher as _;
use wharf_policy::{QuotaPermit, TokenBucket};
use wharf_stun::TransactionId;
use wharf_stun::attribute::AddressFamily;

use crate::bind::Binding;
use crate::path::PathKey;
use crate::{ClientPath, Credential, RelayId};

/// One allocation.
#[derive(Debug)]
pub(crate) struct Allocation {
    pub(crate) path: ClientPath,
    pub(crate) key: PathKey,
    /// Tells this allocation from another one with the same index.
    pub(crate) generation: u32,
    pub(crate) credential: Arc<Credential>,
    /// The Allocate that made it: the same again is a retransmission (RFC 8656 §7.2).
    pub(crate) transaction: TransactionId,
    /// By family: IPv4, IPv6.
    pub(crate) relays: [Option<Relay>; 2],
    /// What the success reply said besides, for retransmissions.
    pub(crate) reservation: Option<[u8; 8]>,
    pub(crate) missing_family: Option<(AddressFamily, u16)>,
    pub(crate) permissions: Vec<u32>,
    pub(crate) channels: Vec<u32>,
    /// The timer that counts; others of this allocation are stale.
    pub(crate) scheduled: Option<Instant>,
    /// Until all sockets are bound, what is still to be done.
    pub(crate) binding: Option<Box<Binding>>,
    pub(crate) icmp: TokenBucket,
    /// Counts the allocation. `None` while its reserved socket is being fetched from another worker,
    /// where it counts until then.
    pub(crate) permit: Option<QuotaPermit>,
}

/// One relayed transport address of an allocation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Relay {
    pub(crate) id: RelayId,
    /// As clients and peers see it.
    pub(crate) advertised: SocketAddr,
    pub(crate) expires: Instant,
}

pub(crate) fn family_index(ip: IpAddr) -> usize {
    usize::from(ip.is_ipv6())
}

impl Allocation {
    /// The relay that reaches peers of this address's family.
    pub(crate) fn relay(&self, peer: IpAddr) -> Option<Relay> {
        self.relays[family_index(peer)]
    }

    pub(crate) fn is_live(&self, now: Instant) -> bool {
        self.binding.is_none() && !self.has_ended(now)
    }

    /// Its lifetime has run out, though what it holds may not have been given back yet.
    pub(crate) fn has_ended(&self, now: Instant) -> bool {
        let mut relays = self.relays.iter().flatten();
        self.binding.is_none() && !relays.any(|relay| now < relay.expires)
    }
}

/// All allocations, by index and by five-tuple.
#[derive(Debug)]
pub(crate) struct Allocations {
    slab: Slab<Allocation>,
    by_path: HashTable<u32>,
    hasher: FixedState,
    generation: u32,
}

impl Allocations {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            slab: Slab::new(),
            by_path: HashTable::new(),
            hasher: FixedState::with_seed(seed),
            generation: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.slab.len()
    }

    pub(crate) fn indices(&self) -> Vec<u32> {
        self.slab.iter().map(|(index, _)| index as u32).collect()
    }

    pub(crate) fn find(&self, path: &ClientPath) -> Option<u32> {
        let key = PathKey::new(path);
        let hash = self.hasher.hash_one(key);
        self.by_path
            .find(hash, |&i| self.slab[i as usize].key == key)
            .copied()
    }

    pub(crate) fn get(&self, index: u32) -> &Allocation {
        &self.slab[index as usize]
    }

    pub(crate) fn get_mut(&mut self, index: u32) -> &mut Allocation {
        &mut self.slab[index as usize]
    }

    /// The allocation with this index, if it is still the one meant.
    pub(crate) fn checked(&self, index: u32, generation: u32) -> Option<&Allocation> {
        self.slab
            .get(index as usize)
            .filter(|found| found.generation == generation)
    }

    pub(crate) fn insert(&mut self, mut allocation: Allocation) -> u32 {
        self.generation = self.generation.wrapping_add(1);
        allocation.generation = self.generation;
        let hash = self.hasher.hash_one(allocation.key);
        let index = self.slab.insert(allocation) as u32;
        let Self { slab, hasher, .. } = self;
        self.by_path
            .insert_unique(hash, index, |&i| hasher.hash_one(slab[i as usize].key));
        index
    }

    pub(crate) fn remove(&mut self, index: u32) -> Allocation {
        let allocation = self.slab.remove(index as usize);
        let hash = self.hasher.hash_one(allocation.key);
        if let Ok(entry) = self.by_path.find_entry(hash, |&i| i == index) {
            entry.remove();
        }
        allocation
    }
}

/// Who has a relay socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    Allocation(u32),
    Reservation([u8; 8]),
}

/// A relay socket that exists, or is being bound.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RelayEntry {
    pub(crate) owner: Owner,
    pub(crate) local: SocketAddr,
    pub(crate) advertised: SocketAddr,
    /// The worker whose pool the port belongs to, when it is another one.
    pub(crate) lender: Option<u8>,
}

/// All relay sockets, by index and by advertised address.
#[derive(Debug)]
pub(crate) struct Relays {
    slab: Slab<RelayEntry>,
    generations: Vec<u16>,
    by_address: HashTable<u32>,
    hasher: FixedState,
}

impl Relays {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            slab: Slab::new(),
            generations: Vec::new(),
            by_address: HashTable::new(),
            hasher: FixedState::with_seed(seed),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.slab.len()
    }

    /// The entry, if the generation is the current one.
    pub(crate) fn get(&self, id: RelayId) -> Option<&RelayEntry> {
        let entry = self.slab.get(id.index as usize)?;
        (self.generations[id.index as usize] == id.generation).then_some(entry)
    }

    pub(crate) fn set_owner(&mut self, id: RelayId, owner: Owner) -> Option<RelayEntry> {
        self.get(id)?;
        let entry = &mut self.slab[id.index as usize];
        entry.owner = owner;
        Some(*entry)
    }

    /// The addresses of a relay that was not known by them yet.
    pub(crate) fn set_addresses(&mut self, id: RelayId, local: SocketAddr, advertised: SocketAddr) {
        if self.get(id).is_some() {
            self.unlist(id.index);
            let entry = &mut self.slab[id.index as usize];
            (entry.local, entry.advertised) = (local, advertised);
            self.list(id.index);
        }
    }

    /// The relay that peers see as this address.
    pub(crate) fn find(&self, advertised: SocketAddr) -> Option<RelayId> {
        let hash = self.hash(advertised);
        let index = *self
            .by_address
            .find(hash, |&i| self.slab[i as usize].advertised == advertised)?;
        Some(RelayId {
            index,
            generation: self.generations[index as usize],
        })
    }

    pub(crate) fn insert(&mut self, entry: RelayEntry) -> RelayId {
        let index = self.slab.insert(entry) as u32;
        if self.generations.len() <= index as usize {
            self.generations.resize(index as usize + 1, 0);
        }
        self.list(index);
        RelayId {
            index,
            generation: self.generations[index as usize],
        }
    }

    pub(crate) fn remove(&mut self, id: RelayId) -> Option<RelayEntry> {
        self.get(id)?;
        self.unlist(id.index);
        let generation = &mut self.generations[id.index as usize];
        *generation = generation.wrapping_add(1);
        Some(self.slab.remove(id.index as usize))
    }

    /// Makes a relay known by its address.
    fn list(&mut self, index: u32) {
        let Self { slab, hasher, .. } = self;
        let hash = |&i: &u32| hash_of(hasher, slab[i as usize].advertised);
        self.by_address.insert_unique(hash(&index), index, hash);
    }

    fn unlist(&mut self, index: u32) {
        let hash = self.hash(self.slab[index as usize].advertised);
        if let Ok(found) = self.by_address.find_entry(hash, |&i| i == index) {
            found.remove();
        }
    }

    fn hash(&self, address: SocketAddr) -> u64 {
        hash_of(&self.hasher, address)
    }
}

fn hash_of(hasher: &FixedState, address: SocketAddr) -> u64 {
    hasher.hash_one(crate::path::PeerKey::new(0, address))
}
