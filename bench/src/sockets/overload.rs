//! Ten times more requests than the server has time for.

use std::time::Duration;

use super::Bench;
use super::flows::Flows;
use super::options::{DatagramSide, Side, Transport, Work};
use super::serve::REQUEST;
use super::subject::{Case, Subject};
use crate::Failure;
use crate::figure::{Report, Table, median, number};
use crate::process::Pinned;

/// How much more is offered than the server can do.
const TIMES: f64 = 10.0;
/// Windows in which recovery is looked for.
const STEP: Duration = Duration::from_millis(100);
/// The load after the overload, of the peak, and how much of it must be answered.
const AFTER: f64 = 0.5;
const ANSWERED: f64 = 0.9;

/// Something that is offered load.
pub(super) trait Offered {
    /// Offers so many requests a second for so long, or with 0 as many as are answered: how many were
    /// answered in time.
    fn round(&mut self, window: Duration, rate: u64) -> Result<u64, Failure>;

    /// Who answers.
    fn server(&self) -> &Pinned;
}

impl Offered for Subject {
    fn round(&mut self, window: Duration, rate: u64) -> Result<u64, Failure> {
        Subject::round(self, window, rate)
    }

    fn server(&self) -> &Pinned {
        &self.server
    }
}

/// Connections of TCP that ask once, flows of UDP and sessions of DTLS that ask again and again; an answer
/// takes half a millisecond of processor time.
pub(super) fn run(report: &mut Report, bench: &Bench<'_>) -> Result<(), Failure> {
    let case = Case {
        transport: Transport::Tcp,
        work: Work::Overload,
        connections: 32,
        size: REQUEST as u32,
        buffer: REQUEST as u32,
    };
    let heads = [
        "over",
        "peak/s",
        "answered/s",
        "to peak",
        "grown bytes",
        "recovery ms",
    ];
    let mut table = Table::new("overload: ten times the peak is offered", heads);
    let (processors, folder) = (bench.processors, bench.folder());
    let mut subject = Subject::start(Side::Wharf, case, None, processors, folder)?;
    promise(report, bench, &mut table, "sockets.overload", &mut subject)?;
    drop(subject);
    for side in [DatagramSide::OverloadUdp, DatagramSide::OverloadDtls] {
        let mut flows = Flows::start(side, bench)?;
        let name = format!("sockets.{}", side.word().replace('-', "."));
        promise(report, bench, &mut table, &name, &mut flows)?;
    }
    table.print();
    Ok(())
}

fn promise(
    report: &mut Report,
    bench: &Bench<'_>,
    table: &mut Table,
    name: &str,
    subject: &mut dyn Offered,
) -> Result<(), Failure> {
    let window = if bench.quick { 500 } else { 2000 };
    let window = Duration::from_millis(window);
    // What was answered within the window; to end the attempts under way takes the load longer.
    #[expect(clippy::cast_precision_loss, reason = "thousands")]
    let answered = |subject: &mut dyn Offered, rate| -> Result<f64, Failure> {
        Ok(subject.round(window, rate)? as f64 / window.as_secs_f64())
    };
    answered(subject, 0)?;
    let before = subject.server().private_bytes()?;
    let (mut peaks, mut goodputs, mut shares) = (Vec::new(), Vec::new(), Vec::new());
    // In turns, so that other work on the machine hits both sides of a share.
    for _ in 0..5 {
        let peak = answered(subject, 0)?;
        let goodput = answered(subject, times(peak, TIMES))?;
        peaks.push(peak);
        goodputs.push(goodput);
        shares.push(goodput / peak);
    }
    let (peak, goodput, share) = (median(&peaks), median(&goodputs), median(&shares));
    let grown = subject.server().private_bytes()?.saturating_sub(before);
    let recovery = recovery(subject, times(peak, AFTER))?;
    #[expect(clippy::cast_precision_loss, reason = "a process has less than 2^52")]
    let grown = grown as f64;
    report.figure(&format!("{name}.peak"), peak, "requests/s");
    report.figure(&format!("{name}.goodput"), goodput, "requests/s");
    report.figure(&format!("{name}.goodput-to-peak"), share, "ratio");
    report.figure(&format!("{name}.memory"), grown, "bytes");
    report.figure(&format!("{name}.recovery"), recovery, "ms");
    let [peak, goodput, share, grown, recovery] =
        [peak, goodput, share, grown, recovery].map(number);
    table.row([name.to_owned(), peak, goodput, share, grown, recovery]);
    Ok(())
}

/// A share of a rate, a second.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "hundreds of thousands at most, and never negative"
)]
fn times(rate: f64, share: f64) -> u64 {
    (rate * share) as u64
}

/// Milliseconds from the end of the overload to the first of three windows in a row in which the
/// moderate load is answered; not a number when that does not come.
fn recovery(subject: &mut dyn Offered, rate: u64) -> Result<f64, Failure> {
    let windows = 30;
    #[expect(clippy::cast_precision_loss, reason = "thousands")]
    let enough = rate as f64 * STEP.as_secs_f64() * ANSWERED;
    let mut good = 0;
    for window in 1..=windows {
        #[expect(clippy::cast_precision_loss, reason = "thousands")]
        let answered = subject.round(STEP, rate)? as f64;
        good = if answered >= enough { good + 1 } else { 0 };
        if good == 3 {
            return Ok(f64::from(window - good + 1) * STEP.as_secs_f64() * 1e3);
        }
    }
    Ok(f64::NAN)
}
