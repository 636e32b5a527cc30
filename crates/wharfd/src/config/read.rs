//! From tables to settings: every key, its default and what it may be.

use super::leaf::{self, Read};
use super::listeners::tls_defaults;
use super::section::{Section, kind};
use super::settings::{
    Admin, Algorithm, Allocations, Auth, Dtls, FleetKey, Limits, Listen, Log, LogFormat, LogLevel,
    Metrics, Peers, Proof, Relay, RelayAddress, Secret, Server, Settings, Tos, User,
};
use super::sip;
use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;
use toml::{Table, Value, toml};
use wharf::config::Address;
use wharf_stun::credential::opaque_string;

const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
/// The longest USERNAME (RFC 8489 §14.3) and the longest REALM (§14.9), in bytes.
const NAME_BYTES: usize = 508;
const REALM_CHARACTERS: usize = 127;

pub(super) fn settings(root: &mut Section<'_, '_>) -> Settings {
    let listen = root.section("listen", listen);
    let stream = toml! { socket.dual-stack = "ipv6-only" };
    let alpn = ("alpn".to_owned(), tls_defaults().alpn.into());
    Settings {
        stream: root.library_section("stream", &stream),
        tls: root.library_section("tls", &Table::from_iter([alpn])),
        dtls: root.section("dtls", dtls),
        sip: root.section("sip", sip::read),
        server: root.section("server", server),
        relay: root.section("relay", |section| relay(section, &listen.udp)),
        auth: root.section("auth", auth),
        allocations: root.section("allocations", allocations),
        peers: root.section("peers", peers),
        limits: root.section("limits", limits),
        metrics: root.section("metrics", |section| Metrics {
            listen: section.optional("listen", leaf::socket_address),
            allow_remote: section.or("allow-remote", false, leaf::boolean),
        }),
        admin: root.section("admin", |section| Admin {
            listen: section.optional("listen", unix_address),
            unix: section.library("unix"),
        }),
        log: root.section("log", log),
        listen,
    }
}

fn server(section: &mut Section<'_, '_>) -> Server {
    Server {
        realm: section.or("realm", "wharf".to_owned(), realm),
        workers: section.optional("workers", leaf::integer(1..=u8::MAX)),
        pin_workers: section.or("pin-workers", false, leaf::boolean),
        drain_deadline: section.or("drain-deadline", MINUTE, leaf::duration("0s", "1d")),
        handover: section.optional("handover", handover),
    }
}

/// Beside it there is one of a name that is six bytes longer (unix(7): 107 bytes).
fn handover(value: &Value) -> Read<PathBuf> {
    let path = leaf::text(value)?;
    let fits = path.contains('/') && path.len() <= 100 && !path.contains('\0');
    let allowed = "expected a path with a slash, of at most 100 bytes";
    fits.then(|| path.into()).ok_or_else(|| allowed.to_owned())
}

fn realm(value: &Value) -> Read<String> {
    let realm = leaf::text(value)?;
    let legal = |c: char| !c.is_control() && c != '"' && c != '\\';
    let fits = (1..=REALM_CHARACTERS).contains(&realm.chars().count()) && realm.chars().all(legal);
    let prepared = opaque_string(realm)
        .ok()
        .filter(|_| fits)
        .map(Cow::into_owned);
    let allowed = "expected 1 to 127 characters without quotes, backslashes or control characters";
    prepared.ok_or_else(|| allowed.to_owned())
}

fn listen(section: &mut Section<'_, '_>) -> Listen {
    Listen {
        udp: section.list("udp", listen_address).unwrap_or_default(),
        tcp: section.list("tcp", listen_address).unwrap_or_default(),
        tls: section.list("tls", listen_address).unwrap_or_default(),
        dtls: section.list("dtls", listen_address).unwrap_or_default(),
        receive_buffer: section.optional("receive-buffer", leaf::buffer),
        send_buffer: section.optional("send-buffer", leaf::buffer),
    }
}

fn dtls(section: &mut Section<'_, '_>) -> Dtls {
    let default = Dtls::default();
    let timeout = leaf::duration("1s", "5m");
    Dtls {
        max_sessions: section.or(
            "max-sessions",
            default.max_sessions,
            leaf::integer(1..=10_000_000),
        ),
        max_handshakes: section.or(
            "max-handshakes",
            default.max_handshakes,
            leaf::integer(1..=1_000_000),
        ),
        max_sessions_per_prefix: section.or(
            "max-sessions-per-prefix",
            default.max_sessions_per_prefix,
            leaf::integer(0..=10_000_000),
        ),
        max_handshakes_per_prefix: section.or(
            "max-handshakes-per-prefix",
            default.max_handshakes_per_prefix,
            leaf::integer(0..=1_000_000),
        ),
        handshake_timeout: section.or("handshake-timeout", default.handshake_timeout, timeout),
        mtu: section.or("mtu", default.mtu, leaf::integer(256..=16_384)),
    }
}

