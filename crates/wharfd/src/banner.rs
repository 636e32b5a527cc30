//! The development server: its settings, and what it tells the person who started it.

use crate::config::Settings;
use crate::problem::{Problem, Problems};
use serde_json::json;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use toml::{Table, Value, toml};

/// The name of the one user.
const USER: &str = "wharf";

/// A server on loopback with one user, whose password is made up at each start.
#[derive(Clone, Debug)]
pub(crate) struct Development {
    /// What the server runs with.
    pub settings: Settings,
    password: String,
}

impl Development {
    /// Listens on 127.0.0.1 and, where the host has it, `[::1]`: over UDP and TCP on `port`, over TLS
    /// and DTLS on `tls_port` with a certificate that it signs itself. Loopback peers are allowed, because
    /// nothing but this host can reach the server; so are the channel numbers of RFC 5766, which
    /// coturn's client uses. The first signal ends it.
    pub(crate) fn new(port: u16, tls_port: u16) -> Result<Self, Problems> {
        let mut random = [0; 16];
        getrandom::fill(&mut random)
            .map_err(|error| Problem::new("password", error.to_string()))?;
        let password = u128::from_ne_bytes(random);
        let password = format!("{password:032x}");
        let mut hosts = vec![IpAddr::from(Ipv4Addr::LOCALHOST)];
        if UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).is_ok() {
            hosts.push(Ipv6Addr::LOCALHOST.into());
        }
        let listen = |port| -> Value {
            let addresses = hosts
                .iter()
                .map(|&ip| SocketAddr::new(ip, port).to_string());
            addresses.map(Value::from).collect::<Vec<_>>().into()
        };
        let mut table = toml! {
            [server]
            drain-deadline = 0
            [listen]
            [tls]
            [auth.users]
            [allocations]
            rfc5766-channels = true
            [peers]
            allow-loopback = true
        };
        let sockets = [
            ("udp", port),
            ("tcp", port),
            ("tls", tls_port),
            ("dtls", tls_port),
        ];
        table["listen"] =
            Table::from_iter(sockets.map(|(key, port)| (key.to_owned(), listen(port)))).into();
        table["tls"] =
            Table::from_iter([("certificates".to_owned(), vec![certificate()?].into())]).into();
        table["auth"]["users"] =
            Table::from_iter([(USER.to_owned(), password.clone().into())]).into();
        Ok(Self {
            settings: Settings::from_table(&table)?,
            password,
        })
    }

    /// What a client needs, and how to try the server.
    pub(crate) fn banner(&self) -> String {
        let listen = &self.settings.listen;
        let addresses = &listen.udp;
        let kinds = [
            (addresses, "turn", "udp", "UDP"),
            (&listen.tcp, "turn", "tcp", "TCP"),
            (&listen.tls, "turns", "tcp", "TLS"),
            (&listen.dtls, "turns", "udp", "DTLS"),
        ];
        let mut urls: Vec<String> = Vec::new();
        let mut text = "wharfd: development server, reachable from this host only\n\n".to_owned();
        for (addresses, scheme, transport, shown) in kinds {
            for address in addresses {
                // RFC 7065 §3.1. No browser speaks DTLS to a TURN server.
                if shown != "DTLS" {
                    urls.push(format!("{scheme}:{address}?transport={transport}"));
                }
                // Writing to a String does not fail.
                let _ = writeln!(text, "  TURN and STUN over {shown:<5} {address}");
            }
        }
        let servers = json!([{"urls": urls, "username": USER, "credential": self.password}]);
        let port = |addresses: &[SocketAddr]| addresses.first().map_or(0, SocketAddr::port);
        let (port, tls_port) = (port(addresses), port(&listen.tls));
        let _ = write!(
            text,
            "  realm                    {realm}\n\
             \x20 user                     {USER}\n\
             \x20 password                 {password}\n\n\
             Loopback peers are allowed, because the server is bound to loopback. The certificate of\n\
             TLS and DTLS is self-signed and made at this start: a browser takes it only when told to.\n\n\
             For a browser or any WebRTC stack:\n\n  iceServers: {servers}\n\n\
             To try it with coturn's tools (Debian: apt install coturn):\n\n\
             \x20 turnutils_peer -L 127.0.0.1 -p 3480 &\n\
             \x20 turnutils_uclient -u {USER} -w {password} -p {port} -e 127.0.0.1 -r 3480 -n 3 -m 1 -c 127.0.0.1\n\n\
             Over TCP add -t; over TLS add -t -S, over DTLS -S, and take port {tls_port}.\n\
             For production: wharfd --config FILE (examples/wharf.toml)\n",
            realm = self.settings.server.realm,
            password = self.password,
        );
        text
    }
}

/// A certificate for loopback and its key, as `tls.certificates` takes them.
fn certificate() -> Result<Value, Problem> {
    let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    let made = rcgen::generate_simple_self_signed(names);
    let made = made.map_err(|error| Problem::new("certificate", error.to_string()))?;
    let pem = |text: String| Value::from(Table::from_iter([("pem".to_owned(), text.into())]));
    let certificate = [
        ("cert".to_owned(), pem(made.cert.pem())),
        ("key".to_owned(), pem(made.signing_key.serialize_pem())),
    ];
    Ok(Table::from_iter(certificate).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_bound_to_loopback_and_says_why_loopback_peers_are_allowed() {
        let development = Development::new(5000, 5001).unwrap();
        let settings = &development.settings;
        assert!(settings.peers.allow_loopback);
        assert!(
            settings
                .listen
                .udp
                .iter()
                .chain(&settings.listen.tcp)
                .chain(&settings.listen.tls)
                .chain(&settings.listen.dtls)
                .all(|address| address.ip().is_loopback())
        );
        assert!(
            development
                .banner()
                .contains("because the server is bound to loopback")
        );
    }

    #[test]
    fn the_ice_servers_can_be_pasted() {
        let development = Development::new(5000, 5001).unwrap();
        let banner = development.banner();
        let line = banner
            .lines()
            .find_map(|line| line.trim().strip_prefix("iceServers: "))
            .unwrap();
        let servers: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(servers[0]["urls"][0], "turn:127.0.0.1:5000?transport=udp");
        let urls = servers[0]["urls"].as_array().unwrap();
        assert!(urls.contains(&"turn:127.0.0.1:5000?transport=tcp".into()));
        assert!(urls.contains(&"turns:127.0.0.1:5001?transport=tcp".into()));
        assert!(
            !line.contains("turns:127.0.0.1:5001?transport=udp"),
            "{line}"
        );
        assert!(banner.contains("over DTLS  127.0.0.1:5001"), "{banner}");
        assert_eq!(servers[0]["username"], "wharf");
        assert_eq!(servers[0]["credential"], development.password);
    }

    #[test]
    fn each_start_has_another_password() {
        let passwords = [(); 2].map(|()| Development::new(5000, 5001).unwrap().password);
        assert_ne!(passwords[0], passwords[1]);
        assert_eq!(passwords[0].len(), 32);
    }
}
