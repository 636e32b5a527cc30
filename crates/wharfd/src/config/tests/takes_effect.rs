use super::{LEAST, sip};
use crate::config::*;
use std::time::Duration;
use toml::{Table, Value};
use wharf::config::Pem;

/// A key, another value for it, and how the settings must then differ from the least ones.
pub(super) type Row = (&'static str, &'static str, fn(&mut Settings));

const MD5: &str = "8493fbc53ba582fb4c044c456bdc40eb";

fn rows() -> Vec<Row> {
    let mut rows = rows_of_turn();
    rows.extend(sip::rows());
    rows
}

fn rows_of_turn() -> Vec<Row> {
    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }
    vec![
        ("server.realm", "'example.org'", |s| {
            s.server.realm = "example.org".into();
        }),
        ("server.workers", "73", |s| s.server.workers = Some(73)),
        ("server.pin-workers", "true", |s| {
            s.server.pin_workers = true;
        }),
        ("server.drain-deadline", "'5m'", |s| {
            s.server.drain_deadline = seconds(300);
        }),
        ("server.handover", "'/run/wharfd.handover'", |s| {
            s.server.handover = Some("/run/wharfd.handover".into());
        }),
        ("listen.udp", "['127.0.0.1:5000']", |s| {
            s.listen.udp[0].set_port(5000);
        }),
        ("listen.tcp", "['127.0.0.1:5001']", |s| {
            s.listen.tcp = vec!["127.0.0.1:5001".parse().unwrap()];
        }),
        ("listen.tls", "['127.0.0.1:5002']", |s| {
            s.listen.tls[0].set_port(5002);
        }),
        ("listen.dtls", "['127.0.0.1:5003']", |s| {
            s.listen.dtls[0].set_port(5003);
        }),
        ("listen.receive-buffer", "'4MiB'", |s| {
            s.listen.receive_buffer = Some(4 << 20);
        }),
        ("listen.send-buffer", "'1MiB'", |s| {
            s.listen.send_buffer = Some(1 << 20);
        }),
        ("stream.accept", "{ backlog = 7 }", |s| {
            s.stream.accept.backlog = 7;
        }),
        ("stream.socket", "{ nodelay = false }", |s| {
            s.stream.socket.nodelay = false;
        }),
        (
            "stream.proxy",
            "{ mode = 'optional', trusted = ['10.0.0.0/8'] }",
            |s| {
                s.stream.proxy.mode = wharf::config::ProxyMode::Optional;
                s.stream.proxy.trusted = vec!["10.0.0.0/8".parse().unwrap()];
            },
        ),
        ("stream.limits", "{ per-prefix = 7 }", |s| {
            s.stream.limits.per_prefix = 7;
        }),
        ("stream.access", "['deny 10.0.0.0/8']", |s| {
            s.stream.access = vec!["deny 10.0.0.0/8".parse().unwrap()];
        }),
        (
            "stream.rates",
            "{ accept = { per-second = 5, burst = 9 } }",
            |s| {
                s.stream.rates.accept = Some(wharf::config::Rate {
                    per_second: 5,
                    burst: 9,
                });
            },
        ),
        ("stream.timeouts", "{ handshake = '3s' }", |s| {
            s.stream.timeouts.handshake = Some(seconds(3));
        }),
        (
            "tls.certificates",
            "[{ cert = '/b.pem', key = '/c.pem' }]",
            |s| {
                s.tls.certificates[0].cert = Pem::File("/b.pem".into());
                s.tls.certificates[0].key = Pem::File("/c.pem".into());
            },
        ),
        ("tls.strict-sni", "true", |s| s.tls.strict_sni = true),
        ("tls.alpn", "['stun.turn']", |s| {
            s.tls.alpn.truncate(1);
        }),
        ("tls.alpn-required", "false", |s| {
            s.tls.alpn_required = false;
        }),
        ("tls.min-version", "'1.3'", |s| {
            s.tls.min_version = wharf::config::TlsVersion::V1_3;
        }),
        ("tls.client-auth", "'optional'", |s| {
            s.tls.client_auth = wharf::config::ClientAuth::Optional;
        }),
        ("tls.client-ca", "['/b.pem']", |s| {
            s.tls.client_ca = vec![Pem::File("/b.pem".into())];
        }),
        ("tls.client-purposes", "['1.2.3']", |s| {
            s.tls.client_purposes = vec!["1.2.3".into()];
        }),
        ("tls.resumption", "'off'", |s| {
            s.tls.resumption = wharf::config::Resumption::Off;
        }),
        ("tls.watch", "'1m'", |s| s.tls.watch = Some(seconds(60))),
        ("dtls.max-sessions", "7", |s| s.dtls.max_sessions = 7),
        ("dtls.max-handshakes", "9", |s| s.dtls.max_handshakes = 9),
        ("dtls.max-sessions-per-prefix", "5", |s| {
            s.dtls.max_sessions_per_prefix = 5;
        }),
        ("dtls.max-handshakes-per-prefix", "0", |s| {
            s.dtls.max_handshakes_per_prefix = 0;
        }),
        ("dtls.handshake-timeout", "'3s'", |s| {
            s.dtls.handshake_timeout = seconds(3);
        }),
        ("dtls.mtu", "1400", |s| s.dtls.mtu = 1400),
        (
            "relay.addresses",
            "[{ bind = '10.0.0.5', advertise = '203.0.113.5' }, '::1']",
            |s| {
                let address = |bind: &str, advertise: &str| RelayAddress {
                    bind: bind.parse().unwrap(),
                    advertise: advertise.parse().unwrap(),
                };
                s.relay.addresses = vec![address("10.0.0.5", "203.0.113.5"), address("::1", "::1")];
            },
        ),
        ("relay.ports", "'50000-50999'", |s| {
            s.relay.ports = 50_000..=50_999;
        }),
        ("relay.tos", "'clear'", |s| s.relay.tos = Tos::Clear),
        (
            "auth.users",
            "{ bob = { key-md5 = 'MD5', key-sha256 = 'MD5MD5' } }",
            |s| {
                let half = 0x8493_fbc5_3ba5_82fb_4c04_4c45_6bdc_40eb_u128.to_be_bytes();
                let mut whole = [0; 32];
                whole[..16].copy_from_slice(&half);
                whole[16..].copy_from_slice(&half);
                let proof = Proof::Keys {
                    md5: Some(half),
                    sha256: Some(whole),
                };
                s.auth.users = vec![User {
                    name: "bob".into(),
                    proof,
                }];
            },
        ),
        ("auth.secrets", "['old', 'new']", |s| {
            s.auth.secrets = vec![Secret("old".into()), Secret("new".into())];
        }),
        ("auth.strict-expiry", "true", |s| {
            s.auth.strict_expiry = true;
        }),
        ("auth.nonce-lifetime", "'10m'", |s| {
            s.auth.nonce_lifetime = seconds(600);
        }),
        (
            "auth.fleet-key",
            "'AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE='",
            |s| {
                s.auth.fleet_key = Some(FleetKey([1; 32]));
            },
        ),
        ("auth.algorithms", "['sha256']", |s| {
            s.auth.algorithms = vec![Algorithm::Sha256];
        }),
        ("auth.username-anonymity", "true", |s| {
            s.auth.username_anonymity = true;
        }),
        ("allocations.default-lifetime", "'5m'", |s| {
            s.allocations.default_lifetime = seconds(300);
        }),
        ("allocations.max-lifetime", "'2h'", |s| {
            s.allocations.max_lifetime = seconds(7200);
        }),
        ("allocations.per-user", "7", |s| s.allocations.per_user = 7),
        ("allocations.total", "50", |s| s.allocations.total = 50),
        ("allocations.permissions", "10", |s| {
            s.allocations.permissions = 10;
        }),
        ("allocations.channels", "20", |s| {
            s.allocations.channels = 20;
        }),
        ("allocations.rfc5766-channels", "true", |s| {
            s.allocations.rfc5766_channels = true;
        }),
        ("allocations.reservation-lifetime", "60", |s| {
            s.allocations.reservation_lifetime = seconds(60);
        }),
        ("allocations.alternate-servers", "['192.0.2.1:3478']", |s| {
            s.allocations.alternate_servers = vec!["192.0.2.1:3478".parse().unwrap()];
        }),
        ("peers.allow", "['10.0.0.0/8']", |s| {
            s.peers.allow = vec!["10.0.0.0/8".parse().unwrap()];
        }),
        ("peers.deny", "['8.8.8.0/24']", |s| {
            s.peers.deny = vec!["8.8.8.0/24".parse().unwrap()];
        }),
        ("peers.allow-only", "true", |s| s.peers.allow_only = true),
        ("peers.allow-loopback", "true", |s| {
            s.peers.allow_loopback = true;
        }),
        ("peers.deny-low-ports", "true", |s| {
            s.peers.deny_low_ports = true;
        }),
        ("limits.unauthenticated-per-second", "5", |s| {
            s.limits.unauthenticated_per_second = 5;
        }),
        ("limits.unauthenticated-burst", "9", |s| {
            s.limits.unauthenticated_burst = 9;
        }),
        ("limits.ipv4-prefix", "24", |s| s.limits.ipv4_prefix = 24),
        ("limits.ipv6-prefix", "64", |s| s.limits.ipv6_prefix = 64),
        ("limits.early-refusal", "false", |s| {
            s.limits.early_refusal = false;
        }),
        ("metrics.listen", "'127.0.0.1:9478'", |s| {
            s.metrics.listen = Some("127.0.0.1:9478".parse().unwrap());
        }),
        ("metrics.allow-remote", "true", |s| {
            s.metrics.allow_remote = true;
        }),
        ("admin.listen", "'@wharfd'", |s| {
            s.admin.listen = Some("@wharfd".parse().unwrap());
        }),
        ("admin.unix", "{ mode = '0660' }", |s| {
            s.admin.unix.mode = 0o660;
        }),
        ("log.format", "'json'", |s| s.log.format = LogFormat::Json),
        ("log.level", "'debug'", |s| s.log.level = LogLevel::Debug),
    ]
}

