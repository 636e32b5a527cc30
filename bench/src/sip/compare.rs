//! Messages for each processor second: Wharf beside kamailio and rvoip-sip-transport, in turns.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::Bench;
use super::datagrams::Datagrams;
use super::peers::{Job, Server, kamailio, rvoip, wharf};
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
    let job = Job {
        stream: None,
        next: None,
    };
    let load = || Ok(Box::new(Datagrams::new(false)?) as Box<dyn Load>);
    let mut subjects = vec![
        Subject::new(wharf(job, None, bench)?, load()?),
        Subject::new(kamailio(job, bench)?, load()?),
    ];
    if let Some(server) = rvoip(job, bench)? {
        subjects.push(Subject::new(server, load()?));
    }
    measure(report, bench, "sip.udp", subjects)
}

/// OPTIONS answered over TCP, on one connection and on a hundred.
pub(super) fn tcp(report: &mut Report, bench: &Bench<'_>) -> Result<(), Failure> {
    let job = Job {
        stream: Some(Transport::Tcp),
        next: None,
    };
    for connections in [1, 100] {
        let load = || Box::new(Streams::new(connections)) as Box<dyn Load>;
        let mut subjects = vec![
            Subject::new(wharf(job, None, bench)?, load()),
            Subject::new(kamailio(job, bench)?, load()),
        ];
        if let Some(server) = rvoip(job, bench)? {
            subjects.push(Subject::new(server, load()));
        }
        measure(report, bench, &format!("sip.tcp.{connections}"), subjects)?;
    }
    Ok(())
}

/// OPTIONS forwarded over UDP to a next hop that counts.
pub(super) fn forward(report: &mut Report, bench: &Bench<'_>) -> Result<(), Failure> {
    let mut subjects = Vec::new();
    for ours in [true, false] {
        let load = Datagrams::new(true)?;
        let job = Job {
            stream: None,
            next: load.next(),
        };
        let server = if ours {
            wharf(job, None, bench)?
        } else {
            kamailio(job, bench)?
        };
        subjects.push(Subject::new(server, Box::new(load)));
    }
    measure(report, bench, "sip.forward", subjects)
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
