//! A UDP socket that changes hands: one process reads it at any moment.

use wharf::quic::quinn::{Connection, ConnectionError};
use wharf::testkit::Leaf;
use wharf::{Handler, Quic};

use super::quic_site::{IT, NAME, Site};
use super::*;

/// Who answers on a stream of its own.
async fn who(connection: &Connection) -> String {
    let (mut send, mut recv) = connection.open_bi().await.unwrap();
    send.finish().unwrap();
    String::from_utf8(recv.read_to_end(100).await.unwrap()).unwrap()
}

#[tokio::test]
async fn quic_clients_come_to_one_or_the_other_and_are_told_when_to_come_again() {
    let directory = Directory::new("quic");
    let socket = directory.socket();
    let first = Site::with(Server::builder(), Handler::stream(tell("one")), |quic| {
        quic.quic.drain_code = 7;
    });
    first.handle.offer_handover(&socket).unwrap();
    let mut events = first.handle.events();
    let address = first.address();
    let old = first.dial().await.unwrap();

    let leaf = first.ca.issue(&Leaf::named("b", &[NAME]));
    let listen = Quic::bind(address.to_string())
        .with(|config| config.tls.certificates.push(leaf.certificate()))
        .alpn([IT]);
    let second = Server::builder()
        .inherit(take(&socket).await)
        .listen("renamed", listen, tell("two"))
        .build()
        .unwrap();
    // It has the socket, but takes nothing from it yet.
    for _ in 0..10 {
        assert_eq!(who(&first.dial().await.unwrap()).await, "one");
        assert_eq!(who(&old).await, "one");
    }
    let second = Running::start(second);
    while !matches!(events.recv().await.unwrap(), Event::HandedOver { .. }) {}
    let closed = timeout(PATIENCE, old.closed()).await.unwrap();
    let ConnectionError::ApplicationClosed(close) = closed else {
        panic!("{closed:?}");
    };
    assert_eq!(close.error_code.into_inner(), 7);
    for _ in 0..10 {
        let connection = first.client().begin_at(address).await.unwrap();
        assert_eq!(who(&connection).await, "two");
    }
    drop(second);
}

#[tokio::test]
async fn endpoints_keep_their_numbers_and_clients_may_move_on() {
    let directory = Directory::new("quic-endpoints");
    let socket = directory.socket();
    let several = |config: &mut wharf::ListenerConfig| {
        config.accept.reuse_port = true;
        config.accept.acceptors = 3;
    };
    let first = Site::with(Server::builder(), Handler::stream(tell("one")), several);
    first.handle.offer_handover(&socket).unwrap();
    let address = first.address();
    let leaf = first.ca.issue(&Leaf::named("b", &[NAME]));
    // Other options make no other sockets.
    let listen = Quic::bind(address.to_string())
        .with(|config| config.tls.certificates.push(leaf.certificate()))
        .alpn([IT]);
    let second = Server::builder()
        .inherit(take(&socket).await)
        .listen("renamed", listen, tell("two"))
        .build()
        .unwrap();
    assert_eq!(
        second.handle().inspect("renamed").unwrap().addresses.len(),
        3
    );
    second.take_over().await.unwrap();
    let _second = Running::start(second);
    for _ in 0..8 {
        let client = first.client();
        let connection = client.begin_at(address).await.unwrap();
        for _ in 0..3 {
            assert_eq!(who(&connection).await, "two");
            let elsewhere = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
            client.endpoint.rebind(elsewhere).unwrap();
        }
    }
}
