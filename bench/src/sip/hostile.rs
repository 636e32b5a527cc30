//! Thousands of connections that are silent, slow or malicious, beside a hundred that are not.

use std::time::{Duration, Instant};

use super::Bench;
use super::attack::{Attackers, Kind};
use super::flows::Flows;
use super::peers::{Job, wharf};
use crate::Failure;
use crate::figure::{Report, Table, median, number};
use crate::histogram::Histogram;
use crate::sockets::Transport;

/// Seconds until a message has to be there: short, so that the measurement is.
const SECONDS: u64 = 3;
/// How much later than that a connection may be gone, on a busy machine.
const GRACE: Duration = Duration::from_secs(1);
/// Connections of the attackers.
const ATTACKERS: usize = 5000;
/// The same in a smoke run.
const FEW: usize = 1000;

/// The flows' 99th percentile with the attackers by that without them, and how long these are let in.
pub(super) fn run(report: &mut Report, bench: &Bench<'_>) -> Result<(), Failure> {
    let (attackers, turns) = if bench.quick {
        (FEW, 1)
    } else {
        (ATTACKERS, 3)
    };
    let job = Job {
        stream: Some(Transport::Tcp),
        next: None,
    };
    let server = wharf(job, Some(SECONDS), bench)?;
    let mut flows = Flows::connect(server.address)?;
    let mut attackers = Attackers::new(server.address, attackers)?;
    let window = Duration::from_secs(SECONDS) + GRACE;
    let (mut without, mut with, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    during(window, |_| flows.step(None))?;
    for _ in 0..turns {
        let mut alone = Histogram::default();
        during(window, |_| flows.step(Some(&mut alone)))?;
        let mut beside = Histogram::default();
        attackers.begin();
        during(window, |now| {
            attackers.step(now)?;
            flows.step(Some(&mut beside))
        })?;
        // Nobody comes any more: who is still there has to go by itself.
        during(window, |now| {
            attackers.watch(now)?;
            flows.step(None)
        })?;
        let (alone, beside) = (alone.quantile(0.99), beside.quantile(0.99));
        ratios.push(beside / alone);
        without.push(alone);
        with.push(beside);
    }
    let mut table = Table::new(
        "hostile: a hundred flows beside attackers",
        ["", "value", "unit"],
    );
    let mut tell = |name: &str, value: f64, unit: &str| {
        report.figure(&format!("sip.hostile.{name}"), value, unit);
        table.row([name.to_owned(), number(value), unit.to_owned()]);
    };
    tell("p99-alone", median(&without), "ns");
    tell("p99-beside", median(&with), "ns");
    tell("p99", median(&ratios), "ratio");
    let mut longest = Duration::ZERO;
    for kind in Kind::ALL {
        let lasted = attackers.longest(kind);
        longest = longest.max(lasted);
        let name = format!("{}.longest", kind.word());
        tell(&name, lasted.as_secs_f64(), "s");
    }
    #[expect(clippy::cast_precision_loss, reason = "seconds")]
    let share = longest.as_secs_f64() / SECONDS as f64;
    tell("longest-to-deadline", share, "ratio");
    #[expect(clippy::cast_precision_loss, reason = "thousands")]
    let (open, closed) = (attackers.open() as f64, attackers.closed() as f64);
    tell("left-open", open, "connections");
    tell("closed", closed, "connections");
    table.print();
    Ok(())
}

/// Calls `step` for so long, and never sleeps.
fn during(
    window: Duration,
    mut step: impl FnMut(Instant) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let begun = Instant::now();
    loop {
        let now = Instant::now();
        if now - begun >= window {
            return Ok(());
        }
        step(now)?;
    }
}
