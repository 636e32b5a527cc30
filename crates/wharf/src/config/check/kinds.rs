//! Which options go with which kind of address.

use std::os::unix::ffi::OsStrExt;

use serde::Serialize;

use super::Checker;
use crate::config::{
    Address, Limits, ListenerConfig, OnFull, ProxyMode, ProxyOptions, Rates, SocketOptions,
    Transport, UnixOptions,
};

/// The longest socket path or abstract name: `sun_path` is 108 bytes, one of them the final or
/// leading zero.
const LONGEST_PATH: usize = 107;

/// Options that TCP or IP sockets have and others have not.
const IP_ONLY: [&str; 12] = [
    "nodelay",
    "keepalive",
    "user-timeout",
    "notsent-lowat",
    "fast-open",
    "defer-accept",
    "dscp",
    "device",
    "freebind",
    "transparent",
    "mptcp",
    "dual-stack",
];
/// Options that act only before a socket is bound.
const BEFORE_BIND: [&str; 3] = ["freebind", "mptcp", "dual-stack"];
/// Options of the socket's file.
const FILE: [&str; 3] = ["mode", "owner", "group"];
/// Limits that count by source address.
const PER_PREFIX: [&str; 5] = [
    "per-prefix",
    "handshakes-per-prefix",
    "ipv4-prefix",
    "ipv6-prefix",
    "prefix-slots",
];

/// The kinds of address that a listener has.
struct Kinds<'a>(&'a [Address]);

impl Kinds<'_> {
    fn all(&self, kind: impl Fn(&Address) -> bool) -> bool {
        self.0.iter().all(kind)
    }

    fn any(&self, kind: impl Fn(&Address) -> bool) -> bool {
        self.0.iter().any(kind)
    }
}

fn is_ip(address: &Address) -> bool {
    matches!(address, Address::Ip(_))
}

fn is_unix(address: &Address) -> bool {
    matches!(address, Address::Path(_) | Address::Abstract(_))
}

/// Passed sockets are bound already, and of a kind that is known only when they are there.
fn is_passed(address: &Address) -> bool {
    matches!(address, Address::Systemd(_) | Address::Descriptor(_))
}

pub(super) fn check(config: &ListenerConfig, checker: &mut Checker<'_>) {
    if config.bind.is_empty() {
        let allowed = "expected at least one address";
        let advice = "For example [\"[::]:7000\"], [\"/run/app.sock\"] or [\"@name\"].";
        checker.problem("bind", None::<&str>, allowed, advice);
        return;
    }
    for (index, address) in config.bind.iter().enumerate() {
        one_address(config.transport, index, address, checker);
    }
    // What could not be read might be of any kind.
    if checker.is_broken("bind") {
        return;
    }
    let kinds = Kinds(&config.bind);
    socket_options(config, &kinds, checker);
    unix_options(config, &kinds, checker);
    source_rules(config, &kinds, checker);
}

fn one_address(transport: Transport, index: usize, address: &Address, checker: &mut Checker<'_>) {
    let key = format!("bind[{index}]");
    let known = !checker.is_broken("transport");
    let on_ip = matches!(
        transport,
        Transport::Tcp | Transport::Quic | Transport::Udp | Transport::Sctp | Transport::Dtls
    );
    if known && on_ip && is_unix(address) {
        let unix = match transport {
            Transport::Udp => "unixgram",
            _ => "unix",
        };
        let advice = &format!("Use transport = \"{unix}\", or an address such as \"[::]:7000\".");
        let allowed = format!("expected an IP address and port for {}", transport.label());
        checker.problem(&key, Some(address), &allowed, advice);
    }
    let on_unix = matches!(transport, Transport::Unix | Transport::Unixgram);
    if known && on_unix && is_ip(address) {
        let ip = match transport {
            Transport::Unixgram => "udp",
            _ => "tcp",
        };
        let advice = &format!("Use transport = \"{ip}\", or an address such as \"/run/app.sock\".");
        let allowed = format!("expected a path or \"@name\" for {}", transport.label());
        checker.problem(&key, Some(address), &allowed, advice);
    }
    let length = match address {
        Address::Path(path) => path.as_os_str().as_bytes().len(),
        Address::Abstract(name) => name.len(),
        _ => 0,
    };
    checker.expect(
        length <= LONGEST_PATH,
        &key,
        address,
        "expected at most 107 bytes",
        "The kernel has no room for longer Unix addresses.",
    );
}