pub(super) fn listen_address(value: &Value) -> Read<SocketAddr> {
    let address = leaf::socket_address(value)?;
    if address.port() == 0 {
        return Err("port 0 is one that no client knows; name a port (3478 is usual)".to_owned());
    }
    let ip = address.ip();
    if let IpAddr::V6(v6) = ip
        && let Some(v4) = v6.to_ipv4_mapped()
    {
        let port = address.port();
        return Err(format!("is an IPv4-mapped address; write \"{v4}:{port}\""));
    }
    if ip.is_multicast() || ip == IpAddr::V4(Ipv4Addr::BROADCAST) {
        let allowed = "expected the address of an interface or a wildcard";
        return Err(format!("{allowed}, not a multicast or broadcast address"));
    }
    Ok(address)
}

fn unix_address(value: &Value) -> Read<Address> {
    match leaf::text(value)?.parse() {
        Ok(address @ (Address::Path(_) | Address::Abstract(_))) => Ok(address),
        _ => Err("expected a path with a slash (\"/run/wharfd.sock\") or \"@name\"".to_owned()),
    }
}

fn relay(section: &mut Section<'_, '_>, listen: &[SocketAddr]) -> Relay {
    let mut addresses = section.list("addresses", relay_address);
    if addresses.is_none() && !listen.iter().any(|address| address.ip().is_unspecified()) {
        let mut defaults: Vec<RelayAddress> = Vec::new();
        for ip in listen.iter().map(SocketAddr::ip) {
            if !defaults.iter().any(|known| known.bind == ip) {
                defaults.push(RelayAddress {
                    bind: ip,
                    advertise: ip,
                });
            }
        }
        addresses = Some(defaults);
    }
    Relay {
        addresses: addresses.unwrap_or_default(),
        ports: section.or("ports", 49_152..=65_535, leaf::ports),
        tos: section.or(
            "tos",
            Tos::Copy,
            leaf::choice(&[("copy", Tos::Copy), ("clear", Tos::Clear)]),
        ),
    }
}

fn relay_address(value: &Value) -> Read<RelayAddress> {
    let Value::Table(table) = value else {
        let ip = usable(leaf::ip_address(value)?)?;
        return Ok(RelayAddress {
            bind: ip,
            advertise: ip,
        });
    };
    if let Some(key) = table
        .keys()
        .find(|key| !matches!(key.as_str(), "bind" | "advertise"))
    {
        return Err(format!(
            "unknown key `{key}`; a relay address has `bind` and `advertise`"
        ));
    }
    let part = |key| {
        let missing =
            || format!("`{key}` is missing; write {{ bind = \"IP\", advertise = \"IP\" }}");
        usable(leaf::ip_address(table.get(key).ok_or_else(missing)?)?)
    };
    let address = RelayAddress {
        bind: part("bind")?,
        advertise: part("advertise")?,
    };
    if address.bind.is_ipv4() != address.advertise.is_ipv4() {
        return Err("`bind` and `advertise` are of different families".to_owned());
    }
    Ok(address)
}

/// An address that a socket can bind to and a client can be told.
fn usable(ip: IpAddr) -> Read<IpAddr> {
    let mapped = matches!(ip, IpAddr::V6(ip) if ip.to_ipv4_mapped().is_some());
    if ip.is_unspecified() || ip.is_multicast() || mapped {
        return Err(
            "expected the address of one interface, not a wildcard, group or mapped address"
                .to_owned(),
        );
    }
    Ok(ip)
}

fn auth(section: &mut Section<'_, '_>) -> Auth {
    let algorithm = leaf::choice(&[("md5", Algorithm::Md5), ("sha256", Algorithm::Sha256)]);
    let algorithms = section.list("algorithms", algorithm);
    Auth {
        users: section.secret_map("users", user),
        secrets: section.secret_list("secrets", secret).unwrap_or_default(),
        strict_expiry: section.or("strict-expiry", false, leaf::boolean),
        nonce_lifetime: section.or("nonce-lifetime", HOUR, leaf::duration("1m", "1d")),
        fleet_key: section
            .secret("fleet-key", leaf::base64_bytes)
            .map(FleetKey),
        algorithms: algorithms.unwrap_or_else(|| vec![Algorithm::Md5, Algorithm::Sha256]),
        username_anonymity: section.or("username-anonymity", false, leaf::boolean),
    }
}

