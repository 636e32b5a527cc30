//! `quic.*`, through connections of a bare quinn client on loopback.

use std::time::Duration;

use futures_util::FutureExt;
use tokio::net::UdpSocket;
use tokio::time::timeout;
use wharf::config::{QuicOptions, Retry};
use wharf::quic::quinn::{Connection, ConnectionError, VarInt};
use wharf::{BoxError, Closed, Handler, Messages, QuicConnection, Stream};

use super::quic_site::Site;

/// How long something must not happen, in real time.
const QUIET: Duration = Duration::from_millis(300);
/// How long something may take.
const SOON: Duration = Duration::from_secs(5);

/// A listener whose QUIC has these options.
fn listen(handler: Handler, set: impl FnOnce(&mut QuicOptions)) -> Site {
    Site::new(handler, |config| set(&mut config.quic))
}

fn echo() -> Handler {
    Handler::stream(super::echo)
}

/// Keeps its streams open, and reads nothing.
fn idle() -> Handler {
    Handler::stream(async |stream: Stream| {
        std::future::pending::<()>().await;
        drop(stream);
    })
}

/// Sends a word on a stream of its own and waits for its echo.
async fn ask(connection: &Connection) -> Result<Vec<u8>, BoxError> {
    let (mut send, mut recv) = connection.open_bi().await?;
    send.write_all(b"word").await?;
    send.finish()?;
    Ok(recv.read_to_end(100).await?)
}

#[tokio::test]
async fn max_streams() {
    let site = listen(idle(), |quic| quic.max_streams = 2);
    let connection = site.dial().await.unwrap();
    let _streams = (
        connection.open_bi().now_or_never().unwrap(),
        connection.open_bi().now_or_never().unwrap(),
    );
    assert!(connection.open_bi().now_or_never().is_none());
    // New connections have the new value.
    let more = |config: &mut wharf::ListenerConfig| config.quic.max_streams = 3;
    site.handle.change(super::IT, more).unwrap();
    let connection = site.dial().await.unwrap();
    for _ in 0..3 {
        drop(connection.open_bi().now_or_never().unwrap());
    }
    assert!(connection.open_bi().now_or_never().is_none());
}

#[tokio::test]
async fn stream_window() {
    let site = listen(idle(), |quic| quic.stream_window = 1024);
    let connection = site.dial().await.unwrap();
    let (mut send, _recv) = connection.open_bi().await.unwrap();
    assert_eq!(send.write(&[0; 4096]).await.unwrap(), 1024);
}

#[tokio::test]
async fn connection_window() {
    let site = listen(idle(), |quic| quic.connection_window = 2048);
    let connection = site.dial().await.unwrap();
    let (mut first, _recv) = connection.open_bi().await.unwrap();
    assert_eq!(first.write(&[0; 4096]).await.unwrap(), 2048);
    let (mut second, _recv) = connection.open_bi().await.unwrap();
    assert!(second.write(&[0; 1]).now_or_never().is_none());
}

#[tokio::test]
async fn datagrams() {
    let all = || Handler::messages(async |mut messages: Messages| drop(messages.recv().await));
    let site = listen(all(), |_| {});
    assert!(site.dial().await.unwrap().max_datagram_size().is_some());
    let site = listen(all(), |quic| quic.datagrams = false);
    assert!(site.dial().await.unwrap().max_datagram_size().is_none());
    // Where no handler takes them there are none.
    let site = listen(echo(), |_| {});
    assert!(site.dial().await.unwrap().max_datagram_size().is_none());
}

#[tokio::test]
async fn datagram_buffer() {
    // Says how many datagrams have come before its stream.
    let count = || {
        Handler::quic(async |connection: QuicConnection| {
            use tokio::io::{AsyncReadExt, AsyncWriteExt};
            let mut stream = connection.accept_stream().await.unwrap();
            stream.read_u8().await.unwrap();
            let mut there = 0;
            while connection.quinn().read_datagram().now_or_never().is_some() {
                there += 1;
            }
            stream.write_u8(there).await.unwrap();
            stream.shutdown().await.unwrap();
        })
    };
    for (buffer, kept) in [(256 << 10, 3), (1500, 1)] {
        let site = listen(count(), |quic| quic.datagram_buffer = buffer);
        let connection = site.dial().await.unwrap();
        for _ in 0..3 {
            connection.send_datagram(vec![0; 1000].into()).unwrap();
        }
        let (mut send, mut recv) = connection.open_bi().await.unwrap();
        send.write_all(b"?").await.unwrap();
        assert_eq!(recv.read_to_end(10).await.unwrap(), [kept]);
    }
}

