//! The do-nothing relay: what a packet costs on these sockets before any protocol.
//!
//! It runs as a child of `relay` with the sockets a TURN server has: one that all clients send to
//! and one for each flow. For each packet it makes one hash look-up and moves the payload; it
//! parses, checks and times nothing. ChannelData headers are removed and added at fixed offsets,
//! so that as many bytes are copied as in a TURN server.
//!
//! Its parent talks to it over the standard streams, one line a command, one line an answer:
//! nothing → `listening ADDRESS`; `flow CLIENT PEER` → `relay ADDRESS`; `across CLIENT CLIENT` →
//! `relay ADDRESS` (of the listener); `go` → `running`. It ends when its input ends.

use std::collections::HashMap;
use std::io::{self, BufRead, Write};
use std::net::{Ipv4Addr, SocketAddr};

use foldhash::fast::FixedState;
use wharf_udp::{Events, Poller, ReceiveBatch, SendBatch, Socket, SocketOptions};

use crate::Failure;
use crate::client::BUFFER;

/// ChannelData header: number and length (RFC 8656 section 12.4).
pub(crate) const CHANNEL_HEADER: usize = 4;
/// The one channel that each flow has bound.
pub(crate) const CHANNEL: u16 = 0x4000;
/// Datagrams taken from one socket before the next one has its turn; 64 is where `recvmmsg` has no
/// more to gain on loopback.
const BATCH: usize = 64;

const LISTENER: u64 = 0;
const INPUT: u64 = 1;
const FIRST_RELAY: u64 = 2;

type Table<V> = HashMap<u64, V, FixedState>;

/// Where a client's datagrams go.
enum Onward {
    /// Out of the relay socket of this index to the peer, header removed.
    Peer { relay: usize, peer: SocketAddr },
    /// Out of the listener to another client, header replaced.
    Client(SocketAddr),
}

struct Floor {
    listener: Socket,
    relays: Vec<Socket>,
    onward: Table<Onward>,
    back: Table<SocketAddr>,
    arena: ReceiveBatch,
    out: SendBatch,
}

/// Runs until the standard input ends.
pub(crate) fn run() -> Result<(), Failure> {
    let failed = |e| Failure::io(&"floor", e);
    let options = SocketOptions {
        gro: true,
        receive_buffer: Some(BUFFER),
        ..SocketOptions::default()
    };
    let listener =
        Socket::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), &options).map_err(failed)?;
    let mut floor = Floor {
        listener,
        relays: Vec::new(),
        onward: Table::default(),
        back: Table::default(),
        arena: ReceiveBatch::new(BATCH),
        out: SendBatch::new(BATCH, BATCH * 16),
    };
    floor.set_up(&options).map_err(failed)?;
    floor.forward().map_err(failed)
}

/// One word for an IPv4 address and port; the floor serves IPv4 only.
fn key(address: SocketAddr) -> u64 {
    match address {
        SocketAddr::V4(v4) => u64::from(v4.ip().to_bits()) << 16 | u64::from(v4.port()),
        SocketAddr::V6(_) => 0,
    }
}

/// A peer's key on one relay socket: indices stay below 2^16.
fn key_on(relay: usize, peer: SocketAddr) -> u64 {
    (relay as u64) << 48 | key(peer)
}

/// The ChannelData header for a payload.
pub(crate) fn channel_header(len: usize) -> [u8; CHANNEL_HEADER] {
    let ([a, b], [c, d]) = (CHANNEL.to_be_bytes(), (len as u16).to_be_bytes());
    [a, b, c, d]
}

