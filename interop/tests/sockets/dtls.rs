//! DTLS 1.2 with `openssl s_client` and `gnutls-cli`: certificates of both kinds, client
//! certificates, pre-shared keys, resumption, and a network that loses.

use std::path::Path;

use wharf::config::{ClientAuth, Psk, Resumption};
use wharf::{Closed, Dtls, Listen, Refusal};
use wharf_interop::{Finished, Process, tool};

use crate::namespace::{LOSES_UDP, is_within, lost};
use crate::pki::Authority;
use crate::served::{SOON, Served, shout_messages};
use crate::tls::{assert_writes, s_client};

fn served(listen: Listen) -> Served {
    Served::start(|builder, seen| {
        builder.listen_messages("it", listen, move |messages| {
            shout_messages(messages, seen.clone())
        })
    })
}

/// A listener with an ECDSA and an RSA certificate for a.example.
fn listen(ca: &Authority) -> Listen {
    [ca.issue("a.example"), ca.issue_rsa("a.example")]
        .into_iter()
        .fold(Dtls::bind("127.0.0.1:0"), |listen, leaf| {
            listen.cert(leaf.cert, leaf.key)
        })
}

fn dtls(served: &Served, ca: &Path, flags: &str) -> Finished {
    s_client(served, ca, &format!("-dtls1_2 -mtu 1200 {flags}"))
}

