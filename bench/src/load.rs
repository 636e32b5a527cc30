//! The load generator: paces datagrams of many flows through a server and checks each on arrival.
//!
//! It never sleeps: it polls its sockets while it waits for the next sending time. So no server
//! pays for waking it, and the latency measured is the server's.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::time::Duration;

use wharf_udp::{ReceiveBatch, SendBatch, Socket, SocketOptions};

use crate::Failure;
use crate::cli::{Kind, Shape};
use crate::client::{BUFFER, Clients};
use crate::floor::{CHANNEL_HEADER, channel_header};
use crate::histogram::Histogram;
use crate::payload::{Payload, Stamp};
use crate::process::now_ns;
use crate::server::Server;

/// Most datagrams that leave together when several are due.
const BATCH: usize = 32;
/// After the last sending, how long an arrival still counts as in time: less than a server's
/// buffers can hide, more than any healthy latency.
const GRACE_NS: u64 = 2_000_000;
/// How long nothing must arrive before a run is over.
const QUIET_NS: u64 = 20_000_000;

/// One flow through the server.
struct Lane {
    to: SocketAddr,
    from: Option<IpAddr>,
    /// Where it must come from: the relay, or the server.
    arrives_from: SocketAddr,
    /// Which client address it must arrive at; none at the peer.
    arrives_at: Option<IpAddr>,
}

/// A server with its flows set up.
pub(crate) struct Rig {
    /// The server under test.
    pub(crate) server: Server,
    clients: Clients,
    peer: Socket,
    arena: ReceiveBatch,
    out: SendBatch,
    lanes: Vec<Lane>,
    shape: Shape,
    payload: Payload,
    run: u32,
    next: usize,
}

/// What one run saw.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Datagrams sent.
    pub(crate) sent: u64,
    /// Datagrams that came out where they should, whole.
    pub(crate) delivered: u64,
    /// Those of them that came while sending, or shortly after.
    pub(crate) in_time: u64,
    /// Datagrams with a wrong flow, address, run or content.
    pub(crate) wrong: u64,
    /// Length of the sending window.
    pub(crate) window_ns: u64,
    /// Processor time of the server.
    pub(crate) cpu_ns: u64,
    /// One-way latency.
    pub(crate) latency: Histogram,
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts and times stay far below 2^52"
)]
impl Outcome {
    /// Share of the datagrams that did not arrive in time.
    pub(crate) fn loss(&self) -> f64 {
        1.0 - self.in_time as f64 / self.sent.max(1) as f64
    }

    /// Delivered datagrams a second.
    pub(crate) fn rate(&self) -> f64 {
        self.in_time as f64 * 1e9 / self.window_ns.max(1) as f64
    }

    /// Processor time of the server for a delivered datagram, in nanoseconds.
    pub(crate) fn cpu(&self) -> f64 {
        if self.delivered == 0 {
            f64::NAN
        } else {
            self.cpu_ns as f64 / self.delivered as f64
        }
    }
}

