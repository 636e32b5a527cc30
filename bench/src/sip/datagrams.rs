//! The load over UDP: phones or trunks behind one socket, and the next hop of a forwarder.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use wharf_udp::{ReceiveBatch, SendBatch, Socket, SocketOptions};

use super::compare::{Count, Load};
use super::message::{Request, answered, forwarded};
use crate::Failure;
use crate::client::{BUFFER, Clients};

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Crowd {
    /// Thousands of phones, each with an address of its own: no two requests in a row are of the same one,
    /// so the kernel joins nothing.
    Phones,
    /// A few trunks, whose requests come sixteen in a row: as a network card's receive offload delivers
    /// them.
    Trunks,
}

impl Crowd {
    pub(super) const ALL: [Self; 2] = [Self::Phones, Self::Trunks];

    /// Its word in the names of figures.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Phones => "phones",
            Self::Trunks => "trunks",
        }
    }

    /// Who sends the request of this number.
    const fn sender(self, number: u64) -> u32 {
        match self {
            Self::Phones => (number % 5000) as u32,
            Self::Trunks => (number / 16 % 4) as u32,
        }
    }
}

/// Requests under way at once.
const UNDER_WAY: u64 = 256;
/// As many as are sent, and received, at once.
const BATCH: usize = 64;
/// What is not there by then is lost.
const PATIENCE: Duration = Duration::from_millis(200);

/// The number of the request that a message is the outcome of.
type Goal = fn(&[u8]) -> Option<u64>;

/// Those that ask, and who waits for what comes of it.
pub(super) struct Datagrams {
    crowd: Crowd,
    askers: Socket,
    /// The next hop of a forwarder: requests come there. Without it, answers come to the askers.
    next: Option<Socket>,
    request: Request,
    out: SendBatch,
    arena: ReceiveBatch,
    number: u64,
}

impl Datagrams {
    /// With a next hop, or without one.
    pub(super) fn new(crowd: Crowd, next: bool) -> Result<Self, Failure> {
        let bind = |ip, packet_info| {
            let options = SocketOptions {
                packet_info,
                gro: true,
                receive_buffer: Some(BUFFER),
                send_buffer: Some(BUFFER),
                ..SocketOptions::default()
            };
            let address = SocketAddr::from((ip, 0));
            Socket::bind(address, &options).map_err(|e| Failure::io(&"datagram client", e))
        };
        Ok(Self {
            crowd,
            askers: bind(Ipv4Addr::UNSPECIFIED, true)?,
            next: next.then(|| bind(Ipv4Addr::LOCALHOST, false)).transpose()?,
            request: Request::new("UDP", true),
            out: SendBatch::new(BATCH, BATCH),
            arena: ReceiveBatch::new(BATCH),
            number: 0,
        })
    }

    /// The address of the next hop.
    pub(super) fn next(&self) -> Option<SocketAddr> {
        self.next.as_ref().map(Socket::local_addr)
    }

    /// Sends as many requests, each from its sender.
    fn ask(&mut self, to: SocketAddr, count: u64) -> u64 {
        for _ in 0..count {
            self.number += 1;
            let sender = Clients::source(self.crowd.sender(self.number));
            let request = self.request.numbered(self.number);
            // There is room for a batch.
            let _ = self.out.push_bytes(to, Some(sender), 0, request);
        }
        self.out.flush(&self.askers, &ReceiveBatch::new(0)).sent
    }

    /// Takes what has come: how many of the requests after number `since` have reached their goal.
    fn take(&mut self, since: u64) -> Result<u64, Failure> {
        let (socket, number) = match &self.next {
            Some(next) => (next, forwarded as Goal),
            None => (&self.askers, answered as Goal),
        };
        let failed = |error| Failure::io(&"datagram client", error);
        let mut count = 0;
        if socket.receive(&mut self.arena, BATCH).map_err(failed)? > 0 {
            for slot in 0..self.arena.len() {
                let received = self.arena.get(slot);
                for range in received.segments() {
                    let message = &received.data[range];
                    let number = number(message).filter(|number| *number <= self.number);
                    let number = number.ok_or_else(|| {
                        let text = String::from_utf8_lossy(message);
                        Failure::Refused(format!("what came is none of the load's: {text}"))
                    })?;
                    count += u64::from(number > since);
                }
            }
            self.arena.clear();
        }
        Ok(count)
    }
}

impl Load for Datagrams {
    /// Never sleeps: no server pays for waking it.
    fn round(&mut self, to: SocketAddr, window: Duration) -> Result<Count, Failure> {
        let (since, begun) = (self.number, Instant::now());
        let (mut sent, mut done, mut lost, mut last) = (0, 0, 0, begun);
        loop {
            let now = Instant::now();
            let over = now - begun >= window;
            if over && sent == done + lost {
                return Ok(Count { sent, done });
            }
            let came = self.take(since)?;
            if came > 0 {
                done += came;
                last = now;
                // One that was given up has come after all.
                lost = lost.min(sent - done);
            } else if now - last >= PATIENCE {
                lost = sent - done;
                last = now;
            }
            while !over && sent - done - lost + BATCH as u64 <= UNDER_WAY {
                sent += self.ask(to, BATCH as u64);
            }
        }
    }
}
