//! Channels of all allocations, found from either side.
//!
//! The way from client to peer is the busiest, and with many allocations it is bound by the caches: a
//! binding between IPv4 addresses has a record of half a cache line, kept in the hash table itself, with
//! all that forwarding needs. Measured with 100,000 allocations in random order, a table of indices into
//! larger records took five times as long, and records of a whole line twice as long. Bindings with an
//! IPv6 address go by indices.

use std::hash::{BuildHasher as _, Hash, Hasher};
use std::net::{Ipv4Addr, SocketAddr};
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
        Self {
            path,
            number,
            relay,
            peer,
            send_to,
            hairpin,
            expires,
            usable_until,
        }
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

/// A client's IPv4 address, port and channel number, and the server's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct CompactKey(u64, u16);

impl Hash for CompactKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0);
        state.write_u64(self.1.into());
    }
}

/// What forwarding from an IPv4 client to an IPv4 peer needs to know.
#[derive(Debug)]
struct Forward {
    client: u64,
    server: u16,
    to_port: u16,
    /// Whole seconds since [`Channels::base`] for which packets surely pass; then the channel's own
    /// record has the exact end.
    usable: u32,
    to: Ipv4Addr,
    relay: u32,
    channel: u32,
    relay_generation: u16,
    hairpin: bool,
}

const _: () = assert!(size_of::<Forward>() == 32, "half a cache line");