#[test]
fn openssl_gets_the_kind_of_certificate_that_it_can_check() {
    let ca = Authority::new();
    let served = served(listen(&ca).alpn(["coap", "stun.turn"]));
    for (cipher, suite) in [
        (
            "ECDHE-ECDSA-AES128-GCM-SHA256",
            "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        ),
        (
            "ECDHE-RSA-AES128-GCM-SHA256",
            "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
        ),
    ] {
        let flags = format!(
            "-cipher {cipher} -servername a.example -verify_hostname a.example -alpn stun.turn"
        );
        let client = dtls(&served, &ca.file(), &flags);
        let new = format!("New, TLSv1.2, Cipher is {cipher}");
        let verified = "Verify return code: 0 (ok)";
        assert_writes(
            &client,
            &[&new, verified, "ALPN protocol: stun.turn", "AHOY\n"],
        );
        let seen = served.seen();
        assert_eq!(seen.tls().cipher_suite, suite);
        assert_eq!(seen.tls().server_name.as_deref(), Some("a.example"));
        assert_eq!(seen.tls().alpn.as_deref(), Some(&b"stun.turn"[..]));
    }
    let stats = served.finish();
    assert_eq!((stats.accepted, stats.closed(Closed::Finished)), (2, 2));
}

#[test]
fn openssl_shows_its_certificate() {
    let ca = Authority::new();
    let served = served(listen(&ca).with(|config| {
        config.tls.client_auth = ClientAuth::Required;
        config.tls.client_ca = vec![ca.file().into()];
    }));
    for leaf in [ca.issue("alice"), ca.issue_rsa("alice")] {
        let flags = format!("-cert {} -key {}", leaf.cert.display(), leaf.key.display());
        assert_writes(&dtls(&served, &ca.file(), &flags), &["AHOY\n"]);
        let seen = served.seen();
        let peer = seen.tls().peer.as_ref().expect("a certificate");
        assert_eq!(peer.common_name.as_deref(), Some("alice"));
    }
    let refused = dtls(&served, &ca.file(), "");
    assert_writes(&refused, &["alert handshake failure"]);
    let stats = served.finish();
    assert_eq!((stats.accepted, stats.refused(Refusal::Tls)), (2, 1));
}

#[test]
fn openssl_is_known_by_its_key() {
    let served = served(Dtls::bind("127.0.0.1:0").with(|config| {
        config.dtls.psk = vec![Psk {
            identity: "meter".to_owned(),
            key: "0011aabb0011aabb0011aabb0011aabb".to_owned(),
        }];
    }));
    let nobody = Authority::new();
    let flags = |identity: &str, cipher: &str| {
        format!("-psk_identity {identity} -psk 0011aabb0011aabb0011aabb0011aabb -cipher {cipher}")
    };
    for cipher in ["PSK-AES128-GCM-SHA256", "ECDHE-PSK-CHACHA20-POLY1305"] {
        let client = dtls(&served, &nobody.file(), &flags("meter", cipher));
        assert_writes(&client, &[&format!("Cipher is {cipher}"), "AHOY\n"]);
        let seen = served.seen();
        assert_eq!(seen.tls().psk_identity.as_deref(), Some(&b"meter"[..]));
    }
    let unknown = dtls(&served, &nobody.file(), &flags("other", "PSK"));
    assert_writes(&unknown, &["alert unknown psk identity"]);
    assert_eq!(served.finish().refused(Refusal::Tls), 1);
}

#[test]
fn openssl_resumes_its_session_unless_that_is_off() {
    let ca = Authority::new();
    let kept = ca.path().join("session");
    let flags = |flag: &str| format!("{flag} {}", kept.display());
    let off = served(listen(&ca).with(|config| config.tls.resumption = Resumption::Off));
    assert_writes(
        &dtls(&off, &ca.file(), &flags("-sess_out")),
        &["New, TLSv1.2", "AHOY\n"],
    );
    assert!(!off.seen().tls().resumed);
    if kept.exists() {
        assert_writes(
            &dtls(&off, &ca.file(), &flags("-sess_in")),
            &["New, TLSv1.2", "AHOY\n"],
        );
        assert!(!off.seen().tls().resumed);
    }
    off.finish();

    let served = served(listen(&ca));
    for (flag, said, resumed) in [("-sess_out", "New", false), ("-sess_in", "Reused", true)] {
        let client = dtls(&served, &ca.file(), &flags(flag));
        assert_writes(&client, &[&format!("{said}, TLSv1.2"), "AHOY\n"]);
        assert_eq!(served.seen().tls().resumed, resumed);
    }
    served.finish();
}

#[test]
fn gnutls_gets_in_by_certificate_and_by_key() {
    let ca = Authority::new();
    let served = served(listen(&ca).with(|config| {
        config.dtls.psk = vec![Psk {
            identity: "meter".to_owned(),
            key: "0011aabb0011aabb0011aabb0011aabb".to_owned(),
        }];
    }));
    let run = |flags: &[&str]| {
        let mut command = tool("gnutls-cli");
        command.args(["--udp", "--x509cafile"]).arg(ca.file());
        command.args(flags);
        command.args(["--port", &served.address().port().to_string(), "127.0.0.1"]);
        Process::spawn_with_input(&command, b"ahoy\nbye\n").finish(SOON)
    };
    for kind in ["ECDHE-ECDSA", "ECDHE-RSA"] {
        let priority = format!("NORMAL:-VERS-ALL:+VERS-DTLS1.2:-KX-ALL:+{kind}");
        let client = run(&[
            "--verify-hostname",
            "a.example",
            "--sni-hostname",
            "a.example",
            "--priority",
            &priority,
        ]);
        assert_writes(&client, &["The certificate is trusted", "AHOY\n"]);
        assert!(
            served
                .seen()
                .tls()
                .cipher_suite
                .contains(&kind.replace('-', "_"))
        );
    }
    let client = run(&[
        "--pskusername",
        "meter",
        "--pskkey",
        "0011aabb0011aabb0011aabb0011aabb",
        "--priority",
        "NORMAL:-VERS-ALL:+VERS-DTLS1.2:-KX-ALL:+PSK",
    ]);
    assert_writes(&client, &["AHOY\n"]);
}

/// In a network of its own whose kernel drops a twentieth of all datagrams.
#[test]
fn handshakes_complete_although_datagrams_are_lost() {
    const CLIENTS: usize = 24;
    let this = "dtls::handshakes_complete_although_datagrams_are_lost";
    if !is_within(this, LOSES_UDP) {
        return;
    }
    let ca = Authority::new();
    let served = served(listen(&ca));
    let mut command = tool("openssl");
    command.args(["s_client", "-dtls1_2", "-mtu", "1200", "-connect"]);
    command
        .arg(served.address().to_string())
        .arg("-CAfile")
        .arg(ca.file());
    command.args(["-ign_eof"]);
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| Process::spawn_with_input(&command, b""))
        .collect();
    for client in &clients {
        client.wait_for_line(3 * SOON, |line| line.contains("Verify return code: 0 (ok)"));
    }
    drop(clients);
    assert!(lost() > 0);
    assert_eq!(served.finish().accepted, CLIENTS as u64);
}
