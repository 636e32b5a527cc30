//! The scanner alone, on one thread.

use std::hint::black_box;
use std::time::{Duration, Instant};

use wharf_sip::{Limits, Scan};

use super::Bench;
use super::message::Request;
use crate::Failure;
use crate::figure::{Report, Table, median, number};

/// Calls between two looks at the clock.
const CALLS: u32 = 1000;

/// Nanoseconds to find in an OPTIONS of 380 bytes what a transport needs.
pub(super) fn run(report: &mut Report, bench: &Bench<'_>) -> Result<(), Failure> {
    let message = Request::new("UDP", true).numbered(1).to_vec();
    let limits = Limits::default();
    Scan::of(&message, &limits).map_err(|error| Failure::refused("own request", &error))?;
    let stretches: Vec<f64> = (0..bench.rounds)
        .map(|_| stretch(&message, &limits, bench.window))
        .collect();
    let cost = median(&stretches);
    report.figure("sip.scan", cost, "ns");
    let mut table = Table::new("scan: cost of a message of 380 bytes", ["", "ns"]);
    table.row(["scan".to_owned(), number(cost)]);
    table.print();
    Ok(())
}

fn stretch(message: &[u8], limits: &Limits, window: Duration) -> f64 {
    let (begun, mut calls) = (Instant::now(), 0);
    while begun.elapsed() < window {
        for _ in 0..CALLS {
            let _ = black_box(Scan::of(black_box(message), black_box(limits)));
        }
        calls += CALLS;
    }
    begun.elapsed().as_secs_f64() * 1e9 / f64::from(calls)
}
