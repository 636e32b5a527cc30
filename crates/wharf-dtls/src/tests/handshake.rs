//! What handshakes agree on, and how they fail.

use super::authority::Authority;
use super::net::{Pair, client_address, next, options};
use crate::{
    ClientAuth, ClientOptions, Failure, Ignored, Outcome, Psk, ServerOptions, Session, Verified,
    refusal,
};

#[test]
fn a_certificate_is_verified_and_shown() {
    let (server, client) = options();
    let pair = Pair::open(&server, &client);
    let info = pair.client.info().unwrap();
    assert_eq!(
        info.certificate.as_ref(),
        server.identities[0].chain.first()
    );
    assert!(
        info.cipher.starts_with("TLS_ECDHE_ECDSA_"),
        "{}",
        info.cipher
    );
    assert!(!info.resumed && info.alpn.is_none() && info.psk_identity.is_none());
    let info = pair.server.unwrap().info().unwrap();
    assert_eq!(info.server_name.as_deref(), Some("a.example"));
    assert_eq!(info.certificate, None);
}

#[test]
fn a_separate_context_serves_as_the_first_does() {
    let (server, client) = options();
    let mut pair = Pair::new(&server, &client);
    pair.server_context = pair.server_context.separate().unwrap();
    pair.handshake();
    assert!(pair.client.is_open() && pair.server().is_open());
}

#[test]
fn a_client_gets_the_key_that_it_can_check() {
    let authority = Authority::new("ca", None);
    let middle = Authority::new("middle", Some(&authority));
    let mut rsa = middle.rsa("a.example");
    rsa.chain.push(middle.der());
    let server = ServerOptions {
        identities: vec![authority.ecdsa("a.example"), rsa],
        ..ServerOptions::default()
    };
    for (ciphers, index) in [
        ("ECDHE-RSA-AES128-GCM-SHA256", 1),
        ("ECDHE-ECDSA-AES128-GCM-SHA256", 0),
    ] {
        let client = ClientOptions {
            authorities: vec![authority.der()],
            ciphers: Some(ciphers.to_owned()),
            ..ClientOptions::default()
        };
        let info = Pair::open(&server, &client).client.info().unwrap();
        assert_eq!(
            info.certificate.as_ref(),
            server.identities[index].chain.first()
        );
    }
}

#[test]
fn a_chain_of_one_identity_is_sent() {
    let authority = Authority::new("ca", None);
    let middle = Authority::new("middle", Some(&authority));
    let mut identity = middle.ecdsa("a.example");
    let client = ClientOptions {
        authorities: vec![authority.der()],
        ..ClientOptions::default()
    };
    let mut server = ServerOptions {
        identities: vec![identity.clone()],
        ..ServerOptions::default()
    };
    let mut without = Pair::new(&server, &client);
    without.handshake();
    assert!(matches!(
        without.failures().0,
        Some(Failure::Certificate(_))
    ));
    identity.chain.push(middle.der());
    server.identities = vec![identity];
    Pair::open(&server, &client);
}

#[test]
fn the_server_name_chooses_the_certificate() {
    let authority = Authority::new("ca", None);
    let mut server = ServerOptions {
        identities: ["d.example", "a.example", "*.w.example"]
            .map(|name| authority.ecdsa(name))
            .into(),
        ..ServerOptions::default()
    };
    let client = ClientOptions {
        authorities: vec![authority.der()],
        ..ClientOptions::default()
    };
    for (name, index) in [("a.example", 1), ("x.w.example", 2), ("d.example", 0)] {
        let mut pair = Pair::named(&server, &client, name);
        pair.handshake();
        let info = pair.client.info().unwrap();
        assert_eq!(
            info.certificate.as_ref(),
            server.identities[index].chain.first(),
            "{name}"
        );
    }
    let mut other = Pair::named(&server, &client, "y.example");
    other.handshake();
    assert!(
        matches!(other.failures().0, Some(Failure::Certificate(_))),
        "it got the default one"
    );
    server.strict_sni = true;
    let mut strict = Pair::named(&server, &client, "y.example");
    strict.handshake();
    // unrecognized_name (RFC 6066 §3).
    assert_eq!(
        strict.failures(),
        (Some(Failure::PeerAlert(112)), Some(Failure::UnknownName))
    );
}

#[test]
fn the_server_prefers_among_application_protocols() {
    let (mut server, mut client) = options();
    server.alpn = vec![b"stun.turn".to_vec(), b"coap".to_vec()];
    client.alpn = vec![b"x".to_vec(), b"coap".to_vec(), b"stun.turn".to_vec()];
    let pair = Pair::open(&server, &client);
    assert_eq!(
        pair.client.info().unwrap().alpn.as_deref(),
        Some(&b"stun.turn"[..])
    );
    assert_eq!(
        pair.server.unwrap().info().unwrap().alpn.as_deref(),
        Some(&b"stun.turn"[..])
    );

    client.alpn = vec![b"x".to_vec()];
    let mut none = Pair::new(&server, &client);
    none.handshake();
    // no_application_protocol (RFC 7301 §3.2).
    assert_eq!(
        none.failures(),
        (Some(Failure::PeerAlert(120)), Some(Failure::NoProtocol))
    );
    server.alpn_required = false;
    assert_eq!(
        Pair::open(&server, &client).client.info().unwrap().alpn,
        None
    );
}

