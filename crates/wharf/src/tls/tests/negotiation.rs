//! Versions, names, protocols, resumption.

use rustls::version::{TLS12, TLS13};

use super::*;
use crate::config::{Certificate, Resumption, TlsVersion};
use crate::tls::{Fingerprint, ServerNames};

#[tokio::test]
async fn bytes_pass_and_both_sides_agree() {
    let site = Site::new();
    let (server, client) = (site.server(|_| ()), site.client(|_| ()));
    let (mut near, mut far) = join(&server, &client, "a.example").await;
    exchange(&mut near, &mut far).await;
    let here = info(&near);
    let there = TlsInfo::of_client(far.get_ref().1, Some("a.example")).unwrap();
    assert_eq!(here.version, TlsVersion::V1_3);
    assert!(here.cipher_suite.starts_with("TLS13_"));
    assert_eq!(here.server_name.as_deref(), Some("a.example"));
    assert_eq!(here.server_name, there.server_name);
    assert_eq!((here.alpn, here.resumed, here.peer), (None, false, None));
    assert_eq!(there.peer.unwrap().dns_names, ["a.example"]);
}

#[tokio::test]
async fn the_oldest_version_is_kept() {
    let site = Site::new();
    let old = site.client_of(&[&TLS12]);
    let (near, _far) = join_of(&site.server(|_| ()), &old).await;
    assert_eq!(info(&near).version, TlsVersion::V1_2);

    let server = site.server(|options| options.min_version = TlsVersion::V1_3);
    let (near, far) = duplex(PIPE);
    let name = ServerName::try_from("a.example").unwrap();
    let (near, far) = tokio::join!(serve(&server, near), old.connect(name, far));
    assert_eq!(near.unwrap_err().label(), "no-shared-version");
    assert!(far.unwrap_err().to_string().contains("ProtocolVersion"));

    let server = site.server(|_| ());
    let client = site.client(|options| options.min_version = TlsVersion::V1_3);
    let (near, _far) = join(&server, &client, "a.example").await;
    assert_eq!(info(&near).version, TlsVersion::V1_3);
}

#[tokio::test]
async fn the_client_keeps_its_oldest_version_too() {
    let site = Site::new();
    let client = site.client(|options| options.min_version = TlsVersion::V1_3);
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let resolver = Arc::new(rustls::sign::SingleCertAndKey::from(site.leaf.certified()));
    let old = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS12])
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(resolver);
    let server = site.server(|_| ());
    let (near, far) = duplex(PIPE);
    let serve = async { server.accept(near).await?.proceed_with(Arc::new(old)).await };
    let (near, far) = tokio::join!(serve, client.connect(far, "a.example"));
    assert_eq!(near.unwrap_err().label(), "no-shared-version");
    assert!(matches!(far.unwrap_err(), HandshakeError::PeerAlert(70)));
}

#[tokio::test]
async fn a_sip_domain_is_a_name_to_ask_for() {
    let site = Site::new();
    let sip = site.ca.issue(
        &Leaf::named("sip", &[])
            .uri("sip:user@a.example")
            .uri("SIP:Sip.example"),
    );
    let named = Certificate {
        names: vec!["sip.example".to_owned()],
        ..sip.certificate()
    };
    for certificate in [sip.certificate(), named] {
        let server = site.server(|options| options.certificates.push(certificate));
        let client = site.client(|options| options.names = ServerNames::Caller);
        for (asked, key) in [("sip.example", &sip.der), ("a.example", &site.leaf.der)] {
            let (_near, far) = join(&server, &client, asked).await;
            let shown = TlsInfo::of_client(far.get_ref().1, Some(asked)).unwrap();
            assert_eq!(
                shown.peer.unwrap().fingerprint,
                Fingerprint::of(key),
                "{asked}"
            );
        }
    }
}

