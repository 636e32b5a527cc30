use super::*;
use crate::config::Problems;

/// The problems of one listener, as `key: what is said`.
fn of(text: &str) -> Vec<String> {
    let file = format!("[listeners.a]\n{text}");
    let problems = ServerConfig::from_toml(&file).err().unwrap_or_default();
    let strip = |key: &str| key.strip_prefix("listeners.a.").unwrap_or(key).to_owned();
    problems
        .0
        .iter()
        .map(|problem| strip(&problem.key))
        .collect()
}

const TCP: &str = "bind = ['127.0.0.1:0']\n";
const UNIX: &str = "transport = 'unix'\nbind = ['/run/a.sock']\n";
const TLS: &str =
    "transport = 'tls'\nbind = ['127.0.0.1:0']\ntls.certificates = [{ cert = 'c', key = 'k' }]\n";
const WS: &str = "transport = 'ws'\nbind = ['127.0.0.1:0']\n";

#[test]
fn the_defaults_of_each_transport_are_legal() {
    let wss = TLS.replace("'tls'", "'wss'");
    for text in [TCP, UNIX, TLS, WS, &wss, "bind = ['systemd:a', 'fd:3']"] {
        assert_eq!(of(text), [""; 0], "{text}");
    }
    assert_eq!(ServerConfig::default().check(), Ok(()));
}

#[cfg(feature = "dtls")]
#[test]
fn sessions_of_dtls_are_known_by_their_address() {
    let dtls = TLS.replace("'tls'", "'dtls'");
    let layer = TLS.replace("'tls'", "'udp'") + "demux.layers = ['dtls']\n";
    for text in [dtls, layer] {
        assert_eq!(of(&text), [""; 0], "{text}");
        let text = text + "datagrams.flow-key = { offset = 0, length = 1 }";
        assert_eq!(of(&text), ["datagrams.flow-key"], "{text}");
    }
}

#[test]
fn each_range_is_checked() {
    for (key, wrong, right) in [
        ("accept.acceptors", "0", "1"),
        ("accept.acceptors", "1025", "1024"),
        ("accept.backlog", "0", "2147483647"),
        ("socket.user-timeout", "'0s'", "'1ms'"),
        ("socket.receive-buffer", "2047", "2048"),
        ("socket.send-buffer", "4095", "4096"),
        ("socket.notsent-lowat", "0", "1"),
        ("socket.fast-open", "0", "1"),
        ("socket.defer-accept", "'1500ms'", "'1s'"),
        ("socket.dscp", "64", "63"),
        ("socket.device", "'sixteen-letters-'", "'fifteen-letters'"),
        ("socket.linger", "'500ms'", "'0s'"),
        ("limits.ipv4-prefix", "33", "32"),
        ("limits.ipv6-prefix", "129", "128"),
        ("limits.prefix-slots", "1000", "1024"),
        ("limits.prefix-slots", "33554432", "16777216"),
        ("timeouts.proxy-header", "'0s'", "'1ms'"),
        ("timeouts.handshake", "'366d'", "'365d'"),
        ("timeouts.first-byte", "'0s'", "'off'"),
        ("timeouts.read-idle", "'0s'", "'1h'"),
        ("timeouts.write", "'0s'", "'1h'"),
        ("timeouts.lifetime", "'0s'", "'1h'"),
        ("buffers.max-message", "15", "16"),
        ("buffers.write", "1023", "'1GiB'"),
    ] {
        assert_eq!(of(&format!("{TCP}{key} = {wrong}")), [key], "{wrong}");
        assert_eq!(
            of(&format!("{TCP}{key} = {right}")),
            [""; 0],
            "{key} {right}"
        );
    }
    for (key, wrong, right) in [
        ("websocket.max-head", "511", "512"),
        ("websocket.max-frame", "124", "125"),
        ("websocket.max-message", "'2GiB'", "'1GiB'"),
        ("websocket.ping", "'0s'", "'off'"),
    ] {
        assert_eq!(of(&format!("{WS}{key} = {wrong}")), [key], "{wrong}");
        assert_eq!(
            of(&format!("{WS}{key} = {right}")),
            [""; 0],
            "{key} {right}"
        );
    }
    assert_eq!(of(&format!("{TLS}tls.watch = '0s'")), ["tls.watch"]);
    let keepalive = "socket.keepalive = { idle = '32768s', interval = '1500ms', count = 128 }";
    let keepalive = of(&format!("{TCP}{keepalive}"));
    assert_eq!(
        keepalive,
        ["idle", "interval", "count"].map(|key| format!("socket.keepalive.{key}"))
    );
    for rate in ["accept", "accept-per-prefix", "bytes", "messages"] {
        let text = format!("{TCP}rates.{rate} = {{ per-second = 0, burst = 0 }}");
        let expected = [
            format!("rates.{rate}.per-second"),
            format!("rates.{rate}.burst"),
        ];
        assert_eq!(of(&text), expected);
    }
    let slow = format!("{TCP}timeouts.minimum-rate = {{ bytes-per-second = 0, grace = '0s' }}");
    assert_eq!(of(&slow).len(), 2);
}

