//! The listeners of SIP in the words of the library, and back.

use super::Sip;
use std::net::SocketAddr;
use wharf::config::{
    Address, DualStack, ListenerConfig, Rates, SocketOptions, TlsOptions, Transport,
};

/// One listener: what it is called in metrics and in the tools, what is spoken, and where.
#[derive(Clone, Copy, Debug)]
pub struct Listening<'a> {
    /// Its name.
    pub name: &'static str,
    /// What it speaks.
    pub on: Transport,
    /// Where; empty without it.
    pub addresses: &'a [SocketAddr],
}

/// The names of the listeners for UDP, TCP, TLS, WS and WSS.
pub const fn names() -> [&'static str; 5] {
    ["sip-udp", "sip-tcp", "sip-tls", "sip-ws", "sip-wss"]
}

/// Those that are asked for.
pub(in super::super) fn listeners<'a>(
    sip: &'a Sip,
    tls: &'a TlsOptions,
    workers: Option<u8>,
) -> impl Iterator<Item = (String, ListenerConfig)> + 'a {
    let asked = sip.listening().into_iter();
    let asked = asked.filter(|one| !one.addresses.is_empty());
    asked.map(move |one| {
        let config = match one.on {
            Transport::Udp => datagrams(sip, workers),
            _ => connections(sip, tls, one.on),
        };
        let mut config = ListenerConfig {
            transport: one.on,
            bind: one.addresses.iter().copied().map(Address::Ip).collect(),
            access: sip.stream.access.clone(),
            ..config
        };
        if !one.addresses.iter().any(SocketAddr::is_ipv6) {
            // It would say nothing about IPv4.
            config.socket.dual_stack = DualStack::default();
        }
        (one.name.to_owned(), config)
    })
}

fn datagrams(sip: &Sip, workers: Option<u8>) -> ListenerConfig {
    let (stream, mut datagrams) = (&sip.stream, sip.datagrams.clone());
    if datagrams.workers == 0 {
        datagrams.workers = workers.map_or(0, u32::from);
    }
    ListenerConfig {
        datagrams,
        socket: SocketOptions {
            dual_stack: stream.socket.dual_stack,
            receive_buffer: stream.socket.receive_buffer,
            send_buffer: stream.socket.send_buffer,
            dscp: stream.socket.dscp,
            ..SocketOptions::default()
        },
        rates: Rates {
            datagrams_per_prefix: stream.rates.datagrams_per_prefix,
            ..Rates::default()
        },
        ..ListenerConfig::default()
    }
}

fn connections(sip: &Sip, tls: &TlsOptions, on: Transport) -> ListenerConfig {
    let (is_websocket, stream) = (on.is_websocket(), sip.stream.clone());
    let tls = TlsOptions {
        // A browser offers HTTP/1.1 for a WebSocket; SIP itself asks for nothing.
        alpn: is_websocket
            .then(|| "http/1.1".to_owned())
            .into_iter()
            .collect(),
        alpn_required: TlsOptions::default().alpn_required,
        ..tls.clone()
    };
    ListenerConfig {
        accept: stream.accept,
        socket: stream.socket,
        proxy: stream.proxy,
        tls: if on.is_secure() {
            tls
        } else {
            TlsOptions::default()
        },
        websocket: if is_websocket {
            sip.websocket.clone()
        } else {
            ListenerConfig::default().websocket
        },
        limits: stream.limits,
        rates: Rates {
            datagrams_per_prefix: None,
            ..stream.rates
        },
        timeouts: stream.timeouts,
        ..ListenerConfig::default()
    }
}

/// The key of the file that `key` of one of these listeners comes from.
pub(in super::super) fn key(name: &str, key: &str) -> String {
    let list = name.strip_prefix("sip-").unwrap_or(name);
    match super::super::listeners::section(key) {
        "tls" => key.to_owned(),
        "websocket" | "datagrams" => format!("sip.{key}"),
        section if section.starts_with("bind") => key.replacen("bind", &format!("sip.{list}"), 1),
        _ => format!("sip.stream.{key}"),
    }
}
