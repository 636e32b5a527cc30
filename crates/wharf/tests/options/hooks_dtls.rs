//! The user's own say with DTLS: `admit` and `client_hello`.

use std::io;
use std::sync::{Arc, Mutex};

use wharf::config::Retry;
use wharf::dtls::{ServerContext, ServerOptions};
use wharf::testkit::{Authority, Leaf};
use wharf::{Admit, Dropped, Handler, HelloChoice, Refusal, Server};
use wharf_dtls::{ClientOptions, Failure};

use super::dtls_site::{IT, NAME, Site, echo, identity};

/// access_denied (RFC 5246 §7.2).
const DENIED: Failure = Failure::PeerAlert(49);

#[tokio::test]
async fn admit_is_asked_before_anything_is_kept() {
    let say = Arc::new(Mutex::new(Admit::Prove));
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (said, told) = (say.clone(), seen.clone());
    let builder = Server::builder().admit(move |arriving| {
        assert_eq!(arriving.path.transport.label(), "dtls");
        told.lock().unwrap().push(arriving.proven);
        *said.lock().unwrap()
    });
    let site = Site::with(builder, Handler::messages(echo), |config| {
        config.dtls.cookie = Retry::Never;
        config.rates.accept = Some(wharf::config::Rate {
            per_second: 1,
            burst: 2,
        });
    });
    // One arrival, for which one token is taken: who is to prove its address is none yet.
    site.dial().await.unwrap().ask().await;
    assert_eq!(*seen.lock().unwrap(), [false, true]);
    let stats = site.stats();
    assert_eq!((stats.challenged, stats.arrived), (1, 1));

    *say.lock().unwrap() = Admit::Refuse;
    assert_eq!(site.dial().await.err(), Some(DENIED));
    let stats = site.stats();
    let reasons = [Refusal::Hook, Refusal::Rate];
    assert_eq!(reasons.map(|reason| stats.refused(reason)), [1, 0]);

    let lift = |config: &mut wharf::ListenerConfig| config.rates.accept = None;
    site.handle.change(IT, lift).unwrap();
    *say.lock().unwrap() = Admit::Ignore;
    let (socket, hello) = site.hello().await;
    socket.send(&hello).await.unwrap();
    let stats = site
        .until(|stats| stats.dropped(Dropped::Refused) == 2)
        .await;
    assert_eq!((stats.refused(Refusal::Hook), stats.pending), (2, 0));
    let nothing = socket.try_recv(&mut [0; 64]).unwrap_err();
    assert_eq!(nothing.kind(), io::ErrorKind::WouldBlock);
}

#[tokio::test]
async fn client_hello_goes_on_chooses_or_refuses() {
    let other = Authority::new("other");
    let leaf = other.issue(&Leaf::named("b", &["b.example"]));
    let context = ServerContext::new(&ServerOptions {
        identities: vec![identity(&leaf)],
        ..ServerOptions::default()
    })
    .unwrap();
    let builder = Server::builder().client_hello(move |listener, hello| {
        assert!(listener == IT && hello.tls().is_none());
        match (hello.server_name(), hello.alpn().as_slice()) {
            (Some(NAME), []) => HelloChoice::Proceed,
            (Some("b.example"), [b"one"]) => HelloChoice::UseDtls(context.clone()),
            _ => HelloChoice::Refuse,
        }
    });
    let site = Site::with(builder, Handler::messages(echo), |_| {});
    site.dial().await.unwrap().ask().await;
    let dial = async |name: &str, options: &ClientOptions| {
        let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        site.dial_on(socket, name, options).await
    };
    let chosen = ClientOptions {
        authorities: vec![super::dtls_site::der(&other.pem())],
        alpn: vec![b"one".to_vec()],
        ..ClientOptions::default()
    };
    let mut peer = dial("b.example", &chosen).await.unwrap();
    peer.ask().await;
    assert_eq!(dial("c.example", &chosen).await.err(), Some(DENIED));
    site.until(|stats| stats.refused(Refusal::Hook) == 1).await;
}
