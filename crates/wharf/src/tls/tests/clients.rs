//! Client certificates.

use rustls::sign::{CertifiedKey, SingleCertAndKey};

use super::*;
use crate::config::ClientAuth;
use crate::tls::{CertificateFault, Fingerprint, ServerNames};

fn asking(site: &Site, auth: ClientAuth) -> ServerTls {
    site.server(|options| {
        options.client_auth = auth;
        options.client_ca = vec![site.ca.pem()];
    })
}

fn showing(site: &Site, leaf: &Issued) -> ClientTls {
    site.client(|options| options.certificate = Some(leaf.certificate()))
}

#[tokio::test]
async fn who_the_client_is_can_be_seen() {
    let site = Site::new();
    let alice = site
        .ca
        .issue(&Leaf::named("alice", &["alice.example"]).uri("spiffe://example/alice"));
    for auth in [ClientAuth::Optional, ClientAuth::Required] {
        let server = asking(&site, auth);
        let (mut near, mut far) = join(&server, &showing(&site, &alice), "a.example").await;
        exchange(&mut near, &mut far).await;
        let peer = info(&near).peer.unwrap();
        assert_eq!(peer.common_name.as_deref(), Some("alice"));
        assert_eq!(peer.uris, ["spiffe://example/alice"]);
        assert_eq!(peer.fingerprint, Fingerprint::of(&alice.der));
    }
}

#[tokio::test]
async fn a_resumed_session_keeps_its_client() {
    let site = Site::new();
    let server = asking(&site, ClientAuth::Required);
    let client = showing(&site, &site.ca.issue(&Leaf::named("alice", &[])));
    for resumed in [false, true] {
        let (mut near, mut far) = join(&server, &client, "a.example").await;
        exchange(&mut near, &mut far).await;
        let info = info(&near);
        assert_eq!(info.resumed, resumed);
        assert_eq!(info.peer.unwrap().common_name.as_deref(), Some("alice"));
    }
}

#[tokio::test]
async fn without_a_certificate_it_depends() {
    let site = Site::new();
    let client = site.client(|_| ());
    let (near, _far) = join(&asking(&site, ClientAuth::Optional), &client, "a.example").await;
    assert_eq!(info(&near).peer, None);

    let (near, far) = meet(&asking(&site, ClientAuth::Required), &client, "a.example").await;
    let Err(HandshakeError::ClientCertificate(CertificateFault::Missing)) = near else {
        panic!("{near:?}");
    };
    // certificate_required (RFC 8446 §6.2).
    assert_alert(far.unwrap(), 116).await;
}