impl Floor {
    fn set_up(&mut self, options: &SocketOptions) -> io::Result<()> {
        let mut output = io::stdout().lock();
        writeln!(output, "listening {}", self.listener.local_addr())?;
        output.flush()?;
        for line in io::stdin().lock().lines() {
            let line = line?;
            let words: Vec<&str> = line.split(' ').collect();
            match words[..] {
                ["flow", client, peer] => {
                    let (client, peer) = (address(client)?, address(peer)?);
                    let relay = Socket::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), options)?;
                    writeln!(output, "relay {}", relay.local_addr())?;
                    let index = self.relays.len();
                    self.relays.push(relay);
                    self.onward
                        .insert(key(client), Onward::Peer { relay: index, peer });
                    self.back.insert(key_on(index, peer), client);
                }
                ["across", client, other] => {
                    self.onward
                        .insert(key(address(client)?), Onward::Client(address(other)?));
                    writeln!(output, "relay {}", self.listener.local_addr())?;
                }
                ["go"] => {
                    writeln!(output, "running")?;
                    return output.flush();
                }
                _ => return Err(io::Error::new(io::ErrorKind::InvalidInput, line)),
            }
            output.flush()?;
        }
        Ok(())
    }

    fn forward(&mut self) -> io::Result<()> {
        let poller = Poller::new()?;
        poller.add(&self.listener, LISTENER)?;
        let input = io::stdin();
        poller.add(&input, INPUT)?;
        for (relay, token) in self.relays.iter().zip(FIRST_RELAY..) {
            poller.add(relay, token)?;
        }
        let mut events = Events::new(BATCH);
        loop {
            poller.wait(&mut events, None)?;
            for event in events.iter() {
                match event.token {
                    LISTENER => self.serve_clients()?,
                    INPUT => return Ok(()),
                    relay => self.serve_peers((relay - FIRST_RELAY) as usize)?,
                }
            }
        }
    }

    fn serve_clients(&mut self) -> io::Result<()> {
        let Self {
            listener,
            relays,
            onward,
            arena,
            out,
            ..
        } = self;
        arena.clear();
        let received = listener.receive(arena, BATCH)?;
        let mut leaving: &Socket = listener;
        for slot in 0..received {
            let datagram = arena.get(slot);
            for segment in datagram.segments() {
                let payload = segment.start + CHANNEL_HEADER..segment.end;
                if payload.is_empty() {
                    continue;
                }
                let (socket, to, header) = match onward.get(&key(datagram.from)) {
                    Some(Onward::Peer { relay, peer }) => (&relays[*relay], *peer, None),
                    Some(Onward::Client(other)) => {
                        (&*listener, *other, Some(channel_header(payload.len())))
                    }
                    None => continue,
                };
                if !std::ptr::eq(socket, leaving) {
                    out.flush(leaving, arena);
                    leaving = socket;
                }
                stage(
                    out,
                    leaving,
                    arena,
                    to,
                    header.as_ref().map_or(&[], |h| &h[..]),
                    slot,
                    payload,
                );
            }
        }
        out.flush(leaving, arena);
        Ok(())
    }

    fn serve_peers(&mut self, relay: usize) -> io::Result<()> {
        let Self {
            listener,
            relays,
            back,
            arena,
            out,
            ..
        } = self;
        arena.clear();
        let received = relays[relay].receive(arena, BATCH)?;
        for slot in 0..received {
            let datagram = arena.get(slot);
            for payload in datagram.segments() {
                if let Some(client) = back.get(&key_on(relay, datagram.from)) {
                    let header = channel_header(payload.len());
                    stage(out, listener, arena, *client, &header, slot, payload);
                }
            }
        }
        out.flush(listener, arena);
        Ok(())
    }
}

/// Stages one datagram; a full batch leaves first.
fn stage(
    out: &mut SendBatch,
    socket: &Socket,
    arena: &ReceiveBatch,
    to: SocketAddr,
    header: &[u8],
    slot: usize,
    payload: std::ops::Range<usize>,
) {
    if out
        .push(to, None, 0, header, Some((slot, payload.clone())), 0)
        .is_err()
    {
        out.flush(socket, arena);
        // An empty batch has room for one datagram.
        let _ = out.push(to, None, 0, header, Some((slot, payload)), 0);
    }
}

fn address(text: &str) -> io::Result<SocketAddr> {
    text.parse()
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_tell_flows_apart() {
        let a: SocketAddr = "127.0.0.1:4000".parse().expect("legal");
        let b: SocketAddr = "127.0.0.1:4001".parse().expect("legal");
        assert_ne!(key(a), key(b));
        assert_ne!(key_on(1, a), key_on(2, a));
        assert_eq!(key_on(0, a), key(a));
    }

    #[test]
    fn the_header_is_channel_and_length() {
        assert_eq!(channel_header(172), [0x40, 0, 0, 172]);
    }

    #[test]
    fn words_that_are_no_address_are_refused() {
        assert!(address("127.0.0.1").is_err());
        assert!(address("127.0.0.1:1").is_ok());
    }
}
