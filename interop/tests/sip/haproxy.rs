//! haproxy in front: the source that the layer sees, and writes into the Via, is the client's.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};

use tempfile::TempDir;
use wharf::config::ProxyMode;
use wharf::{Tcp, Tls};
use wharf_interop::{PortBlock, Process, tool};
use wharf_sip::Transport;

use crate::baresip::Baresip;
use crate::pki::Authority;
use crate::responder::Responder;
use crate::served::{LOOPBACK, SOON, Served};

/// A haproxy that is ready, and where.
struct Front {
    address: SocketAddr,
    _process: Process,
    // After the process, which reads its configuration there and listens on a port of these.
    _directory: TempDir,
    _ports: PortBlock,
}

impl Front {
    /// Takes TCP, and goes on to `server`: an address and its options.
    fn start(server: &str) -> Self {
        let mut ports = PortBlock::claim();
        let address = (Ipv4Addr::LOCALHOST, ports.pair()).into();
        let directory = TempDir::new().expect("a directory");
        let file = directory.path().join("front.conf");
        let text = format!(
            "defaults\n mode tcp\n timeout connect 9s\n timeout client 30s\n timeout server 30s\n\
             listen front\n bind {address}\n server it {server}\n"
        );
        fs::write(&file, text).expect("a file");
        let mut command = tool("haproxy");
        command.args(["-W", "-db", "-f"]).arg(file);
        let process = Process::spawn(&command);
        process.wait_for_line(SOON, |line| line.contains("Loading success"));
        Self {
            address,
            _process: process,
            _directory: directory,
            _ports: ports,
        }
    }
}

#[test]
fn the_source_is_the_client_behind_haproxy() {
    let ca = Authority::new();
    let leaf = ca.issue_rsa("127.0.0.1");
    let believes = ["127.0.0.0/8"];
    let (responder, record) = Responder::new();
    let served = Served::start(responder, |server, sip| {
        let tcp = Tcp::bind(LOOPBACK).proxy(ProxyMode::Required, believes);
        let tls = Tls::bind(LOOPBACK).proxy(ProxyMode::Required, believes);
        let tls = tls.cert(leaf.cert, leaf.key);
        server
            .listen_with("tcp", tcp, sip.streams())
            .listen_with("tls", tls, sip.streams())
    });
    let verify = format!("ssl verify required ca-file {}", ca.file().display());
    for (listener, transport, below) in [
        ("tcp", Transport::Tcp, ""),
        ("tls", Transport::Tls, &verify),
    ] {
        for header in ["send-proxy", "send-proxy-v2"] {
            let server = format!("{} {header} {below}", served.address(listener));
            let front = Front::start(&server);
            let (client, via) = ask(front.address);
            let expected = format!("rport={};received={}", client.port(), client.ip());
            assert!(via.contains(&expected), "{server}: {via}");
            let seen = record.next();
            assert_eq!(
                (seen.source, seen.transport),
                (client, transport),
                "{server}"
            );
            assert_ne!(seen.source, seen.remote, "{server}");
        }
    }
}

/// haproxy hands its bytes on: the phone's TLS begins behind the header, and ends here.
#[test]
fn a_phone_behind_haproxy_speaks_tls_with_us() {
    let ca = Authority::new();
    let leaf = ca.issue("127.0.0.1");
    let (responder, record) = Responder::new();
    let served = Served::start(responder, |server, sip| {
        let tls = Tls::bind(LOOPBACK).proxy(ProxyMode::Required, ["127.0.0.0/8"]);
        server.listen_with("tls", tls.cert(leaf.cert, leaf.key), sip.streams())
    });
    let front = Front::start(&format!("{} send-proxy-v2", served.address("tls")));
    let phone = Baresip::start(front.address, "tls", &ca.file());
    phone.is_registered();
    let seen = record.next();
    assert_eq!(
        (seen.method.as_str(), seen.transport),
        ("REGISTER", Transport::Tls)
    );
    assert_ne!(seen.source, seen.remote);
    let connection = format!("TLS {} -> {}", seen.source, front.address);
    phone.says(&connection);
}

/// A client that asks for OPTIONS: its address, and the Via of the answer.
fn ask(to: SocketAddr) -> (SocketAddr, String) {
    let mut client = TcpStream::connect(to).expect("a connection");
    client.set_read_timeout(Some(SOON)).expect("a timeout");
    let request = "OPTIONS sip:it SIP/2.0\r\nVia: SIP/2.0/TCP a.example;branch=z9hG4bK1;rport\r\n\
                   From: <sip:a@a.example>;tag=1\r\nTo: <sip:it>\r\nCall-ID: 1\r\nCSeq: 1 OPTIONS\r\n\
                   Max-Forwards: 70\r\nContent-Length: 0\r\n\r\n";
    client.write_all(request.as_bytes()).expect("room");
    let address = client.local_addr().expect("an address");
    let lines = BufReader::new(client)
        .lines()
        .map(|line| line.expect("an answer"));
    let via = lines.into_iter().find(|line| line.starts_with("Via: "));
    (address, via.expect("a Via"))
}
