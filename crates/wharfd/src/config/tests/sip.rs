//! The keys of `[sip]`, and the mistakes in it.

use super::LEAST;
use super::takes_effect::Row;
use crate::config::*;
use std::time::Duration;
use wharf_sip::locate::Target;
use wharf_sip::{Host, OwnedHost, Transport, Uri};

/// The least of an edge.
const EDGE: &str = "
[sip]
udp = ['127.0.0.1:5060']
name = 'edge.example'
upstream = 'sip:192.0.2.1'
";

fn name(text: &str) -> OwnedHost {
    OwnedHost::new(Host::parse(text.as_bytes()).unwrap()).unwrap()
}

fn upstream(text: &str) -> Target {
    Target::of(&Uri::parse(text.as_bytes()).unwrap()).unwrap()
}

/// Below the least of an edge, and with a certificate where TLS is.
pub(super) fn needs(key: &str) -> &'static [(&'static str, &'static str)] {
    match key {
        "sip.tls" | "sip.wss" => &[
            ("sip.udp", "['127.0.0.1:5060']"),
            ("sip.name", "'edge.example'"),
            ("sip.upstream", "'sip:192.0.2.1'"),
            ("sip.tls", "['127.0.0.1:5061']"),
            ("sip.wss", "['127.0.0.1:443']"),
            ("tls.certificates", "[{ cert = '/a.pem', key = '/a.pem' }]"),
        ],
        "sip.websocket" => &[
            ("sip.udp", "['127.0.0.1:5060']"),
            ("sip.name", "'edge.example'"),
            ("sip.upstream", "'sip:192.0.2.1'"),
            ("sip.ws", "['127.0.0.1:8080']"),
        ],
        "sip.name-servers" => &[
            ("sip.udp", "['127.0.0.1:5060']"),
            ("sip.name", "'edge.example'"),
            ("sip.upstream", "'sip:pbx.example'"),
        ],
        _ => &[
            ("sip.udp", "['127.0.0.1:5060']"),
            ("sip.name", "'edge.example'"),
            ("sip.upstream", "'sip:192.0.2.1'"),
        ],
    }
}

pub(super) fn rows() -> Vec<Row> {
    vec![
        ("sip.udp", "['127.0.0.1:5070']", |s| {
            s.sip.udp[0].set_port(5070);
            s.sip.tcp[0].set_port(5070);
        }),
        ("sip.tcp", "[]", |s| s.sip.tcp.clear()),
        ("sip.tls", "['127.0.0.1:5071']", |s| {
            s.sip.tls[0].set_port(5071);
        }),
        ("sip.ws", "['127.0.0.1:8080']", |s| {
            s.sip.ws = vec!["127.0.0.1:8080".parse().unwrap()];
        }),
        ("sip.wss", "['127.0.0.1:8443']", |s| {
            s.sip.wss[0].set_port(8443);
        }),
        ("sip.name", "'192.0.2.9'", |s| {
            s.sip.name = Some(name("192.0.2.9"));
        }),
        ("sip.aliases", "['a.example']", |s| {
            s.sip.aliases = vec![name("a.example")];
        }),
        ("sip.ports", "{ udp = 5099, wss = 443 }", |s| {
            s.sip.ports = [(Transport::Udp, 5099), (Transport::Wss, 443)].into();
        }),
        ("sip.upstream", "'sip:192.0.2.2:5070'", |s| {
            s.sip.upstream = Some(upstream("sip:192.0.2.2:5070"));
        }),
        ("sip.upstream-tls", "{ ca = ['/a.pem'] }", |s| {
            s.sip.upstream_tls.ca = vec![wharf::config::Pem::File("/a.pem".into())];
        }),
        ("sip.switch-to-tcp", "false", |s| {
            s.sip.switch_to_tcp = false;
        }),
        ("sip.name-servers", "['192.0.2.53:53']", |s| {
            s.sip.name_servers = vec!["192.0.2.53:53".parse().unwrap()];
        }),
        ("sip.trusted", "['192.0.2.0/24']", |s| {
            s.sip.trusted = vec!["192.0.2.0/24".parse().unwrap()];
        }),
        (
            "sip.flow-key",
            "'AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8='",
            |s| {
                s.sip.flow_key = Some(FleetKey(std::array::from_fn(|at| at as u8)));
            },
        ),
        ("sip.max-connections", "7", |s| s.sip.max_connections = 7),
        ("sip.queue", "'64KiB'", |s| s.sip.queue = 64 << 10),
        ("sip.messages", "{ per-second = 5, burst = 6 }", |s| {
            s.sip.messages = Some(wharf::config::Rate {
                per_second: 5,
                burst: 6,
            });
        }),
        ("sip.max-head", "'8KiB'", |s| s.sip.limits.head = 8 << 10),
        ("sip.max-body", "'1MiB'", |s| s.sip.limits.body = 1 << 20),
        ("sip.head-time", "'3s'", |s| {
            s.sip.limits.head_time = Duration::from_secs(3);
        }),
        ("sip.body-time", "'4s'", |s| {
            s.sip.limits.body_time = Duration::from_secs(4);
        }),
        ("sip.stream", "{ access = ['deny 10.0.0.0/8'] }", |s| {
            s.sip.stream.access = vec!["deny 10.0.0.0/8".parse().unwrap()];
        }),
        ("sip.websocket", "{ paths = ['/sip'] }", |s| {
            s.sip.websocket.paths = vec!["/sip".into()];
        }),
        ("sip.datagrams", "{ workers = 3 }", |s| {
            s.sip.datagrams.workers = 3;
        }),
    ]
}