fn set(table: &mut Table, path: &str, value: &str) {
    let (section, key) = path.split_once('.').unwrap();
    let value = value.replace("MD5", MD5);
    let value = format!("value = {value}")
        .parse::<Table>()
        .unwrap()
        .remove("value")
        .unwrap();
    let section = table.entry(section).or_insert(Value::Table(Table::new()));
    section
        .as_table_mut()
        .unwrap()
        .insert(key.to_owned(), value);
}

/// What must be there for the key to have an effect.
fn needs(key: &str) -> &'static [(&'static str, &'static str)] {
    const TCP: (&str, &str) = ("listen.tcp", "['127.0.0.1:3478']");
    const TLS: (&str, &str) = ("listen.tls", "['127.0.0.1:5349']");
    const DTLS: (&str, &str) = ("listen.dtls", "['127.0.0.1:5349']");
    const CERTIFICATE: (&str, &str) = ("tls.certificates", "[{ cert = '/a.pem', key = '/a.pem' }]");
    match key {
        "tls.client-auth" | "tls.client-ca" | "tls.client-purposes" => &[
            TLS,
            CERTIFICATE,
            ("tls.client-auth", "'required'"),
            ("tls.client-ca", "['/a.pem']"),
        ],
        "admin.unix" => &[("admin.listen", "'/run/wharfd.sock'")],
        _ if key.starts_with("tls.") || key == "listen.tls" => &[TLS, CERTIFICATE],
        _ if key.starts_with("dtls.") || key == "listen.dtls" => &[DTLS, CERTIFICATE],
        _ if key.starts_with("stream.") => &[TCP],
        _ if key.starts_with("sip.") => sip::needs(key),
        _ => &[],
    }
}

