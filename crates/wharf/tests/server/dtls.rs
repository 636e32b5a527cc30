//! DTLS listeners, with clients on loopback.

use std::time::Duration;

use tokio::net::UdpSocket;
use wharf::config::{ClientAuth, Pem};
use wharf::message::Message;
use wharf::testkit::Leaf;
use wharf::{BoxError, Closed, Handler, Handlers, Messages, Refusal, Server};
use wharf_dtls::{Failure, Psk};

use super::dtls_site::{IT, NAME, Peer, Site, echo, identity};

fn site() -> Site {
    Site::new(Handler::messages(echo), |_| {})
}

#[tokio::test]
async fn messages_go_both_ways_and_are_counted() {
    let site = site();
    let mut peer = site.dial().await.unwrap();
    for length in [1, 100, peer.session.max_message()] {
        let message = vec![length as u8; length];
        peer.send(&message).await;
        assert_eq!(peer.recv().await.unwrap(), Some(message));
    }
    let stats = site.stats();
    assert_eq!((stats.arrived, stats.accepted, stats.live), (1, 1, 1));
    assert_eq!((stats.messages_received, stats.messages_sent), (3, 3));
    peer.close().await;
    let stats = site.until(|stats| stats.live == 0).await;
    assert_eq!(stats.closed(Closed::Finished), 1);
}

#[tokio::test]
async fn the_handler_sees_the_path_and_what_was_agreed_on() {
    let tell = Handler::messages(async |mut messages: Messages| {
        let path = messages.path();
        let tls = messages.connection().tls().unwrap().clone();
        let told = format!(
            "{} {} {} {:?} {:?}",
            path.transport.label(),
            path.reliable,
            path.secure,
            tls.server_name,
            tls.alpn.as_deref().map(String::from_utf8_lossy),
        );
        messages.send(Message::binary(told)).await?;
        Ok::<_, BoxError>(())
    });
    let site = Site::new(
        Handlers::alpn("tell", tell).or(Handler::messages(echo)),
        |_| {},
    );
    let mut options = site.options();
    options.alpn = vec![b"tell".to_vec()];
    let mut peer = site.dial_with(&options).await.unwrap();
    let told = peer.recv().await.unwrap().unwrap();
    assert_eq!(
        String::from_utf8(told).unwrap(),
        r#"dtls false true Some("a.example") Some("tell")"#
    );
    // The handler has returned: the session ends with close_notify.
    assert_eq!(peer.recv().await, Ok(None));
    options.alpn = vec![b"other".to_vec()];
    assert_eq!(
        site.dial_with(&options).await.err(),
        Some(Failure::PeerAlert(120))
    );
    let stats = site.until(|stats| stats.refused(Refusal::Tls) == 1).await;
    assert_eq!(stats.pending, 0);
}

#[tokio::test]
async fn garbage_and_hellos_without_cookies_make_no_connection() {
    let site = site();
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(site.address()).await.unwrap();
    for garbage in [
        &b""[..],
        b"GET / HTTP/1.1\r\n\r\n",
        &[22; 300],
        &[0, 1, 0, 0],
    ] {
        socket.send(garbage).await.unwrap();
    }
    site.dial().await.unwrap().ask().await;
    assert_eq!(site.stats().arrived, 1);
}

#[tokio::test]
async fn a_client_that_has_lost_its_session_begins_another_on_the_same_port() {
    let site = site();
    let mut first = site.dial().await.unwrap();
    first.ask().await;
    let socket = first.socket;
    let mut second = site.dial_on(socket, NAME, &site.options()).await.unwrap();
    second.ask().await;
    let stats = site.until(|stats| stats.live == 1).await;
    assert_eq!((stats.accepted, stats.closed(Closed::Finished)), (2, 1));
}

