//! What an allocation costs: processor time to make it, memory to keep it.

use crate::Failure;
use crate::cli::{Kind, RelayOptions};
use crate::client::Clients;
use crate::figure::{Report, Table, median, number};
use crate::process::Processors;
use crate::series::ratio_of_rounds;
use crate::server::{Server, Unauthenticated};

/// Allocations before the first measurement, so that what a server reserves once is not counted.
const WARM_UP: u32 = 200;

struct Subject {
    server: Server,
    clients: Clients,
    made: u32,
    cpu: Vec<f64>,
    memory_before: u64,
    memory_after: u64,
}

/// Makes allocations in turns at each server that knows what an allocation is.
pub(crate) fn run(
    report: &mut Report,
    options: &RelayOptions,
    processors: Processors,
    quick: bool,
) -> Result<(), Failure> {
    let (rounds, each) = if quick { (2, 250) } else { (4, 1000) };
    let mut subjects = Vec::new();
    for &kind in options.servers.iter().filter(|&&kind| kind != Kind::Floor) {
        let server = Server::start(kind, processors, options, Unauthenticated::AnswerAll)?;
        let mut clients = Clients::new(false)?;
        clients.allocate(&server, 0..WARM_UP)?;
        let memory_before = server.process.private_bytes()?;
        subjects.push(Subject {
            server,
            clients,
            made: WARM_UP,
            cpu: Vec::new(),
            memory_before,
            memory_after: 0,
        });
    }
    for _ in 0..rounds {
        for subject in &mut subjects {
            let before = subject.server.process.cpu_ns()?;
            let end = subject.made + each;
            subject
                .clients
                .allocate(&subject.server, subject.made..end)?;
            subject.made = end;
            let spent = subject.server.process.cpu_ns()? - before;
            #[expect(clippy::cast_precision_loss, reason = "seconds at most")]
            subject.cpu.push(spent as f64 / f64::from(each));
            subject.memory_after = subject.server.process.private_bytes()?;
        }
    }
    tell(report, &subjects);
    Ok(())
}

fn tell(report: &mut Report, subjects: &[Subject]) {
    let mut table = Table::new(
        "an allocation: 401, success, relay socket",
        ["server", "cpu us", "bytes idle", "allocations"],
    );
    for subject in subjects {
        let word = subject.server.kind.word();
        let count = subject.made - WARM_UP;
        #[expect(
            clippy::cast_precision_loss,
            reason = "a process is smaller than 2^52 bytes"
        )]
        let bytes =
            subject.memory_after.saturating_sub(subject.memory_before) as f64 / f64::from(count);
        let cpu = median(&subject.cpu);
        report.figure(&format!("relay.allocate.{word}.cpu"), cpu, "ns/allocation");
        report.figure(
            &format!("relay.memory.{word}.idle"),
            bytes,
            "bytes/allocation",
        );
        table.row([
            word.to_owned(),
            number(cpu / 1e3),
            number(bytes),
            count.to_string(),
        ]);
    }
    let find = |kind| subjects.iter().find(|subject| subject.server.kind == kind);
    if let (Some(wharf), Some(coturn)) = (find(Kind::Wharf), find(Kind::Coturn)) {
        let ratio = ratio_of_rounds(&wharf.cpu, &coturn.cpu);
        report.figure("relay.allocate.wharf-to-coturn.cpu", ratio, "ratio");
    }
    table.print();
}
