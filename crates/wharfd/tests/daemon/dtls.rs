//! Clients over DTLS, and the certificates that they are shown.

use crate::harness::{Certificate, DEADLINE, Daemon, File, config, free_port};
use base64::Engine as _;
use bytes::BytesMut;
use std::net::UdpSocket;
use std::time::Instant;
use wharf_turn_server::wharf_dtls::{ClientContext, ClientOptions, Received, Session};

/// A Binding request without attributes (RFC 8489 section 5).
const BINDING: &[u8] = b"\x00\x01\x00\x00\x21\x12\xa4\x42wharf-client";

/// A session that takes nothing but this certificate, given in DER.
fn session(der: &[u8]) -> Session {
    let context = ClientContext::new(&ClientOptions {
        authorities: vec![der.to_vec()],
        ..ClientOptions::default()
    });
    Session::connect(&context.unwrap(), &"localhost".into(), now()).unwrap()
}

#[allow(clippy::disallowed_methods, reason = "a client has a clock")]
fn now() -> Instant {
    Instant::now()
}

fn der(certificate: &Certificate) -> Vec<u8> {
    let pem = std::fs::read_to_string(certificate.cert.path()).unwrap();
    let lines = pem.lines().filter(|line| !line.starts_with("-----"));
    let text: String = lines.collect();
    base64::engine::general_purpose::STANDARD
        .decode(text)
        .unwrap()
}

/// Asks for a Binding over a session of its own; whether the server showed the certificate.
fn is_answered(port: u16, der: &[u8]) -> bool {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(("127.0.0.1", port)).unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    let mut session = session(der);
    let mut has_asked = false;
    loop {
        while let Some(datagram) = session.transmit() {
            socket.send(datagram).unwrap();
            session.sent();
        }
        if session.is_open() && !has_asked {
            session.send(BINDING).unwrap();
            has_asked = true;
            continue;
        }
        let mut datagram = vec![0; 65_536];
        let length = socket.recv(&mut datagram).expect("an answer");
        datagram.truncate(length);
        session.handle_datagram(now(), datagram.into());
        let mut message = BytesMut::new();
        match session.recv(&mut message) {
            Ok(Received::Message) => return message.starts_with(&[0x01, 0x01]),
            Ok(Received::Nothing) => {}
            Ok(Received::Closed) | Err(_) => return false,
        }
    }
}

/// A server on `port` over UDP and DTLS, with metrics and `more` of TLS.
fn with_dtls(port: u16, certificate: &Certificate, more: &str) -> String {
    let (cert, key) = (certificate.cert.path(), certificate.key.path());
    let sections = format!(
        "[metrics]\nlisten = '127.0.0.1:0'\n\
         [tls]\ncertificates = [{{ cert = '{cert}', key = '{key}' }}]\n{more}"
    );
    let listen = format!("[listen]\ndtls = ['127.0.0.1:{port}']");
    config(port, &sections).replace("[listen]", &listen)
}

#[test]
fn d1_dtls_and_plain_udp_share_a_port() {
    let port = free_port();
    let certificate = Certificate::new();
    let file = File::new(&with_dtls(port, &certificate, ""));
    let mut daemon = Daemon::ready(&file);
    let address = format!("127.0.0.1:{port}");
    let ready = daemon.seen.last().unwrap();
    assert!(
        ready.contains(&format!(r#""listen":"{address}""#)),
        "{ready}"
    );
    assert!(ready.contains(&format!(r#""dtls":"{address}""#)), "{ready}");
    assert!(is_answered(port, &der(&certificate)));
    let mut plain = crate::client::Client::new(port);
    assert_eq!(plain.allocate("alice", "wonderland"), 0);
    daemon.counts("wharf_dtls_challenged_total 1");
    daemon.counts("wharf_dtls_established_total 1");
    daemon.counts("wharf_dtls_sessions 1");
    daemon.counts("wharf_allocations 1");
    daemon.signal("TERM");
    // Two signals at once are one.
    daemon.line("draining");
    daemon.signal("TERM");
    daemon.end();
}

#[test]
fn d7_a_reload_shows_new_certificates_and_keeps_the_old_ones_where_they_are_no_good() {
    let port = free_port();
    let [old, new] = [Certificate::new(), Certificate::new()];
    let [old_der, new_der] = [der(&old), der(&new)];
    let file = File::new(&with_dtls(port, &old, "watch = 'off'"));
    let mut daemon = Daemon::ready(&file);
    assert!(is_answered(port, &old_der));
    assert!(!is_answered(port, &new_der));

    let sound = std::fs::read_to_string(old.cert.path()).unwrap();
    old.cert.write("no certificate");
    daemon.signal("HUP");
    let line = daemon.line("nothing has changed");
    assert!(line.contains("tls.certificates[0].cert"), "{line}");
    assert!(is_answered(port, &old_der));

    old.cert.write(&sound);
    file.write(&with_dtls(port, &new, "watch = 'off'"));
    daemon.signal("HUP");
    let line = daemon.line("reloaded");
    assert!(line.contains("tls.certificates"), "{line}");
    // A worker takes the new one when it wakes next, which a hello may precede.
    let end = now() + DEADLINE;
    while !is_answered(port, &new_der) {
        assert!(now() < end, "the old certificate is still shown");
    }
    assert!(!is_answered(port, &old_der));
}

#[test]
fn d7_files_are_watched() {
    let port = free_port();
    let [shown, other] = [Certificate::new(), Certificate::new()];
    let other_der = der(&other);
    let file = File::new(&with_dtls(port, &shown, "watch = '1s'"));
    let mut daemon = Daemon::ready(&file);
    let [cert, key] = [&other.cert, &other.key].map(|file| std::fs::read_to_string(file.path()));
    // Between the two writes the key may be seen with the other's certificate: the old ones stay then.
    shown.cert.write(&cert.unwrap());
    shown.key.write(&key.unwrap());
    let line = daemon.line("certificates reloaded");
    assert!(line.contains("turn-dtls"), "{line}");
    let end = now() + DEADLINE;
    while !is_answered(port, &other_der) {
        assert!(now() < end, "the old certificate is still shown");
    }
}
