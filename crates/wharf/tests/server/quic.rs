//! QUIC listeners, with clients of bare quinn: shapes, admission, control and ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;
use wharf::config::{OnFull, Rule};
use wharf::quic::quinn::{Connection, ConnectionError, ReadError, ReadToEndError, VarInt};
use wharf::testkit::Leaf;
use wharf::{
    Admit, BoxError, Closed, Filter, Handler, Handlers, HelloChoice, Message, Messages,
    QuicConnection, Refusal, Server, Stream,
};

use super::quic_site::{IT, NAME, Site};

/// How long something may take.
const SOON: Duration = Duration::from_secs(5);
/// How long something must not happen.
const QUIET: Duration = Duration::from_millis(200);

async fn echo(stream: Stream) -> Result<(), BoxError> {
    let (mut reader, mut writer) = tokio::io::split(stream);
    tokio::io::copy(&mut reader, &mut writer).await?;
    Ok(())
}

async fn echo_messages(mut messages: Messages) -> Result<(), BoxError> {
    while let Some(message) = messages.recv().await {
        messages.send(message?).await?;
    }
    Ok(())
}

async fn ask(connection: &Connection, word: &[u8]) -> Result<Vec<u8>, BoxError> {
    let (mut send, mut recv) = connection.open_bi().await?;
    send.write_all(word).await?;
    send.finish()?;
    Ok(recv.read_to_end(1 << 20).await?)
}

/// How the server has closed a connection: code and reason.
async fn ended(connection: &Connection) -> (u64, String) {
    match timeout(SOON, connection.closed()).await.unwrap() {
        ConnectionError::ApplicationClosed(close) => (
            close.error_code.into_inner(),
            String::from_utf8_lossy(&close.reason).into_owned(),
        ),
        other => panic!("{other:?}"),
    }
}

fn is_refused(result: &Result<Connection, ConnectionError>) -> bool {
    // RFC 9000 §20.1: CONNECTION_REFUSED.
    matches!(result, Err(ConnectionError::ConnectionClosed(close))
        if u64::from(close.error_code) == 2)
}

#[tokio::test]
async fn streams_of_one_connection_are_handled_side_by_side() {
    let site = Site::new(Handler::stream(echo), |_| {});
    let connection = site.dial().await.unwrap();
    let long = vec![7; 500_000];
    let words: [&[u8]; 3] = [b"one", &long, b"three"];
    let [a, b, c] = words.map(|word| ask(&connection, word));
    let (a, b, c) = tokio::join!(a, b, c);
    assert_eq!(a.unwrap(), b"one");
    assert_eq!(b.unwrap(), long);
    assert_eq!(c.unwrap(), b"three");
    let there = site.handle.connections(&Filter::default());
    let [one] = &there[..] else {
        panic!("{there:?}")
    };
    let tls = one.tls().unwrap();
    assert_eq!(tls.alpn.as_deref(), Some(IT.as_bytes()));
    assert_eq!(tls.server_name.as_deref(), Some(NAME));
    let path = one.path();
    assert!(path.secure && path.reliable && path.transport.label() == "quic");
    assert_eq!(path.local.ip(), Some(site.address()));
    assert!(one.bytes_received() > 500_000 && one.bytes_sent() > 500_000);
    connection.close(9u32.into(), b"done");
    let stats = site.until(|stats| stats.live == 0).await;
    assert_eq!((stats.arrived, stats.accepted), (1, 1));
    assert_eq!(stats.closed(Closed::Finished), 1);
    assert!(stats.received > 500_000 && stats.sent > 500_000);
}

#[tokio::test]
async fn a_panic_ends_one_stream() {
    let may_panic = async |mut stream: Stream| -> Result<(), BoxError> {
        assert_ne!(stream.read_u8().await?, b'!', "as asked");
        echo(stream).await
    };
    let site = Site::new(Handler::stream(may_panic), |_| {});
    let connection = site.dial().await.unwrap();
    let error = ask(&connection, b"!").await.unwrap_err();
    let error = error.downcast::<ReadToEndError>().unwrap();
    let ReadToEndError::Read(ReadError::Reset(code)) = *error else {
        panic!("{error:?}");
    };
    assert_eq!(code, VarInt::from_u32(1));
    assert_eq!(ask(&connection, b"?more").await.unwrap(), b"more");
    connection.close(0u32.into(), b"");
    site.until(|stats| stats.closed(Closed::Panic) == 1).await;
}

#[tokio::test]
async fn datagrams_are_messages() {
    let site = Site::new(Handler::messages(echo_messages), |_| {});
    let connection = site.dial().await.unwrap();
    for word in [&b""[..], b"one", &[3; 1000]] {
        connection.send_datagram(word.to_vec().into()).unwrap();
        let back = timeout(SOON, connection.read_datagram()).await.unwrap();
        assert_eq!(back.unwrap(), word);
    }
    let stats = site.until(|stats| stats.messages_sent == 3).await;
    assert_eq!(stats.messages_received, 3);
    connection.close(0u32.into(), b"");
    site.until(|stats| stats.closed(Closed::Finished) == 1)
        .await;
}

