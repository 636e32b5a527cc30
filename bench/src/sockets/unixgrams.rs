//! Echo of datagrams of Unix sockets: a handler of Wharf beside a loop of tokio.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::net::UnixDatagram;
use std::time::Instant;

use super::Bench;
use super::datagrams::serve;
use super::options::DatagramSide;
use super::subject::Child;
use crate::Failure;
use crate::figure::{Report, Table, median, number};
use crate::series::ratio_of_rounds;

/// Bytes of a datagram.
const SIZE: usize = 172;
/// Clients, each with one datagram under way: fewer than wait in a Unix socket (`max_dgram_qlen`, 10).
const CLIENTS: usize = 8;

const SIDES: [DatagramSide; 2] = [DatagramSide::UnixTokio, DatagramSide::UnixWharf];

/// A server, its clients and what was measured.
struct Subject {
    child: Child,
    clients: Vec<UnixDatagram>,
    costs: Vec<f64>,
    rates: Vec<f64>,
}

/// Datagrams there and back.
pub(super) fn run(report: &mut Report, bench: &Bench<'_>) -> Result<(), Failure> {
    let mut subjects = Vec::new();
    for side in SIDES {
        subjects.push(start(side, bench)?);
    }
    for subject in &mut subjects {
        round(subject, bench)?;
        (subject.costs, subject.rates) = (Vec::new(), Vec::new());
    }
    for turn in 0..bench.rounds {
        // Who begins changes, so that a drift hits both.
        round(&mut subjects[turn % 2], bench)?;
        round(&mut subjects[1 - turn % 2], bench)?;
    }
    let [tokio, wharf] = &subjects[..] else {
        return Err(Failure::Refused("two servers are compared".to_owned()));
    };
    let (bare, own) = (median(&tokio.costs), median(&wharf.costs));
    // Work for each processor second is the inverse of its cost.
    let ratio = ratio_of_rounds(&tokio.costs, &wharf.costs);
    report.figure("sockets.unixgrams.tokio.cpu", bare, "ns/datagram");
    report.figure("sockets.unixgrams.wharf.cpu", own, "ns/datagram");
    report.figure("sockets.unixgrams.wharf-to-tokio", ratio, "ratio");
    let heads = ["tokio ns", "wharf ns", "wharf/s", "wharf to tokio"];
    let mut table = Table::new("unixgrams: cost of an answer", heads);
    table.row([bare, own, median(&wharf.rates), ratio].map(number));
    table.print();
    Ok(())
}

fn start(side: DatagramSide, bench: &Bench<'_>) -> Result<Subject, Failure> {
    let (child, address) = serve(side, bench)?;
    let client = |number: usize| {
        let path = bench.folder().join(format!("{}.{number}", side.word()));
        let failed = |error| Failure::io(&path.display(), error);
        let _ = fs::remove_file(&path);
        let socket = UnixDatagram::bind(&path).map_err(failed)?;
        socket.connect(&address).map_err(failed)?;
        socket.set_nonblocking(true).map_err(failed)?;
        Ok(socket)
    };
    Ok(Subject {
        child,
        clients: (0..CLIENTS).map(client).collect::<Result<_, Failure>>()?,
        costs: Vec::new(),
        rates: Vec::new(),
    })
}

/// Keeps a datagram of each client under way for the window, and never sleeps: no server pays for
/// waking it. Unix sockets lose nothing.
fn round(subject: &mut Subject, bench: &Bench<'_>) -> Result<(), Failure> {
    let failed = |error| Failure::io(&"datagram client", error);
    let (payload, mut buffer) = ([0xA5; SIZE], [0; SIZE + 1]);
    let (cpu, begun) = (subject.child.process.cpu_ns()?, Instant::now());
    let mut waits = [false; CLIENTS];
    let mut answered = 0_u64;
    loop {
        let over = begun.elapsed() >= bench.window;
        if over && !waits.contains(&true) {
            break;
        }
        for (client, waits) in subject.clients.iter().zip(&mut waits) {
            if !*waits && !over {
                match client.send(&payload) {
                    Ok(_) => *waits = true,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    Err(error) => return Err(failed(error)),
                }
            }
            match client.recv(&mut buffer) {
                Ok(length) if buffer[..length] == payload => {
                    *waits = false;
                    answered += 1;
                }
                Ok(_) => return Err(Failure::Refused("a wrong answer".to_owned())),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(failed(error)),
            }
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
    Ok(())
}
