//! Echo of datagrams: a batch handler of Wharf, beside a loop on the same system calls that does nothing
//! else, and beside a loop of tokio that takes one datagram at a time.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant};

use wharf_udp::{ReceiveBatch, SendBatch, Socket, SocketOptions};

use super::Bench;
use super::options::DatagramSide;
use super::subject::{Child, Place};
use crate::Failure;
use crate::client::BUFFER;
use crate::figure::{Report, Table, median, number};
use crate::series::ratio_of_rounds;

/// What is sent: how many bytes, how many datagrams of one client under way, and whether they are cut from
/// one message and joined by the kernel (GSO, GRO) on the client's side.
struct Shape {
    name: &'static str,
    size: usize,
    clients: usize,
    under_way: usize,
}

const SHAPES: [Shape; 2] = [
    // Many clients, so that nothing is joined.
    Shape {
        name: "echo",
        size: 172,
        clients: 64,
        under_way: 1,
    },
    // As many as one message may be cut into.
    Shape {
        name: "bulk",
        size: 1200,
        clients: 1,
        under_way: 2 * 54,
    },
];

const SIDES: [DatagramSide; 3] = [
    DatagramSide::Floor,
    DatagramSide::Wharf,
    DatagramSide::Tokio,
];

/// Answers that are not there by then are lost.
const PATIENCE: Duration = Duration::from_millis(20);

/// A server and what was measured of it.
struct Subject {
    child: Child,
    address: SocketAddr,
    costs: Vec<f64>,
    rates: Vec<f64>,
    sent: u64,
    answered: u64,
}

/// Datagrams there and back.
pub(super) fn run(report: &mut Report, bench: &Bench<'_>) -> Result<(), Failure> {
    let heads = [
        "case",
        "cpu ns",
        "answers/s",
        "lost",
        "kernel drops",
        "to floor",
        "to tokio",
    ];
    let mut table = Table::new("datagrams: cost of an answer", heads);
    for shape in &SHAPES {
        let mut subjects = Vec::new();
        for side in SIDES {
            subjects.push(start(side, bench)?);
        }
        for subject in &mut subjects {
            round(subject, shape, bench.window)?;
            (subject.costs, subject.rates) = (Vec::new(), Vec::new());
        }
        for turn in 0..bench.rounds {
            for place in 0..subjects.len() {
                // Who begins changes, so that a drift hits all.
                let next = (turn + place) % subjects.len();
                round(&mut subjects[next], shape, bench.window)?;
            }
        }
        let (floor, tokio) = (&subjects[0].costs, &subjects[2].costs);
        for (side, subject) in SIDES.iter().zip(&subjects) {
            let name = format!("sockets.datagrams.{}.{}", shape.name, side.word());
            let (cost, lost) = (median(&subject.costs), subject.sent - subject.answered);
            let to_floor = ratio_of_rounds(&subject.costs, floor);
            // Work for each processor second is the inverse of its cost.
            let to_tokio = ratio_of_rounds(tokio, &subject.costs);
            #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
            let (lost, drops) = (lost as f64, drops_at(subject.address.port())? as f64);
            report.figure(&format!("{name}.cpu"), cost, "ns/datagram");
            report.figure(&format!("{name}.lost"), lost, "datagrams");
            report.figure(&format!("{name}.kernel-drops"), drops, "datagrams");
            report.figure(&format!("{name}-to-floor.cpu"), to_floor, "ratio");
            report.figure(&format!("{name}-to-tokio"), to_tokio, "ratio");
            let rate = median(&subject.rates);
            let numbers = [cost, rate, lost, drops, to_floor, to_tokio].map(number);
            let [cost, rate, lost, drops, to_floor, to_tokio] = numbers;
            table.row([name, cost, rate, lost, drops, to_floor, to_tokio]);
        }
    }
    table.print();
    Ok(())
}

/// A server of datagrams, and where it listens.
pub(super) fn serve(side: DatagramSide, bench: &Bench<'_>) -> Result<(Child, String), Failure> {
    let arguments = [
        "datagram-server".to_owned(),
        format!("--side={}", side.word()),
        format!("--folder={}", bench.folder().display()),
    ];
    let mut child = Child::start(side.word(), Place::Server, bench.processors, &arguments)?;
    let address = child.line("listening")?;
    Ok((child, address))
}