impl Forward {
    fn key(&self) -> CompactKey {
        CompactKey(self.client, self.server)
    }
}

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
    compact: HashTable<Forward>,
    /// The bindings that have no compact record.
    wide: HashTable<u32>,
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
            compact: HashTable::new(),
            wide: HashTable::new(),
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
        if let Some(found) = self.compact(path, number)
            && self.seconds(now) < found.usable
            && !found.hairpin
        {
            let relay = RelayId {
                index: found.relay,
                generation: found.relay_generation,
            };
            return Forwarded::ToPeer(relay, SocketAddr::from((found.to, found.to_port)));
        }
        match self.by_client(path, number) {
            Some(index) => {
                let channel = self.get(index);
                match (channel.is_usable(now), channel.hairpin) {
                    (false, _) => Forwarded::Nowhere(Some(index)),
                    (true, false) => Forwarded::ToPeer(channel.relay, channel.send_to),
                    (true, true) => Forwarded::Across(channel.relay, channel.peer),
                }
            }
            None => Forwarded::Nowhere(None),
        }
    }

    pub(crate) fn by_client(&self, path: &ClientPath, number: u16) -> Option<u32> {
        if let Some(found) = self.compact(path, number) {
            return Some(found.channel);
        }
        let key = self.key(path, number)?;
        let hash = self.hasher.hash_one(key);
        self.wide
            .find(hash, |&i| self.key_of(i) == Some(key))
            .copied()
    }

    pub(crate) fn by_peer(&self, relay: u32, peer: SocketAddr) -> Option<(u32, &Channel)> {
        let hash = self.hasher.hash_one(PeerKey::new(relay, peer));
        let index = *self.by_peer.find(hash, |&i| {
            let channel = &self.slab[i as usize];
            channel.relay.index == relay && channel.peer == peer
        })?;
        Some((index, &self.slab[index as usize]))
    }

    fn compact(&self, path: &ClientPath, number: u16) -> Option<&Forward> {
        let key = self.compact_key(path, number)?;
        self.compact
            .find(self.hasher.hash_one(key), |found| found.key() == key)
    }

    /// `None` when the client has no IPv4 address, or no channel was ever bound at the server's.
    fn compact_key(&self, path: &ClientPath, number: u16) -> Option<CompactKey> {
        let SocketAddr::V4(client) = path.client else {
            return None;
        };
        let client = u64::from(client.ip().to_bits()) << 32
            | u64::from(client.port()) << 16
            | u64::from(number);
        Some(CompactKey(client, self.server(path)?))
    }

    fn key(&self, path: &ClientPath, number: u16) -> Option<FlowKey> {
        let [high, low] = words(path.client.ip());
        let server = u64::from(self.server(path)?);
        let rest = u64::from(path.client.port()) << 32 | u64::from(number) << 16 | server;
        Some(FlowKey([high, low, rest]))
    }

    fn key_of(&self, index: u32) -> Option<FlowKey> {
        let channel = self.get(index);
        self.key(&channel.path, channel.number)
    }

    fn server(&self, path: &ClientPath) -> Option<u16> {
        let server = (path.transport, path.server);
        self.servers
            .iter()
            .position(|known| *known == server)
            .map(|at| at as u16)
    }

    fn seconds(&self, at: Instant) -> u32 {
        at.saturating_duration_since(self.base).as_secs() as u32
    }

    /// Whether channels can be bound at this address of the server: it has a number, or can get one.
    pub(crate) fn has_room_for(&self, path: &ClientPath) -> bool {
        self.servers.len() < usize::from(u16::MAX) || self.server(path).is_some()
    }

    /// Binds a channel that passes nothing until [`Channels::set_usable`]. The caller has made sure that
    /// there is room and that neither the number nor the peer is bound.
    pub(crate) fn insert(&mut self, channel: Channel) -> u32 {
        if self.server(&channel.path).is_none() {
            self.servers
                .push((channel.path.transport, channel.path.server));
        }
        let index = self.slab.insert(channel) as u32;
        let channel = &self.slab[index as usize];
        let peer_hash = self
            .hasher
            .hash_one(PeerKey::new(channel.relay.index, channel.peer));
        if let (Some(CompactKey(client, server)), SocketAddr::V4(to)) = (
            self.compact_key(&channel.path, channel.number),
            channel.send_to,
        ) {
            let forward = Forward {
                client,
                server,
                to_port: to.port(),
                usable: 0,
                to: *to.ip(),
                relay: channel.relay.index,
                channel: index,
                relay_generation: channel.relay.generation,
                hairpin: channel.hairpin,
            };
            let hasher = &self.hasher;
            let hash = hasher.hash_one(forward.key());
            self.compact
                .insert_unique(hash, forward, |found| hasher.hash_one(found.key()));
        } else {
            let mut wide = std::mem::take(&mut self.wide);
            let hash = |&i: &u32| self.key_of(i).map_or(0, |key| self.hasher.hash_one(key));
            wide.insert_unique(hash(&index), index, hash);
            self.wide = wide;
        }
        let Self { slab, hasher, .. } = self;
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
        let (path, number) = (channel.path, channel.number);
        let usable = until.map_or(0, |until| self.seconds(until));
        if let Some(key) = self.compact_key(&path, number) {
            let hash = self.hasher.hash_one(key);
            if let Some(found) = self.compact.find_mut(hash, |found| found.key() == key) {
                found.usable = usable;
            }
        }
    }

    pub(crate) fn remove(&mut self, index: u32) {
        let (path, number) = (self.get(index).path, self.get(index).number);
        if let Some(key) = self.compact_key(&path, number) {
            let hash = self.hasher.hash_one(key);
            if let Ok(entry) = self.compact.find_entry(hash, |found| found.key() == key) {
                entry.remove();
            }
        }
        if let Some(key) = self.key(&path, number) {
            let hash = self.hasher.hash_one(key);
            if let Ok(entry) = self.wide.find_entry(hash, |&i| i == index) {
                entry.remove();
            }
        }
        let channel = self.slab.remove(index as usize);
        let hash = self
            .hasher
            .hash_one(PeerKey::new(channel.relay.index, channel.peer));
        if let Ok(entry) = self.by_peer.find_entry(hash, |&i| i == index) {
            entry.remove();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The numbers of server addresses are never dealt out twice: two clients' channels would be mixed.
    #[test]
    #[expect(
        clippy::disallowed_methods,
        reason = "a test needs some instant to count from"
    )]
    fn server_addresses_run_out() {
        let mut channels = Channels::new(1, Instant::now());
        let path = |port: u16| ClientPath {
            transport: Transport::Udp,
            client: SocketAddr::from(([198, 51, 100, 7], 1)),
            server: SocketAddr::from(([192, 0, 2, 1], port)),
            listener: 0,
        };
        let servers = (0..u16::MAX).map(|port| (Transport::Udp, path(port).server));
        channels.servers = servers.collect();
        assert!(channels.has_room_for(&path(u16::MAX - 1)));
        assert!(!channels.has_room_for(&path(u16::MAX)));
        channels.servers.pop();
        assert!(channels.has_room_for(&path(u16::MAX)));
    }
}
