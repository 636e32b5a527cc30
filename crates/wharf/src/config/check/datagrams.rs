//! Datagrams: their ranges, and what of a listener has no effect on them.

use std::time::Duration;

use super::Checker;
use super::kinds::differing;
use super::ranges::{GIB, KIB, MILLISECOND, YEAR};
use crate::config::{
    AcceptOptions, DatagramOptions, ListenerConfig, OnFull, Rates, SocketOptions, Timeouts,
    Transport,
};

/// The longest request of health, and the longest answer.
const LONGEST_CHECK: usize = 1024;
/// How many times as long as its request an answer may be (RFC 9000 §8.1).
const AMPLIFICATION: usize = 3;

/// Socket options that datagram sockets have not.
const TCP_ONLY: [&str; 8] = [
    "nodelay",
    "keepalive",
    "user-timeout",
    "notsent-lowat",
    "fast-open",
    "defer-accept",
    "mptcp",
    "linger",
];
/// Timeouts of what begins with a handshake: a flow begins with its first datagram.
const HANDSHAKES: [&str; 3] = ["proxy-header", "handshake", "first-byte"];
/// What UDP has and Unix datagrams have not.
const UDP_ONLY: [&str; 5] = ["gro", "timestamps", "workers", "pin-workers", "steering"];

pub(super) fn check(config: &ListenerConfig, checker: &mut Checker<'_>) {
    let datagrams = &config.datagrams;
    ranges(datagrams, checker);
    if checker.is_broken("transport") {
        return;
    }
    let transport = config.transport;
    let on = format!("on transport \"{}\"", transport.label());
    let given = differing(datagrams, &DatagramOptions::default());
    let rates = differing(&config.rates, &Rates::default());
    if !transport.has_flows() {
        checker.idle_section("datagrams", &given, &on);
        checker.idle("rates", &rates, &["datagrams-per-prefix"], &on);
        return;
    }
    if transport == Transport::Unixgram {
        checker.idle("datagrams", &given, &UDP_ONLY, &on);
        checker.idle("rates", &rates, &["datagrams-per-prefix"], &on);
    }
    let given = differing(&config.socket, &SocketOptions::default());
    checker.idle("socket", &given, &TCP_ONLY, &on);
    let given = differing(&config.accept, &AcceptOptions::default());
    checker.idle("accept", &given, &["backlog"], &on);
    if transport.has_datagrams() && !config.speaks_dtls() {
        let given = differing(&config.timeouts, &Timeouts::default());
        checker.idle("timeouts", &given, &HANDSHAKES, &on);
    }
    if config.limits.on_full != OnFull::Close {
        let allowed = format!("expected \"close\" {on}: what finds no room is dropped");
        checker.problem("limits.on-full", None::<&str>, &allowed, "Remove it.");
    }
}

fn ranges(datagrams: &DatagramOptions, checker: &mut Checker<'_>) {
    checker.size("datagrams.queue", Some(datagrams.queue), KIB..=GIB);
    let idle: Option<Duration> = datagrams.idle;
    checker.time("datagrams.idle", idle, MILLISECOND..=YEAR);
    checker.size(
        "datagrams.max-size",
        Some(datagrams.max_size),
        64..=KIB * KIB,
    );
    if let Some(check) = &datagrams.health_check {
        let (request, answer) = (check.request.len(), check.answer.len());
        for (key, length) in [("request", request), ("answer", answer)] {
            checker.expect(
                (1..=LONGEST_CHECK).contains(&length),
                &format!("datagrams.health-check.{key}"),
                format_args!("{length} bytes"),
                "expected 1 to 1024 bytes",
                "",
            );
        }
        checker.expect(
            answer <= request * AMPLIFICATION,
            "datagrams.health-check.answer",
            format_args!("{answer} bytes"),
            "expected at most three times the bytes of the request",
            "Anybody can ask in another's name; a longer request allows a longer answer.",
        );
    }
    if let Some(key) = datagrams.flow_key {
        checker.range("datagrams.flow-key.offset", key.offset, 0..=1024);
        checker.range("datagrams.flow-key.length", key.length, 1..=64);
    }
}
