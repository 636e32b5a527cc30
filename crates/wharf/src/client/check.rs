//! What is wrong with the options of a client.

use std::time::Duration;

use super::{ClientOptions, ProxiedClient};
use crate::config::units::format_duration;
use crate::config::{
    DtlsOptions, Problem, Problems, QuicOptions, TlsVersion, Transport, shared_problems,
};
use crate::proxy::Version;
use crate::websocket::client::ClientRequest;

const MILLISECOND: Duration = Duration::from_millis(1);
const YEAR: Duration = Duration::from_hours(24 * 365);

/// Everything that is wrong with the options.
pub(super) fn all(name: &str, options: &ClientOptions) -> Vec<Problem> {
    const RULES: &str = "client";
    let mut problems = Vec::new();
    if !crate::config::is_name(name) {
        let allowed = "expected 1 to 63 lower-case letters, digits and hyphens";
        problems.push(Problem::new("name", allowed).given(name));
    }
    if let Err(Problems(found)) = options.rules().check(RULES) {
        let at = format!("listeners.{RULES}.");
        problems.extend(found.into_iter().map(|mut problem| {
            if let Some(key) = problem.key.strip_prefix(&at) {
                problem.key = key.to_owned();
            }
            problem
        }));
    }
    let mut idle = |key: &str, given: bool, why: &str| {
        if given {
            let allowed = format!("has no effect {why}");
            problems.push(Problem::new(key, allowed).advice("Remove it."));
        }
    };
    let socket = &options.socket;
    let listening = "on connections that we make";
    idle("socket.fast-open", socket.fast_open.is_some(), listening);
    idle(
        "socket.defer-accept",
        socket.defer_accept.is_some(),
        listening,
    );
    let (quic, own) = (&options.quic, QuicOptions::default());
    let server = "on connections that we make: the server decides";
    idle("quic.migration", quic.migration != own.migration, server);
    idle("quic.zero-rtt", quic.zero_rtt, server);
    idle("quic.retry", quic.retry != own.retry, server);
    let (dtls, own) = (&options.dtls, DtlsOptions::default());
    idle("dtls.cookie", dtls.cookie != own.cookie, server);
    let lifetime = dtls.cookie_lifetime != own.cookie_lifetime;
    idle("dtls.cookie-lifetime", lifetime, server);
    let more = dtls.psk.len() > 1;
    idle("dtls.psk[1]", more, "beside the first key of a client");
    if let Some(proxy) = &options.proxy {
        let first = proxy.version == Version::V1;
        idle(
            "proxy.tlvs",
            first && !proxy.tlvs.is_empty(),
            "in version 1",
        );
        idle("proxy.crc32c", first && proxy.crc32c, "in version 1");
        let nobody = proxy.of == ProxiedClient::Nobody && !first;
        let why = "in a header on nobody's behalf";
        idle("proxy.tlvs", nobody && !proxy.tlvs.is_empty(), why);
    }
    problems.extend(shared_problems(quic, &options.dtls, &options.sctp));
    if !(64..=1 << 20).contains(&options.max_datagram) {
        let problem = Problem::new("max-datagram", "expected 64 B to 1 MiB");
        problems.push(problem.given(options.max_datagram));
    }
    let mut within = |key: &str, given: Option<Duration>, least: Duration, most: Duration| {
        if let Some(given) = given
            && !(least..=most).contains(&given)
        {
            let name = |limit| {
                if limit == YEAR {
                    "1 year".to_owned()
                } else {
                    format_duration(limit)
                }
            };
            let allowed = format!("expected {} to {}", name(least), name(most));
            problems.push(Problem::new(key, allowed).given(format_duration(given)));
        }
    };
    let timeouts = &options.timeouts;
    within("timeouts.connect", timeouts.connect, MILLISECOND, YEAR);
    // RFC 8305 §8.
    within(
        "timeouts.attempt-delay",
        timeouts.attempt_delay,
        10 * MILLISECOND,
        2000 * MILLISECOND,
    );
    let reconnect = &options.reconnect;
    within("reconnect.min", Some(reconnect.min), MILLISECOND, YEAR);
    let least = reconnect.min.min(YEAR);
    within("reconnect.max", Some(reconnect.max), least, YEAR);
    within(
        "reconnect.stable",
        Some(reconnect.stable),
        Duration::ZERO,
        YEAR,
    );
    let pool = &options.pool;
    within("pool.idle", pool.idle, MILLISECOND, YEAR);
    within("pool.wait", pool.wait, MILLISECOND, YEAR);
    for (key, given) in [
        ("pool.max-total", pool.max_total),
        ("pool.max-waiting", pool.max_waiting),
    ] {
        if !(1..=65_536).contains(&given) {
            problems.push(Problem::new(key, "expected 1 to 65536").given(given));
        }
    }
    if !(1..=10).contains(&reconnect.factor) {
        let problem = Problem::new("reconnect.factor", "expected 1 to 10");
        problems.push(problem.given(reconnect.factor));
    }
    if reconnect.give_up == Some(0) {
        let problem = Problem::new("reconnect.give-up", "expected at least 1").given(0);
        problems.push(problem.advice("Use `connect` for one attempt."));
    }
    if !(1..=64).contains(&options.max_addresses) {
        let problem = Problem::new("max-addresses", "expected 1 to 64");
        problems.push(problem.given(options.max_addresses));
    }
    let websocket = &options.websocket;
    let request = ClientRequest {
        origin: websocket.origin.clone(),
        subprotocols: websocket.subprotocols.clone(),
        headers: websocket.headers.clone(),
        ..ClientRequest::new("host", "/")
    };
    if let Err(part) = request.check() {
        // The value is not shown: a header may be a secret.
        let allowed = "is empty or has a character that cannot stand in a request";
        problems.push(Problem::new(format!("websocket.{part}"), allowed));
    }
    problems
}

/// What of the options cannot be done on a transport, and must not be left out in silence.
pub(super) fn refused(transport: Transport, options: &ClientOptions) -> Result<(), Problems> {
    let mut problems = Vec::new();
    let mut refuse = |key: &str, allowed: String| problems.push(Problem::new(key, allowed));
    let label = transport.label();
    if let Some(proxy) = &options.proxy {
        if matches!(transport, Transport::Quic | Transport::Sctp) {
            refuse(
                "proxy",
                format!("is not for {label}, which has no such header"),
            );
        } else if transport.on_datagrams() && proxy.version == Version::V1 {
            // PROXY protocol, section 2.1: TCP4, TCP6 and UNKNOWN.
            let allowed = format!("expected 2 for {label}: version 1 has no datagrams");
            refuse("proxy.version", allowed);
        }
    }
    if transport == Transport::Dtls && options.tls.min_version != TlsVersion::V1_2 {
        let allowed = "expected \"1.2\" for dtls: there is no DTLS 1.3 here";
        refuse("tls.min-version", allowed.to_owned());
    }
    Problems(problems).into_result()
}
