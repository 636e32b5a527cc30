//! What one process hands to the next for those whom only the other knows: datagrams of clients, behind a header
//! that tells between whom they were sent.
//!
//! ```text
//!  0 version │ 1 TOS │ 2 client port │ 4 server port │ 6 client address (16) │ 22 server address (16) │ 38 payload
//! ```
//!
//! They go over two UDP sockets on loopback, connected to each other, so that workers read and write them in
//! batches like all others. What does not fit into the other's buffer is lost, as on any way.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::OwnedFd;

use wharf_turn::{ClientPath, Transport};
use wharf_udp::{
    Burst, Datagram, IcmpError, Outgoing, Socket, SocketKey, SocketOptions, Turn, Via,
};

use crate::worker::Worker;

/// Bytes before the payload.
const HEADER: usize = 38;
const VERSION: u8 = 1;

/// The worker's names for its ends: of the passage to its predecessor, and of the one to its successor.
pub(crate) const PREDECESSOR: SocketKey = SocketKey {
    index: 0,
    generation: 0,
};
pub(crate) const SUCCESSOR: SocketKey = SocketKey {
    index: 1,
    generation: 0,
};
/// Names before those of relays.
pub(crate) const RESERVED: u32 = 2;

/// One end, and where the other is.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) socket: Socket,
    pub(crate) other: SocketAddr,
}

impl End {
    /// Of a socket that is connected to the other end.
    pub(crate) fn adopt(fd: OwnedFd, receive_buffer: usize) -> io::Result<Self> {
        let socket = UdpSocket::from(fd);
        let other = socket.peer_addr()?;
        let options = SocketOptions {
            // Tells when the other process is gone.
            errors: true,
            receive_buffer: Some(receive_buffer),
            ..SocketOptions::default()
        };
        let socket = Socket::adopt(OwnedFd::from(socket), &options)?;
        Ok(Self { socket, other })
    }
}

/// Two sockets that take datagrams of each other only.
pub(crate) fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let bind = || UdpSocket::bind((Ipv4Addr::LOCALHOST, 0));
    let (one, other) = (bind()?, bind()?);
    one.connect(other.local_addr()?)?;
    other.connect(one.local_addr()?)?;
    Ok((one.into(), other.into()))
}

fn header(path: &ClientPath, tos: u8) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    header[..2].copy_from_slice(&[VERSION, tos]);
    header[2..4].copy_from_slice(&path.client.port().to_be_bytes());
    header[4..6].copy_from_slice(&path.server.port().to_be_bytes());
    header[6..22].copy_from_slice(&mapped(path.client.ip()));
    header[22..38].copy_from_slice(&mapped(path.server.ip()));
    header
}

/// Client, server and TOS of a datagram, and what the client sent.
fn open<'a>(datagram: &Datagram<'a>) -> Option<(SocketAddr, SocketAddr, Datagram<'a>)> {
    let header: &[u8; HEADER] = datagram.payload.first_chunk()?;
    if header[0] != VERSION {
        return None;
    }
    let port = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
    let ip = |at: usize| {
        let bytes: [u8; 16] = header[at..at + 16].try_into().ok()?;
        Some(Ipv6Addr::from(bytes).to_canonical())
    };
    let mut inner = datagram.behind(HEADER)?;
    inner.tos = header[1];
    let client = SocketAddr::new(ip(6)?, port(2));
    Some((client, SocketAddr::new(ip(22)?, port(4)), inner))
}

fn mapped(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
        IpAddr::V6(ip) => ip.octets(),
    }
}

/// Whether a datagram is of somebody who has an allocation: all but what begins one or needs none.
fn needs_allocation(payload: &[u8]) -> bool {
    // RFC 8656 §12.4: ChannelData; §18.1: Refresh, CreatePermission, ChannelBind, Send.
    matches!(
        payload,
        [0x40..=0x7f, ..] | [0, 0x04 | 0x08 | 0x09 | 0x16, ..]
    )
}

impl Worker {
    /// Hands a datagram to the predecessor, if it is of a client whose allocation may be there.
    pub(crate) fn hand_back(
        &mut self,
        turn: &mut Turn<'_>,
        path: &ClientPath,
        datagram: &Datagram<'_>,
    ) -> bool {
        self.predecessor.is_some()
            && needs_allocation(datagram.payload)
            && !self.core.knows(path)
            && self.hand_over(turn, path, datagram)
    }

    /// Hands a datagram to the predecessor. False if there is none.
    pub(crate) fn hand_over(
        &self,
        turn: &mut Turn<'_>,
        path: &ClientPath,
        datagram: &Datagram<'_>,
    ) -> bool {
        let Some(other) = self.predecessor else {
            return false;
        };
        let header = header(path, datagram.tos);
        let outgoing = Outgoing {
            header: &header,
            piece: Some(datagram.piece(0..datagram.payload.len())),
            ..Outgoing::to(other)
        };
        turn.send(Via::Own(PREDECESSOR), &outgoing)
    }

    /// Datagrams that the successor has read for clients of ours. Answers leave from the listening sockets.
    pub(crate) fn handle_handed_back(&mut self, turn: &mut Turn<'_>, burst: &Burst<'_>) {
        // What has come before the two ends were connected may be anybody's.
        if Some(burst.from()) != self.successor {
            return;
        }
        for datagram in burst.datagrams() {
            let Some((client, server, datagram)) = open(&datagram) else {
                continue;
            };
            let Some(listener) = listener_of(turn, server) else {
                continue;
            };
            let path = ClientPath {
                transport: Transport::Udp,
                client,
                server,
                listener,
            };
            // Whoever is not known here either may be known to our own predecessor.
            if !self.hand_back(turn, &path, &datagram) {
                self.handle_one(turn, &path, &datagram);
            }
        }
    }

    /// An ICMP error of a passage. An unreachable port (RFC 792; 3, 3) says that the other process has ended, and
    /// with it its allocations.
    pub(crate) fn passage_failed(
        &mut self,
        turn: &mut Turn<'_>,
        key: SocketKey,
        error: &IcmpError,
    ) {
        if (error.icmp_type, error.code) != (3, 3) {
            return;
        }
        drop(turn.remove(key));
        if key == PREDECESSOR {
            self.predecessor = None;
        } else {
            self.successor = None;
        }
    }

    /// From now on the successor hands datagrams back.
    pub(crate) fn add_successor(&mut self, turn: &mut Turn<'_>, end: End) {
        if turn.add(SUCCESSOR, end.socket).is_ok() {
            self.successor = Some(end.other);
        }
    }

    /// From now on datagrams of those whom only the predecessor knows are handed back.
    pub(crate) fn add_predecessor(&mut self, turn: &mut Turn<'_>, end: End) {
        if turn.add(PREDECESSOR, end.socket).is_ok() {
            self.predecessor = Some(end.other);
        }
    }
}

/// Which listening socket a datagram would have come through.
fn listener_of(turn: &Turn<'_>, server: SocketAddr) -> Option<u32> {
    let locals = (0..).map_while(|listener| turn.local_addr(Via::Listener(listener)));
    let fits = |local: SocketAddr| {
        let same_ip = local.ip() == server.ip()
            || local.ip().is_unspecified() && local.is_ipv4() == server.is_ipv4();
        same_ip && local.port() == server.port()
    };
    let mut locals = locals.enumerate();
    let (listener, _) = locals.find(|(_, local)| fits(*local))?;
    u32::try_from(listener).ok()
}
