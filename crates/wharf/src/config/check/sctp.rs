//! SCTP: ranges, and what has no meaning on its sockets.

use std::time::Duration;

use super::Checker;
use super::kinds::differing;
use super::quic::TCP_ONLY;
use crate::config::{ListenerConfig, ProxyOptions, SctpOptions, SctpVia, SocketOptions, Transport};

const KIB: u64 = 1 << 10;
const GIB: u64 = 1 << 30;
const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_hours(24);

pub(super) fn check(config: &ListenerConfig, checker: &mut Checker<'_>) {
    ranges(&config.sctp, checker);
    if checker.is_broken("transport") {
        return;
    }
    if config.transport != Transport::Sctp {
        let on = format!("on transport \"{}\"", config.transport.label());
        let given = differing(&config.sctp, &SctpOptions::default());
        checker.idle_section("sctp", &given, &on);
        return;
    }
    if config.sctp.via == SctpVia::Udp && !cfg!(feature = "sctp") {
        let advice = "Build it with the feature \"sctp\", or use \"kernel\".";
        checker.problem("sctp.via", Some("udp"), "is not built in", advice);
    }
    let on = "on transport \"sctp\"";
    let given = differing(&config.socket, &SocketOptions::default());
    // `nodelay` is for the kernel's; over UDP messages always leave at once.
    let tcp_only: Vec<_> = TCP_ONLY
        .into_iter()
        .filter(|key| *key != "nodelay")
        .collect();
    checker.idle("socket", &given, &tcp_only, on);
    let given = differing(&config.proxy, &ProxyOptions::default());
    checker.idle("proxy", &given, &["mode"], on);
    if config.accept.reuse_port {
        // Packets of one association must reach the socket that knows it.
        let allowed = "is not for sctp, whose associations belong to one socket";
        checker.problem("accept.reuse-port", Some(true), allowed, "Remove it.");
    }
}

pub(super) fn ranges(sctp: &SctpOptions, checker: &mut Checker<'_>) {
    checker.range("sctp.streams-in", sctp.streams_in, 1..=u16::MAX);
    checker.range("sctp.streams-out", sctp.streams_out, 1..=u16::MAX);
    let shortest = Duration::from_millis(100);
    checker.time("sctp.autoclose", sctp.autoclose, shortest..=DAY * 365);
    checker.size("sctp.max-message", Some(sctp.max_message), 1..=16 << 20);
    checker.size("sctp.max-segment", sctp.max_segment, 400..=65_000);
    let window = (sctp.max_message.saturating_mul(5) / 4).clamp(8 * KIB, GIB);
    checker.size("sctp.window", Some(sctp.window), window..=GIB);
    checker.time("sctp.heartbeat", sctp.heartbeat, SECOND..=DAY);
    checker.time("sctp.peer-timeout", Some(sctp.peer_timeout), SECOND..=DAY);
}
