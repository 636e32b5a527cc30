//! A flood of unauthenticated requests from as many sources, beside one legitimate client.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use wharf_stun::attribute::RequestedTransport;
use wharf_stun::{Class, MessageType, Method, TransactionId, Writer};
use wharf_udp::{ReceiveBatch, SendBatch, Socket, SocketOptions};

use crate::Failure;
use crate::cli::{Kind, RelayOptions, Shape};
use crate::figure::{Report, Table, median, number};
use crate::load::{Outcome, Rig};
use crate::process::{Processors, now_ns};
use crate::server::{Server, Unauthenticated};

/// Datagrams a second of the legitimate client.
const CLIENT_RATE: u32 = 2_000;
/// Requests a second of the flood.
const FLOOD_RATE: u64 = 100_000;
/// Requests that leave together: few, so that the generator itself delays the client little.
const BATCH: u64 = 8;
/// Sockets of the flood: each adds a port to all its addresses.
const PORTS: usize = 16;
/// Rounds without and with the flood.
const ROUNDS: u64 = 5;

/// Sends the requests, each from a source of its own.
struct Flood {
    sockets: Vec<Socket>,
    target: SocketAddr,
    arena: ReceiveBatch,
    out: SendBatch,
    sent: u64,
}

impl Flood {
    fn new(target: SocketAddr) -> Result<Self, Failure> {
        // Nobody reads the answers: a small buffer fills and the kernel drops the rest.
        let options = SocketOptions {
            receive_buffer: Some(4096),
            ..SocketOptions::default()
        };
        let any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        let sockets = (0..PORTS)
            .map(|_| Socket::bind(any, &options))
            .collect::<Result<_, _>>()
            .map_err(|e| Failure::io(&"flood's socket", e))?;
        Ok(Self {
            sockets,
            target,
            arena: ReceiveBatch::new(1),
            out: SendBatch::new(BATCH as usize, BATCH as usize),
            sent: 0,
        })
    }

    /// Source number `number`: the address changes with each request, the port with each 2^22 of
    /// them, so that no two requests of a flood of up to 2^26 share a source.
    fn source(number: u64) -> (usize, IpAddr) {
        let [_, a, b, c] = ((number & 0x003f_ffff) as u32 | 0x0040_0000).to_be_bytes();
        (
            (number >> 22) as usize % PORTS,
            IpAddr::V4(Ipv4Addr::new(127, a, b, c)),
        )
    }

    fn send_batch(&mut self) -> Result<(), Failure> {
        let ty = MessageType {
            method: Method::ALLOCATE,
            class: Class::Request,
        };
        let mut socket = 0;
        for _ in 0..BATCH {
            let mut id = [0; 12];
            id[..8].copy_from_slice(&self.sent.to_be_bytes());
            let mut buffer = [0; 64];
            let mut writer = Writer::new(&mut buffer, ty, TransactionId(id))
                .map_err(|e| Failure::refused("flood", &e))?;
            writer
                .push(&RequestedTransport(17))
                .map_err(|e| Failure::refused("flood", &e))?;
            let (port, source) = Self::source(self.sent);
            socket = port;
            // The batch has room for exactly these.
            let _ = self
                .out
                .push_bytes(self.target, Some(source), 0, writer.finish());
            self.sent += 1;
        }
        self.out.flush(&self.sockets[socket], &self.arena);
        Ok(())
    }
}

/// Measures the client alone and under the flood, in turns, and the server's memory before and
/// after. Only servers that keep no state for strangers are asked to stand it.
pub(crate) fn run(
    report: &mut Report,
    options: &RelayOptions,
    processors: Processors,
    quick: bool,
) -> Result<(), Failure> {
    if !options.servers.contains(&Kind::Wharf) {
        return Ok(());
    }
    let total: u64 = if quick { 100_000 } else { 1_000_000 };
    let server = Server::start(Kind::Wharf, processors, options, Unauthenticated::Default)?;
    let target = server.address;
    let mut rig = Rig::new(server, Shape::ToPeer, 1, usize::from(options.payload))?;
    let window = Duration::from_nanos(total * 1_000_000_000 / FLOOD_RATE / ROUNDS);
    let mut flood = Flood::new(target)?;
    rig.run(CLIENT_RATE, window / 2)?;
    let before = rig.server.process.private_bytes()?;
    let (mut alone, mut flooded) = (Vec::new(), Vec::new());
    let (mut sent, mut delivered) = (0, 0);
    for _ in 0..ROUNDS {
        alone.push(p99(&rig.run(CLIENT_RATE, window)?));
        let start = now_ns();
        let first = flood.sent;
        let outcome = rig.run_beside(CLIENT_RATE, window, &mut || {
            let due = (now_ns() - start) * FLOOD_RATE / 1_000_000_000;
            if first + due >= flood.sent + BATCH {
                flood.send_batch()
            } else {
                Ok(())
            }
        })?;
        flooded.push(p99(&outcome));
        sent += outcome.sent;
        delivered += outcome.delivered;
    }
    let after = rig.server.process.private_bytes()?;
    let (alone, flooded) = (median(&alone), median(&flooded));
    #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
    let (requests, grown, loss) = (
        flood.sent as f64,
        after as f64 - before as f64,
        100.0 * (1.0 - delivered as f64 / sent as f64),
    );
    report.figure("relay.flood.wharf.requests", requests, "packets");
    report.figure("relay.flood.wharf.memory", grown, "bytes");
    report.figure("relay.flood.wharf.p99-alone", alone / 1e3, "us");
    report.figure("relay.flood.wharf.p99-flooded", flooded / 1e3, "us");
    report.figure("relay.flood.wharf.p99", flooded / alone, "ratio");
    report.figure("relay.flood.wharf.lost", loss, "%");
    let mut table = Table::new(
        "one client beside a flood of unauthenticated requests",
        [
            "server",
            "requests",
            "memory grown",
            "p99 us alone",
            "p99 us flooded",
            "lost %",
        ],
    );
    table.row([
        Kind::Wharf.word().to_owned(),
        number(requests),
        number(grown),
        number(alone / 1e3),
        number(flooded / 1e3),
        number(loss),
    ]);
    table.print();
    Ok(())
}

fn p99(outcome: &Outcome) -> f64 {
    outcome.latency.quantile(0.99)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_two_requests_share_a_source() {
        let numbers = (0..100_000).chain((1 << 22) - 5..(1 << 22) + 100_000);
        let sources: HashSet<_> = numbers.clone().map(Flood::source).collect();
        assert_eq!(sources.len(), numbers.count());
        assert!(
            sources
                .iter()
                .all(|(port, address)| *port < PORTS && address.is_loopback())
        );
        assert!(!sources.contains(&(0, IpAddr::V4(Ipv4Addr::LOCALHOST))));
    }
}