fn user(name: &str, value: &Value) -> Read<User> {
    if name.len() > NAME_BYTES {
        return Err(format!("a user name has 1 to {NAME_BYTES} bytes"));
    }
    let name = opaque_string(name)
        .map_err(|error| format!("not a user name: {error}"))?
        .into_owned();
    let proof = match value {
        Value::String(password) => {
            let prepared = opaque_string(password);
            let prepared = prepared.map_err(|error| format!("not a password: {error}"))?;
            Proof::Password(Secret(prepared.into_owned()))
        }
        Value::Table(table) => {
            if let Some(key) = table
                .keys()
                .find(|key| !matches!(key.as_str(), "key-md5" | "key-sha256"))
            {
                return Err(format!(
                    "unknown key `{key}`; a user has `key-md5` and `key-sha256`"
                ));
            }
            let named = |key: &str, reason| format!("`{key}`: {reason}");
            let md5 = table.get("key-md5").map(leaf::hex_bytes).transpose();
            let sha256 = table.get("key-sha256").map(leaf::hex_bytes).transpose();
            Proof::Keys {
                md5: md5.map_err(|reason| named("key-md5", reason))?,
                sha256: sha256.map_err(|reason| named("key-sha256", reason))?,
            }
        }
        other => {
            let allowed = "expected a password or { key-md5 = \"HEX\", key-sha256 = \"HEX\" }";
            return Err(format!("{allowed}, not {}", kind(other)));
        }
    };
    Ok(User { name, proof })
}

fn secret(value: &Value) -> Read<Secret> {
    let text = leaf::text(value)?;
    if text.is_empty() {
        return Err("it is empty".to_owned());
    }
    Ok(Secret(text.to_owned()))
}

fn allocations(section: &mut Section<'_, '_>) -> Allocations {
    Allocations {
        default_lifetime: section.or("default-lifetime", 10 * MINUTE, leaf::duration("1s", "1d")),
        max_lifetime: section.or("max-lifetime", HOUR, leaf::duration("1s", "1d")),
        per_user: section.or("per-user", 100, leaf::integer(0..=u32::MAX)),
        total: section.or("total", 100_000, leaf::integer(1..=u32::MAX)),
        permissions: section.or("permissions", 1000, leaf::integer(1..=65_535)),
        channels: section.or("channels", 4096, leaf::integer(1..=16_383)),
        rfc5766_channels: section.or("rfc5766-channels", false, leaf::boolean),
        reservation_lifetime: section.or(
            "reservation-lifetime",
            MINUTE / 2,
            leaf::duration("30s", "10m"),
        ),
        alternate_servers: section
            .list("alternate-servers", listen_address)
            .unwrap_or_default(),
    }
}

fn peers(section: &mut Section<'_, '_>) -> Peers {
    let network = leaf::parsed("a network", "10.0.0.0/8");
    Peers {
        allow: section.list("allow", &network).unwrap_or_default(),
        deny: section.list("deny", &network).unwrap_or_default(),
        allow_only: section.or("allow-only", false, leaf::boolean),
        allow_loopback: section.or("allow-loopback", false, leaf::boolean),
        deny_low_ports: section.or("deny-low-ports", false, leaf::boolean),
    }
}

fn limits(section: &mut Section<'_, '_>) -> Limits {
    let count = leaf::integer(0..=1_000_000_000);
    Limits {
        unauthenticated_per_second: section.or("unauthenticated-per-second", 1000, &count),
        unauthenticated_burst: section.or(
            "unauthenticated-burst",
            2000,
            leaf::integer(1..=1_000_000_000),
        ),
        ipv4_prefix: section.or("ipv4-prefix", 32, leaf::integer(1..=32)),
        ipv6_prefix: section.or("ipv6-prefix", 56, leaf::integer(1..=128)),
        early_refusal: section.or("early-refusal", true, leaf::boolean),
    }
}

fn log(section: &mut Section<'_, '_>) -> Log {
    use LogFormat::{Auto, Human, Json};
    use LogLevel::{Debug, Error, Info, Trace, Warn};
    let levels = [
        ("error", Error),
        ("warn", Warn),
        ("info", Info),
        ("debug", Debug),
        ("trace", Trace),
    ];
    let formats = [("auto", Auto), ("human", Human), ("json", Json)];
    Log {
        format: section.or("format", Auto, leaf::choice(&formats)),
        level: section.or("level", Info, leaf::choice(&levels)),
    }
}