#[track_caller]
fn one(file: &str, expected: &str) {
    let problems = Settings::parse(file).expect_err("this configuration is wrong");
    let found: Vec<String> = problems.0.iter().map(ToString::to_string).collect();
    assert!(
        found.len() == 1 && found[0].contains(expected),
        "{found:#?}"
    );
}

#[test]
fn without_the_section_there_is_no_sip() {
    assert!(!Settings::parse(LEAST).unwrap().sip.is_on());
    assert!(
        listeners(&Settings::parse(LEAST).unwrap())
            .listeners
            .is_empty()
    );
}

#[test]
fn s1_who_listens_on_udp_listens_on_tcp_unless_told_otherwise() {
    let names = |more: &str| {
        let settings = Settings::parse(&format!("{LEAST}{EDGE}{more}")).unwrap();
        let config = listeners(&settings);
        config.listeners.into_keys().collect::<Vec<_>>()
    };
    assert_eq!(names(""), ["sip-tcp", "sip-udp"]);
    assert_eq!(names("tcp = []"), ["sip-udp"]);
}

#[test]
fn each_listener_has_what_concerns_it() {
    let more = "ws = ['127.0.0.1:80']
        wss = ['[::1]:443']
        tls = ['127.0.0.1:5061']
        websocket = { paths = ['/sip'] }
        datagrams = { workers = 3 }
        [sip.stream]
        limits = { per-prefix = 7 }
        socket = { receive-buffer = '1MiB', nodelay = false }
        rates = { bytes = { per-second = 9, burst = 9 }, datagrams-per-prefix = { per-second = 5, burst = 5 } }
        [tls]
        certificates = [{ cert = '/a.pem', key = '/a.pem' }]";
    let settings = Settings::parse(&format!("{LEAST}{EDGE}{more}")).unwrap();
    let mut config = listeners(&settings).listeners;
    let mut take = |name: &str| config.remove(name).unwrap();
    let [udp, tcp, tls, ws, wss] =
        ["udp", "tcp", "tls", "ws", "wss"].map(|one| take(&format!("sip-{one}")));
    assert_eq!(
        (udp.datagrams.workers, udp.socket.receive_buffer),
        (3, Some(1 << 20))
    );
    assert!(udp.rates.datagrams_per_prefix.is_some() && udp.rates.bytes.is_none());
    assert!(udp.socket.nodelay && udp.limits.per_prefix == 0);
    assert!(udp.socket.keepalive.is_none());
    for stream in [&tcp, &tls, &ws, &wss] {
        assert_eq!(
            (stream.limits.per_prefix, stream.socket.nodelay),
            (7, false)
        );
        assert!(stream.rates.bytes.is_some() && stream.rates.datagrams_per_prefix.is_none());
        assert!(stream.socket.keepalive.is_some());
    }
    assert_eq!(
        (tls.tls.certificates.len(), ws.tls.certificates.len()),
        (1, 0)
    );
    assert!(tls.tls.alpn.is_empty());
    assert_eq!(wss.tls.alpn, ["http/1.1"]);
    for websocket in [ws.websocket, wss.websocket] {
        assert_eq!(websocket.paths, ["/sip"]);
        assert_eq!(websocket.subprotocols, ["sip"]);
        assert!(websocket.subprotocol_required);
    }
    assert_eq!(wss.socket.dual_stack, wharf::config::DualStack::Ipv6Only);
    // As many threads as TURN has, unless told otherwise.
    let text = format!("[server]\nworkers = 5\n{LEAST}{EDGE}");
    let config = listeners(&Settings::parse(&text).unwrap());
    assert_eq!(config.listeners["sip-udp"].datagrams.workers, 5);
}

