//! Nanoseconds to find the parts of a usual message, to frame it and to read its top Via.
//!
//! `cargo run --release -p wharf-sip --example scan` takes an OPTIONS of 380 bytes, and prints the
//! median of several turns. It fails when the scan takes longer than its goal of 300 ns.

use std::hint::black_box;
use std::process::ExitCode;
use std::time::Instant;

use wharf_sip::{Boundary, Framer, Limits, Scan, Via, packet};

const OPTIONS: &[u8] = b"OPTIONS sip:service@edge.example.com:5060 SIP/2.0\r\n\
    Via: SIP/2.0/UDP 192.0.2.17:5062;branch=z9hG4bK-524287-1---8f3a2b9c;rport\r\n\
    Max-Forwards: 70\r\n\
    From: \"Prober\" <sip:probe@192.0.2.17>;tag=9fxced76sl\r\n\
    To: <sip:service@edge.example.com>\r\n\
    Call-ID: 3848276298220188511@192.0.2.17\r\n\
    CSeq: 63104 OPTIONS\r\n\
    Contact: <sip:probe@192.0.2.17:5062>\r\n\
    Accept: application/sdp\r\n\
    Content-Length: 0\r\n\r\n";

const GOAL_NS: f64 = 300.0;
/// Calls of one turn: short enough to end before another process gets the core.
const ROUNDS: u32 = 100;
const TURNS: usize = 2_001;

fn main() -> ExitCode {
    assert_eq!(OPTIONS.len(), 380);
    let limits = Limits::default();
    let scan = median(|| black_box(Scan::of(black_box(OPTIONS), &limits).is_ok()));
    let datagram =
        median(|| black_box(packet(black_box(OPTIONS), Boundary::Datagram, &limits).is_ok()));
    let now = began();
    let mut framer = Framer::new(limits, now);
    let stream = median(|| black_box(framer.advance(black_box(OPTIONS), now).is_ok()));
    let top = Scan::of(OPTIONS, &limits)
        .ok()
        .and_then(|scan| scan.via)
        .expect("a Via")
        .top;
    let via = median(|| black_box(Via::parse(black_box(top.of(OPTIONS))).is_ok()));
    println!("an OPTIONS of {} bytes", OPTIONS.len());
    println!("scan:            {scan:.0} ns (goal: {GOAL_NS:.0})");
    println!("datagram framed: {datagram:.0} ns");
    println!("stream framed:   {stream:.0} ns");
    println!("top Via read:    {via:.0} ns");
    if scan <= GOAL_NS {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Nanoseconds for one call of `work`, which must succeed.
fn median(mut work: impl FnMut() -> bool) -> f64 {
    let mut turns = [0.0; TURNS];
    for turn in &mut turns {
        let start = began();
        assert!((0..ROUNDS).all(|_| work()));
        *turn = start.elapsed().as_secs_f64() * 1e9 / f64::from(ROUNDS);
    }
    turns.sort_by(f64::total_cmp);
    turns[TURNS / 2]
}

#[expect(clippy::disallowed_methods, reason = "a program, not the crate")]
fn began() -> Instant {
    Instant::now()
}