#[tokio::test]
async fn keep_alive() {
    let site = listen(echo(), |quic| {
        quic.idle_timeout = Some(Duration::from_millis(200));
        quic.keep_alive = Some(Duration::from_millis(20));
    });
    let connection = site.dial().await.unwrap();
    assert!(timeout(3 * QUIET, connection.closed()).await.is_err());
    assert!(connection.stats().frame_rx.ping > 0);
}

#[tokio::test]
async fn idle_timeout() {
    let limit = Duration::from_millis(200);
    let site = listen(echo(), |quic| quic.idle_timeout = Some(limit));
    let connection = site.dial().await.unwrap();
    let ended = timeout(SOON, connection.closed()).await.unwrap();
    assert_eq!(ended, ConnectionError::TimedOut);
    site.until(|stats| stats.closed(Closed::ReadIdle) == 1)
        .await;
}

#[tokio::test]
async fn migration() {
    for (allowed, answers) in [(true, true), (false, false)] {
        let site = listen(echo(), |quic| quic.migration = allowed);
        let client = site.client();
        let connection = client.begin(&site).await.unwrap();
        assert_eq!(ask(&connection).await.unwrap(), b"word");
        let elsewhere = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        client.endpoint.rebind(elsewhere).unwrap();
        let answer = timeout(if answers { SOON } else { QUIET }, ask(&connection)).await;
        assert_eq!(answer.is_ok(), answers);
    }
}

#[tokio::test]
async fn zero_rtt() {
    for wanted in [true, false] {
        let site = listen(echo(), |quic| quic.zero_rtt = wanted);
        let client = site.client_with(|_, tls| tls.enable_early_data = true);
        let first = client.begin(&site).await.unwrap();
        // The ticket comes with the answer, or before.
        assert_eq!(ask(&first).await.unwrap(), b"word");
        let accepted = match client.begin(&site).into_0rtt() {
            Ok((connection, accepted)) => {
                assert_eq!(ask(&connection).await.unwrap(), b"word");
                accepted.await
            }
            Err(_) => false,
        };
        assert_eq!(accepted, wanted);
    }
}

#[tokio::test]
async fn retry() {
    let site = listen(echo(), |quic| quic.retry = Retry::Never);
    site.dial().await.unwrap();
    assert_eq!(site.stats().challenged, 0);

    let site = listen(echo(), |quic| quic.retry = Retry::Always);
    let connection = site.dial().await.unwrap();
    assert_eq!(ask(&connection).await.unwrap(), b"word");
    let stats = site.stats();
    assert_eq!((stats.challenged, stats.arrived), (1, 1));

    let site = listen(echo(), |quic| quic.retry = Retry::Above(0));
    site.dial().await.unwrap();
    assert_eq!(site.stats().challenged, 0);
    // The first packet of a client, from a socket that never answers.
    let stolen = first_packet(&site).await;
    let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    silent.send_to(&stolen, site.address()).await.unwrap();
    site.until(|stats| stats.pending == 1).await;
    site.dial().await.unwrap();
    assert_eq!(site.stats().challenged, 1);
}

/// What a client sends first.
async fn first_packet(site: &Site) -> Vec<u8> {
    let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let client = site.client();
    let _attempt = client.begin_at(server.local_addr().unwrap());
    let mut packet = vec![0; 2000];
    let length = server.recv(&mut packet).await.unwrap();
    packet.truncate(length);
    packet
}

#[tokio::test]
async fn drain_code() {
    let site = listen(idle_until_drain(), |quic| quic.drain_code = 77);
    let connection = site.dial().await.unwrap();
    let handle = site.handle.clone();
    let drain = tokio::spawn(async move { handle.drain(SOON).await });
    let ended = timeout(SOON, connection.closed()).await.unwrap();
    let ConnectionError::ApplicationClosed(close) = ended else {
        panic!("{ended:?}");
    };
    assert_eq!(close.error_code, VarInt::from_u32(77));
    assert_eq!(drain.await.unwrap().forced(), 0);
}

fn idle_until_drain() -> Handler {
    Handler::quic(async |connection: QuicConnection| connection.connection().draining().await)
}