fn start(side: DatagramSide, bench: &Bench<'_>) -> Result<Subject, Failure> {
    let (child, address) = serve(side, bench)?;
    let address = address.parse().map_err(|_| Failure::Server {
        server: side.word(),
        detail: format!("listens on {address:?}"),
    })?;
    Ok(Subject {
        child,
        address,
        costs: Vec::new(),
        rates: Vec::new(),
        sent: 0,
        answered: 0,
    })
}

/// One client: a socket and what it waits for.
struct Client {
    socket: Socket,
    under_way: usize,
}

/// Keeps the clients' datagrams under way for so long, and never sleeps: no server pays for waking it.
fn round(subject: &mut Subject, shape: &Shape, window: Duration) -> Result<(), Failure> {
    let failed = |error| Failure::io(&"datagram client", error);
    let options = SocketOptions {
        gro: true,
        receive_buffer: Some(BUFFER),
        ..SocketOptions::default()
    };
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let mut clients = (0..shape.clients)
        .map(|_| {
            let socket = Socket::bind(any, &options).map_err(failed)?;
            Ok(Client {
                socket,
                under_way: 0,
            })
        })
        .collect::<Result<Vec<_>, Failure>>()?;
    let mut out = SendBatch::new(64, 256);
    let (mut arena, none) = (ReceiveBatch::new(64), ReceiveBatch::new(0));
    let payload = vec![0xA5; shape.size];
    let (cpu, begun) = (subject.child.process.cpu_ns()?, Instant::now());
    let (mut sent, mut answered, mut last) = (0, 0_u64, begun);
    loop {
        let now = Instant::now();
        let over = now - begun >= window;
        if over && (answered == sent || now - last >= PATIENCE) {
            break;
        }
        if now - last >= PATIENCE {
            // What was under way is lost; the rest of the window is not to be wasted.
            for client in &mut clients {
                client.under_way = 0;
            }
            last = now;
        }
        for client in &mut clients {
            // Half of what may be under way at once: as many as one message is cut into.
            while !over && client.under_way <= shape.under_way / 2 {
                let burst = shape.under_way.div_ceil(2);
                for _ in 0..burst {
                    let _ = out.push_bytes(subject.address, None, 0, &payload);
                }
                client.under_way += burst;
                sent += out.flush(&client.socket, &none).sent;
            }
            if client.socket.receive(&mut arena, 64).map_err(failed)? == 0 {
                continue;
            }
            for slot in 0..arena.len() {
                let received = arena.get(slot);
                if received.segment != shape.size || received.data.iter().any(|b| *b != 0xA5) {
                    return Err(Failure::Refused("a wrong answer".to_owned()));
                }
                let count = received.segments().len();
                client.under_way = client.under_way.saturating_sub(count);
                answered += count as u64;
            }
            arena.clear();
            last = now;
        }
    }
    let (cpu, took) = (subject.child.process.cpu_ns()? - cpu, begun.elapsed());
    #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
    let (cost, rate) = (
        cpu as f64 / answered.max(1) as f64,
        answered as f64 / took.as_secs_f64(),
    );
    subject.costs.push(cost);
    subject.rates.push(rate);
    subject.sent += sent;
    subject.answered += answered.min(sent);
    Ok(())
}

/// What the kernel discarded at the sockets of a port, as `/proc/net/udp` says in its last column.
fn drops_at(port: u16) -> Result<u64, Failure> {
    let path = Path::new("/proc/net/udp");
    let text = fs::read_to_string(path).map_err(|e| Failure::io(&path.display(), e))?;
    Ok(sum_drops(&text, port))
}

fn sum_drops(table: &str, port: u16) -> u64 {
    let port = format!(":{port:04X}");
    table
        .lines()
        .filter_map(|line| {
            let columns: Vec<_> = line.split_whitespace().collect();
            columns.get(1)?.ends_with(&port).then_some(())?;
            columns.last()?.parse::<u64>().ok()
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drops_are_those_of_the_port() {
        let table = "  sl  local_address rem_address   st drops\n\
                     1: 0100007F:1F90 00000000:0000 07 7\n\
                     2: 0100007F:1F91 00000000:1F90 07 9\n";
        assert_eq!((sum_drops(table, 8080), sum_drops(table, 8082)), (7, 0));
    }
}
