use super::config;
use crate::config::Settings;
use std::time::Duration;
use wharf_turn_server::wharf_dtls::{Psk, ServerContext, ServerOptions};
use wharf_turn_server::{Config, EventHook, Tos};

/// A section with a key that is not at its default, and whether the server's configuration shows it.
type Row = (&'static str, &'static str, fn(&Config) -> bool);

const LEAST: &str = "
[listen]
udp = ['127.0.0.1:3478']
[auth]
users = { alice = 'wonderland' }
";

const ROWS: &[Row] = &[
    ("server", "realm = 'example.org'", |c| {
        c.core.realm == "example.org"
    }),
    ("server", "workers = 3", |c| c.workers == 3),
    ("server", "pin-workers = true", |c| c.pin_workers),
    ("listen", "udp = ['127.0.0.1:5000']", |c| {
        c.listen[0].port() == 5000
    }),
    ("listen", "dtls = ['127.0.0.1:5349']", |c| {
        c.dtls.as_ref().unwrap().listen[0].port() == 5349
    }),
    ("dtls", "max-sessions = 7", |c| {
        c.dtls.as_ref().unwrap().max_sessions == 7
    }),
    ("dtls", "max-handshakes = 7", |c| {
        c.dtls.as_ref().unwrap().max_handshakes == 7
    }),
    ("dtls", "max-sessions-per-prefix = 7", |c| {
        c.dtls.as_ref().unwrap().max_sessions_per_prefix == 7
    }),
    ("dtls", "max-handshakes-per-prefix = 0", |c| {
        c.dtls.as_ref().unwrap().max_handshakes_per_prefix == 0
    }),
    ("dtls", "handshake-timeout = 7", |c| {
        c.dtls.as_ref().unwrap().handshake_timeout == Duration::from_secs(7)
    }),
    ("listen", "receive-buffer = 8192", |c| {
        c.receive_buffer == Some(8192)
    }),
    ("listen", "send-buffer = 8192", |c| {
        c.send_buffer == Some(8192)
    }),
    (
        "relay",
        "addresses = [{ bind = '10.0.0.5', advertise = '203.0.113.5' }]",
        |c| {
            c.relays[0].bind.to_string() == "10.0.0.5"
                && c.relays[0].advertised.to_string() == "203.0.113.5"
        },
    ),
    ("relay", "ports = '50000-50009'", |c| {
        c.relays[0].ports == (50_000..=50_009)
    }),
    ("relay", "tos = 'clear'", |c| c.tos == Tos::Clear),
    ("auth", "users = { a = 'b', c = 'd' }", |c| {
        format!("{:?}", c.credentials).contains("users: 2")
    }),
    ("auth", "secrets = ['a', 'b']", |c| {
        format!("{:?}", c.credentials).contains("secrets: 2")
    }),
    ("auth", "strict-expiry = true", |c| c.core.strict_expiry),
    ("auth", "nonce-lifetime = 600", |c| {
        c.core.nonce_lifetime == Duration::from_mins(10)
    }),
    (
        "auth",
        "fleet-key = 'AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE='",
        |c| c.nonce_secret == Some([1; 32]),
    ),
    ("auth", "algorithms = ['sha256']", |c| {
        !c.core.algorithms.md5 && c.core.algorithms.sha256
    }),
    ("auth", "algorithms = ['md5']", |c| {
        c.core.algorithms.md5 && !c.core.algorithms.sha256
    }),
    ("auth", "username-anonymity = true", |c| {
        c.core.username_anonymity
    }),
    ("allocations", "default-lifetime = 700", |c| {
        c.core.default_lifetime == Duration::from_secs(700)
    }),
    ("allocations", "max-lifetime = 7000", |c| {
        c.core.max_lifetime == Duration::from_secs(7000)
    }),
    ("allocations", "per-user = 7", |c| c.quotas.per_user == 7),
    ("allocations", "total = 7", |c| c.quotas.total == 7),
    ("allocations", "permissions = 7", |c| {
        c.core.max_permissions == 7
    }),
    ("allocations", "channels = 7", |c| c.core.max_channels == 7),
    ("allocations", "rfc5766-channels = true", |c| {
        c.core.rfc5766_channels
    }),
    ("allocations", "reservation-lifetime = 70", |c| {
        c.core.reservation_lifetime == Duration::from_secs(70)
    }),
    (
        "allocations",
        "alternate-servers = ['192.0.2.1:3478']",
        |c| c.core.alternate_servers[..] == ["192.0.2.1:3478".parse().unwrap()],
    ),
    ("peers", "allow = ['10.0.0.0/8']", |c| {
        c.peers.allow[..] == ["10.0.0.0/8".parse().unwrap()]
    }),
    ("peers", "deny = ['8.0.0.0/8']", |c| {
        c.peers.deny[..] == ["8.0.0.0/8".parse().unwrap()]
    }),
    ("peers", "allow = ['10.0.0.0/8']\nallow-only = true", |c| {
        c.peers.allow_only
    }),
    ("peers", "allow-loopback = true", |c| c.peers.allow_loopback),
    ("peers", "deny-low-ports = true", |c| {
        c.peers.deny_ports_below_1024
    }),
    ("limits", "unauthenticated-per-second = 7", |c| {
        c.core.unauthenticated.per_second == 7
    }),
    ("limits", "unauthenticated-burst = 7", |c| {
        c.core.unauthenticated.burst == 7
    }),
    ("limits", "ipv4-prefix = 7", |c| {
        c.core.unauthenticated.ipv4_prefix == 7
    }),
    ("limits", "ipv6-prefix = 7", |c| {
        c.core.unauthenticated.ipv6_prefix == 7
    }),
    ("limits", "early-refusal = false", |c| !c.core.early_refusal),
    ("metrics", "listen = '127.0.0.1:9478'", |c| {
        c.peers.own.sockets[0].port() == 9478
    }),
];

