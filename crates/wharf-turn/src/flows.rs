//! Channels of all allocations, found from either side.
//!
//! The way from client to peer is the busiest, and with many allocations it is bound by memory: each
//! binding has a record of one cache line, kept in the hash table itself, with all that forwarding
//! needs. Measured with 100,000 allocations in random order, a table of indices into larger records
//! took four times as long.

use std::hash::{BuildHasher as _, Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Instant;

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use slab::Slab;

use crate::path::{PeerKey, words};
use crate::{ClientPath, RelayId, Transport};

/// A channel binding (RFC 8656 §12).
#[derive(Debug)]
pub(crate) struct Channel {
    pub(crate) path: ClientPath,
    pub(crate) number: u16,
    pub(crate) relay: RelayId,
    /// The peer as the client knows it.
    pub(crate) peer: SocketAddr,
    /// Where the relay socket sends: the peer, or the bound address of a relay of this server.
    pub(crate) send_to: SocketAddr,
    /// The peer's address is one that this server relays from.
    pub(crate) hairpin: bool,
    /// The end of the binding itself.
    pub(crate) expires: Instant,
    /// Until when packets flow: the earliest end of binding, permission and allocation. `None` when
    /// there is no permission.
    pub(crate) usable_until: Option<Instant>,
}

impl Channel {
    pub(crate) fn new(
        path: ClientPath,
        number: u16,
        relay: RelayId,
        peer: SocketAddr,
        expires: Instant,
    ) -> Self {
        let (send_to, hairpin, usable_until) = (peer, false, None);
        Self { path, number, relay, peer, send_to, hairpin, expires, usable_until }
    }

    pub(crate) fn is_usable(&self, now: Instant) -> bool {
        self.usable_until.is_some_and(|until| now < until)
    }
}

/// The five-tuple and channel number in three words: the server's address is replaced by a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FlowKey([u64; 3]);

impl Hash for FlowKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for word in self.0 {
            state.write_u64(word);
        }
    }
}

/// What forwarding from a client needs to know.
#[derive(Debug)]
#[repr(align(64))]
struct Forward {
    key: FlowKey,
    /// Nanoseconds since [`Channels::base`].
    usable_until: u64,
    to: [u64; 2],
    relay: RelayId,
    channel: u32,
    to_port: u16,
    to_v4: bool,
    hairpin: bool,
}

const _: () = assert!(size_of::<Forward>() == 64, "one cache line");

/// What becomes of ChannelData from a client.
pub(crate) enum Forwarded {
    /// To the peer, from this relay.
    ToPeer(RelayId, SocketAddr),
    /// Perhaps to a client of this server.
    Across(RelayId, SocketAddr),
    /// Nothing: the binding does not exist, or nothing passes it now.
    Nowhere(Option<u32>),
}

#[derive(Debug)]
pub(crate) struct Channels {
    slab: Slab<Channel>,
    by_client: HashTable<Forward>,
    by_peer: HashTable<u32>,
    hasher: FixedState,
    /// Server addresses that have channels, by number. There are as many as the host has addresses.
    servers: Vec<(Transport, SocketAddr)>,
    base: Instant,
}