#[test]
fn each_key_changes_its_setting_and_nothing_else() {
    for (key, value, change) in rows() {
        let mut table: Table = LEAST.parse().unwrap();
        for (key, value) in needs(key) {
            set(&mut table, key, value);
        }
        let mut expected = Settings::from_table(&table).unwrap();
        change(&mut expected);
        match key {
            // The default relay addresses follow the listeners; only the port changes here.
            "auth.username-anonymity" => assert!(expected.auth.secrets.is_empty()),
            "peers.allow-only" => {
                set(&mut table, "peers.allow", "['10.0.0.0/8']");
                expected.peers.allow = vec!["10.0.0.0/8".parse().unwrap()];
            }
            _ => {}
        }
        let before = Settings::from_table(&table).unwrap_or_else(|_| expected.clone());
        set(&mut table, key, value);
        assert_eq!(
            Settings::from_table(&table).as_ref(),
            Ok(&expected),
            "{key}"
        );
        assert!(
            before != expected || key == "peers.allow-only",
            "{key} is set to its default"
        );
    }
}

#[test]
fn the_rows_cover_every_key() {
    let mut rows: Vec<String> = rows().iter().map(|(key, ..)| (*key).to_owned()).collect();
    let mut keys = keys();
    rows.sort();
    keys.sort();
    assert_eq!(rows, keys);
}

#[test]
fn the_example_is_valid_and_names_every_key() {
    let text = include_str!("../../../../../examples/wharf.toml");
    Settings::parse(text).unwrap();
    let mut section = String::new();
    let mut named = Vec::new();
    for line in text.lines().map(|line| line.trim_start_matches(['#', ' '])) {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.split_once(']')) {
            section = name.0.to_owned();
        } else if let Some((key, _)) = line.split_once(" = ") {
            named.push(format!("{section}.{key}"));
        }
    }
    for key in keys() {
        assert!(
            named.contains(&key),
            "examples/wharf.toml does not show {key}"
        );
    }
}

#[test]
fn the_handbook_lists_the_keys_that_exist() {
    let text = include_str!("../../../../../docs/configuration.md");
    let rows = text
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    let mut listed: Vec<String> = rows.map(|(key, _)| key.to_owned()).collect();
    let mut keys = keys();
    listed.sort();
    keys.sort();
    assert_eq!(listed, keys);
}
