//! `dtls://`: sessions with our listeners, and what is told when there is none.

use std::net::{Ipv4Addr, SocketAddr};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout};
use wharf::client::{
    Attempt, AttemptError, ClientBuilder, ClientOptions, KeepEnd, ProxiedClient, SendProxy,
};
use wharf::config::{ClientAuth, ProxyMode, Psk, TlsVersion};
use wharf::dtls::Failure;
use wharf::events::Event;
use wharf::proxy::{Addresses, Version};
use wharf::testkit::{Authority, Leaf};
use wharf::tls::ClientTlsOptions;
use wharf::{
    Client, Closed, ConnectError, Dtls, Endpoint, Filter, Handle, ListenerConfig, Message, Refusal,
    Server,
};

use crate::datagrams::{SOON, ask, is_refused, refusing};
use crate::support::{echo_messages, is_conserved, run};

const NAME: &str = "a.example";

struct Site {
    ca: Authority,
    handle: Handle,
    port: u16,
}

/// A listener with a certificate for [`NAME`].
fn site(change: impl FnOnce(&Authority, &mut ListenerConfig)) -> Site {
    let ca = Authority::new("ca");
    let leaf = ca.issue(&Leaf::named("a", &[NAME]));
    let listen = Dtls::bind("127.0.0.1:0")
        .with(|config| config.tls.certificates.push(leaf.certificate()))
        .with(|config| change(&ca, config));
    let server = Server::builder().listen_messages("it", listen, echo_messages);
    let handle = run(server.build().unwrap());
    let port = handle.address("it").unwrap().ip().unwrap().port();
    Site { ca, handle, port }
}

/// A client for which every name is at these addresses, and which trusts the authority.
fn client(ca: &Authority, found: Vec<SocketAddr>) -> ClientBuilder {
    let tls = ClientTlsOptions {
        ca: vec![ca.pem()],
        ..ClientTlsOptions::default()
    };
    Client::builder().tls(tls).resolver(move |_, port| {
        let mut found = found.clone();
        if found.is_empty() {
            found.push((Ipv4Addr::LOCALHOST, port).into());
        }
        async move { Ok(found) }
    })
}

impl Site {
    fn client(&self) -> ClientBuilder {
        client(&self.ca, Vec::new())
    }

    fn url(&self, name: &str) -> String {
        format!("dtls://{name}:{}", self.port)
    }
}

fn attempts(error: ConnectError) -> Vec<Attempt> {
    match error {
        ConnectError::Unreachable { attempts, .. } => attempts,
        error => panic!("{error}"),
    }
}

#[tokio::test]
async fn both_ends_know_each_other_and_speak_in_messages() {
    let site = site(|ca, config| {
        config.tls.client_auth = ClientAuth::Required;
        config.tls.client_ca = vec![ca.pem()];
        config.tls.alpn = vec!["coap".into(), "it".into()];
    });
    let own = site.ca.issue(&Leaf::named("me", &[]));
    let client = site
        .client()
        .with(|options| {
            options.tls.certificate = Some(own.certificate());
            options.tls.alpn = vec!["it".into()];
        })
        .build()
        .unwrap();
    let mut messages = client.connect_messages(&site.url(NAME)).await.unwrap();
    ask(&mut messages, b"one").await;
    ask(&mut messages, &[7; 1100]).await;
    let long = messages.send(Message::binary(vec![7; 1201])).await;
    assert!(long.unwrap_err().to_string().contains("1201 bytes"));
    let tls = messages.connection().tls().unwrap().clone();
    assert_eq!(tls.alpn.as_deref(), Some(&b"it"[..]));
    assert_eq!(tls.server_name.as_deref(), Some(NAME));
    assert_eq!(tls.version, TlsVersion::V1_2);
    let server = tls.peer.as_ref().unwrap();
    assert_eq!(server.common_name.as_deref(), Some("a"));
    let seen = site.handle.connections(&Filter::default()).remove(0);
    let us = seen.tls().unwrap().peer.clone().unwrap();
    assert_eq!(us.common_name.as_deref(), Some("me"));
    assert!(messages.path().secure && !messages.path().reliable);
    // Its goodbye ends the handler of the server.
    drop(messages);
    let report = site.handle.drain(SOON).await;
    assert_eq!((report.finished(), report.forced()), (1, 0));
    let stats = client.stats();
    assert_eq!((stats.arrived, stats.accepted), (1, 1));
    assert_eq!(stats.closed(Closed::Finished), 1);
    assert!(stats.received > 1100 && stats.sent > 1100);
    is_conserved(&stats);
}