#[test]
fn client_certificates_are_off_optional_or_required() {
    let authority = Authority::new("ca", None);
    let (mut server, mut client) = options();
    server.client_authorities = vec![authority.der()];
    let good = authority.ecdsa("client");
    let bad = Authority::new("other", None).ecdsa("client");
    let expired = authority.expired("client");
    for (auth, shown, accepted) in [
        (ClientAuth::Off, Some(&bad), true),
        (ClientAuth::Optional, None, true),
        (ClientAuth::Optional, Some(&good), true),
        (ClientAuth::Optional, Some(&bad), false),
        (ClientAuth::Required, Some(&good), true),
        (ClientAuth::Required, Some(&bad), false),
        (ClientAuth::Required, Some(&expired), false),
        (ClientAuth::Required, None, false),
    ] {
        server.client_auth = auth;
        client.identity = shown.cloned();
        let mut pair = Pair::new(&server, &client);
        pair.handshake();
        assert_eq!(pair.server().is_open(), accepted, "{auth:?} {shown:?}");
        if accepted {
            let seen = pair.server().info().unwrap().certificate;
            let asked = auth != ClientAuth::Off;
            let expected = shown.filter(|_| asked).map(|shown| shown.chain[0].clone());
            assert_eq!(seen, expected);
            continue;
        }
        match (pair.failures(), shown) {
            ((Some(Failure::PeerAlert(_)), Some(Failure::Certificate(_))), Some(_))
            | ((Some(Failure::PeerAlert(_)), Some(Failure::NoCertificate)), None) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn pre_shared_keys_are_told_apart_by_identity() {
    let (one, two) = (
        Psk::new("one", *b"0123456789abcdef"),
        Psk::new("two", [7; 32]),
    );
    let server = ServerOptions {
        psk: vec![one, two.clone()],
        ..ServerOptions::default()
    };
    let with = |psk| ClientOptions {
        psk: Some(psk),
        ..ClientOptions::default()
    };
    let pair = Pair::open(&server, &with(two));
    let info = pair.server.unwrap().info().unwrap();
    assert_eq!(info.psk_identity.as_deref(), Some(&b"two"[..]));
    assert!(info.cipher.contains("PSK"), "{}", info.cipher);

    let mut unknown = Pair::new(&server, &with(Psk::new("three", [7; 32])));
    unknown.handshake();
    // unknown_psk_identity (RFC 4279 §2).
    assert_eq!(
        unknown.failures(),
        (Some(Failure::PeerAlert(115)), Some(Failure::UnknownPsk))
    );
    // With a wrong key the Finished cannot be read, and is dropped like any forged record.
    let mut wrong = Pair::new(&server, &with(Psk::new("one", [7; 32])));
    wrong.handshake();
    assert!(!wrong.client.is_open() && !wrong.server().is_open());
}

#[test]
fn nothing_in_common_is_said() {
    let (mut server, mut client) = options();
    server.ciphers = Some("ECDHE-ECDSA-AES256-GCM-SHA384".to_owned());
    client.ciphers = Some("ECDHE-ECDSA-AES128-GCM-SHA256".to_owned());
    let mut pair = Pair::new(&server, &client);
    pair.handshake();
    // handshake_failure (RFC 5246 §7.2.2).
    assert_eq!(
        pair.failures(),
        (Some(Failure::PeerAlert(40)), Some(Failure::NoSharedCipher))
    );
}

#[test]
fn a_server_for_another_name_is_refused() {
    let (server, client) = options();
    let mut pair = Pair::named(&server, &client, "b.example");
    pair.handshake();
    let (client, server) = pair.failures();
    assert!(matches!(client, Some(Failure::Certificate(text)) if text.contains("ostname")));
    assert!(matches!(server, Some(Failure::PeerAlert(_))));
}

#[test]
fn a_client_may_be_taken_at_its_word() {
    let (server, mut client) = options();
    client.alpn = vec![b"one".to_vec(), b"two".to_vec()];
    let mut pair = Pair::new(&server, &client);
    let hello = next(&mut pair.client).unwrap();
    let trusted = Verified::trust(&hello).unwrap();
    assert!(!trusted.is_proven());
    assert_eq!(trusted.server_name(), Some("a.example"));
    assert_eq!(trusted.protocols(), [b"one", b"two"]);
    let session = Session::accept(&pair.server_context, &trusted, pair.now);
    pair.server = Some(session.unwrap());
    pair.handshake();
    assert!(pair.client.is_open() && pair.server().is_open());
    pair.client.send(b"word").unwrap();
    pair.collect();
    let datagram = pair.to_server.pop_back().unwrap();
    pair.serve(datagram);
    let (messages, _) = super::net::drain(pair.server());
    assert_eq!(messages, [b"word"]);
}

#[test]
fn who_has_been_asked_for_a_cookie_is_not_taken_at_its_word() {
    let (server, client) = options();
    let mut pair = Pair::new(&server, &client);
    let hello = next(&mut pair.client).unwrap();
    pair.serve(hello);
    let challenge = pair.to_client.pop_front().unwrap();
    pair.client.handle_datagram(pair.now, challenge);
    let _ = pair.failures();
    let second = next(&mut pair.client).unwrap();
    assert_eq!(Verified::trust(&second), Err(Ignored::Sequence));
    let outcome = pair.front.handle(pair.now, client_address(), &second);
    assert!(matches!(outcome, Outcome::Verified(verified) if verified.is_proven()));
}

#[test]
fn a_refusal_ends_a_handshake() {
    let (server, client) = options();
    let mut pair = Pair::new(&server, &client);
    let hello = next(&mut pair.client).unwrap();
    let answer = refusal(&hello).unwrap();
    assert_eq!(answer, Verified::trust(&hello).unwrap().refusal());
    pair.client
        .handle_datagram(pair.now, answer.to_vec().into());
    // access_denied (RFC 5246 §7.2).
    assert_eq!(pair.failures().0, Some(Failure::PeerAlert(49)));
    assert_eq!(refusal(b"GET / HTTP/1.1"), None);
    assert_eq!(refusal(&answer), None, "an alert is not answered");
}