#[tokio::test]
async fn what_a_handler_sends_last_arrives() {
    let once = async |mut messages: Messages| -> Result<(), BoxError> {
        drop(messages.recv().await);
        messages.send(Message::binary(&b"last"[..])).await?;
        let long = messages.send(Message::binary(vec![0; 70_000])).await;
        assert!(long.is_err(), "too long for a datagram");
        Ok(())
    };
    let site = Site::new(Handler::messages(once), |_| {});
    let connection = site.dial().await.unwrap();
    connection.send_datagram(b"?"[..].into()).unwrap();
    let back = timeout(SOON, connection.read_datagram()).await.unwrap();
    assert_eq!(back.unwrap(), &b"last"[..]);
    assert_eq!(ended(&connection).await, (0, String::new()));
}

#[tokio::test]
async fn streams_and_datagrams_go_side_by_side() {
    let site = Site::new(Handler::both(echo, echo_messages), |_| {});
    let connection = site.dial().await.unwrap();
    connection.send_datagram(b"one"[..].into()).unwrap();
    assert_eq!(ask(&connection, b"two").await.unwrap(), b"two");
    let back = timeout(SOON, connection.read_datagram()).await.unwrap();
    assert_eq!(back.unwrap(), &b"one"[..]);
}

#[tokio::test]
async fn a_handler_may_have_the_whole_connection() {
    let whole = async |connection: QuicConnection| -> Result<(), BoxError> {
        // A stream of the server's own, and a unidirectional one of quinn's.
        let mut uni = connection.quinn().accept_uni().await?;
        let word = uni.read_to_end(10).await?;
        let mut stream = connection.open_stream().await?;
        stream.write_all(&word).await?;
        drop(stream);
        Ok(())
    };
    let site = Site::new(Handler::quic(whole), |_| {});
    let connection = site.dial().await.unwrap();
    let mut uni = connection.open_uni().await.unwrap();
    uni.write_all(b"word").await.unwrap();
    uni.finish().unwrap();
    let (_, mut recv) = timeout(SOON, connection.accept_bi())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(recv.read_to_end(10).await.unwrap(), b"word");
    assert_eq!(ended(&connection).await, (0, String::new()));
}

#[tokio::test]
async fn alpn_chooses_the_handler() {
    let handlers =
        Handlers::alpn(IT, Handler::stream(echo)).and("other", Handler::messages(echo_messages));
    let site = Site::new(handlers, |config| config.tls.alpn.clear());
    let other = site.client_with(|_, tls| tls.alpn_protocols = vec!["other".into()]);
    let connection = other.begin(&site).await.unwrap();
    connection.send_datagram(b"one"[..].into()).unwrap();
    assert_eq!(connection.read_datagram().await.unwrap(), &b"one"[..]);
    let connection = site.dial().await.unwrap();
    assert_eq!(ask(&connection, b"two").await.unwrap(), b"two");
    let nobody = site.client_with(|_, tls| tls.alpn_protocols = vec!["nobody".into()]);
    assert!(nobody.begin(&site).await.is_err());
    site.until(|stats| stats.refused(Refusal::Tls) == 1).await;
}

#[tokio::test]
async fn one_too_many_is_refused_ignored_or_waits() {
    for on_full in [OnFull::Close, OnFull::Reset, OnFull::Wait] {
        let site = Site::new(Handler::stream(echo), |config| {
            config.limits.max_connections = 1;
            config.limits.on_full = on_full.clone();
        });
        let first = site.dial().await.unwrap();
        let client = site.client();
        let mut second = client.begin(&site);
        match on_full {
            OnFull::Close => assert!(is_refused(&timeout(SOON, second).await.unwrap())),
            OnFull::Reset => {
                assert!(timeout(QUIET, second).await.is_err());
                assert!(site.stats().refused(Refusal::ListenerFull) > 0);
            }
            _ => {
                assert!(timeout(QUIET, &mut second).await.is_err());
                assert_eq!(site.stats().arrived, 1);
                first.close(0u32.into(), b"");
                let second = timeout(SOON, second).await.unwrap().unwrap();
                assert_eq!(ask(&second, b"two").await.unwrap(), b"two");
            }
        }
    }
}

#[tokio::test]
async fn access_and_the_admit_hook_are_asked() {
    let deny: Rule = "deny 127.0.0.0/8".parse().unwrap();
    let site = Site::new(Handler::stream(echo), |config| {
        config.access = vec![deny];
        config.quic.retry = wharf::config::Retry::Always;
    });
    assert!(is_refused(&site.dial().await));
    site.handle.remove_access(IT, &deny).unwrap();
    site.dial().await.unwrap();
    assert_eq!(site.stats().refused(Refusal::Access), 1);
    assert_eq!(site.stats().challenged, 1);

    let builder = Server::builder().admit(|arriving| {
        assert_eq!(arriving.path.transport.label(), "quic");
        Admit::Refuse
    });
    let site = Site::with(builder, Handler::stream(echo), |_| {});
    assert!(is_refused(&site.dial().await));
    assert_eq!(site.stats().refused(Refusal::Hook), 1);

    let builder = Server::builder().admit(|arriving| {
        if arriving.proven {
            Admit::Accept
        } else {
            Admit::Prove
        }
    });
    let site = Site::with(builder, Handler::stream(echo), |_| {});
    site.dial().await.unwrap();
    let stats = site.stats();
    assert_eq!((stats.challenged, stats.arrived), (1, 1));
}

