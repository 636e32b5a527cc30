//! Responses: where they go, attempt by attempt (RFC 3261 §18.2.2, RFC 3581 §4).

use std::net::SocketAddr;

use crate::locate::Target;
use crate::{Domain, Host, Rport, Transport, Via};

/// How far a response follows what the Via of its request says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResponseRules {
    /// Whether `maddr` is followed. Default true, as §18.2.2 has it. Turn it off where requests come
    /// from anywhere: with it, whoever sends a request chooses who gets the response.
    pub follow_maddr: bool,
    /// Whether a response is sent another way when its connection is closed, or when its source
    /// cannot be reached: by a new connection, and by asking DNS for the sent-by. Default true.
    pub try_elsewhere: bool,
}

impl Default for ResponseRules {
    fn default() -> Self {
        Self {
            follow_maddr: true,
            try_elsewhere: true,
        }
    }
}

/// One attempt to send a response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResponseStep {
    /// Over the connection that its request came on, if it is still open.
    Connection,
    /// Over a connection to this address: one that is open, or a new one. Over TLS the other end is to
    /// prove the name in sent-by, where it is a name.
    Connect {
        /// The transport of the Via.
        transport: Transport,
        /// Where to. Never the port that the closed connection came from.
        address: SocketAddr,
    },
    /// As a datagram, from the local address that the request arrived at (RFC 3581 §4).
    Datagram {
        /// Where to.
        address: SocketAddr,
        /// The time to live, for a multicast address.
        ttl: Option<u8>,
    },
    /// To the candidates that a [`Locator`](crate::locate::Locator) finds (RFC 3263 §5).
    Locate(Target),
}

/// The attempts to send one response, at most three; the next one is for when the last has failed.
///
/// Over a reliable transport: the connection of the request, then a new one to the address it came
/// from and the port of sent-by, then the servers of sent-by. Over UDP: `maddr` where there is one;
/// otherwise the address that the request came from, at its port where `rport` asks for that, then
/// the servers of sent-by. Over a WebSocket: its connection and nothing else (RFC 7118 §5).
#[derive(Debug, Clone)]
pub struct ResponseRoute<'a> {
    transport: Transport,
    connection: bool,
    direct: Option<(SocketAddr, Option<u8>)>,
    locate: Option<(Host<'a>, Option<u16>)>,
    tried: Option<SocketAddr>,
}

impl<'a> ResponseRoute<'a> {
    /// The attempts for a response whose topmost Via is `via`, with the `received` and `rport` that
    /// this element wrote into it when the request came (§18.2.1). `transport` is that of the Via, or
    /// for one that is unknown that of the request.
    pub fn new(transport: Transport, via: Via<'a>, rules: ResponseRules) -> Self {
        let port = via.port.unwrap_or(transport.default_port());
        let mut route = Self {
            transport,
            connection: false,
            direct: None,
            locate: None,
            tried: None,
        };
        let sent_by = rules.try_elsewhere.then_some((via.host, via.port));
        if transport.is_websocket() {
            route.connection = true;
        } else if transport.is_reliable() {
            // §18.2.2: the port of sent-by, not the one that the connection came from.
            let ip = via
                .received()
                .or(via.host.ip())
                .filter(|_| rules.try_elsewhere);
            route.connection = true;
            route.direct = ip.map(|ip| (SocketAddr::new(ip, port), None));
            route.locate = sent_by;
        } else if let Some(maddr) = via.maddr().filter(|_| rules.follow_maddr) {
            match maddr {
                Host::Ip(ip) => {
                    let ttl = ip.is_multicast().then(|| via.ttl().unwrap_or(1));
                    route.direct = Some((SocketAddr::new(ip, port), ttl));
                }
                Host::Name(_) => route.locate = Some((maddr, Some(port))),
            }
        } else {
            // RFC 3581 §4: with `received` and `rport` both, to where the request came from.
            let seen = via.received().map(|ip| match via.rport() {
                Some(Rport::Port(rport)) => SocketAddr::new(ip, rport),
                Some(Rport::Asked) | None => SocketAddr::new(ip, port),
            });
            let written = via.host.ip().map(|ip| SocketAddr::new(ip, port));
            let address = seen.or(written);
            route.direct = address.map(|address| (address, None));
            route.locate = sent_by.or(address.is_none().then_some((via.host, via.port)));
        }
        route
    }

    /// The servers of sent-by (RFC 3263 §5); none for a name that has none, nor for the address that
    /// was tried already.
    fn target(&self, host: Host<'_>, port: Option<u16>) -> Option<Target> {
        let default = port.unwrap_or(self.transport.default_port());
        let same = host.ip().map(|ip| SocketAddr::new(ip, default));
        let target = Target::sent_by(self.transport, host, port).ok()?;
        let known = same.is_some() && same == self.tried;
        (!known && !target.host.name().is_some_and(Domain::is_invalid)).then_some(target)
    }
}

impl Iterator for ResponseRoute<'_> {
    type Item = ResponseStep;

    fn next(&mut self) -> Option<ResponseStep> {
        if std::mem::take(&mut self.connection) {
            return Some(ResponseStep::Connection);
        }
        if let Some((address, ttl)) = self.direct.take() {
            self.tried = Some(address);
            let transport = self.transport;
            return Some(if transport.is_reliable() {
                ResponseStep::Connect { transport, address }
            } else {
                ResponseStep::Datagram { address, ttl }
            });
        }
        let (host, port) = self.locate.take()?;
        self.target(host, port).map(ResponseStep::Locate)
    }
}

#[cfg(test)]
mod tests;