#[test]
fn what_an_edge_needs_is_missed_at_once() {
    let file = format!("{LEAST}\n[sip]\nws = ['127.0.0.1:8080']");
    let problems = Settings::parse(&file).unwrap_err();
    let keys: Vec<&str> = problems
        .0
        .iter()
        .map(|problem| problem.at.as_str())
        .collect();
    assert_eq!(keys, ["sip.name", "sip.upstream"]);
}

#[test]
fn what_nothing_would_use_is_a_mistake() {
    one(
        &format!("{LEAST}\n[sip]\nname = 'edge.example'"),
        "sip: nothing would use it",
    );
    one(
        &format!("{LEAST}{EDGE}websocket = {{ paths = ['/'] }}\n[tls]\nwatch = '1m'"),
        "tls: nothing",
    );
}

#[test]
fn an_upstream_that_is_not_reached_over_udp_needs_no_udp() {
    for upstream in [
        "sip:192.0.2.1;transport=tcp",
        "sips:a.example",
        "sip:a.example;transport=tls",
    ] {
        let file = format!(
            "{LEAST}\n[sip]\nws = ['127.0.0.1:80']\nname = 'a.example'\nupstream = '{upstream}'"
        );
        assert!(Settings::parse(&file).unwrap().sip.is_on(), "{upstream}");
    }
}

#[test]
fn wrong_values_name_their_key() {
    for (from, to, expected) in [
        (
            "edge.example",
            "edge example",
            "sip.name = \"edge example\": expected a name",
        ),
        (
            "edge.example",
            "0.0.0.0",
            "sip.name: the unspecified address",
        ),
        (
            "sip:192.0.2.1",
            "192.0.2.1",
            "sip.upstream = \"192.0.2.1\": the URI is neither",
        ),
        (
            "sip:192.0.2.1",
            "sips:a.example;transport=udp",
            "sip.upstream: the upstream: a sips URI cannot go over UDP",
        ),
        (
            "udp = ['127.0.0.1:5060']",
            "ws = ['127.0.0.1:80']",
            "sip.udp: no address, and the upstream may",
        ),
        ("5060", "3478", "sip.udp: 127.0.0.1:3478 is TURN's"),
        ("5060", "0", "sip.udp[0] = \"127.0.0.1:0\": port 0"),
    ] {
        one(&format!("{LEAST}{}", EDGE.replace(from, to)), expected);
    }
    for (line, expected) in [
        (
            "ports = { sctp = 1 }",
            "sip.ports = { sctp = 1 }: unknown key `sctp`",
        ),
        (
            "ports = { udp = 0 }",
            "`udp`: expected an integer from 1 to 65535",
        ),
        ("flow-key = 'secret'", "sip.flow-key: expected 32 bytes"),
        ("max-head = '1GiB'", "expected a size from 4KiB to 16MiB"),
        (
            "name-servers = ['192.0.2.53:53']",
            "sip.name-servers: nothing would use it",
        ),
        ("upstream-tls = { cas = [] }", "sip.upstream-tls.cas"),
        (
            "trusted = ['x']",
            "sip.trusted[0] = \"x\": expected a network",
        ),
        ("websocket = { path = '/' }", "sip.websocket.path"),
        (
            "stream = { limits = { ipv4-prefix = 99 } }",
            "sip.stream.limits.ipv4-prefix",
        ),
        ("datagrams = { workers = 999 }", "sip.datagrams.workers"),
        ("wss = ['127.0.0.1:443']", "tls.certificates"),
        ("ws = ['127.0.0.1:5060']", "5060"),
        ("tps = []", "sip.tps: unknown key; did you mean `sip.tls`?"),
    ] {
        one(&format!("{LEAST}{EDGE}{line}"), expected);
    }
}

#[test]
fn a_rate_has_two_numbers() {
    for (rate, expected) in [
        (
            "5",
            "expected a rate such as { per-second = 50, burst = 200 }, not",
        ),
        ("{ per-second = 5 }", "`burst` is missing"),
        (
            "{ per-second = 0, burst = 1 }",
            "`per-second`: expected an integer from 1",
        ),
        ("{ per-second = 1, burst = 1, x = 1 }", "unknown key `x`"),
    ] {
        let file = format!("{LEAST}{EDGE}messages = {rate}\n");
        one(&file, expected);
    }
}
