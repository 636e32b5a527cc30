//! `openssl s_client` and `gnutls-cli`: versions, names, protocols, resumption; and what is no TLS.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use wharf::config::{Resumption, TlsVersion};
use wharf::{Closed, Listen, Refusal, Tls};
use wharf_interop::{Finished, Process, tool};

use crate::pki::Authority;
use crate::served::{SOON, Served, talk};

/// A listener with certificates for a.example and b.example, signed by `ca`.
pub(crate) fn listen(ca: &Authority) -> Listen {
    ["a.example", "b.example"]
        .into_iter()
        .fold(Tls::bind("127.0.0.1:0"), |listen, name| {
            let leaf = ca.issue(name);
            listen.cert(leaf.cert, leaf.key)
        })
        .alpn(["h2", "http/1.1"])
}

/// Runs `openssl s_client` with `flags`, which says ahoy, then bye, and trusts `ca`.
pub(crate) fn s_client(served: &Served, ca: &Path, flags: &str) -> Finished {
    s_client_to(served.address(), ca, flags)
}

/// As [`s_client`], to any address.
pub(crate) fn s_client_to(to: SocketAddr, ca: &Path, flags: &str) -> Finished {
    let mut command = tool("openssl");
    command.args(["s_client", "-ign_eof", "-verify_return_error", "-connect"]);
    command.arg(to.to_string());
    command
        .arg("-CAfile")
        .arg(ca)
        .args(flags.split_whitespace());
    Process::spawn_with_input(&command, b"ahoy\nbye\n").finish(SOON)
}

#[track_caller]
pub(crate) fn assert_writes(finished: &Finished, lines: &[&str]) {
    for line in lines {
        assert!(
            finished.output.contains(line),
            "no {line:?} in:\n{}",
            finished.output
        );
    }
}

#[test]
fn openssl_gets_the_version_the_certificate_and_the_protocol_it_asks_for() {
    let ca = Authority::new();
    let served = Served::shouting(listen(&ca));
    for (flag, version, said) in [
        ("-tls1_2", TlsVersion::V1_2, "New, TLSv1.2"),
        ("-tls1_3", TlsVersion::V1_3, "New, TLSv1.3"),
    ] {
        for (name, protocol) in [("a.example", "h2"), ("b.example", "http/1.1")] {
            let flags =
                format!("{flag} -servername {name} -verify_hostname {name} -alpn {protocol}");
            let client = s_client(&served, &ca.file(), &flags);
            let subject = format!("subject=CN = {name}");
            let alpn = format!("ALPN protocol: {protocol}");
            let verified = "Verify return code: 0 (ok)";
            assert_writes(&client, &[said, &subject, &alpn, verified, "AHOY\n"]);
            assert!(client.status.success(), "{}", client.output);
            let seen = served.seen();
            assert_eq!((seen.said.as_str(), seen.tls().version), ("ahoy", version));
            assert_eq!(seen.tls().server_name.as_deref(), Some(name));
            assert_eq!(seen.tls().alpn.as_deref(), Some(protocol.as_bytes()));
            assert_eq!(served.seen().said, "bye");
        }
    }
    let stats = served.finish();
    assert_eq!((stats.accepted, stats.closed(Closed::Finished)), (4, 4));
}

/// Sessions are resumed by ticket in both versions; when that is off, there is nothing to resume.
#[test]
fn openssl_resumes_its_session() {
    let ca = Authority::new();
    for (version, kind) in [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")] {
        let kept = ca.path().join(kind);
        let (save, show) = ("-sess_out", "-sess_in");
        let flags = |flag| format!("{version} {flag} {}", kept.display());
        let off = listen(&ca).with(|config| config.tls.resumption = Resumption::Off);
        let served = Served::shouting(off);
        let client = s_client(&served, &ca.file(), &flags(save));
        assert_writes(&client, &[&format!("New, {kind}"), "AHOY\n"]);
        assert!(!kept.exists(), "a session was kept:\n{}", client.output);
        assert_eq!(served.finish().closed(Closed::Finished), 1);

        let served = Served::shouting(listen(&ca));
        for (flag, said, resumed) in [(save, "New", false), (show, "Reused", true)] {
            let client = s_client(&served, &ca.file(), &flags(flag));
            assert_writes(&client, &[&format!("{said}, {kind}"), "AHOY\n"]);
            assert_eq!(served.seen().tls().resumed, resumed);
            served.seen();
        }
        assert_eq!(served.finish().closed(Closed::Finished), 2);
    }
}

