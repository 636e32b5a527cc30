//! coturn's client over DTLS, and OpenSSL's for what the handshake settles.

use wharf_interop::{Authority, Finished, Site};

/// ChannelData and Send indications, of lengths that over a stream would be padded; none lost.
#[test]
fn over_dtls() {
    let site = Site::start();
    for flags in ["-c", "-c -s", "-c -l 101", "-c -s -l 101"] {
        let length = if flags.contains("101") { 101 } else { 100 };
        let client = site.dtls().flags(flags).to_peer("127.0.0.1");
        client.run().assert_relayed(3, length);
    }
}

#[test]
fn over_ipv6() {
    let site = Site::start();
    let client = site.dtls().to_server("::1").to_peer("::1");
    client.flags("-c -x").run().assert_relayed(3, 100);
}

#[test]
fn several_clients() {
    let site = Site::start();
    let clients = site.dtls().flags("-c -m 20 -n 20").to_peer("127.0.0.1");
    clients.run().assert_relayed(400, 100);
}

/// Each message goes through two allocations.
#[test]
fn client_to_client() {
    let site = Site::start();
    site.dtls().flags("-c -y").run().assert_relayed(6, 100);
}

/// Plain UDP is spoken at the same port.
#[test]
fn plain_at_the_port_of_dtls() {
    let site = Site::start();
    let port = site.daemon.tls_port();
    let client = site.uclient().flags(&format!("-c -p {port}"));
    client.to_peer("127.0.0.1").run().assert_relayed(3, 100);
}

/// The daemon shows the certificate of its authority, and after a reload the new one; a live session
/// goes on and loses nothing.
#[test]
fn a_reload_brings_new_certificates_under_traffic() {
    let site = Site::start();
    let other = Authority::new();
    let check = |authority: &Authority| {
        let file = authority.file().display();
        handshake(&site, &format!("-verify_return_error -CAfile {file}"))
    };
    let finished = check(Authority::of_tests());
    assert!(finished.status.success(), "{}", finished.output);

    let client = site.dtls().flags("-c -n 100").to_peer("127.0.0.1").start();
    client.wait_until_relaying();
    let mut config = site.config();
    config.set("tls.certificates", vec![other.certificate()]);
    site.daemon.reload(&config);
    client.finish().assert_relayed(100, 100);
    let finished = check(&other);
    assert!(finished.status.success(), "{}", finished.output);
    let finished = check(Authority::of_tests());
    assert!(!finished.status.success(), "{}", finished.output);
}

/// A handshake of OpenSSL's client, with DTLS 1.2 where the flags name no version.
fn handshake(site: &Site, flags: &str) -> Finished {
    if flags.contains("-dtls1") {
        site.openssl(flags)
    } else {
        site.openssl(&format!("-dtls1_2 {flags}"))
    }
}

/// RFC 7443 section 3: the protocol is selected where it is offered, its absence is no matter, and
/// an offer of others alone is refused (RFC 7301 section 3.2).
#[test]
fn application_protocols() {
    let site = Site::start();
    for (flags, line) in [
        ("-alpn stun.turn", "ALPN protocol: stun.turn"),
        (
            "-alpn http/1.1,stun.nat-discovery",
            "ALPN protocol: stun.nat-discovery",
        ),
        ("", "No ALPN negotiated"),
    ] {
        let finished = handshake(&site, flags);
        assert!(finished.status.success(), "{flags} {}", finished.output);
        assert!(
            finished.output.contains(line),
            "{flags} {}",
            finished.output
        );
    }
    let finished = handshake(&site, "-alpn http/1.1");
    assert!(!finished.status.success(), "{}", finished.output);
}

/// RFC 9325, sections 3.1.2 and 4.2: neither DTLS 1.0 nor suites without forward secrecy or AEAD.
#[test]
fn old_versions_and_suites_are_refused() {
    let site = Site::start();
    for flags in [
        "-dtls1 -cipher DEFAULT@SECLEVEL=0",
        "-cipher AES128-GCM-SHA256",
        "-cipher ECDHE-ECDSA-AES128-SHA:ECDHE-RSA-AES128-SHA",
    ] {
        let finished = handshake(&site, flags);
        assert!(!finished.status.success(), "{flags} {}", finished.output);
        assert!(
            finished.output.contains(" alert "),
            "{flags} {}",
            finished.output
        );
    }
}
