//! What comes from peers, and what goes straight across from one allocation to another.

use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::time::Instant;

use rand_core::Rng as _;
use wharf_stun::attribute::{Icmp, XorPeerAddress};
use wharf_stun::{
    Attribute, AttributeType, Class, HEADER_LEN, MAGIC_COOKIE, MessageType, Method, TransactionId,
};

use crate::allocation::Owner;
use crate::reply::Refusal;
use crate::server::Server;
use crate::{DropReason, Output, RelayId, ToClient, Transport};

/// The largest UDP payload over IPv4.
const MAX_DATAGRAM: usize = 65_507;
/// The largest message over a stream: its length is a 16-bit number and a multiple of four.
const MAX_MESSAGE: usize = HEADER_LEN + 65_532;
/// The most that a record of DTLS carries (RFC 6347 §4.1.1); a message is one record.
const MAX_RECORD: usize = 1 << 14;

impl Server {
    /// A datagram of `len` bytes that arrived on a relay socket.
    pub fn handle_peer(
        &mut self,
        now: Instant,
        relay: RelayId,
        peer: SocketAddr,
        len: usize,
    ) -> Output<'_> {
        let peer = self.advertised_address(peer);
        self.deliver(now, relay, peer, 0..len)
    }

    /// An ICMP error about a datagram that a relay socket sent to `peer` (RFC 8656 §11.5). `mtu` is the
    /// next-hop MTU, for the errors that carry one.
    pub fn handle_peer_error(
        &mut self,
        now: Instant,
        relay: RelayId,
        peer: SocketAddr,
        icmp_type: u8,
        code: u8,
        mtu: u32,
    ) -> Output<'_> {
        let passed_on = match peer.ip() {
            IpAddr::V4(_) => matches!(icmp_type, 3 | 11),
            IpAddr::V6(_) => matches!(icmp_type, 1..=3),
        };
        if !passed_on {
            return Output::Dropped(DropReason::IcmpIgnored);
        }
        let peer = self.advertised_address(peer);
        let Some(Owner::Allocation(index)) = self.relays.get(relay).map(|entry| entry.owner) else {
            return Output::Dropped(DropReason::NoRelay);
        };
        if !self.admits(now, index, relay, peer.ip()) {
            return Output::Dropped(DropReason::NoPermission);
        }
        if !self.allocations.get_mut(index).icmp.take(now, 1) {
            return Output::Dropped(DropReason::IcmpLimited);
        }
        let has_mtu = match peer.ip() {
            IpAddr::V4(_) => (icmp_type, code) == (3, 4),
            IpAddr::V6(_) => icmp_type == 2,
        };
        let data = if has_mtu { mtu.to_be_bytes() } else { [0; 4] };
        let mut id = [0; 12];
        self.rng.fill_bytes(&mut id);
        let mut header = Header::data_indication(&mut self.header, TransactionId(id));
        header.attribute(&XorPeerAddress(peer));
        header.attribute(&Icmp {
            icmp_type,
            code,
            data,
        });
        let len = header.finish(0);
        Output::ToClient(ToClient {
            path: &self.allocations.get(index).path,
            header: &self.header[..len],
            payload: 0..0,
            padding: 0,
        })
    }

    /// From one allocation to another of this worker without the network between: the same rules as
    /// if the datagram had left `from` and arrived at `target`.
    pub(crate) fn hand_across(
        &mut self,
        now: Instant,
        from: RelayId,
        target: RelayId,
        payload: Range<usize>,
    ) -> Output<'_> {
        match self.relays.get(from).map(|entry| entry.advertised) {
            Some(source) => self.deliver(now, target, source, payload),
            None => Output::Dropped(DropReason::NoRelay),
        }
    }

    /// To the client behind a relay: as ChannelData when the peer is bound to a channel, otherwise in a
    /// Data indication, and not at all without a permission (RFC 8656 §11.3, §12.7).
    fn deliver(
        &mut self,
        now: Instant,
        relay: RelayId,
        peer: SocketAddr,
        payload: Range<usize>,
    ) -> Output<'_> {
        let Some(entry) = self.relays.get(relay) else {
            return Output::Dropped(DropReason::NoRelay);
        };
        let Owner::Allocation(index) = entry.owner else {
            return Output::Dropped(DropReason::NoPermission);
        };
        let fill = payload.len().wrapping_neg() % 4;
        let transport = self.allocations.get(index).path.transport;
        let is_stream = transport.is_stream();
        let (header, padding) = match self.channels.by_peer(relay.index, peer) {
            Some((_, channel)) if channel.is_usable(now) => {
                let [n0, n1] = channel.number.to_be_bytes();
                let [l0, l1] = (payload.len() as u16).to_be_bytes();
                self.header[..4].copy_from_slice(&[n0, n1, l0, l1]);
                // RFC 8656 §12.5: padded over a stream, though the length does not say so.
                (4, if is_stream { fill } else { 0 })
            }
            _ => {
                if !self.admits(now, index, relay, peer.ip()) {
                    return Output::Dropped(DropReason::NoPermission);
                }
                // A permission says nothing about the port.
                if self.peers.check(peer).is_err() {
                    return Output::Dropped(DropReason::PeerRefused);
                }
                let mut id = [0; 12];
                self.rng.fill_bytes(&mut id);
                let mut header = Header::data_indication(&mut self.header, TransactionId(id));
                header.attribute(&XorPeerAddress(peer));
                (header.data(payload.len()), fill)
            }
        };
        let max = match transport {
            Transport::Udp => MAX_DATAGRAM,
            Transport::Tcp | Transport::Tls => MAX_MESSAGE,
            Transport::Dtls => MAX_RECORD,
        };
        if header + payload.len() + padding > max {
            return Output::Dropped(DropReason::TooLarge);
        }
        Output::ToClient(ToClient {
            path: &self.allocations.get(index).path,
            header: &self.header[..header],
            payload,
            padding,
        })
    }

    /// Whether an allocation lets in what comes from an address to one of its relays.
    fn admits(&self, now: Instant, index: u32, relay: RelayId, peer: IpAddr) -> bool {
        self.relay_for(now, index, peer).is_ok() && self.permissions.allows(now, relay.index, peer)
    }

    /// Where to send for a peer: this server's own relay addresses are reached where they are bound.
    pub(crate) fn bound_address(&self, peer: SocketAddr) -> SocketAddr {
        if self.translates {
            for relay in &self.config.relays {
                if relay.advertised == peer.ip() && relay.ports.contains(&peer.port()) {
                    return SocketAddr::new(relay.bind, peer.port());
                }
            }
        }
        peer
    }

    /// The peer's address as clients know it.
    fn advertised_address(&self, peer: SocketAddr) -> SocketAddr {
        if self.translates {
            for relay in &self.config.relays {
                if relay.bind == peer.ip() && relay.ports.contains(&peer.port()) {
                    return SocketAddr::new(relay.advertised, peer.port());
                }
            }
        }
        peer
    }

    /// Whether a peer is one that this server relays from, so that it may be handed across.
    pub(crate) fn is_own_relay(&self, peer: SocketAddr) -> bool {
        self.config
            .relays
            .iter()
            .any(|relay| relay.advertised == peer.ip() && relay.ports.contains(&peer.port()))
    }

    /// The live relay of an allocation for a peer's family.
    pub(crate) fn relay_for(
        &self,
        now: Instant,
        index: u32,
        peer: IpAddr,
    ) -> Result<RelayId, Refusal> {
        let relay = self.allocations.get(index).relay(peer);
        match relay.filter(|relay| now < relay.expires) {
            Some(relay) => Ok(relay.id),
            None => Err(Refusal::PeerFamilyMismatch),
        }
    }
}