#[tokio::test]
async fn the_certificate_is_chosen_by_name() {
    let site = Site::new();
    let exact = site.ca.issue(&Leaf::named("b", &["b.example"]));
    let wild = site.ca.issue(&Leaf::named("w", &["*.w.example"]));
    let both = site
        .ca
        .issue(&Leaf::named("cd", &["c.example", "d.example"]));
    let server = site.server(|options| {
        let mut only_c = both.certificate();
        only_c.names = vec!["C.example".to_owned()];
        options
            .certificates
            .extend([exact.certificate(), wild.certificate(), only_c]);
    });
    let client = site.client(|_| ());
    for (name, leaf) in [
        ("a.example", &site.leaf),
        ("b.example", &exact),
        ("B.EXAMPLE", &exact),
        ("x.w.example", &wild),
        ("c.example", &both),
    ] {
        let (_near, far) = join(&server, &client, name).await;
        assert_eq!(shown(&far), leaf.der, "{name}");
    }
    // The default one, which the client does not accept under these names.
    for name in ["d.example", "w.example", "x.y.w.example", "192.0.2.1"] {
        let (near, far) = meet(&server, &client, name).await;
        assert_eq!(far.unwrap_err().label(), "server-certificate", "{name}");
        assert_eq!(near.unwrap_err().label(), "peer-alert", "{name}");
    }
}

#[tokio::test]
async fn the_clients_server_name_may_be_another() {
    let site = Site::new();
    let client = site.client(|options| options.server_name = Some("a.example".to_owned()));
    let (near, _far) = join(&site.server(|_| ()), &client, "192.0.2.1").await;
    assert_eq!(info(&near).server_name.as_deref(), Some("a.example"));
}

#[tokio::test]
async fn the_servers_preference_chooses_the_protocol() {
    let site = Site::new();
    let names = |names: &[&str]| {
        names
            .iter()
            .map(|&name| name.to_owned())
            .collect::<Vec<_>>()
    };
    let server = site.server(|options| options.alpn = names(&["h2", "http/1.1"]));
    for (offered, agreed) in [
        (&["http/1.1", "h2"][..], Some("h2")),
        (&["other", "http/1.1"], Some("http/1.1")),
        (&[], None),
    ] {
        let client = site.client(|options| options.alpn = names(offered));
        let (near, far) = join(&server, &client, "a.example").await;
        let agreed = agreed.map(str::as_bytes);
        assert_eq!(info(&near).alpn.as_deref(), agreed, "{offered:?}");
        assert_eq!(far.get_ref().1.alpn_protocol(), agreed, "{offered:?}");
    }
}

#[tokio::test]
async fn without_a_common_protocol_it_depends() {
    let site = Site::new();
    let client = site.client(|options| options.alpn = vec!["other".to_owned()]);
    let required = site.server(|options| options.alpn = vec!["h2".to_owned()]);
    let (near, far) = meet(&required, &client, "a.example").await;
    assert_eq!(near.unwrap_err().label(), "no-protocol");
    assert!(matches!(far.unwrap_err(), HandshakeError::PeerAlert(120)));

    let lenient = site.server(|options| {
        options.alpn = vec!["h2".to_owned()];
        options.alpn_required = false;
    });
    let (near, _far) = join(&lenient, &client, "a.example").await;
    assert_eq!(info(&near).alpn, None);
    let client = site.client(|options| options.alpn = vec!["h2".to_owned()]);
    let (near, _far) = join(&lenient, &client, "a.example").await;
    assert_eq!(info(&near).alpn.as_deref(), Some(&b"h2"[..]));
}

/// Whether a second connection resumes the first, for both versions.
async fn resumes(resumption: Resumption) -> [bool; 2] {
    let site = Site::new();
    let server = site.server(|options| options.resumption = resumption);
    let mut resumed = [false; 2];
    for (version, resumed) in [&TLS12, &TLS13].into_iter().zip(&mut resumed) {
        let client = site.client_of(&[version]);
        for first in [true, false] {
            let (mut near, mut far) = join_of(&server, &client).await;
            exchange(&mut near, &mut far).await;
            *resumed = info(&near).resumed;
            assert!(!(first && *resumed));
        }
    }
    resumed
}

#[tokio::test]
async fn sessions_are_resumed_by_ticket_or_not_at_all() {
    assert_eq!(resumes(Resumption::Tickets).await, [true, true]);
    assert_eq!(resumes(Resumption::Off).await, [false, false]);
}

#[tokio::test]
async fn the_client_may_not_resume() {
    let site = Site::new();
    let server = site.server(|_| ());
    for (resumption, expected) in [(Resumption::Tickets, true), (Resumption::Off, false)] {
        let client = site.client(|options| options.resumption = resumption);
        let mut resumed = false;
        for _ in 0..2 {
            let (mut near, mut far) = join(&server, &client, "a.example").await;
            exchange(&mut near, &mut far).await;
            resumed = info(&near).resumed;
        }
        assert_eq!(resumed, expected);
    }
}
