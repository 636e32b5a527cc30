//! The development server: its settings, and what it tells the person who started it.

use crate::config::Settings;
use crate::problem::{Problem, Problems};
use serde_json::json;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use toml::toml;

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
    /// Listens on 127.0.0.1 and, where the host has it, `[::1]`. Loopback peers are allowed, because
    /// nothing but this host can reach the server; so are the channel numbers of RFC 5766, which
    /// coturn's client uses. The first signal ends it.
    pub(crate) fn new(port: u16) -> Result<Self, Problems> {
        let mut random = [0; 16];
        getrandom::fill(&mut random)
            .map_err(|error| Problem::new("password", error.to_string()))?;
        let password = u128::from_ne_bytes(random);
        let password = format!("{password:032x}");
        let mut addresses = vec![SocketAddr::from((Ipv4Addr::LOCALHOST, port)).to_string()];
        if UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).is_ok() {
            addresses.push(SocketAddr::from((Ipv6Addr::LOCALHOST, port)).to_string());
        }
        let mut table = toml! {
            [server]
            drain-deadline = 0
            [listen]
            [auth.users]
            [allocations]
            rfc5766-channels = true
            [peers]
            allow-loopback = true
        };
        table["listen"] = toml::Table::from_iter([("udp".to_owned(), addresses.into())]).into();
        table["auth"]["users"] =
            toml::Table::from_iter([(USER.to_owned(), password.clone().into())]).into();
        Ok(Self {
            settings: Settings::from_table(&table)?,
            password,
        })
    }

    /// What a client needs, and how to try the server.
    pub(crate) fn banner(&self) -> String {
        let addresses = &self.settings.listen.udp;
        let urls: Vec<String> = addresses
            .iter()
            .map(|address| format!("turn:{address}?transport=udp"))
            .collect();
        let servers = json!([{"urls": urls, "username": USER, "credential": self.password}]);
        let mut text = "wharfd: development server, reachable from this host only\n\n".to_owned();
        for address in addresses {
            // Writing to a String does not fail.
            let _ = writeln!(text, "  TURN and STUN over UDP   {address}");
        }
        let port = addresses.first().map_or(0, SocketAddr::port);
        let _ = write!(
            text,
            "  realm                    {realm}\n\
             \x20 user                     {USER}\n\
             \x20 password                 {password}\n\n\
             Loopback peers are allowed, because the server is bound to loopback.\n\n\
             For a browser or any WebRTC stack:\n\n  iceServers: {servers}\n\n\
             To try it with coturn's tools (Debian: apt install coturn):\n\n\
             \x20 turnutils_peer -L 127.0.0.1 -p 3480 &\n\
             \x20 turnutils_uclient -u {USER} -w {password} -p {port} -e 127.0.0.1 -r 3480 -n 3 -m 1 -c 127.0.0.1\n\n\
             For production: wharfd --config FILE (examples/wharf.toml)\n",
            realm = self.settings.server.realm,
            password = self.password,
        );
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_bound_to_loopback_and_says_why_loopback_peers_are_allowed() {
        let development = Development::new(5000).unwrap();
        let settings = &development.settings;
        assert!(settings.peers.allow_loopback);
        assert!(
            settings
                .listen
                .udp
                .iter()
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
        let development = Development::new(5000).unwrap();
        let banner = development.banner();
        let line = banner
            .lines()
            .find_map(|line| line.trim().strip_prefix("iceServers: "))
            .unwrap();
        let servers: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(servers[0]["urls"][0], "turn:127.0.0.1:5000?transport=udp");
        assert_eq!(servers[0]["username"], "wharf");
        assert_eq!(servers[0]["credential"], development.password);
    }

    #[test]
    fn each_start_has_another_password() {
        let passwords = [(); 2].map(|()| Development::new(5000).unwrap().password);
        assert_ne!(passwords[0], passwords[1]);
        assert_eq!(passwords[0].len(), 32);
    }
}
