//! The settings of TURN over TCP and TLS in the words of the library, and back.

use super::Settings;
use crate::problem::Problem;
use std::net::SocketAddr;
use wharf::config::{Address, DualStack, ListenerConfig, ServerConfig, TlsOptions, Transport};

/// The name of the listener for TURN over TCP, in metrics and in the tools.
pub const TCP: &str = "turn-tcp";
/// The name of the listener for TURN over TLS.
pub const TLS: &str = "turn-tls";

/// The listeners that the settings ask for: none, one or both.
pub fn listeners(settings: &Settings) -> ServerConfig {
    let listen = &settings.listen;
    let all = [
        (TCP, Transport::Tcp, &listen.tcp, TlsOptions::default()),
        (TLS, Transport::Tls, &listen.tls, settings.tls.clone()),
    ];
    let asked = all.into_iter().filter(|(_, _, bind, _)| !bind.is_empty());
    ServerConfig {
        listeners: asked
            .map(|(name, transport, bind, tls)| {
                (name.to_owned(), listener(settings, transport, bind, tls))
            })
            .collect(),
        ..ServerConfig::default()
    }
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
        bind: bind.iter().copied().map(Address::Ip).collect(),
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
    let listed = |name: &str| format!("listeners.{name}.");
    for (name, bind) in [(TCP, "listen.tcp"), (TLS, "listen.tls")] {
        if let Some(key) = problem.key.strip_prefix(&listed(name)) {
            problem.key = match key.strip_prefix("bind") {
                Some(index) => format!("{bind}{index}"),
                None if key == "tls" || key.starts_with("tls.") => key.to_owned(),
                None => format!("stream.{key}"),
            };
            break;
        }
    }
    problem.into()
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
            ("limits.memory", "limits.memory"),
        ] {
            let problem = wharf::config::Problem::new(key, "no");
            assert_eq!(problem_in_file(problem).at, expected);
        }
    }
}
