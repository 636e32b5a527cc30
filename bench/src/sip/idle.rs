//! Memory of connections that wait.

use super::Bench;
use super::peers::{Job, wharf};
use crate::Failure;
use crate::figure::{Report, Table, number};
use crate::process::Pinned;
use crate::sockets::{Case, Subject, Transport, Work};

/// Connections of one server.
const CONNECTIONS: u32 = 15_000;
/// The same in a smoke run.
const FEW: u32 = 2000;
/// What a server reserves once is not counted: so many connections have been there before.
const WARM: u32 = 200;

/// Opens connections, lets each carry one request, and looks at the server's private memory.
pub(super) fn run(report: &mut Report, bench: &Bench<'_>) -> Result<(), Failure> {
    let connections = if bench.quick { FEW } else { CONNECTIONS };
    let mut table = Table::new(
        "idle: private memory of a connection",
        ["transport", "bytes", "connections"],
    );
    for transport in [Transport::Tcp, Transport::Tls, Transport::Ws] {
        let bytes = held(bench, transport, connections)?;
        report.figure(
            &format!("sip.idle.{}.memory", transport.word()),
            bytes,
            "bytes/connection",
        );
        let word = transport.word().to_owned();
        table.row([word, number(bytes), connections.to_string()]);
    }
    table.print();
    Ok(())
}

fn held(bench: &Bench<'_>, transport: Transport, connections: u32) -> Result<f64, Failure> {
    let job = Job {
        stream: Some(transport),
        next: None,
    };
    let server = wharf(job, None, bench)?;
    let (process, address) = (server.process, server.address.to_string());
    let case = |connections| Case {
        transport,
        work: Work::Sip,
        connections,
        size: 1,
        buffer: 1,
    };
    let ask = |process: Pinned, connections| -> Result<Subject, Failure> {
        let folder = &bench.folder.path;
        let case = case(connections);
        let mut subject = Subject::with(process, &address, case, bench.processors, folder)?;
        subject.round(bench.window, 0)?;
        Ok(subject)
    };
    let warm = ask(process, WARM)?;
    let before = warm.server.private_bytes()?;
    let all = ask(warm.server, connections)?;
    let after = all.server.private_bytes()?;
    #[expect(clippy::cast_precision_loss, reason = "a process has less than 2^52")]
    let grown = after.saturating_sub(before) as f64;
    Ok(grown / f64::from(connections))
}
