//! QUIC: its ranges, and what of a listener has no effect on it.

use super::Checker;
use super::kinds::differing;
use super::ranges::{DAY, GIB, KIB, MILLISECOND, YEAR};
use crate::config::{
    ClientAuth, ListenerConfig, ProxyOptions, QuicOptions, Rates, SocketOptions, Timeouts,
    Transport,
};

/// The largest number that QUIC can write (RFC 9000 §16).
const LARGEST: u64 = (1 << 62) - 1;

/// Socket options that UDP has not, and `dscp`, which the mark of congestion control overwrites
/// with each packet.
pub(super) const TCP_ONLY: [&str; 9] = [
    "nodelay",
    "keepalive",
    "user-timeout",
    "notsent-lowat",
    "fast-open",
    "defer-accept",
    "dscp",
    "mptcp",
    "linger",
];
/// Timeouts of byte sockets. A stream begins with its first bytes, and is as fast as its connection.
const BYTE_TIMEOUTS: [&str; 3] = ["proxy-header", "first-byte", "minimum-rate"];

pub(super) fn check(config: &ListenerConfig, checker: &mut Checker<'_>) {
    ranges(&config.quic, checker);
    if checker.is_broken("transport") {
        return;
    }
    if config.transport != Transport::Quic {
        let on = format!("on transport \"{}\"", config.transport.label());
        let given = differing(&config.quic, &QuicOptions::default());
        checker.idle_section("quic", &given, &on);
        return;
    }
    if !cfg!(feature = "quic") {
        let advice = "Build it with the feature \"quic\".";
        checker.problem("transport", Some("quic"), "is not built in", advice);
    }
    let on = "on transport \"quic\"";
    let given = differing(&config.socket, &SocketOptions::default());
    checker.idle("socket", &given, &TCP_ONLY, on);
    let given = differing(&config.timeouts, &Timeouts::default());
    checker.idle("timeouts", &given, &BYTE_TIMEOUTS, on);
    let given = differing(&config.rates, &Rates::default());
    checker.idle("rates", &given, &["bytes"], on);
    let given = differing(&config.proxy, &ProxyOptions::default());
    checker.idle("proxy", &given, &["mode"], on);
    if config.accept.reuse_port {
        // One byte of a connection id tells the sockets apart.
        checker.range("accept.acceptors", config.accept.acceptors, 1..=256);
    }
    if !config.tls.alpn_required {
        let allowed =
            "expected true: QUIC has no connections without a common protocol (RFC 9001 §8.1)";
        checker.problem("tls.alpn-required", Some(false), allowed, "Remove it.");
    }
    if config.quic.zero_rtt && config.tls.client_auth != ClientAuth::Off {
        let allowed = "expected false: early data comes before the client's certificate";
        let advice = "Set tls.client-auth = \"off\", or remove this.";
        checker.problem("quic.zero-rtt", Some(true), allowed, advice);
    }
}

pub(super) fn ranges(quic: &QuicOptions, checker: &mut Checker<'_>) {
    checker.range("quic.max-streams", quic.max_streams, 0..=1 << 20);
    checker.size("quic.stream-window", Some(quic.stream_window), KIB..=GIB);
    checker.size(
        "quic.connection-window",
        Some(quic.connection_window),
        KIB..=GIB,
    );
    checker.size(
        "quic.datagram-buffer",
        Some(quic.datagram_buffer),
        1500..=GIB,
    );
    checker.time("quic.keep-alive", quic.keep_alive, MILLISECOND..=DAY);
    checker.time("quic.idle-timeout", quic.idle_timeout, MILLISECOND..=YEAR);
    checker.range("quic.drain-code", quic.drain_code, 0..=LARGEST);
    if let (Some(alive), Some(idle)) = (quic.keep_alive, quic.idle_timeout)
        && alive >= idle
    {
        let given = crate::config::units::format_duration(alive);
        let allowed = "expected less than quic.idle-timeout, so that it keeps connections alive";
        checker.problem("quic.keep-alive", Some(given), allowed, "");
    }
}
