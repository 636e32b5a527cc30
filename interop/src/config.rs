//! The daemon's configuration file for a test.

use toml::{Table, Value};

use crate::{Authority, PortBlock};

/// The realm of every test daemon.
pub const REALM: &str = "interop.example";
/// The static user of every test daemon.
pub const USER: &str = "alice";
/// The password of [`USER`].
pub const PASSWORD: &str = "correct horse";

/// A configuration that serves 127.0.0.1 and ::1 and relays between them; a test changes keys of it.
#[derive(Debug, Clone)]
pub struct Config {
    root: Table,
    port: u16,
    tls_port: u16,
    metrics_port: u16,
}

impl Config {
    /// The configuration of a daemon on ports of `ports`: UDP and TCP on one port and TLS and DTLS on another,
    /// for each address family, metrics on a third, a certificate of [`Authority::of_tests`], two
    /// workers, [`USER`] with [`PASSWORD`], loopback peers and the channel numbers of RFC 5766 allowed,
    /// one second to drain.
    #[must_use]
    pub fn new(ports: &mut PortBlock) -> Self {
        let (port, tls_port, metrics_port) = (ports.pair(), ports.pair(), ports.pair());
        let relay = ports.relay_range();
        let mut config = Self {
            root: Table::new(),
            port,
            tls_port,
            metrics_port,
        };
        let on = |port: u16| vec![format!("127.0.0.1:{port}"), format!("[::1]:{port}")];
        config
            .set("server.realm", REALM)
            .set("server.workers", 2)
            .set("server.drain-deadline", "1s")
            .set("listen.udp", on(port))
            .set("listen.tcp", on(port))
            .set("listen.tls", on(tls_port))
            .set("listen.dtls", on(tls_port))
            .set("metrics.listen", format!("127.0.0.1:{metrics_port}"))
            .set(
                "tls.certificates",
                vec![Authority::of_tests().certificate()],
            )
            .set("relay.addresses", vec!["127.0.0.1", "::1"])
            .set("relay.ports", format!("{}-{}", relay.start(), relay.end()))
            .set(
                "auth.users",
                Table::from_iter([(USER.to_owned(), PASSWORD.into())]),
            )
            // coturn's client picks its channels from the whole range of RFC 5766, section 11,
            // three quarters of which RFC 8656, section 12, took away.
            .set("allocations.rfc5766-channels", true)
            .set("peers.allow-loopback", true);
        config
    }

    /// Sets `key`, written `section.name`, to `value`.
    pub fn set(&mut self, key: &str, value: impl Into<Value>) -> &mut Self {
        let (section, name) = key.split_once('.').expect("a key is section.name");
        self.root
            .entry(section)
            .or_insert_with(|| Table::new().into())
            .as_table_mut()
            .expect("a section is a table")
            .insert(name.to_owned(), value.into());
        self
    }

    /// The port the daemon listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The port the daemon listens on for TLS and DTLS.
    #[must_use]
    pub fn tls_port(&self) -> u16 {
        self.tls_port
    }

    /// The port of 127.0.0.1 that the daemon serves its metrics on.
    #[must_use]
    pub fn metrics_port(&self) -> u16 {
        self.metrics_port
    }

    /// The file's text.
    #[must_use]
    pub fn to_toml(&self) -> String {
        self.root.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_set_twice_keeps_the_last_value_and_its_neighbours() {
        let mut config = Config::new(&mut PortBlock::claim());
        config
            .set("peers.allow-loopback", false)
            .set("peers.deny", vec!["192.0.2.1"]);
        let read: Table = config.to_toml().parse().unwrap();
        assert_eq!(read["peers"]["allow-loopback"], Value::Boolean(false));
        assert_eq!(read["peers"]["deny"][0].as_str(), Some("192.0.2.1"));
        assert_eq!(read["auth"]["users"][USER].as_str(), Some(PASSWORD));
    }
}