/// A client that has sent its cookie, and nothing since; and its second hello.
async fn half(site: &Site) -> (Peer, Vec<u8>) {
    let context = wharf_dtls::ClientContext::new(&site.options()).unwrap();
    let now = tokio::time::Instant::now().into_std();
    let mut session = wharf_dtls::Session::connect(&context, &NAME.into(), now).unwrap();
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(site.address()).await.unwrap();
    socket.send(session.transmit().unwrap()).await.unwrap();
    session.sent();
    let mut buffer = [0; 2048];
    let length = socket.recv(&mut buffer).await.unwrap();
    session.handle_datagram(now, buffer[..length].to_vec().into());
    let hello = session.transmit().unwrap().to_vec();
    socket.send(&hello).await.unwrap();
    session.sent();
    let peer = Peer {
        socket,
        session,
        longest: 0,
    };
    (peer, hello)
}

#[tokio::test]
async fn a_copy_of_a_hello_ends_no_session() {
    let site = site();
    let (mut peer, hello) = half(&site).await;
    peer.open().await.unwrap();
    peer.ask().await;
    for _ in 0..2 {
        peer.socket.send(&hello).await.unwrap();
        peer.ask().await;
    }
    let stats = site.stats();
    assert_eq!((stats.arrived, stats.accepted, stats.live), (1, 1, 1));
}

#[tokio::test]
async fn a_client_begins_anew_in_its_handshake() {
    let site = site();
    let (peer, _) = half(&site).await;
    site.until(|stats| stats.pending == 1).await;
    let socket = peer.socket;
    // The flight that is for the client that is no more.
    socket.recv(&mut [0; 2048]).await.unwrap();
    let mut second = site.dial_on(socket, NAME, &site.options()).await.unwrap();
    second.ask().await;
    let stats = site.stats();
    assert_eq!((stats.refused(Refusal::Tls), stats.accepted), (1, 1));
    assert_eq!((stats.pending, stats.live), (0, 1));
}

#[tokio::test]
async fn limits_hold_for_sessions() {
    let site = Site::new(Handler::messages(echo), |config| {
        config.limits.max_connections = 1;
        config.limits.on_full = wharf::config::OnFull::Close;
    });
    let mut first = site.dial().await.unwrap();
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let options = site.options();
    let refused = site.dial_on(socket, NAME, &options);
    let refused = tokio::time::timeout(Duration::from_millis(300), refused).await;
    assert!(refused.is_err(), "nothing answers");
    assert!(site.stats().refused(Refusal::ListenerFull) > 0);
    first.ask().await;
}

#[tokio::test]
async fn pending_handshakes_are_capped_and_end() {
    let site = Site::new(Handler::messages(echo), |config| {
        config.limits.max_handshakes = 1;
        config.timeouts.handshake = Some(Duration::from_millis(300));
    });
    let _silent = half(&site).await;
    site.until(|stats| stats.pending == 1).await;
    let mut second = site.dial().await.unwrap();
    second.ask().await;
    let stats = site.stats();
    assert!(stats.refused(Refusal::HandshakesFull) > 0);
    assert_eq!(stats.refused(Refusal::HandshakeTimeout), 1);
}

#[tokio::test]
async fn pre_shared_keys_need_no_certificate() {
    let server = Server::builder()
        .listen_messages(
            IT,
            wharf::Dtls::bind("127.0.0.1:0").with(|config| {
                config.dtls.psk = vec![wharf::config::Psk {
                    identity: "meter".to_owned(),
                    key: "00112233445566778899aabbccddeeff".to_owned(),
                }];
            }),
            async |mut messages: Messages| {
                let tls = messages.connection().tls().unwrap();
                let who = tls.psk_identity.clone().unwrap_or_default();
                messages.send(Message::binary(who.to_vec())).await?;
                Ok::<_, BoxError>(())
            },
        )
        .build()
        .unwrap();
    let site = Site {
        ca: wharf::testkit::Authority::new("unused"),
        address: server.handle().address("it").unwrap().ip().unwrap(),
        handle: server.handle(),
    };
    tokio::spawn(server.run());
    let key: Vec<u8> = (0..16).map(|n| n * 0x11).collect();
    let options = wharf_dtls::ClientOptions {
        psk: Some(Psk::new("meter", key)),
        ..Default::default()
    };
    let mut peer = site.dial_with(&options).await.unwrap();
    assert_eq!(peer.recv().await.unwrap().as_deref(), Some(&b"meter"[..]));
}