#[tokio::test]
async fn the_hello_hook_may_refuse() {
    let refuse = Arc::new(AtomicBool::new(false));
    let asked = refuse.clone();
    let builder = Server::builder().client_hello(move |listener, hello| {
        assert_eq!((listener, hello.server_name()), (IT, Some(NAME)));
        if asked.load(Ordering::Relaxed) {
            HelloChoice::Refuse
        } else {
            HelloChoice::Proceed
        }
    });
    let site = Site::with(builder, Handler::stream(echo), |_| {});
    let connection = site.dial().await.unwrap();
    assert_eq!(ask(&connection, b"one").await.unwrap(), b"one");
    refuse.store(true, Ordering::Relaxed);
    assert!(site.dial().await.is_err());
    site.until(|stats| stats.refused(Refusal::Hook) == 1).await;
}

#[tokio::test]
async fn certificates_change_live() {
    let site = Site::new(Handler::stream(echo), |_| {});
    let old = site.dial().await.unwrap();
    let next = site.ca.issue(&Leaf::named("next", &[NAME]));
    let shown = next.certified().cert[0].to_vec();
    site.handle
        .change(IT, |config| {
            config.tls.certificates = vec![next.certificate()];
        })
        .unwrap();
    let new = site.dial().await.unwrap();
    let chain = |connection: &Connection| {
        let any = connection.peer_identity().unwrap();
        let chain = any.downcast::<Vec<rustls::pki_types::CertificateDer<'static>>>();
        chain.unwrap()[0].to_vec()
    };
    assert_eq!(chain(&new), shown);
    assert_ne!(chain(&old), shown);
    assert_eq!(ask(&old, b"goes on").await.unwrap(), b"goes on");
}

#[tokio::test]
async fn the_control_plane_closes_and_lifetimes_end() {
    let site = Site::new(Handler::stream(echo), |config| config.quic.drain_code = 5);
    let connection = site.dial().await.unwrap();
    site.until(|stats| stats.live == 1).await;
    assert_eq!(site.handle.close(&Filter::default()), 1);
    assert_eq!(ended(&connection).await, (5, "control".to_owned()));
    site.until(|stats| stats.closed(Closed::Control) == 1).await;

    let site = Site::new(Handler::stream(echo), |config| {
        config.timeouts.lifetime = Some(QUIET);
    });
    let connection = site.dial().await.unwrap();
    assert_eq!(ended(&connection).await, (0, "lifetime".to_owned()));
    site.until(|stats| stats.closed(Closed::Lifetime) == 1)
        .await;
}

#[tokio::test]
async fn who_waits_for_a_suspended_listener_is_served_when_it_resumes() {
    let site = Site::new(Handler::stream(echo), |_| {});
    // It has run once.
    site.dial().await.unwrap();
    site.handle.suspend(IT).unwrap();
    let client = site.client();
    let mut second = client.begin(&site);
    assert!(timeout(QUIET, &mut second).await.is_err());
    site.handle.resume(IT).unwrap();
    let second = timeout(SOON, second).await.unwrap().unwrap();
    assert_eq!(ask(&second, b"two").await.unwrap(), b"two");
}

#[tokio::test]
async fn a_drain_lets_streams_finish_and_frees_the_address() {
    let site = Site::new(Handler::stream(echo), |_| {});
    let busy = site.dial().await.unwrap();
    let idle = site.dial().await.unwrap();
    let (mut send, mut recv) = busy.open_bi().await.unwrap();
    send.write_all(b"begun, ").await.unwrap();
    let mut said = [0; 7];
    recv.read_exact(&mut said).await.unwrap();
    let address = site.address();
    let handle = site.handle.clone();
    let drain = tokio::spawn(async move { handle.drain(SOON).await });
    // Who does nothing is told at once.
    assert_eq!(ended(&idle).await, (0, "drained".to_owned()));
    let client = site.client();
    assert!(timeout(QUIET, client.begin_at(address)).await.is_err());
    send.write_all(b"finished").await.unwrap();
    send.finish().unwrap();
    assert_eq!(recv.read_to_end(100).await.unwrap(), b"finished");
    assert_eq!(ended(&busy).await, (0, "drained".to_owned()));
    let report = timeout(SOON, drain).await.unwrap().unwrap();
    assert_eq!((report.finished(), report.forced()), (2, 0));
    std::net::UdpSocket::bind(address).unwrap();
}
