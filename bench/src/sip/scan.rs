//! The scanner alone, on one thread.

use std::hint::black_box;
use std::time::Instant;

use wharf_sip::{Limits, Scan};

use super::Bench;
use super::message::Request;
use crate::Failure;
use crate::figure::{Report, Table, median, number};

/// Calls of one turn: short enough to end before another process gets the processor.
const CALLS: u32 = 100;
/// Turns of one round.
const TURNS: usize = 1000;

/// Nanoseconds to find in an OPTIONS of 380 bytes what a transport needs.
pub(super) fn run(report: &mut Report, bench: &Bench<'_>) -> Result<(), Failure> {
    let message = Request::new("UDP", true).numbered(1).to_vec();
    let limits = Limits::default();
    Scan::of(&message, &limits).map_err(|error| Failure::refused("own request", &error))?;
    let turns = bench.rounds * TURNS;
    let turns: Vec<f64> = (0..turns).map(|_| turn(&message, &limits)).collect();
    let cost = median(&turns);
    report.figure("sip.scan", cost, "ns");
    let mut table = Table::new("scan: cost of a message of 380 bytes", ["", "ns"]);
    table.row(["scan".to_owned(), number(cost)]);
    table.print();
    Ok(())
}

fn turn(message: &[u8], limits: &Limits) -> f64 {
    let begun = Instant::now();
    for _ in 0..CALLS {
        let _ = black_box(Scan::of(black_box(message), black_box(limits)));
    }
    begun.elapsed().as_secs_f64() * 1e9 / f64::from(CALLS)
}
