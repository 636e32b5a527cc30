//! Clients behind a proxy that says who they are, by the PROXY protocol's version 2.

use crate::client::Client;
use crate::harness::{Daemon, File, config, free_port, socket_name};

/// The 12 bytes that a header begins with (section 2.2).
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// A header of version 2 with the command PROXY: family and protocol, then the addresses.
fn header(family: u8, addresses: &[u8]) -> Vec<u8> {
    let length = u16::try_from(addresses.len()).unwrap().to_be_bytes();
    [SIGNATURE, &[0x21, family], &length, addresses].concat()
}

/// A server over TCP that believes 127.0.0.1, with metrics and a socket to ask at.
fn behind_proxy(port: u16, name: &str) -> String {
    let listen = format!("[listen]\ntcp = ['127.0.0.1:{port}']");
    let more = format!(
        "[metrics]\nlisten = '127.0.0.1:0'\n[admin]\nlisten = '{name}'\n\
         [stream.proxy]\nmode = 'required'\ntrusted = ['127.0.0.1/32']"
    );
    config(port, &more).replace("[listen]", &listen)
}

#[test]
fn the_client_of_an_allocation_is_whom_the_header_names() {
    let (port, name) = (free_port(), format!("@{}", socket_name()));
    let file = File::new(&behind_proxy(port, &name));
    let _daemon = Daemon::ready(&file);
    // TCP over IPv4: 203.0.113.9:4660 to 198.51.100.7:3478.
    let addresses = [203, 0, 113, 9, 198, 51, 100, 7, 0x12, 0x34, 0x0d, 0x96];
    let mut client = Client::proxied(port, &header(0x11, &addresses));
    assert_eq!(client.allocate("alice", "wonderland"), 0);
    assert_eq!(client.mapped, Some(([203, 0, 113, 9], 0x1234).into()));
    let mut asked = Daemon::start(&["ask", "--socket", &name, "sessions"]);
    assert_eq!(asked.end().code(), Some(0));
    assert!(
        asked.output().contains("203.0.113.9:4660"),
        "{}",
        asked.output()
    );
}

/// What a proxy says is not a failure of the server's.
#[test]
fn a_client_without_an_ip_address_is_the_proxys_doing() {
    let (port, name) = (free_port(), format!("@{}", socket_name()));
    let file = File::new(&behind_proxy(port, &name));
    let daemon = Daemon::ready(&file);
    let mut client = Client::proxied(port, &header(0x31, &[b'u'; 216]));
    assert!(client.is_closed());
    daemon.counts("wharf_connections_closed_total{listener=\"turn-tcp\",reason=\"protocol\"} 1");
}