#[tokio::test]
async fn a_certificate_for_another_is_refused() {
    let site = site(|_, _| {});
    let client = site.client().build().unwrap();
    let error = client
        .connect_messages(&site.url("b.example"))
        .await
        .unwrap_err();
    assert_eq!(error.reason(), Some(Refusal::Tls));
    let attempts = attempts(error);
    let AttemptError::Dtls(Failure::Certificate(why)) = &attempts[0].error else {
        panic!("{attempts:?}");
    };
    assert!(why.contains("ostname mismatch"), "{why}");
    assert_eq!(client.stats().refused(Refusal::Tls), 1);
    // Nor one of another authority.
    let stranger = self::client(&Authority::new("other"), Vec::new());
    let stranger = stranger.build().unwrap();
    let error = stranger.connect_messages(&site.url(NAME)).await;
    let attempts = self::attempts(error.unwrap_err());
    let error = &attempts[0].error;
    assert!(
        matches!(error, AttemptError::Dtls(Failure::Certificate(_))),
        "{error}"
    );
    // The name that is asked for need not be the one that is connected to.
    let named = site
        .client()
        .with(|options| options.tls.server_name = Some(NAME.into()));
    let mut messages = named
        .build()
        .unwrap()
        .connect_messages(&site.url("b.example"))
        .await
        .unwrap();
    ask(&mut messages, b"hello").await;
}

#[tokio::test]
async fn nobody_there_is_told_at_once() {
    let (_nobody, address) = refusing().await;
    let client = client(&Authority::new("ca"), vec![address])
        .with(|options| options.timeouts.connect = None)
        .build()
        .unwrap();
    let dialling = client.connect_messages("dtls://a.example:1");
    let error = timeout(SOON, dialling).await.unwrap().unwrap_err();
    assert_eq!(error.reason(), Some(Refusal::Unreachable));
    let attempts = attempts(error);
    let AttemptError::Io(error) = &attempts[0].error else {
        panic!("{attempts:?}");
    };
    assert!(is_refused(error), "{error}");
    assert_eq!(attempts[0].address, Endpoint::Ip(address));
}

#[tokio::test(start_paused = true)]
async fn silence_runs_into_the_timeout() {
    let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap();
    let client = client(&Authority::new("ca"), vec![address])
        .with(|options| options.timeouts.connect = Some(Duration::from_secs(7)))
        .build()
        .unwrap();
    let began = Instant::now();
    let error = client
        .connect_messages("dtls://a.example:1")
        .await
        .unwrap_err();
    assert_eq!(began.elapsed(), Duration::from_secs(7));
    let attempts = attempts(error);
    assert!(
        matches!(attempts[0].error, AttemptError::Timeout(limit) if limit.as_secs() == 7),
        "{attempts:?}"
    );
    // The hello had been sent.
    let mut hello = [0; 1500];
    let length = silent.recv(&mut hello).await.unwrap();
    assert!(wharf_dtls::hello_random(&hello[..length]).is_some());
}

#[tokio::test]
async fn half_of_the_addresses_may_be_dead() {
    let site = site(|_, _| {});
    let (_nobody, refusing) = refusing().await;
    let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let live = SocketAddr::from((Ipv4Addr::LOCALHOST, site.port));
    let found = vec![refusing, silent.local_addr().unwrap(), live];
    let client = client(&site.ca, Vec::new())
        .resolver(move |host, _| {
            let all = host == NAME;
            let found = if all { found.clone() } else { vec![refusing] };
            async move { Ok(found) }
        })
        .with(|options| options.timeouts.attempt_delay = Some(Duration::from_millis(20)))
        .build()
        .unwrap();
    let mut messages = client
        .connect_messages(&format!("dtls://{NAME}:1"))
        .await
        .unwrap();
    ask(&mut messages, b"hello").await;
    assert_eq!(messages.path().peer, Endpoint::Ip(live));
    let tried = client.attempts();
    assert_eq!((tried.begun, tried.reached), (3, 1));
    assert_eq!((tried.failed, tried.abandoned), (1, 1));
    // Of several hosts the next one is tried when one fails.
    let url = format!("dtls://b.example:1,{NAME}:1");
    let mut messages = client.connect_messages(&url).await.unwrap();
    ask(&mut messages, b"hello").await;
    let stats = client.stats();
    assert_eq!((stats.arrived, stats.accepted), (3, 2));
    is_conserved(&stats);
}

#[tokio::test]
async fn a_connection_that_is_lost_is_made_again() {
    let site = site(|_, _| {});
    let client = site
        .client()
        .with(|options| options.reconnect.min = Duration::from_millis(1))
        .with(|options| options.reconnect.max = Duration::from_millis(5))
        .build()
        .unwrap();
    let (handle, mut count) = (site.handle.clone(), 0);
    let mut keeper = client
        .keep_messages(&site.url(NAME), move |mut messages| {
            count += 1;
            let handle = handle.clone();
            async move {
                ask(&mut messages, b"hello").await;
                if count == 3 {
                    return ControlFlow::Break(());
                }
                assert_eq!(handle.close(&Filter::default()), 1);
                let end = timeout(SOON, messages.recv()).await.unwrap();
                assert!(end.is_none(), "{end:?}");
                ControlFlow::Continue(())
            }
        })
        .unwrap();
    let end = timeout(SOON, keeper.ended()).await.unwrap();
    assert!(matches!(end, KeepEnd::Done), "{end:?}");
    assert_eq!(client.stats().accepted, 3);
}