#[tokio::test]
async fn certificates_are_reloaded_and_a_bad_one_keeps_the_old() {
    let site = site();
    let mut old = site.dial().await.unwrap();
    let before = old.session.info().unwrap().certificate;
    let leaf = site.ca.issue(&Leaf::named("b", &[NAME]));
    let put = |certificate: wharf::config::Certificate| {
        site.handle.change(IT, move |config| {
            config.tls.certificates = vec![certificate];
        })
    };
    put(leaf.certificate()).unwrap();
    let new = site
        .dial()
        .await
        .unwrap()
        .session
        .info()
        .unwrap()
        .certificate;
    assert_ne!(new, before);
    let mut bad = leaf.certificate();
    bad.key = Pem::Inline {
        pem: "no key".to_owned(),
    };
    assert!(put(bad).is_err());
    assert_eq!(
        site.dial()
            .await
            .unwrap()
            .session
            .info()
            .unwrap()
            .certificate,
        new
    );
    // Sessions that are there are not touched.
    old.ask().await;
}

#[tokio::test]
async fn client_certificates_are_seen() {
    let ca = wharf::testkit::Authority::new("clients");
    let pem = ca.pem();
    let site = Site::new(
        Handler::messages(async |mut messages: Messages| {
            let tls = messages.connection().tls().unwrap();
            let who = tls.peer.as_ref().and_then(|peer| peer.common_name.clone());
            messages
                .send(Message::binary(who.unwrap_or_default()))
                .await?;
            Ok::<_, BoxError>(())
        }),
        |config| {
            config.tls.client_auth = ClientAuth::Required;
            config.tls.client_ca = vec![pem];
        },
    );
    let mut options = site.options();
    assert!(site.dial_with(&options).await.is_err());
    options.identity = Some(identity(
        &ca.issue(&Leaf::named("alice", &["alice.example"])),
    ));
    let mut peer = site.dial_with(&options).await.unwrap();
    assert_eq!(peer.recv().await.unwrap().as_deref(), Some(&b"alice"[..]));
}

#[tokio::test]
async fn a_drain_says_goodbye() {
    let site = site();
    let mut peer = site.dial().await.unwrap();
    peer.ask().await;
    let report = site.handle.drain(Duration::from_secs(5)).await;
    assert_eq!(peer.recv().await, Ok(None));
    assert_eq!(report.forced(), 0);
}

#[tokio::test]
async fn an_empty_message_is_an_error_and_not_the_end() {
    let site = Site::new(
        Handler::messages(async |mut messages: Messages| {
            let error = messages.send(Message::binary("")).await.unwrap_err();
            assert!(matches!(error, wharf::MessageError::Empty), "{error}");
            messages.send(Message::binary("on")).await?;
            Ok::<_, BoxError>(())
        }),
        |_| {},
    );
    let mut peer = site.dial().await.unwrap();
    assert_eq!(peer.recv().await.unwrap().as_deref(), Some(&b"on"[..]));
}

#[tokio::test]
async fn a_message_that_does_not_fit_is_an_error_and_not_the_end() {
    let site = Site::new(
        Handler::messages(async |mut messages: Messages| {
            let error = messages
                .send(Message::binary(vec![0; 1200]))
                .await
                .unwrap_err();
            messages.send(Message::binary(error.to_string())).await?;
            Ok::<_, BoxError>(())
        }),
        |_| {},
    );
    let mut peer = site.dial().await.unwrap();
    let told = peer.recv().await.unwrap().unwrap();
    assert!(
        String::from_utf8(told).unwrap().contains("1200 bytes"),
        "it says how long it is"
    );
}