fn socket_options(config: &ListenerConfig, kinds: &Kinds<'_>, checker: &mut Checker<'_>) {
    if config.accept.reuse_port && !kinds.all(is_ip) {
        let advice = "Use more `accept.acceptors` instead.";
        checker.problem(
            "accept.reuse-port",
            Some(true),
            "is for IP addresses only",
            advice,
        );
    }
    let given = differing(&config.socket, &SocketOptions::default());
    if kinds.all(is_unix) {
        checker.idle("socket", &given, &IP_ONLY, "on Unix sockets");
    } else if kinds.all(is_passed) {
        let given = given
            .iter()
            .filter(|key| BEFORE_BIND.contains(&key.as_str()));
        let given: Vec<String> = given.cloned().collect();
        checker.idle(
            "socket",
            &given,
            &BEFORE_BIND,
            "on sockets that are bound already",
        );
    } else if !kinds.any(|address| matches!(address, Address::Ip(ip) if ip.is_ipv6())) {
        checker.idle("socket", &given, &["dual-stack"], "without an IPv6 address");
    }
}

fn unix_options(config: &ListenerConfig, kinds: &Kinds<'_>, checker: &mut Checker<'_>) {
    let given = differing(&config.unix, &UnixOptions::default());
    if kinds.all(is_ip) {
        checker.idle(
            "unix",
            &given,
            &["mode", "owner", "group", "peers"],
            "on IP addresses",
        );
    } else if !kinds.any(|address| matches!(address, Address::Path(_))) {
        checker.idle(
            "unix",
            &given,
            &FILE,
            "without a socket file that this server makes",
        );
    }
}

/// Rules on source addresses, where there may be none.
fn source_rules(config: &ListenerConfig, kinds: &Kinds<'_>, checker: &mut Checker<'_>) {
    let proxy = &config.proxy;
    if checker.is_broken("proxy") {
        return;
    }
    if proxy.mode != ProxyMode::Off && proxy.trusted.is_empty() && kinds.any(is_ip) {
        let allowed = "expected the ranges of the proxies, because proxy.mode is not \"off\"";
        let advice = "For example [\"10.0.0.0/8\"]. Whoever is trusted names the source address.";
        checker.problem("proxy.trusted", None::<&str>, allowed, advice);
    }
    if proxy.mode == ProxyMode::Off {
        let given = differing(proxy, &ProxyOptions::default());
        checker.idle("proxy", &given, &["trusted"], "while proxy.mode is \"off\"");
    }
    if !kinds.all(is_unix) || proxy.mode != ProxyMode::Off {
        return;
    }
    let why = "on Unix sockets without a PROXY header: their peers have no source address";
    let given = differing(&config.limits, &Limits::default());
    checker.idle("limits", &given, &PER_PREFIX, why);
    let given = differing(&config.rates, &Rates::default());
    checker.idle("rates", &given, &["accept-per-prefix"], why);
    if !config.access.is_empty() {
        let allowed = format!("has no effect {why}");
        checker.problem("access", None::<&str>, &allowed, "Use `unix.peers`.");
    }
}

/// The keys of a section whose values are not those of `default`.
pub(super) fn differing<T: Serialize>(section: &T, default: &T) -> Vec<String> {
    let table = |section| match serde_json::to_value(section) {
        Ok(serde_json::Value::Object(table)) => table,
        _ => serde_json::Map::new(),
    };
    let default = table(default);
    let given = table(section).into_iter();
    let given = given.filter(|(key, value)| default.get(key) != Some(value));
    given.map(|(key, _)| key).collect()
}

impl Checker<'_> {
    /// A problem for each of `keys` in the section that is given and would be ignored.
    pub(super) fn idle(&mut self, section: &str, given: &[String], keys: &[&str], why: &str) {
        for key in given.iter().filter(|given| keys.contains(&given.as_str())) {
            let (key, allowed) = (format!("{section}.{key}"), format!("has no effect {why}"));
            self.problem(&key, None::<&str>, &allowed, "Remove it.");
        }
    }

    /// [`Self::idle`] for every key that is given.
    pub(super) fn idle_section(&mut self, section: &str, given: &[String], why: &str) {
        let keys: Vec<&str> = given.iter().map(String::as_str).collect();
        self.idle(section, given, &keys, why);
    }
}

/// Whether the answer to one connection too many can be read by its peer.
pub(super) fn reply_is_readable(config: &ListenerConfig) -> bool {
    !(config.is_secure() && matches!(config.limits.on_full, OnFull::Reply(_)))
}