/// TLS 1.3 clients learn of a refusal with their first read.
async fn assert_alert(mut far: ClientStream, code: u8) {
    let error = far.read_u8().await.unwrap_err();
    let error = HandshakeError::from_io(error, super::super::failure::Side::Client);
    assert!(
        matches!(error, HandshakeError::PeerAlert(got) if got == code),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_bad_certificate_is_refused_also_where_none_is_needed() {
    let site = Site::new();
    let expired = site.ca.issue(&Leaf::named("old", &[]).until_year(2001));
    let foreign = Authority::new("other").issue(&Leaf::named("foreign", &[]));
    for auth in [ClientAuth::Optional, ClientAuth::Required] {
        let server = asking(&site, auth);
        for (leaf, fault, alert) in [
            // certificate_expired, unknown_ca (RFC 8446 §6.2).
            (&expired, CertificateFault::Expired, 45),
            (&foreign, CertificateFault::UnknownAuthority, 48),
        ] {
            let (near, far) = meet(&server, &showing(&site, leaf), "a.example").await;
            let error = near.unwrap_err();
            assert_eq!(error.label(), "client-certificate");
            assert!(matches!(error, HandshakeError::ClientCertificate(got) if got == fault));
            assert_alert(far.unwrap(), alert).await;
        }
    }
}

#[tokio::test]
async fn off_does_not_ask() {
    let site = Site::new();
    let alice = site.ca.issue(&Leaf::named("alice", &[]));
    let server = asking(&site, ClientAuth::Off);
    let (near, _far) = join(&server, &showing(&site, &alice), "a.example").await;
    assert_eq!(info(&near).peer, None);
}

#[tokio::test]
async fn the_client_verifies_the_server() {
    let site = Site::new();
    let stranger = Site::new();
    let (near, far) = meet(&stranger.server(|_| ()), &site.client(|_| ()), "a.example").await;
    assert!(matches!(
        far.unwrap_err(),
        HandshakeError::ServerCertificate(
            CertificateFault::UnknownAuthority | CertificateFault::BadSignature
        )
    ));
    assert_eq!(near.unwrap_err().label(), "peer-alert");

    let old = site
        .ca
        .issue(&Leaf::named("a", &["a.example"]).until_year(2001));
    let server = site.server(|options| options.certificates = vec![old.certificate()]);
    for (name, fault) in [
        ("a.example", CertificateFault::Expired),
        ("b.example", CertificateFault::Expired),
    ] {
        let (_near, far) = meet(&server, &site.client(|_| ()), name).await;
        let Err(HandshakeError::ServerCertificate(got)) = far else {
            panic!("{far:?}");
        };
        assert_eq!(got, fault);
    }
    let (_near, far) = meet(&site.server(|_| ()), &site.client(|_| ()), "b.example").await;
    assert!(matches!(
        far.unwrap_err(),
        HandshakeError::ServerCertificate(CertificateFault::WrongName)
    ));
}

#[tokio::test]
async fn names_are_left_to_the_caller_and_nothing_else() {
    let site = Site::new();
    let client = site.client(|options| options.names = ServerNames::Caller);
    let (mut near, mut far) = join(&site.server(|_| ()), &client, "b.example").await;
    exchange(&mut near, &mut far).await;
    let info = TlsInfo::of_client(far.get_ref().1, Some("b.example")).unwrap();
    assert_eq!(info.peer.unwrap().dns_names, ["a.example"]);
    assert_eq!(near.get_ref().1.server_name(), Some("b.example"));

    let issue = |leaf: &Leaf| site.ca.issue(leaf).certificate();
    let expired = issue(&Leaf::named("a", &["a.example"]).until_year(2001));
    let foreign = Site::new().leaf.certificate();
    for (certificate, fault) in [
        (expired, CertificateFault::Expired),
        (foreign, CertificateFault::UnknownAuthority),
    ] {
        let server = site.server(|options| options.certificates = vec![certificate.clone()]);
        let (_near, far) = meet(&server, &client, "a.example").await;
        let Err(HandshakeError::ServerCertificate(got)) = far else {
            panic!("{far:?}");
        };
        // Two authorities of the same name differ in their keys only.
        let got = match got {
            CertificateFault::BadSignature => CertificateFault::UnknownAuthority,
            other => other,
        };
        assert_eq!(got, fault);
    }
}

/// id-kp-sipDomain (RFC 5924 §3).
const SIP_DOMAIN: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 3, 20];

#[tokio::test]
async fn a_server_may_be_for_another_purpose_where_that_is_said() {
    let site = Site::new();
    let leaf = |names: &[&str]| Leaf::named("sip", names).purpose(SIP_DOMAIN);
    let refuses = async |leaf: &Leaf, client: &ClientTls, fault| {
        let certificate = site.ca.issue(leaf).certificate();
        let server = site.server(|options| options.certificates = vec![certificate]);
        let (_near, far) = meet(&server, client, "a.example").await;
        match far {
            Err(HandshakeError::ServerCertificate(got)) => assert_eq!(got, fault),
            other => panic!("{other:?}"),
        }
    };
    let good = leaf(&["a.example"]);
    refuses(&good, &site.client(|_| ()), CertificateFault::WrongPurpose).await;
    for names in [ServerNames::Handshake, ServerNames::Caller] {
        let client = |purpose: &str| {
            site.client(|options| {
                options.names = names;
                options.purposes = vec![purpose.to_owned()];
            })
        };
        let sip = client("1.3.6.1.5.5.7.3.20");
        let certificate = site.ca.issue(&good).certificate();
        let server = site.server(|options| options.certificates = vec![certificate]);
        let (mut near, mut far) = join(&server, &sip, "a.example").await;
        exchange(&mut near, &mut far).await;
        // That of TLS still does.
        let (mut near, mut far) = join(&site.server(|_| ()), &sip, "a.example").await;
        exchange(&mut near, &mut far).await;
        refuses(&good, &client("1.2.3"), CertificateFault::WrongPurpose).await;
        // All else is verified as ever.
        let old = good.clone().until_year(2001);
        refuses(&old, &sip, CertificateFault::Expired).await;
        let foreign = Authority::new("other").issue(&good).certificate();
        let server = site.server(|options| options.certificates = vec![foreign]);
        assert!(meet(&server, &sip, "a.example").await.1.is_err());
        if names == ServerNames::Handshake {
            refuses(&leaf(&["b.example"]), &sip, CertificateFault::WrongName).await;
        }
    }
}

#[tokio::test]
async fn a_client_may_be_for_another_purpose_where_that_is_said() {
    let site = Site::new();
    let leaf = Leaf::named("alice", &[]).purpose(SIP_DOMAIN);
    let asks = |purposes: &[&str]| {
        site.server(|options| {
            options.client_auth = ClientAuth::Required;
            options.client_ca = vec![site.ca.pem()];
            options.client_purposes = purposes.iter().map(|&one| one.to_owned()).collect();
        })
    };
    let shows = |ca: &Authority, leaf: &Leaf| showing(&site, &ca.issue(leaf));
    let alice = shows(&site.ca, &leaf);
    let (mut near, mut far) = join(&asks(&["1.3.6.1.5.5.7.3.20"]), &alice, "a.example").await;
    exchange(&mut near, &mut far).await;
    let peer = info(&near).peer.unwrap();
    assert_eq!(peer.common_name.as_deref(), Some("alice"));

    // What is refused for two reasons is told by the one that is seen first.
    let other = Authority::new("other");
    let old = leaf.clone().until_year(2001);
    for (purposes, client, fault) in [
        (&[][..], &alice, CertificateFault::WrongPurpose),
        (&["1.2.3"], &alice, CertificateFault::WrongPurpose),
        (
            &["1.3.6.1.5.5.7.3.20"],
            &shows(&site.ca, &old),
            CertificateFault::Expired,
        ),
        (
            &["1.3.6.1.5.5.7.3.20"],
            &shows(&other, &leaf),
            CertificateFault::WrongPurpose,
        ),
    ] {
        let (near, _far) = meet(&asks(purposes), client, "a.example").await;
        match near {
            Err(HandshakeError::ClientCertificate(got)) => assert_eq!(got, fault),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn the_key_is_verified_where_names_are_left_to_the_caller() {
    let site = Site::new();
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        // A server that shows the certificate of another.
        let thief = site.ca.issue(&Leaf::named("thief", &["t.example"]));
        let chain = vec![site.leaf.der.clone().into()];
        let stolen = CertifiedKey::new(chain, thief.certified().key.clone());
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(stolen)));
        let (near, far) = duplex(PIPE);
        let serving = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        let serving = tokio::spawn(async move { serving.accept(near).await.map(drop) });
        let client = site.client(|options| options.names = ServerNames::Caller);
        let error = client.connect(far, "a.example").await.unwrap_err();
        assert!(
            matches!(
                error,
                HandshakeError::ServerCertificate(CertificateFault::BadSignature)
            ),
            "{version:?}: {error:?}"
        );
        assert!(serving.await.unwrap().is_err());
    }
}

#[tokio::test]
async fn a_name_that_is_none_is_an_error() {
    let site = Site::new();
    let (_near, far) = duplex(PIPE);
    let client = site.client(|_| ());
    let error = client.connect(far, "no name").await.unwrap_err();
    assert_eq!(error.label(), "invalid-name");
}
