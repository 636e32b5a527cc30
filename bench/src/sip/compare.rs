//! Messages for each processor second: Wharf beside kamailio and rvoip-sip-transport, in turns.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::Bench;
use super::datagrams::{Crowd, Datagrams};
use super::peers::{Job, Memory, Server, kamailio, rvoip, wharf};
use super::streams::Streams;
use crate::Failure;
use crate::figure::{Report, Table, median, number};
use crate::series::ratio_of_rounds;
use crate::sockets::Transport;

/// What came of a round.
#[derive(Debug, Clone, Copy)]
pub(super) struct Count {
    pub(super) sent: u64,
    pub(super) done: u64,
}

/// What asks a server.
pub(super) trait Load {
    /// Asks for so long, and waits for what is under way then.
    fn round(&mut self, to: SocketAddr, window: Duration) -> Result<Count, Failure>;
}

/// A server, its load, and what was measured of the two.
struct Subject {
    server: Server,
    load: Box<dyn Load>,
    /// Processor time for each message, in nanoseconds, by round.
    costs: Vec<f64>,
    /// Messages a second, by round.
    rates: Vec<f64>,
    lost: u64,
}

const HEADS: [&str; 5] = ["server", "cpu ns", "messages/s", "lost", "wharf to it"];

/// OPTIONS answered over UDP.
pub(super) fn udp(report: &mut Report, bench: &Bench<'_>) -> Result<(), Failure> {
    for crowd in Crowd::ALL {
        let servers = answering(None, bench)?;
        let subjects = servers.into_iter().map(|server| {
            let load = Datagrams::new(crowd, false)?;
            Ok(Subject::new(server, Box::new(load)))
        });
        let subjects = subjects.collect::<Result<_, Failure>>()?;
        measure(
            report,
            bench,
            &format!("sip.udp.{}", crowd.word()),
            subjects,
        )?;
    }
    Ok(())
}

/// OPTIONS answered over TCP, on one connection and on a hundred.
pub(super) fn tcp(report: &mut Report, bench: &Bench<'_>) -> Result<(), Failure> {
    for connections in [1, 100] {
        let servers = answering(Some(Transport::Tcp), bench)?;
        let subjects = servers
            .into_iter()
            .map(|server| Subject::new(server, Box::new(Streams::new(connections))));
        let subjects = subjects.collect();
        measure(report, bench, &format!("sip.tcp.{connections}"), subjects)?;
    }
    Ok(())
}

/// All that answer: Wharf first.
fn answering(stream: Option<Transport>, bench: &Bench<'_>) -> Result<Vec<Server>, Failure> {
    let job = Job { stream, next: None };
    let mut servers = vec![wharf(job, None, bench)?];
    for memory in Memory::ALL {
        servers.push(kamailio(job, memory, bench)?);
    }
    servers.extend(rvoip(job, bench)?);
    Ok(servers)
}

/// OPTIONS forwarded over UDP to a next hop that counts.
pub(super) fn forward(report: &mut Report, bench: &Bench<'_>) -> Result<(), Failure> {
    for crowd in Crowd::ALL {
        let mut subjects = Vec::new();
        for memory in [None, Some(Memory::Shipped), Some(Memory::Fast)] {
            let load = Datagrams::new(crowd, true)?;
            let job = Job {
                stream: None,
                next: load.next(),
            };
            let server = match memory {
                None => wharf(job, None, bench)?,
                Some(memory) => kamailio(job, memory, bench)?,
            };
            subjects.push(Subject::new(server, Box::new(load)));
        }
        measure(
            report,
            bench,
            &format!("sip.forward.{}", crowd.word()),
            subjects,
        )?;
    }
    Ok(())
}

impl Subject {
    fn new(server: Server, load: Box<dyn Load>) -> Self {
        Self {
            server,
            load,
            costs: Vec::new(),
            rates: Vec::new(),
            lost: 0,
        }
    }

    fn round(&mut self, window: Duration) -> Result<(), Failure> {
        let (cpu, begun) = (self.server.process.cpu_ns()?, Instant::now());
        let count = self.load.round(self.server.address, window)?;
        let (cpu, took) = (self.server.process.cpu_ns()? - cpu, begun.elapsed());
        #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
        let (cpu, done) = (cpu as f64, count.done as f64);
        self.costs.push(cpu / done);
        self.rates.push(done / took.as_secs_f64());
        self.lost += count.sent - count.done;
        Ok(())
    }
}

/// The first of them is Wharf.
fn measure(
    report: &mut Report,
    bench: &Bench<'_>,
    name: &str,
    mut subjects: Vec<Subject>,
) -> Result<(), Failure> {
    for subject in &mut subjects {
        subject.round(bench.window)?;
        (subject.costs, subject.rates) = (Vec::new(), Vec::new());
    }
    for turn in 0..bench.rounds {
        for place in 0..subjects.len() {
            // Who begins changes, so that a drift hits all.
            let next = (turn + place) % subjects.len();
            subjects[next].round(bench.window)?;
        }
    }
    let mut table = Table::new(&format!("{name}: cost of a message"), HEADS);
    for subject in &subjects {
        let word = subject.server.word;
        let (cost, rate) = (median(&subject.costs), median(&subject.rates));
        // Messages for each second are the inverse of their cost.
        let ratio = ratio_of_rounds(&subject.costs, &subjects[0].costs);
        #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
        let lost = subject.lost as f64;
        report.figure(&format!("{name}.{word}.cpu"), cost, "ns");
        report.figure(&format!("{name}.{word}.lost"), lost, "messages");
        if word != "wharf" {
            report.figure(&format!("{name}.wharf-to-{word}"), ratio, "ratio");
        }
        let [cost, rate, lost, ratio] = [cost, rate, lost, ratio].map(number);
        table.row([word.to_owned(), cost, rate, lost, ratio]);
    }
    table.print();
    Ok(())
}