/// What is between a client and its server: datagrams go both ways while this runs.
async fn between(outer: UdpSocket, inner: Arc<UdpSocket>) {
    let (mut there, mut back) = ([0; 2048], [0; 2048]);
    let mut client = None;
    loop {
        tokio::select! {
            Ok((length, from)) = outer.recv_from(&mut there) => {
                client = Some(from);
                inner.send(&there[..length]).await.unwrap();
            }
            Ok(length) = inner.recv(&mut back) => if let Some(client) = client {
                outer.send_to(&back[..length], client).await.unwrap();
            }
        }
    }
}

#[tokio::test]
async fn a_session_outlives_a_refusal_that_anybody_can_forge() {
    let site = site(|_, _| {});
    let inner = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    inner.connect(("127.0.0.1", site.port)).await.unwrap();
    let inner = Arc::new(inner);
    let outer = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = outer.local_addr().unwrap();
    let network = tokio::spawn(between(outer, inner.clone()));
    let client = client(&site.ca, vec![address]).build().unwrap();
    let url = format!("dtls://{NAME}:1");
    let mut messages = client.connect_messages(&url).await.unwrap();
    ask(&mut messages, b"hello").await;

    network.abort();
    assert!(network.await.unwrap_err().is_cancelled());
    let mut events = client.events();
    messages.send(Message::binary(&b"lost"[..])).await.unwrap();
    let refused = async {
        loop {
            if let Event::Icmp { code, .. } = events.recv().await.unwrap() {
                return code;
            }
        }
    };
    tokio::select! {
        code = timeout(SOON, refused) => assert_eq!(code.unwrap(), 3),
        got = messages.recv() => panic!("{got:?}"),
    }
    let outer = UdpSocket::bind(address).await.unwrap();
    let network = tokio::spawn(between(outer, inner));
    ask(&mut messages, b"hello again").await;
    network.abort();
}

#[tokio::test]
async fn a_key_needs_no_certificate() {
    let key = |identity: &str| Psk {
        identity: identity.into(),
        key: "00112233445566778899aabbccddeeff".into(),
    };
    let listen = Dtls::bind("127.0.0.1:0").with(|config| config.dtls.psk = vec![key("meter")]);
    let server = Server::builder().listen_messages("it", listen, echo_messages);
    let handle = run(server.build().unwrap());
    let url = format!("dtls://{}", handle.address("it").unwrap());
    let knows = |identity: &str| {
        let options = ClientOptions {
            dtls: wharf::config::DtlsOptions {
                psk: vec![key(identity)],
                mtu: 600,
                ..Default::default()
            },
            ..ClientOptions::default()
        };
        Client::builder().options(options).build().unwrap()
    };
    let client = knows("meter");
    let mut messages = client.connect_messages(&url).await.unwrap();
    ask(&mut messages, b"hello").await;
    let tls = messages.connection().tls().unwrap();
    assert_eq!(tls.psk_identity.as_deref(), Some(&b"meter"[..]));
    let long = messages.send(Message::binary(vec![7; 600])).await;
    assert!(long.is_err(), "the MTU is the client's own");
    let error = knows("other").connect_messages(&url).await.unwrap_err();
    assert_eq!(error.reason(), Some(Refusal::Tls));
}

#[tokio::test]
async fn a_session_goes_through_a_proxy() {
    let site = site(|_, config| {
        config.proxy.mode = ProxyMode::Required;
        config.proxy.trusted = vec!["127.0.0.0/8".parse().unwrap()];
    });
    let source: SocketAddr = "192.0.2.1:1000".parse().unwrap();
    let client = site.client().proxy(SendProxy {
        of: ProxiedClient::Other(Addresses::Ip {
            source,
            destination: "192.0.2.9:443".parse().unwrap(),
        }),
        ..SendProxy::new(Version::V2)
    });
    let client = client.build().unwrap();
    let mut messages = client.connect_messages(&site.url(NAME)).await.unwrap();
    ask(&mut messages, b"hello").await;
    let seen = site.handle.connections(&Filter::default()).remove(0);
    assert_eq!(seen.peer(), Endpoint::Ip(source));
}

#[tokio::test]
async fn what_dtls_has_not_is_refused() {
    let client = Client::builder().with(|options| options.tls.min_version = TlsVersion::V1_3);
    let client = client.build().unwrap();
    let error = client
        .connect_messages("dtls://127.0.0.1:1")
        .await
        .unwrap_err();
    assert!(error.to_string().contains("tls.min-version"), "{error}");
    let wrong = Client::builder().with(|options| options.dtls.ciphers = Some("NONE".into()));
    let wrong = wrong.build().unwrap();
    let error = wrong.connect_messages("dtls://127.0.0.1:1").await;
    let error = error.unwrap_err();
    assert!(matches!(error, ConnectError::TlsOptions(_)), "{error}");
}
