//! `dtls.*`, through clients on loopback.

use std::time::Duration;

use tokio::net::UdpSocket;
use wharf::config::{Psk, Retry};
use wharf::message::Message;
use wharf::{BoxError, Handler, ListenerConfig, Messages};
use wharf_dtls::{ClientContext, ClientOptions, Failure, Session};

use super::dtls_site::{IT, NAME, Site, echo};

#[tokio::test]
async fn mtu() {
    // Tells the largest message that it can send.
    let largest = Handler::messages(async |mut messages: Messages| {
        let mut length = 1500;
        while let Err(error) = messages.send(Message::binary(vec![0; length])).await {
            if !matches!(error, wharf::MessageError::TooLong { .. }) {
                return Err(BoxError::from(error));
            }
            length -= 1;
        }
        Ok(())
    });
    let site = Site::new(largest, |config| config.dtls.mtu = 300);
    let mut peer = site.dial().await.unwrap();
    let first = peer.recv().await.unwrap().unwrap().len();
    assert_eq!(first, 300 - 13 - 8 - 16);
    assert!(peer.longest <= 300, "{} in the handshake too", peer.longest);
    let more = |config: &mut ListenerConfig| config.dtls.mtu = 400;
    site.handle.change(IT, more).unwrap();
    let mut peer = site.dial().await.unwrap();
    assert_eq!(peer.recv().await.unwrap().unwrap().len(), first + 100);
}

#[tokio::test]
async fn ciphers() {
    let only = |suite: &str| {
        let suite = suite.to_owned();
        move |config: &mut ListenerConfig| config.dtls.ciphers = Some(suite)
    };
    let site = Site::new(
        Handler::messages(echo),
        only("ECDHE-ECDSA-CHACHA20-POLY1305"),
    );
    let agreed = async || site.dial().await.unwrap().session.info().unwrap().cipher;
    assert_eq!(
        agreed().await,
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"
    );
    site.handle
        .change(IT, only("ECDHE-ECDSA-AES256-GCM-SHA384"))
        .unwrap();
    assert_eq!(agreed().await, "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384");
    let error = site.handle.change(IT, only("NONE-SUCH")).unwrap_err();
    assert!(error.to_string().contains("listeners.it.dtls"), "{error}");
}

#[tokio::test]
async fn psk() {
    let site = Site::new(Handler::messages(echo), |_| {});
    let options = ClientOptions {
        psk: Some(wharf_dtls::Psk::new("meter", [0xab; 16])),
        ..ClientOptions::default()
    };
    assert!(site.dial_with(&options).await.is_err());
    let entry = |identity: &str| Psk {
        identity: identity.to_owned(),
        key: "ab".repeat(16),
    };
    let put = |keys: Vec<Psk>| site.handle.change(IT, move |config| config.dtls.psk = keys);
    put(vec![entry("other")]).unwrap();
    let unknown = site.dial_with(&options).await.err();
    assert_eq!(unknown, Some(Failure::PeerAlert(115)));
    put(vec![entry("other"), entry("meter")]).unwrap();
    site.dial_with(&options).await.unwrap().ask().await;
    put(vec![entry("meter"), entry("meter")]).unwrap_err();
}

#[tokio::test]
async fn cookie() {
    let site = Site::new(Handler::messages(echo), |_| {});
    let put = |when| {
        site.handle
            .change(IT, move |config| config.dtls.cookie = when)
    };
    site.dial().await.unwrap().ask().await;
    assert_eq!(site.stats().challenged, 1, "each is asked");
    put(Retry::Never).unwrap();
    site.dial().await.unwrap().ask().await;
    assert_eq!(site.stats().challenged, 1);
    // One handshake that goes no further, then one more.
    put(Retry::Above(0)).unwrap();
    let (socket, hello) = site.hello().await;
    socket.send(&hello).await.unwrap();
    site.until(|stats| stats.pending == 1).await;
    assert_eq!(site.stats().challenged, 1, "none was pending");
    site.dial().await.unwrap().ask().await;
    assert_eq!(site.stats().challenged, 2);
}

#[tokio::test]
async fn cookie_lifetime() {
    // Whether a cookie is good that is so old.
    async fn is_good(site: &Site, age: Duration) -> bool {
        let context = ClientContext::new(&site.options()).unwrap();
        let now = tokio::time::Instant::now().into_std();
        let mut session = Session::connect(&context, &NAME.into(), now).unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        socket.connect(site.address()).await.unwrap();
        let before = site.stats();
        for age in [Duration::ZERO, age] {
            tokio::time::pause();
            tokio::time::advance(age).await;
            tokio::time::resume();
            socket.send(session.transmit().unwrap()).await.unwrap();
            session.sent();
            let mut buffer = [0; 2048];
            let length = socket.recv(&mut buffer).await.unwrap();
            session.handle_datagram(now, buffer[..length].to_vec().into());
        }
        let after = site.stats();
        assert_eq!(
            after.challenged - before.challenged + after.arrived - before.arrived,
            2
        );
        after.arrived > before.arrived
    }
    let site = Site::new(Handler::messages(echo), |_| {});
    assert!(is_good(&site, Duration::from_secs(20)).await);
    assert!(!is_good(&site, Duration::from_secs(61)).await);
    let shorter = |config: &mut ListenerConfig| {
        config.dtls.cookie_lifetime = Duration::from_secs(5);
    };
    site.handle.change(IT, shorter).unwrap();
    assert!(is_good(&site, Duration::from_secs(4)).await);
    assert!(!is_good(&site, Duration::from_secs(20)).await);
}
