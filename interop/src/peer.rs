//! coturn's echo peer.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use crate::{PortBlock, Process, tool};

/// Probes sent before the peer is given up, and how long each is waited for.
const PROBES: usize = 100;
const PROBE: Duration = Duration::from_millis(100);

/// A running `turnutils_peer`, which returns each datagram it gets, on 127.0.0.1 and ::1.
#[derive(Debug)]
pub struct Peer {
    process: Process,
    port: u16,
}

impl Peer {
    /// Starts the peer on a port of `ports` and its successor, and waits until it answers on both
    /// addresses. Panics with its output when it does not.
    #[must_use]
    pub fn start(ports: &mut PortBlock) -> Self {
        let port = ports.pair();
        let mut command = tool("turnutils_peer");
        command.args(["-L", "127.0.0.1", "-L", "::1", "-p", &port.to_string()]);
        let peer = Self {
            process: Process::spawn(&command),
            port,
        };
        peer.wait_until_it_echoes((Ipv4Addr::LOCALHOST, port).into());
        peer.wait_until_it_echoes((Ipv6Addr::LOCALHOST, port).into());
        peer
    }

    /// The port it listens on; it serves the next one too.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The peer writes nothing when it is ready, so that its echo is the event. A probe that finds
    /// no socket yet is lost, hence the next one; the probing socket is not connected, so that the
    /// kernel does not cut the wait short by reporting the loss.
    fn wait_until_it_echoes(&self, address: SocketAddr) {
        let loopback = SocketAddr::new(address.ip(), 0);
        let socket = UdpSocket::bind(loopback).expect("a socket on loopback");
        socket
            .set_read_timeout(Some(PROBE))
            .expect("a read timeout");
        let echoed = (0..PROBES).any(|_| {
            socket
                .send_to(b"probe", address)
                .expect("a route to loopback");
            socket
                .recv_from(&mut [0; 16])
                .is_ok_and(|(_, from)| from == address)
        });
        assert!(
            echoed,
            "turnutils_peer is silent on {address}:\n{}",
            self.process.output()
        );
    }
}