impl Channels {
    /// `seed` keeps clients from choosing addresses and channel numbers that collide.
    pub(crate) fn new(seed: u64, base: Instant) -> Self {
        Self {
            slab: Slab::new(),
            by_client: HashTable::new(),
            by_peer: HashTable::new(),
            hasher: FixedState::with_seed(seed),
            servers: Vec::new(),
            base,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.slab.len()
    }

    pub(crate) fn get(&self, index: u32) -> &Channel {
        &self.slab[index as usize]
    }

    /// The fast way from a client.
    pub(crate) fn forward(&self, now: Instant, path: &ClientPath, number: u16) -> Forwarded {
        let Some(found) = self.find(path, number) else { return Forwarded::Nowhere(None) };
        if self.nanos(now) >= found.usable_until {
            return Forwarded::Nowhere(Some(found.channel));
        }
        if found.hairpin {
            return Forwarded::Across(found.relay, self.get(found.channel).peer);
        }
        let [high, low] = found.to;
        let ip = if found.to_v4 {
            IpAddr::V4(Ipv4Addr::from_bits(low as u32))
        } else {
            IpAddr::V6(Ipv6Addr::from_bits(u128::from(high) << 64 | u128::from(low)))
        };
        Forwarded::ToPeer(found.relay, SocketAddr::new(ip, found.to_port))
    }

    pub(crate) fn by_client(&self, path: &ClientPath, number: u16) -> Option<u32> {
        self.find(path, number).map(|found| found.channel)
    }

    pub(crate) fn by_peer(&self, relay: u32, peer: SocketAddr) -> Option<(u32, &Channel)> {
        let hash = self.hasher.hash_one(PeerKey::new(relay, peer));
        let index = *self.by_peer.find(hash, |&i| {
            let channel = &self.slab[i as usize];
            channel.relay.index == relay && channel.peer == peer
        })?;
        Some((index, &self.slab[index as usize]))
    }

    fn find(&self, path: &ClientPath, number: u16) -> Option<&Forward> {
        let key = self.key(path, number)?;
        self.by_client.find(self.hasher.hash_one(key), |found| found.key == key)
    }

    /// `None` when no channel was ever bound at the server's address.
    fn key(&self, path: &ClientPath, number: u16) -> Option<FlowKey> {
        let server = (path.transport, path.server);
        let server = self.servers.iter().position(|known| *known == server)?;
        let [high, low] = words(path.client.ip());
        let rest = u64::from(path.client.port()) << 32 | u64::from(number) << 16 | server as u64;
        Some(FlowKey([high, low, rest]))
    }

    fn nanos(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.base);
        since.as_secs() * 1_000_000_000 + u64::from(since.subsec_nanos())
    }

    /// Binds a channel that passes nothing until [`Channels::set_usable`]. The caller has made sure that
    /// neither the number nor the peer is bound.
    pub(crate) fn insert(&mut self, channel: Channel) -> u32 {
        let server = (channel.path.transport, channel.path.server);
        if !self.servers.contains(&server) {
            self.servers.push(server);
        }
        let key = self.key(&channel.path, channel.number).expect("the server is known now");
        let peer_hash = self.hasher.hash_one(PeerKey::new(channel.relay.index, channel.peer));
        let forward = Forward {
            key,
            usable_until: 0,
            to: words(channel.send_to.ip()),
            relay: channel.relay,
            channel: self.slab.vacant_key() as u32,
            to_port: channel.send_to.port(),
            to_v4: channel.send_to.is_ipv4(),
            hairpin: channel.hairpin,
        };
        let index = self.slab.insert(channel) as u32;
        let Self { slab, hasher, .. } = self;
        self.by_client
            .insert_unique(hasher.hash_one(key), forward, |found| hasher.hash_one(found.key));
        self.by_peer.insert_unique(peer_hash, index, |&i| {
            let channel = &slab[i as usize];
            hasher.hash_one(PeerKey::new(channel.relay.index, channel.peer))
        });
        index
    }

    /// The binding itself lasts until then.
    pub(crate) fn set_expires(&mut self, index: u32, expires: Instant) {
        self.slab[index as usize].expires = expires;
    }

    /// Packets pass until then, or not at all.
    pub(crate) fn set_usable(&mut self, index: u32, until: Option<Instant>) {
        let channel = &mut self.slab[index as usize];
        channel.usable_until = until;
        let Some(key) = self.key(&self.slab[index as usize].path, self.slab[index as usize].number)
        else {
            return;
        };
        let nanos = until.map_or(0, |until| self.nanos(until));
        let hash = self.hasher.hash_one(key);
        if let Some(found) = self.by_client.find_mut(hash, |found| found.key == key) {
            found.usable_until = nanos;
        }
    }

    pub(crate) fn remove(&mut self, index: u32) {
        let channel = self.slab.remove(index as usize);
        if let Some(key) = self.key(&channel.path, channel.number) {
            let hash = self.hasher.hash_one(key);
            if let Ok(entry) = self.by_client.find_entry(hash, |found| found.key == key) {
                entry.remove();
            }
        }
        let hash = self.hasher.hash_one(PeerKey::new(channel.relay.index, channel.peer));
        if let Ok(entry) = self.by_peer.find_entry(hash, |&i| i == index) {
            entry.remove();
        }
    }
}
