//! Options that cannot be.

use super::*;
use crate::config::ClientAuth;
use crate::tls::{TlsError, TlsFault, TlsMatter};

fn inline(pem: &str) -> Pem {
    Pem::Inline {
        pem: pem.to_owned(),
    }
}

fn faults(options: &TlsOptions) -> Vec<(String, TlsFault)> {
    let TlsError(problems) = ServerTls::new(options).unwrap_err();
    problems.into_iter().map(|p| (p.key, p.fault)).collect()
}

#[test]
fn a_server_without_a_certificate_cannot_be() {
    assert_eq!(
        faults(&TlsOptions::default()),
        [("certificates".to_owned(), TlsFault::NoCertificate)]
    );
}

#[test]
fn every_problem_is_told_at_once() {
    let site = Site::new();
    let other = Site::new();
    let mut options = site.options();
    let mut uncovered = site.leaf.certificate();
    uncovered.names = ["a.example", "b.example", "not a name"]
        .map(str::to_owned)
        .into();
    let mut mismatch = site.leaf.certificate();
    mismatch.key = inline(&other.leaf.key);
    let mut swapped = site.leaf.certificate();
    std::mem::swap(&mut swapped.cert, &mut swapped.key);
    let mut missing = site.leaf.certificate();
    missing.key = Pem::File("/nowhere/key.pem".into());
    let nameless = site.ca.issue(&Leaf::named("nameless", &[]));
    options.certificates.extend([
        uncovered,
        mismatch,
        swapped,
        missing,
        nameless.certificate(),
    ]);
    options.client_auth = ClientAuth::Required;
    options.alpn = vec![String::new(), "h2".to_owned(), "x".repeat(256)];

    let error = ServerTls::new(&options).unwrap_err();
    let keys: Vec<_> = error.0.iter().map(|p| p.key.as_str()).collect();
    assert_eq!(
        keys,
        [
            "certificates[1].names[2]",
            "certificates[1].names[1]",
            "certificates[2].key",
            "certificates[3].cert",
            "certificates[3].key",
            "certificates[4].key",
            "certificates[5]",
            "client-ca",
            "alpn[0]",
            "alpn[2]",
        ]
    );
    let fault = |at: usize| &error.0[at].fault;
    assert_eq!(*fault(0), TlsFault::BadName("not a name".to_owned()));
    assert_eq!(*fault(1), TlsFault::NameNotCovered("b.example".to_owned()));
    assert_eq!(*fault(2), TlsFault::KeyMismatch);
    assert_eq!(*fault(3), TlsFault::NoPem("certificate"));
    assert_eq!(*fault(4), TlsFault::NoPem("private key"));
    assert!(matches!(fault(5), TlsFault::Unreadable(_)));
    assert_eq!(*fault(6), TlsFault::NoName);
    assert_eq!(*fault(7), TlsFault::NoAuthority);
    let text = error.to_string();
    assert!(text.contains("certificates[4].key (/nowhere/key.pem): cannot be read: No such file"));
    assert!(!text.contains("BEGIN"));
}

#[test]
fn bad_pem_and_bad_content_are_told_apart() {
    let site = Site::new();
    let with = |cert: &str, key: &str| {
        let mut options = site.options();
        options.certificates[0].cert = inline(cert);
        options.certificates[0].key = inline(key);
        faults(&options).remove(0).1
    };
    let (cert, key) = (&site.leaf.cert, &site.leaf.key);
    assert!(matches!(
        with("-----BEGIN CERTIFICATE-----\nAAAA\n", key),
        TlsFault::BadPem(_)
    ));
    assert!(matches!(
        with(
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            key
        ),
        TlsFault::BadCertificate(_)
    ));
    let wrapped = |kind: &str| format!("-----BEGIN {kind}-----\nAAAA\n-----END {kind}-----\n");
    assert!(matches!(
        with(cert, &wrapped("PRIVATE KEY")),
        TlsFault::BadKey(_)
    ));
    assert_eq!(
        with(cert, &wrapped("ENCRYPTED PRIVATE KEY")),
        TlsFault::EncryptedKey
    );
    let mut options = site.options();
    options.client_auth = ClientAuth::Optional;
    options.client_ca = vec![inline(&wrapped("CERTIFICATE"))];
    let problems = faults(&options);
    assert_eq!(problems[0].0, "client-ca[0]");
    assert!(matches!(problems[0].1, TlsFault::BadCertificate(_)));
}

#[test]
fn a_file_has_a_largest_size() {
    let site = Site::new();
    let mut options = site.options();
    options.certificates[0].cert = Pem::File("/dev/zero".into());
    assert_eq!(faults(&options)[0].1, TlsFault::TooLarge);
}

#[test]
fn an_expired_certificate_is_a_warning() {
    let site = Site::new();
    let old = site
        .ca
        .issue(&Leaf::named("b", &["b.example"]).until_year(2001));
    let server = site.server(|options| options.certificates.push(old.certificate()));
    let expiry = server.certificates()[1].not_after;
    assert_eq!(server.earliest_expiry(), expiry);
    let second = std::time::Duration::from_secs(1);
    let warnings = server.warnings(expiry + second);
    assert_eq!(warnings.len(), 1);
    assert_eq!(warnings[0].key, "certificates[1].cert");
    assert_eq!(warnings[0].matter, TlsMatter::Expired);
    assert_eq!(server.warnings(expiry), []);
    let early = server.warnings(std::time::SystemTime::UNIX_EPOCH);
    assert!(
        early
            .iter()
            .all(|warning| warning.matter == TlsMatter::NotYetValid)
    );
    assert_eq!(early.len(), 2);
}

#[test]
fn a_clients_problems_are_told_at_once() {
    let site = Site::new();
    let mut certificate = site.leaf.certificate();
    certificate.key = inline(&Site::new().leaf.key);
    let TlsError(problems) = ClientTls::new(&ClientTlsOptions {
        ca: vec![inline("nothing")],
        certificate: Some(certificate),
        server_name: Some("not a name".to_owned()),
        alpn: vec![String::new()],
        purposes: vec!["1.2.3".to_owned(), "sip".to_owned()],
        ..ClientTlsOptions::default()
    })
    .unwrap_err();
    let keys: Vec<_> = problems.iter().map(|p| p.key.as_str()).collect();
    let expected = [
        "ca[0]",
        "certificate.key",
        "server-name",
        "alpn[0]",
        "purposes[1]",
    ];
    assert_eq!(keys, expected);
}

#[test]
fn client_options_are_read_strictly() {
    let options: ClientTlsOptions = toml::from_str(
        "ca = ['/ca.pem']\nserver-name = 'a.example'\nmin-version = '1.3'\nresumption = 'off'\n\
         certificate = { cert = '/c.pem', key = { pem = 'x' } }",
    )
    .unwrap();
    assert_eq!(options.ca, [Pem::File("/ca.pem".into())]);
    assert!(toml::from_str::<ClientTlsOptions>("insecure-skip-verify = true").is_err());
}