/// The alerts of RFC 8446 section 6.2 and RFC 7301 section 3.2.
#[test]
fn openssl_is_told_why_it_is_refused() {
    let ca = Authority::new();
    let served = Served::shouting(listen(&ca).with(|config| config.tls.strict_sni = true));
    let refused = [
        // A hello of TLS 1.1 has no signature_algorithms (RFC 8446 section 4.2.3).
        (
            "-tls1_1 -cipher DEFAULT@SECLEVEL=0",
            "alert handshake failure",
        ),
        (
            "-servername a.example -alpn smtp",
            "alert no application protocol",
        ),
        ("-servername c.example", "unrecognized name"),
    ];
    for (flags, alert) in refused {
        let client = s_client(&served, &ca.file(), flags);
        assert_writes(&client, &[alert]);
        assert!(!client.status.success(), "{}", client.output);
    }
    let stats = served.finish();
    assert_eq!((stats.accepted, stats.refused(Refusal::Tls)), (0, 3));

    let newest = listen(&ca).with(|config| config.tls.min_version = TlsVersion::V1_3);
    let served = Served::shouting(newest);
    let client = s_client(&served, &ca.file(), "-tls1_2");
    assert_writes(&client, &["alert protocol version"]);
    assert_eq!(served.finish().refused(Refusal::Tls), 1);
}

#[test]
fn gnutls_gets_what_it_asks_for() {
    let ca = Authority::new();
    let served = Served::shouting(listen(&ca));
    for (priority, version) in [
        ("+VERS-TLS1.2", TlsVersion::V1_2),
        ("+VERS-TLS1.3", TlsVersion::V1_3),
    ] {
        let mut command = tool("gnutls-cli");
        command.arg("--x509cafile").arg(ca.file());
        command.args([
            "--verify-hostname",
            "b.example",
            "--sni-hostname",
            "b.example",
        ]);
        command.args(["--alpn", "http/1.1", "--priority"]);
        command.arg(format!("NORMAL:-VERS-ALL:{priority}"));
        command.args(["--port", &served.address().port().to_string(), "127.0.0.1"]);
        let client = Process::spawn_with_input(&command, b"ahoy\nbye\n").finish(SOON);
        assert_writes(&client, &["The certificate is trusted", "AHOY\n"]);
        let seen = served.seen();
        assert_eq!(seen.tls().version, version);
        assert_eq!(seen.tls().server_name.as_deref(), Some("b.example"));
        assert_eq!(seen.tls().alpn.as_deref(), Some(&b"http/1.1"[..]));
        served.seen();
    }
    assert_eq!(served.finish().closed(Closed::Finished), 2);
}

/// Garbage is answered with the alert `unexpected_message` (10) at once, a silent client and a
/// slow one are closed at the deadline.
#[test]
fn what_is_no_tls_is_closed_in_time() {
    const DEADLINE: Duration = Duration::from_millis(500);
    let ca = Authority::new();
    let served = Served::shouting(listen(&ca).with(|config| {
        config.timeouts.handshake = Some(DEADLINE);
    }));
    for garbage in [
        &b"\x16\x03\x01\x00\x04junk"[..],
        b"SSH-2.0-OpenSSH_9.2\r\n",
        &[0; 64],
    ] {
        let (answer, _) = talk(served.address(), garbage);
        assert_eq!(
            (answer.first(), answer.get(5)),
            (Some(&21), Some(&2)),
            "a fatal alert"
        );
    }
    for incomplete in [&b""[..], b"\x16\x03\x01\x02\x00\x01"] {
        let (answer, waited) = talk(served.address(), incomplete);
        assert!(
            answer.is_empty() && waited >= DEADLINE,
            "{answer:?} after {waited:?}"
        );
    }
    let mut curl = tool("curl");
    curl.args(["-sS", &format!("http://{}/", served.address())]);
    let curl = Process::spawn(&curl).finish(SOON);
    assert!(!curl.status.success(), "{}", curl.output);
    let stats = served.finish();
    assert_eq!((stats.accepted, stats.refused(Refusal::Tls)), (0, 4));
    assert_eq!(stats.refused(Refusal::HandshakeTimeout), 2);
}