#[test]
fn the_ranges_of_the_server_are_checked() {
    for (key, wrong) in [
        ("limits.memory", "1"),
        ("health.window", "'500ms'"),
        ("health.degraded", "-0.1"),
        ("health.unhealthy", "1.5"),
        ("health.unhealthy", "nan"),
        ("health.alarm-connections", "1.1"),
        ("health.attack-per-second", "0.0"),
        ("health.attack-per-second", "inf"),
        ("health.recover-after", "'2d'"),
        ("health.alarm-cooldown", "'2d'"),
    ] {
        let problems = ServerConfig::from_toml(&format!("{key} = {wrong}")).unwrap_err();
        assert_eq!(problems.0[0].key, key, "{problems}");
        assert_eq!(problems.0.len(), 1, "{problems}");
    }
    let crossed = ServerConfig::from_toml("health.degraded = 0.9").unwrap_err();
    assert_eq!(crossed.0[0].key, "health.degraded");
}

#[test]
fn addresses_go_with_their_transport() {
    assert_eq!(of("bind = []"), ["bind"]);
    assert_eq!(
        of("bind = ['/run/a.sock', '@a', '127.0.0.1:0']"),
        ["bind[0]", "bind[1]"]
    );
    assert_eq!(
        of("transport = 'unix'\nbind = ['127.0.0.1:0']"),
        ["bind[0]"]
    );
    let long = format!(
        "transport = 'unix'\nbind = ['/{}', '@{}']",
        "x".repeat(107),
        "x".repeat(107)
    );
    assert_eq!(of(&long), ["bind[0]"]);
    // Nothing follows from a transport that could not be read.
    assert_eq!(
        of("transport = 'unx'\nbind = ['/run/a.sock']"),
        ["transport"]
    );
}

#[cfg(feature = "quic")]
#[test]
fn a_byte_tells_the_endpoints_of_quic_apart() {
    let quic = |accept| {
        let base = TLS.replace("'tls'", "'quic'");
        of(&format!("{base}tls.alpn = ['it']\naccept = {{ {accept} }}"))
    };
    assert!(quic("reuse-port = true, acceptors = 256").is_empty());
    assert_eq!(
        quic("reuse-port = true, acceptors = 257"),
        ["accept.acceptors"]
    );
    assert!(quic("acceptors = 257").is_empty());
}

#[test]
fn what_would_be_ignored_is_an_error() {
    for (base, text, key) in [
        (UNIX, "socket.nodelay = false", "socket.nodelay"),
        (UNIX, "socket.mptcp = true", "socket.mptcp"),
        (UNIX, "accept.reuse-port = true", "accept.reuse-port"),
        (UNIX, "limits.per-prefix = 5", "limits.per-prefix"),
        (
            UNIX,
            "rates.accept-per-prefix = { per-second = 1, burst = 1 }",
            "rates.accept-per-prefix",
        ),
        (UNIX, "access = ['deny all']", "access"),
        (UNIX, "proxy.trusted = ['10.0.0.0/8']", "proxy.trusted"),
        (TCP, "unix.mode = '0660'", "unix.mode"),
        (TCP, "unix.peers = ['deny all']", "unix.peers"),
        (
            TCP,
            "tls.certificates = [{ cert = 'c', key = 'k' }]",
            "tls.certificates",
        ),
        (TCP, "websocket.ping = 'off'", "websocket.ping"),
        (TCP, "socket.dual-stack = 'ipv6-only'", "socket.dual-stack"),
        (WS, "tls.strict-sni = true", "tls.strict-sni"),
        (TLS, "websocket.paths = ['/a']", "websocket.paths"),
        (
            "transport = 'unix'\nbind = ['@a']\n",
            "unix.group = 'www'",
            "unix.group",
        ),
        (
            "bind = ['fd:3']\n",
            "socket.freebind = true",
            "socket.freebind",
        ),
    ] {
        assert_eq!(of(&format!("{base}{text}")), [key], "{base}{text}");
    }
    // With a PROXY header a Unix peer has a source address.
    let proxied = "proxy.mode = 'required'\naccess = ['deny all']\nlimits.per-prefix = 5";
    assert_eq!(of(&format!("{UNIX}{proxied}")), [""; 0]);
}