/// The beginning of a Data indication, without the data.
struct Header<'a> {
    buffer: &'a mut [u8],
    id: TransactionId,
    len: usize,
}

impl<'a> Header<'a> {
    fn data_indication(buffer: &'a mut [u8], id: TransactionId) -> Self {
        let ty = MessageType {
            method: Method::DATA,
            class: Class::Indication,
        };
        buffer[..2].copy_from_slice(&ty.to_bits().to_be_bytes());
        buffer[4..8].copy_from_slice(&MAGIC_COOKIE.to_be_bytes());
        buffer[8..HEADER_LEN].copy_from_slice(&id.0);
        Self {
            buffer,
            id,
            len: HEADER_LEN,
        }
    }

    /// An attribute whose length is a multiple of four.
    fn attribute<'b, A: Attribute<'b>>(&mut self, attribute: &A) {
        let len = attribute.value_len();
        self.attribute_header(A::TYPE, len);
        attribute.encode(&mut self.buffer[self.len..self.len + len], &self.id);
        self.len += len;
    }

    fn attribute_header(&mut self, ty: AttributeType, len: usize) {
        self.buffer[self.len..self.len + 2].copy_from_slice(&ty.0.to_be_bytes());
        self.buffer[self.len + 2..self.len + 4].copy_from_slice(&(len as u16).to_be_bytes());
        self.len += 4;
    }

    /// The header of DATA, for `len` bytes that follow.
    fn data(mut self, len: usize) -> usize {
        self.attribute_header(AttributeType::DATA, len);
        self.finish(len.next_multiple_of(4))
    }

    fn finish(self, following: usize) -> usize {
        let length = (self.len - HEADER_LEN + following) as u16;
        self.buffer[2..4].copy_from_slice(&length.to_be_bytes());
        self.len
    }
}
