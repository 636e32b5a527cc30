//! Work for each processor second: Wharf beside bare tokio, in turns.

use super::Bench;
use super::options::{Side, Transport, Work};
use super::subject::{Case, Subject};
use crate::Failure;
use crate::figure::{Report, Table, median, number};
use crate::series::ratio_of_rounds;

/// Bytes of one request of `bulk`.
const BULK: u32 = 1 << 20;
/// What a function of `bulk` reads at once.
const BULK_BUFFER: u32 = 64 << 10;
/// Connections of QUIC that `echo` makes at most.
const MANY_OF_QUIC: u32 = 100;
/// Connections of `accept` that are under way at once.
const COMING: u32 = 32;

const HEADS: [&str; 5] = ["case", "bare us", "wharf us", "wharf/s", "wharf to bare"];

/// Requests and answers, by transport, size and number of connections.
pub(super) fn echo(report: &mut Report, bench: &Bench<'_>) -> Result<(), Failure> {
    for &transport in &bench.options.transports {
        let title = format!("echo over {}: cost of a request", transport.word());
        let mut table = Table::new(&title, HEADS);
        for &connections in &bench.options.connections {
            // More handshakes of QUIC than a run has time for.
            if transport == Transport::Quic && connections > MANY_OF_QUIC {
                continue;
            }
            for &size in &bench.options.sizes {
                let case = Case {
                    transport,
                    work: Work::Echo,
                    connections,
                    size,
                    buffer: size,
                };
                let name = format!("sockets.echo.{}.{size}.{connections}", transport.word());
                measure(report, bench, &mut table, &name, case)?;
            }
        }
        table.print();
    }
    Ok(())
}

/// A mebibyte there and back at once, on one connection.
pub(super) fn bulk(report: &mut Report, bench: &Bench<'_>) -> Result<(), Failure> {
    let mut table = Table::new("bulk: cost of a mebibyte each way", HEADS);
    for &transport in &bench.options.transports {
        // A WebSocket carries messages, and `echo` has its largest.
        if transport == Transport::Ws {
            continue;
        }
        let case = Case {
            transport,
            work: Work::Bulk,
            connections: 1,
            size: BULK,
            buffer: BULK_BUFFER,
        };
        let name = format!("sockets.bulk.{}", transport.word());
        measure(report, bench, &mut table, &name, case)?;
    }
    table.print();
    Ok(())
}

/// Connections that the server ends at once.
pub(super) fn accept(report: &mut Report, bench: &Bench<'_>) -> Result<(), Failure> {
    let mut table = Table::new("accept: cost of a connection", HEADS);
    let case = Case {
        transport: Transport::Tcp,
        work: Work::Accept,
        connections: COMING,
        size: 1,
        buffer: 1,
    };
    measure(report, bench, &mut table, "sockets.accept.tcp", case)?;
    table.print();
    Ok(())
}

fn measure(
    report: &mut Report,
    bench: &Bench<'_>,
    table: &mut Table,
    name: &str,
    case: Case,
) -> Result<(), Failure> {
    let start = |side| Subject::start(side, case, None, bench.processors, bench.folder());
    let mut sides = [start(Side::Bare)?, start(Side::Wharf)?];
    for subject in &mut sides {
        subject.round(bench.window, 0)?;
        subject.forget();
    }
    for round in 0..bench.rounds {
        // Who begins changes, so that a drift hits both.
        let (first, second) = (round % 2, 1 - round % 2);
        sides[first].round(bench.window, 0)?;
        sides[second].round(bench.window, 0)?;
    }
    let [bare, wharf] = &sides;
    let cost = [median(&bare.costs), median(&wharf.costs)];
    // Work for each second is the inverse of its cost.
    let ratio = ratio_of_rounds(&bare.costs, &wharf.costs);
    report.figure(&format!("{name}.bare.cpu"), cost[0], "ns");
    report.figure(&format!("{name}.wharf.cpu"), cost[1], "ns");
    report.figure(&format!("{name}.wharf-to-bare"), ratio, "ratio");
    table.row([
        name.to_owned(),
        number(cost[0] / 1e3),
        number(cost[1] / 1e3),
        number(median(&wharf.rates)),
        number(ratio),
    ]);
    Ok(())
}
