//! coturn's client over TCP and TLS, and OpenSSL's for what the handshake settles.

use wharf_interop::{Authority, Counters, Site};

/// ChannelData, padded on a stream (RFC 8656 section 12.5), and Send indications.
#[test]
fn over_tcp() {
    let site = Site::start();
    for flags in ["-c", "-c -s", "-c -l 101", "-c -s -l 101"] {
        let length = if flags.contains("101") { 101 } else { 100 };
        let client = site.tcp().flags(flags).to_peer("127.0.0.1");
        client.run().assert_relayed(3, length);
    }
}

#[test]
fn over_tls() {
    let site = Site::start();
    for flags in ["-c", "-c -s", "-c -l 101"] {
        let length = if flags.contains("101") { 101 } else { 100 };
        let client = site.tls().flags(flags).to_peer("127.0.0.1");
        client.run().assert_relayed(3, length);
    }
}

#[test]
fn client_to_client() {
    let site = Site::start();
    site.tcp().flags("-c -y").run().assert_relayed(6, 100);
}

/// Each message goes through two allocations.
#[test]
fn client_to_client_over_tls() {
    let site = Site::start();
    site.tls().flags("-c -y").run().assert_sent(6);
    Counters::after_all_streams(&site.daemon).assert_relayed(6);
}

#[test]
fn several_clients_over_tcp() {
    let site = Site::start();
    let clients = site.tcp().flags("-c -m 20 -n 20").to_peer("127.0.0.1");
    clients.run().assert_relayed(400, 100);
    Counters::after_all_streams(&site.daemon).assert_relayed(400);
}

#[test]
fn several_clients_over_tls() {
    let site = Site::start();
    let clients = site.tls().flags("-c -m 20 -n 20").to_peer("127.0.0.1");
    clients.run().assert_sent(400);
    Counters::after_all_streams(&site.daemon).assert_relayed(400);
}

#[test]
fn over_ipv6() {
    let site = Site::start();
    for client in [site.tcp(), site.tls()] {
        let client = client.to_server("::1").to_peer("::1");
        client.flags("-c -x").run().assert_relayed(3, 100);
    }
}

/// The daemon shows the certificate of its authority, and after a reload the new one; a live session
/// goes on and loses nothing.
#[test]
fn a_reload_brings_new_certificates_under_traffic() {
    let site = Site::start();
    let other = Authority::new();
    let check = |authority: &Authority| {
        let file = authority.file().display();
        site.openssl(&format!("-verify_return_error -CAfile {file}"))
    };
    let assert_only = |good: &Authority, bad: &Authority| {
        let finished = check(good);
        assert!(finished.status.success(), "{}", finished.output);
        let finished = check(bad);
        assert!(!finished.status.success(), "{}", finished.output);
    };
    assert_only(Authority::of_tests(), &other);

    let client = site.tls().flags("-c -n 100").to_peer("127.0.0.1").start();
    client.wait_until_relaying();
    let mut config = site.config();
    config.set("tls.certificates", vec![other.certificate()]);
    site.daemon.reload(&config);
    client.finish().assert_sent(100);
    Counters::after_all_streams(&site.daemon).assert_relayed(100);
    assert_only(&other, Authority::of_tests());
}

/// RFC 7443 section 3: the protocol is selected where it is offered, its absence is no matter, and
/// an offer of others alone is refused (RFC 7301 section 3.2).
#[test]
fn application_protocols() {
    let site = Site::start();
    for (flags, line) in [
        ("-alpn stun.turn", "ALPN protocol: stun.turn"),
        (
            "-alpn stun.nat-discovery",
            "ALPN protocol: stun.nat-discovery",
        ),
        ("-alpn http/1.1,stun.turn", "ALPN protocol: stun.turn"),
        ("", "No ALPN negotiated"),
    ] {
        let finished = site.openssl(flags);
        assert!(finished.status.success(), "{flags} {}", finished.output);
        assert!(
            finished.output.contains(line),
            "{flags} {}",
            finished.output
        );
    }
    let finished = site.openssl("-alpn http/1.1");
    assert!(!finished.status.success(), "{}", finished.output);
    let alert = "no application protocol";
    assert!(finished.output.contains(alert), "{}", finished.output);
}

/// RFC 8656 leaves the versions to RFC 9325, section 3.1.1: 1.2 and 1.3.
#[test]
fn versions() {
    let site = Site::start();
    for version in ["-tls1_2", "-tls1_3"] {
        let finished = site.openssl(version);
        assert!(finished.status.success(), "{version} {}", finished.output);
    }
    let finished = site.openssl("-tls1_1 -cipher DEFAULT@SECLEVEL=0");
    assert!(!finished.status.success(), "{}", finished.output);
    assert!(finished.output.contains(" alert "), "{}", finished.output);
}