#[test]
fn options_that_need_another_are_checked() {
    for (base, text, key) in [
        (TCP, "proxy.mode = 'optional'", "proxy.trusted"),
        (TLS, "tls.client-auth = 'required'", "tls.client-ca"),
        (TLS, "tls.client-ca = ['ca.pem']", "tls.client-ca"),
        (
            TLS,
            "tls.client-purposes = ['1.2.3']",
            "tls.client-purposes",
        ),
        (
            TLS,
            "tls.client-auth = 'required'
tls.client-ca = ['ca.pem']
tls.client-purposes = ['sip']",
            "tls.client-purposes[0]",
        ),
        (TLS, "tls.alpn = ['h2', 'h2']", "tls.alpn[1]"),
        (TLS, "tls.alpn = ['']", "tls.alpn[0]"),
        (TLS, "limits.on-full = { reply = 'busy' }", "limits.on-full"),
        (
            TCP,
            "limits.on-full = { reply = '' }",
            "limits.on-full.reply",
        ),
        (
            WS,
            "websocket.subprotocol-required = true",
            "websocket.subprotocol-required",
        ),
        (
            WS,
            "websocket.subprotocols = ['a b']",
            "websocket.subprotocols[0]",
        ),
        (WS, "websocket.paths = ['chat']", "websocket.paths[0]"),
        (WS, "websocket.hosts = ['http://a']", "websocket.hosts[0]"),
        (
            WS,
            "websocket.origins = ['https://a/']",
            "websocket.origins[0]",
        ),
        (
            TCP,
            "access = ['deny 10.0.0.1', 'deny 10.0.0.1/32']",
            "access",
        ),
        (UNIX, "unix.peers = ['deny all', 'deny all']", "unix.peers"),
        (UNIX, "unix.owner = ''", "unix.owner"),
    ] {
        assert_eq!(of(&format!("{base}{text}")), [key], "{base}{text}");
    }
    assert_eq!(
        of("transport = 'tls'\nbind = ['127.0.0.1:0']"),
        ["tls.certificates"]
    );
    let wss = TLS.replace("'tls'", "'wss'");
    assert_eq!(of(&format!("{wss}tls.alpn = ['h2']")), ["tls.alpn"]);
    let certificates = "transport = 'tls'\nbind = ['127.0.0.1:0']\ntls.certificates = [{ cert = '', key = 'k', names = ['a.b', 'a..b', '*.c'] }, { cert = 'c', key = 'k', names = ['A.b'] }]";
    let expected =
        ["[0].cert", "[0].names[1]", "[1].names[0]"].map(|at| format!("tls.certificates{at}"));
    assert_eq!(of(certificates), expected);
}

#[test]
fn names_are_short_words() {
    let config: ListenerConfig = toml::from_str(TCP).unwrap();
    assert_eq!(config.check("a-1"), Ok(()));
    for name in ["", "A", "a b", "é", &"a".repeat(64)] {
        let Err(Problems(problems)) = config.check(name) else {
            panic!("{name} passed");
        };
        assert!(problems[0].key.starts_with("listeners."), "{}", problems[0]);
    }
}

#[test]
fn two_sockets_on_one_address_are_found() {
    for (first, second, options, meet) in [
        ("127.0.0.1:1", "127.0.0.1:1", "", true),
        ("127.0.0.1:0", "127.0.0.1:0", "", false),
        ("127.0.0.1:1", "127.0.0.2:1", "", false),
        ("0.0.0.0:1", "127.0.0.1:1", "", true),
        ("127.0.0.1:1", "0.0.0.0:1", "", true),
        ("[::]:1", "127.0.0.1:1", "", true),
        ("127.0.0.1:1", "[::]:1", "", true),
        (
            "[::]:1",
            "0.0.0.0:1",
            "socket.dual-stack = 'ipv6-only'",
            false,
        ),
        ("[::]:1", "[::1]:1", "socket.dual-stack = 'ipv6-only'", true),
        ("0.0.0.0:1", "[::1]:1", "", false),
        ("127.0.0.1:1", "[::ffff:127.0.0.1]:1", "", true),
        ("[fe80::1%1]:1", "[fe80::1%2]:1", "", false),
        ("systemd:a", "systemd:a", "", true),
        ("fd:3", "fd:4", "", false),
    ] {
        let text = format!("bind = ['{first}', '{second}']\n{options}");
        let expected: &[&str] = if meet { &["bind[1]"] } else { &[] };
        assert_eq!(of(&text), expected, "{text}");
    }
    let two = |more: &str| {
        let listener =
            |name| format!("[listeners.{name}]\nbind = ['[::]:1']\nsocket.device = '{name}'\n");
        let text = format!("{}{}{more}", listener("a"), listener("b"));
        ServerConfig::from_toml(&text)
    };
    assert!(two("").is_ok(), "devices set them apart");
    let third = two("[listeners.c]\nbind = ['127.0.0.1:1']").unwrap_err();
    let line = "listeners.c.bind[0] = 127.0.0.1:1: is taken by listeners.a.bind[0] = \"[::]:1\". Two sockets cannot have one address: change or remove one.";
    assert_eq!(third.to_string(), line);
}
