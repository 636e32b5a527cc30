//! Several protocols on one UDP port, and handlers by what a datagram is.

use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::timeout;
use wharf::config::{DemuxLayer, Transport};
use wharf::message::Message;
use wharf::{BoxError, Dropped, Handler, Handlers, Messages, Protocol};

use super::dtls_site::Site;

/// A handler that tells its name, over what it is spoken, and what was said.
fn tells(name: &'static str) -> Handler {
    Handler::messages(move |mut messages: Messages| async move {
        let transport = messages.connection().path().transport.label();
        while let Some(message) = messages.recv().await {
            let said = String::from_utf8_lossy(message?.payload()).into_owned();
            let told = format!("{name} {transport} {said}");
            messages.send(Message::binary(told)).await?;
        }
        Ok::<_, BoxError>(())
    })
}

/// The next datagram that is not of DTLS.
async fn plain(socket: &UdpSocket) -> String {
    let next = async {
        loop {
            let mut buffer = [0; 2048];
            let length = socket.recv(&mut buffer).await.unwrap();
            if !(20..=63).contains(&buffer[0]) {
                return String::from_utf8_lossy(&buffer[..length]).into_owned();
            }
        }
    };
    let next = timeout(Duration::from_mins(1), next).await;
    next.expect("an answer")
}

#[tokio::test]
async fn one_peer_has_a_flow_for_each_protocol() {
    let handlers = Handlers::first(Protocol::Stun, tells("stun"))
        .and_first(Protocol::Sip, tells("sip"))
        .and_first(Protocol::Dtls, tells("dtls"));
    let site = Site::new(handlers, |config| {
        config.transport = Transport::Udp;
        config.demux.layers = vec![DemuxLayer::Dtls];
    });
    let mut peer = site.dial().await.unwrap();
    for round in 1..=2 {
        peer.send(b"hi").await;
        let told = peer.recv().await.unwrap().unwrap();
        assert_eq!(told, b"dtls dtls hi");
        peer.socket.send(b"\x00\x01\x00\x00!").await.unwrap();
        assert_eq!(plain(&peer.socket).await, "stun udp \x00\x01\x00\x00!");
        // TURN's channels belong to STUN, and letters of the same range to SIP.
        peer.socket.send(b"\x40\x00\x00\x01x").await.unwrap();
        assert_eq!(plain(&peer.socket).await, "stun udp @\x00\x00\x01x");
        peer.socket.send(b"MESSAGE sip:a").await.unwrap();
        assert_eq!(plain(&peer.socket).await, "sip udp MESSAGE sip:a");
        // What has no handler begins nothing.
        peer.socket.send(b"\x80\x00").await.unwrap();
        let stats = site
            .until(|stats| stats.dropped(Dropped::NoHandler) == round)
            .await;
        let counted = Protocol::ALL.map(|protocol| stats.spoken(protocol));
        assert_eq!((counted, stats.unknown), ([0, 0, 1, 1, 1], 0));
        assert_eq!((stats.arrived, stats.live), (3, 3));
    }
}

#[tokio::test]
async fn what_is_of_no_protocol_goes_to_the_others_and_dtls_stays_as_it_is_without_its_layer() {
    let handlers = Handlers::first(Protocol::Stun, tells("stun")).or(tells("other"));
    let site = Site::new(handlers, |config| {
        config.transport = Transport::Udp;
        config.tls.certificates.clear();
    });
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(site.address()).await.unwrap();
    for (datagram, told) in [
        (&b"\x80\x00"[..], "other udp \u{fffd}\x00"),
        (b"@@@@", "other udp @@@@"),
        (b"\x16\xfe\xfd", "other udp \x16\u{fffd}\u{fffd}"),
        (b"\x00\x01", "stun udp \x00\x01"),
    ] {
        socket.send(datagram).await.unwrap();
        assert_eq!(plain(&socket).await, told);
    }
    let stats = site.stats();
    assert_eq!((stats.spoken(Protocol::Stun), stats.unknown), (1, 1));
}