fn configured(text: &str) -> Config {
    let settings = Settings::parse(text).unwrap();
    let context = || {
        let psk = vec![Psk::new("a", *b"b")];
        let options = ServerOptions {
            psk,
            ..ServerOptions::default()
        };
        ServerContext::new(&options).unwrap()
    };
    let context = (!settings.listen.dtls.is_empty()).then(context);
    config(&settings, context, EventHook::new(|_| {})).unwrap()
}

fn with(section: &str, key: &str) -> String {
    let mut table: toml::Table = LEAST.parse().unwrap();
    let more: toml::Table = key.parse().unwrap();
    if section == "dtls" || key.starts_with("dtls ") {
        let listen = table["listen"].as_table_mut().unwrap();
        listen.insert("dtls".to_owned(), vec!["127.0.0.1:3478"].into());
        let certificates = "certificates = [{ cert = '/a.pem', key = '/a.pem' }]";
        let tls: toml::Table = certificates.parse().unwrap();
        table.insert("tls".to_owned(), tls.into());
    }
    let section = table
        .entry(section)
        .or_insert_with(|| toml::Table::new().into());
    section.as_table_mut().unwrap().extend(more);
    table.to_string()
}

#[test]
fn each_setting_reaches_the_server() {
    for (section, key, shown) in ROWS {
        assert!(shown(&configured(&with(section, key))), "{section}: {key}");
    }
}

/// Keys that the daemon itself acts upon.
const OWN: [&str; 8] = [
    "server.drain-deadline",
    "server.handover",
    "listen.tcp",
    "listen.tls",
    "dtls.mtu",
    "metrics.allow-remote",
    "log.format",
    "log.level",
];

/// Sections that the daemon's listeners and its SIP have.
const OTHERS: [&str; 4] = ["stream", "tls", "admin", "sip"];

#[test]
fn the_rows_cover_every_key_of_the_server() {
    for path in crate::config::keys() {
        let (section, key) = path.split_once('.').unwrap();
        let row = ROWS.iter().any(|row| {
            row.0 == section
                && row
                    .1
                    .lines()
                    .any(|line| line.starts_with(&format!("{key} = ")))
        });
        let own = OWN.contains(&path.as_str()) || OTHERS.contains(&section);
        assert!(row != own, "{path}");
    }
}

#[test]
fn nobody_relays_to_the_sockets_of_sip() {
    let sip = "udp = ['127.0.0.1:5060']\nws = ['127.0.0.1:8080']\nname = 'a.example'\nupstream = 'sip:192.0.2.1'";
    let own = configured(&with("sip", sip)).peers.own.sockets;
    for address in ["127.0.0.1:5060", "127.0.0.1:8080"] {
        assert!(own.contains(&address.parse().unwrap()), "{own:?}");
    }
}
