//! Memory of connections that wait.

use super::Bench;
use super::options::{Side, Transport, Work};
use super::subject::{Case, Place, Subject, serve};
use crate::Failure;
use crate::figure::{Report, Table, number};

/// Connections of one server.
const CONNECTIONS: u32 = 15_000;
/// The same in a smoke run.
const FEW: u32 = 2000;
/// What the waiting function holds to read into; an application's own buffers are its own affair.
const BUFFER: u32 = 64;

/// Opens connections, lets each carry one request, and looks at the server's private memory.
pub(super) fn run(report: &mut Report, bench: &Bench<'_>) -> Result<(), Failure> {
    let connections = if bench.quick { FEW } else { CONNECTIONS };
    let mut table = Table::new(
        "idle: private memory of a connection",
        ["transport", "bare bytes", "wharf bytes", "connections"],
    );
    for &transport in &bench.options.transports {
        if matches!(transport, Transport::Unix | Transport::Quic) {
            continue;
        }
        let case = Case {
            transport,
            work: Work::Echo,
            connections,
            size: BUFFER,
            buffer: BUFFER,
        };
        let word = transport.word();
        let mut cells = Vec::new();
        for side in [Side::Bare, Side::Wharf] {
            let bytes = held(bench, side, case)?;
            let name = format!("sockets.idle.{word}.{}.memory", side.word());
            report.figure(&name, bytes, "bytes/connection");
            cells.push(number(bytes));
        }
        let wharf = cells.pop().unwrap_or_default();
        let bare = cells.pop().unwrap_or_default();
        table.row([word.to_owned(), bare, wharf, connections.to_string()]);
    }
    table.print();
    Ok(())
}

fn held(bench: &Bench<'_>, side: Side, case: Case) -> Result<f64, Failure> {
    let (processors, folder) = (bench.processors, bench.folder());
    let (server, address) = serve(side, case, None, Place::Server, processors, folder)?;
    let few = Case {
        connections: 200,
        ..case
    };
    // What a server reserves once is not counted.
    let mut warm = Subject::with(server.process, &address, few, processors, folder)?;
    warm.round(bench.window, 0)?;
    let before = warm.server.private_bytes()?;
    let mut all = Subject::with(warm.server, &address, case, processors, folder)?;
    all.round(bench.window, 0)?;
    let after = all.server.private_bytes()?;
    #[expect(clippy::cast_precision_loss, reason = "a process has less than 2^52")]
    let grown = after.saturating_sub(before) as f64;
    Ok(grown / f64::from(case.connections))
}
