//! The settings of TURN over TCP and TLS, and of SIP, in the words of the library, and back.

use super::{Dtls, Settings, sip};
use crate::problem::Problem;
use std::net::SocketAddr;
use wharf::config::{
    Address, DtlsOptions, DualStack, ListenerConfig, ServerConfig, SocketOptions, TlsOptions,
    Transport,
};

/// The name of the listener for TURN over TCP, in metrics and in the tools.
pub const TCP: &str = "turn-tcp";
/// The name of the listener for TURN over TLS.
pub const TLS: &str = "turn-tls";
/// What TURN over DTLS is called in the log. It has no listener of the library: its sockets are the
/// workers'.
pub const DTLS: &str = "turn-dtls";

/// The listeners that the settings ask for, if any.
pub fn listeners(settings: &Settings) -> ServerConfig {
    let listen = &settings.listen;
    let all = [
        (TCP, Transport::Tcp, &listen.tcp, TlsOptions::default()),
        (TLS, Transport::Tls, &listen.tls, settings.tls.clone()),
    ];
    let asked = all.into_iter().filter(|(_, _, bind, _)| !bind.is_empty());
    let turn = asked.map(|(name, transport, bind, tls)| {
        (name.to_owned(), listener(settings, transport, bind, tls))
    });
    let sip = sip::listeners(&settings.sip, &settings.tls, settings.server.workers);
    ServerConfig {
        listeners: turn.chain(sip).collect(),
        ..ServerConfig::default()
    }
}

/// DTLS as a listener of the library would have it: for what the library finds in it.
pub(super) fn dtls_listener(settings: &Settings) -> ServerConfig {
    let listener = ListenerConfig {
        transport: Transport::Dtls,
        bind: addresses(&settings.listen.dtls),
        socket: SocketOptions {
            // As the workers' sockets.
            dual_stack: if settings.listen.dtls.iter().any(SocketAddr::is_ipv6) {
                DualStack::Ipv6Only
            } else {
                DualStack::default()
            },
            ..SocketOptions::default()
        },
        tls: TlsOptions {
            // They are not for DTLS.
            client_purposes: Vec::new(),
            ..settings.tls.clone()
        },
        dtls: dtls_options(&settings.dtls),
        ..ListenerConfig::default()
    };
    let asked = (!settings.listen.dtls.is_empty()).then(|| (DTLS.to_owned(), listener));
    ServerConfig {
        listeners: asked.into_iter().collect(),
        ..ServerConfig::default()
    }
}

/// What the library's options of DTLS are.
pub(super) fn dtls_options(dtls: &Dtls) -> DtlsOptions {
    DtlsOptions {
        mtu: dtls.mtu,
        ..DtlsOptions::default()
    }
}

fn addresses(bind: &[SocketAddr]) -> Vec<Address> {
    bind.iter().copied().map(Address::Ip).collect()
}

/// TLS as it is when the file says nothing: RFC 7443 §3 names the protocols; one of them is selected
/// if it is offered, and a client that offers none at all is served too.
pub(super) fn tls_defaults() -> TlsOptions {
    TlsOptions {
        alpn: ["stun.turn", "stun.nat-discovery"]
            .map(str::to_owned)
            .to_vec(),
        ..TlsOptions::default()
    }
}

fn listener(
    settings: &Settings,
    transport: Transport,
    bind: &[SocketAddr],
    tls: TlsOptions,
) -> ListenerConfig {
    let mut stream = settings.stream.clone();
    if !bind.iter().any(SocketAddr::is_ipv6) {
        // It would say nothing about IPv4.
        stream.socket.dual_stack = DualStack::default();
    }
    ListenerConfig {
        transport,
        bind: addresses(bind),
        accept: stream.accept,
        socket: stream.socket,
        proxy: stream.proxy,
        tls,
        limits: stream.limits,
        access: stream.access,
        rates: stream.rates,
        timeouts: stream.timeouts,
        ..ListenerConfig::default()
    }
}

/// A problem of the listeners at the key of the file that it comes from.
pub fn problem_in_file(mut problem: wharf::config::Problem) -> Problem {
    let binds = [
        (TCP, "listen.tcp"),
        (TLS, "listen.tls"),
        (DTLS, "listen.dtls"),
    ];
    for (name, bind) in binds {
        let listed = format!("listeners.{name}.");
        // What is allowed may name another address.
        let other = format!("{listed}bind");
        problem.allowed = problem.allowed.replace(&other, bind);
        if let Some(key) = problem.key.strip_prefix(&listed) {
            problem.key = match key.strip_prefix("bind") {
                Some(index) => format!("{bind}{index}"),
                None if ["tls", "dtls"].contains(&section(key)) => key.to_owned(),
                None => format!("stream.{key}"),
            };
        }
    }
    for name in sip::names() {
        let listed = format!("listeners.{name}.");
        let other = format!("{listed}bind");
        problem.allowed = problem.allowed.replace(&other, &sip::key(name, "bind"));
        if let Some(key) = problem.key.strip_prefix(&listed) {
            problem.key = sip::key(name, key);
        }
    }
    problem.into()
}

/// What stands before the first dot.
pub(super) fn section(key: &str) -> &str {
    key.split('.').next().unwrap_or(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_are_told_at_the_keys_of_the_file() {
        for (key, expected) in [
            ("listeners.turn-tcp.bind[1]", "listen.tcp[1]"),
            ("listeners.turn-tls.tls.certificates", "tls.certificates"),
            (
                "listeners.turn-tls.limits.per-prefix",
                "stream.limits.per-prefix",
            ),
            ("listeners.turn-dtls.bind[0]", "listen.dtls[0]"),
            ("listeners.turn-dtls.tls.min-version", "tls.min-version"),
            ("listeners.turn-dtls.dtls.mtu", "dtls.mtu"),
            ("listeners.sip-ws.bind[1]", "sip.ws[1]"),
            ("listeners.sip-wss.tls.certificates", "tls.certificates"),
            (
                "listeners.sip-ws.websocket.paths[0]",
                "sip.websocket.paths[0]",
            ),
            (
                "listeners.sip-udp.datagrams.workers",
                "sip.datagrams.workers",
            ),
            ("listeners.sip-tcp.proxy.mode", "sip.stream.proxy.mode"),
            ("limits.memory", "limits.memory"),
        ] {
            let problem = wharf::config::Problem::new(key, "no");
            assert_eq!(problem_in_file(problem).at, expected);
        }
    }
}