impl Rig {
    /// Sets up `flows` allocations (pairs of them for [`Shape::Across`]), each with a channel.
    pub(crate) fn new(
        mut server: Server,
        shape: Shape,
        flows: u32,
        payload: usize,
    ) -> Result<Self, Failure> {
        let mut clients = Clients::new(shape.burst() > 1)?;
        let options = SocketOptions {
            gro: shape.burst() > 1,
            receive_buffer: Some(BUFFER),
            send_buffer: Some(BUFFER),
            ..SocketOptions::default()
        };
        let peer = Socket::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), &options)
            .map_err(|e| Failure::io(&"peer socket", e))?;
        let count = if shape == Shape::Across {
            2 * flows
        } else {
            flows
        };
        let relays = match server.kind {
            Kind::Floor => floor_relays(&mut server, &clients, &peer, shape, count)?,
            Kind::Wharf | Kind::Coturn => {
                let allocations = clients.allocate(&server, 0..count)?;
                let far_end = |i: usize| match shape {
                    Shape::Across => allocations[i ^ 1].relay,
                    _ => peer.local_addr(),
                };
                clients.bind_channels(&server, &allocations, &far_end)?;
                allocations
                    .iter()
                    .map(|allocation| allocation.relay)
                    .collect()
            }
        };
        let lanes = (0..count)
            .zip(relays)
            .map(|(client, relay)| lane(shape, client, relay, server.address))
            .collect();
        Ok(Self {
            server,
            clients,
            peer,
            arena: ReceiveBatch::new(64),
            out: SendBatch::new(BATCH, BATCH),
            lanes,
            shape,
            payload: Payload::new(payload),
            run: 0,
            next: 0,
        })
    }

    /// Sends `rate` datagrams a second for `window`, round the flows, and collects what arrives.
    pub(crate) fn run(&mut self, rate: u32, window: Duration) -> Result<Outcome, Failure> {
        self.run_beside(rate, window, &mut || Ok(()))
    }

    /// As [`run`](Self::run), with something else to do between the datagrams.
    pub(crate) fn run_beside(
        &mut self,
        rate: u32,
        window: Duration,
        beside: &mut dyn FnMut() -> Result<(), Failure>,
    ) -> Result<Outcome, Failure> {
        self.run += 1;
        let mut outcome = Outcome::default();
        let window_ns = window.as_nanos() as u64;
        let cpu_before = self.server.process.cpu_ns()?;
        let start = now_ns();
        loop {
            let elapsed = now_ns() - start;
            if elapsed >= window_ns {
                outcome.window_ns = elapsed;
                break;
            }
            let due =
                (u128::from(elapsed) * u128::from(rate) / 1_000_000_000) as u64 - outcome.sent;
            let burst = self.shape.burst();
            let now = due.min(BATCH as u64) as usize / burst * burst;
            if now > 0 {
                self.send(now);
                outcome.sent += now as u64;
            }
            self.collect(&mut outcome, true)?;
            beside()?;
        }
        let mut last = now_ns();
        let end = last;
        while outcome.delivered < outcome.sent && now_ns() - last < QUIET_NS {
            if self.collect(&mut outcome, now_ns() - end < GRACE_NS)? {
                last = now_ns();
            }
        }
        outcome.cpu_ns = self.server.process.cpu_ns()? - cpu_before;
        Ok(outcome)
    }

    /// Sends this many datagrams, a burst of each flow in turn.
    fn send(&mut self, count: usize) {
        let Self {
            clients,
            peer,
            arena,
            out,
            lanes,
            payload,
            ..
        } = self;
        let burst = self.shape.burst();
        let from_clients = !matches!(self.shape, Shape::ToClient | Shape::BurstToClient);
        let socket = if from_clients {
            &clients.socket
        } else {
            &*peer
        };
        let mut datagram = [0; CHANNEL_HEADER + 1500];
        let header = if from_clients { CHANNEL_HEADER } else { 0 };
        let len = header + payload.len();
        datagram[..header].copy_from_slice(&channel_header(payload.len())[..header]);
        for sent in 0..count {
            let lane = &lanes[self.next];
            let stamp = Stamp {
                run: self.run,
                flow: self.next as u32,
                sent: now_ns(),
            };
            datagram[header..len].copy_from_slice(payload.stamped(stamp));
            // The batch has room for as many datagrams as are sent at a time.
            let _ = out.push_bytes(lane.to, lane.from, 0, &datagram[..len]);
            if (sent + 1) % burst == 0 {
                self.next = (self.next + 1) % lanes.len();
            }
            // Neighbours of one flow would leave as one segmented datagram.
            if burst == 1 && lanes.len() == 1 {
                out.flush(socket, arena);
            }
        }
        out.flush(socket, arena);
    }

    /// Takes what has arrived; tells whether anything had.
    fn collect(&mut self, outcome: &mut Outcome, in_time: bool) -> Result<bool, Failure> {
        let Self {
            clients,
            peer,
            arena,
            lanes,
            payload,
            ..
        } = self;
        let (socket, header) = match self.shape {
            Shape::ToPeer | Shape::BurstToPeer => (&*peer, 0),
            Shape::ToClient | Shape::BurstToClient | Shape::Across => {
                (&clients.socket, CHANNEL_HEADER)
            }
        };
        arena.clear();
        let received = socket
            .receive(arena, 64)
            .map_err(|e| Failure::io(&"generator's socket", e))?;
        let now = now_ns();
        let expected = channel_header(payload.len());
        for slot in 0..received {
            let datagram = arena.get(slot);
            for Range { start, end } in datagram.segments() {
                let bytes = &datagram.data[start..end];
                let right = bytes
                    .strip_prefix(&expected[..header])
                    .and_then(|content| payload.read(content).ok())
                    .filter(|stamp| stamp.run == self.run)
                    .filter(|stamp| {
                        lanes.get(stamp.flow as usize).is_some_and(|lane| {
                            lane.arrives_from == datagram.from && lane.arrives_at == datagram.local
                        })
                    });
                match right {
                    Some(stamp) => {
                        outcome.delivered += 1;
                        outcome.in_time += u64::from(in_time);
                        outcome.latency.record(now.saturating_sub(stamp.sent));
                    }
                    None => outcome.wrong += 1,
                }
            }
        }
        Ok(received > 0)
    }
}

fn lane(shape: Shape, client: u32, relay: SocketAddr, server: SocketAddr) -> Lane {
    let source = Some(Clients::source(client));
    match shape {
        Shape::ToPeer | Shape::BurstToPeer => Lane {
            to: server,
            from: source,
            arrives_from: relay,
            arrives_at: None,
        },
        Shape::ToClient | Shape::BurstToClient => Lane {
            to: relay,
            from: None,
            arrives_from: server,
            arrives_at: source,
        },
        Shape::Across => Lane {
            to: server,
            from: source,
            arrives_from: server,
            arrives_at: Some(Clients::source(client ^ 1)),
        },
    }
}

fn floor_relays(
    server: &mut Server,
    clients: &Clients,
    peer: &Socket,
    shape: Shape,
    count: u32,
) -> Result<Vec<SocketAddr>, Failure> {
    let relays = (0..count)
        .map(|number| {
            let client = clients.address(number);
            let command = match shape {
                Shape::Across => format!("across {client} {}", clients.address(number ^ 1)),
                _ => format!("flow {client} {}", peer.local_addr()),
            };
            server.floor_command(&command, "relay")
        })
        .collect::<Result<_, _>>()?;
    server.floor_go()?;
    Ok(relays)
}
