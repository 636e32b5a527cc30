//! Certificates of servers, and those of ours.

use wharf::config::{ClientAuth, Pem};
use wharf::tls::{CertificateFault, HandshakeError};

use super::*;

#[tokio::test]
async fn rfc5922_a_server_proves_the_domain_of_before_dns() {
    let ca = Authority::new("ca");
    let named = |names: &[&str]| Leaf::named("a.example", names);
    let domain = Some("a.example");
    let wrong = "wrong name";
    for (leaf, domain, wildcards, expected) in [
        (
            named(&[]).uri("sip:a.example"),
            domain,
            Wildcards::Refuse,
            "",
        ),
        (named(&["A.example"]), domain, Wildcards::Refuse, ""),
        // The common name counts only where there is no other.
        (named(&[]), domain, Wildcards::Refuse, ""),
        (named(&["b.example"]), domain, Wildcards::Refuse, wrong),
        (named(&["192.0.2.1"]), domain, Wildcards::Refuse, wrong),
        // A SIP domain leaves the DNS names without meaning.
        (
            named(&["a.example"]).uri("sip:b.example"),
            domain,
            Wildcards::Refuse,
            wrong,
        ),
        // No wildcards, but where they are asked for.
        (named(&["*.example"]), domain, Wildcards::Refuse, wrong),
        (named(&["*.example"]), domain, Wildcards::OneLabel, ""),
        // A target that is an address is proven by an address.
        (named(&["127.0.0.1"]), None, Wildcards::Refuse, ""),
        (named(&["a.example"]), None, Wildcards::Refuse, wrong),
    ] {
        let (server, mut far) = layer();
        let (_handle, address) = serve(secure(&ca, &leaf), server.streams());
        let (sip, mut told) = layer();
        let options = DialOptions {
            wildcards,
            ..trusting(&ca)
        };
        let dialer = Dialer::new(sip.clone(), options).unwrap();
        let result = dialer.dial(&key(Transport::Tls, address, domain)).await;
        if expected.is_empty() {
            let flow = result.unwrap_or_else(|error| panic!("{leaf:?}: {error}"));
            let name = ask((&sip, &mut told), &mut far, flow, REQUEST).await.name;
            // No SNI for an address.
            assert_eq!(name.as_deref(), domain);
        } else {
            let error = result.unwrap_err();
            assert!(
                matches!(error, DialError::WrongName { .. }),
                "{leaf:?}: {error}"
            );
            assert!(error.is_tls() && !error.is_recoverable());
            assert_eq!(sip.connections(), 0);
        }
    }
}

#[tokio::test]
async fn a_chain_that_is_not_good_is_refused_whatever_its_names() {
    let ca = Authority::new("ca");
    let leaf = Leaf::named("server", &["a.example"]);
    for (listen, fault) in [
        (
            secure(&Authority::new("other"), &leaf),
            CertificateFault::UnknownAuthority,
        ),
        (
            secure(&ca, &leaf.clone().until_year(2001)),
            CertificateFault::Expired,
        ),
    ] {
        let (server, _far) = layer();
        let (_handle, address) = serve(listen, server.streams());
        let (sip, _told) = layer();
        let dialer = Dialer::new(sip, trusting(&ca)).unwrap();
        let error = dialer
            .dial(&key(Transport::Tls, address, Some("a.example")))
            .await
            .unwrap_err();
        let DialError::Connect(connect) = &error else {
            panic!("{error}");
        };
        let ConnectError::Tls {
            source: HandshakeError::ServerCertificate(got),
            ..
        } = &**connect
        else {
            panic!("{error}");
        };
        assert_eq!(*got, fault);
        assert!(error.is_tls() && !error.is_recoverable());
    }
}

#[tokio::test]
async fn each_domain_of_ours_shows_its_own_certificate_and_renews_it() {
    let ca = Authority::new("ca");
    let listen = secure(&ca, &Leaf::named("server", &["a.example"])).with(|config| {
        config.tls.client_auth = ClientAuth::Required;
        config.tls.client_ca = vec![ca.pem()];
    });
    let (server, mut far) = layer();
    let (_handle, address) = serve(listen, server.streams());
    let issue = |name: &str| ca.issue(&Leaf::named(name, &[name]));
    let (one, two, renewed) = (
        issue("one.example"),
        issue("two.example"),
        issue("two.example"),
    );
    let mut options = trusting(&ca);
    options.client.tls.certificate = Some(one.certificate());
    let two_example: Domain = "two.example".parse().unwrap();
    options
        .identities
        .insert(two_example.clone(), two.certificate());
    let (sip, mut told) = layer();
    let dialer = Dialer::new(sip.clone(), options).unwrap();

    let key_one = key(Transport::Tls, address, Some("a.example"));
    let key_two = PoolKey {
        local: Some(two_example.clone()),
        ..key_one.clone()
    };
    let first = dialer.dial(&key_one).await.unwrap();
    let request = ask((&sip, &mut told), &mut far, first, REQUEST).await;
    assert_eq!(request.key, Some(Fingerprint::of(&one.der)));
    let second = dialer.dial(&key_two).await.unwrap();
    let request = ask((&sip, &mut told), &mut far, second, REQUEST).await;
    assert_eq!(request.key, Some(Fingerprint::of(&two.der)));
    let unknown = PoolKey {
        local: Some("three.example".parse().unwrap()),
        ..key_one.clone()
    };
    let error = dialer.dial(&unknown).await.unwrap_err();
    assert!(matches!(error, DialError::NoIdentity(_)), "{error}");

    // What is wrong changes nothing.
    let broken = dialer.change(|options| {
        options.path = "no slash".into();
        options.client.tls.certificate = Some(wharf::config::Certificate {
            key: Pem::File("/nonexistent.pem".into()),
            ..one.certificate()
        });
    });
    assert_eq!(broken.unwrap_err().0.len(), 2);
    assert_eq!(dialer.options().path, "/");

    let change = |options: &mut DialOptions| {
        options
            .identities
            .insert(two_example.clone(), renewed.certificate());
    };
    dialer.change(change).unwrap();
    let third = dialer.dial(&key_two).await.unwrap();
    let request = ask((&sip, &mut told), &mut far, third, REQUEST).await;
    assert_eq!(request.key, Some(Fingerprint::of(&renewed.der)));
    // The connections from before go on, and their client counts on.
    let request = ask((&sip, &mut told), &mut far, second, REQUEST).await;
    assert_eq!(request.key, Some(Fingerprint::of(&two.der)));
    assert_eq!(sip.connections(), 3);
    assert_eq!(
        dialer.client(Some(&two_example)).unwrap().stats().accepted,
        2
    );
}
