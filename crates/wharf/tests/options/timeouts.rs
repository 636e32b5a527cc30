//! `timeouts.*`.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;
use wharf::config::{MinimumRate, ProxyMode, Transport};
use wharf::{BoxError, Closed, ClosedByServer, Refusal, Server, Stream, testkit};

use super::{
    Answer, IT, arrive, closed, connect, knock, refused, serve, set_timeouts, settle, start, tcp,
    until_closed,
};

#[expect(clippy::unnecessary_wraps, reason = "as the options take it")]
const fn seconds(seconds: u64) -> Option<Duration> {
    Some(Duration::from_secs(seconds))
}

#[tokio::test(start_paused = true)]
async fn proxy_header() {
    let (handle, connector) = tcp(|it| {
        it.timeouts.proxy_header = seconds(3);
        it.proxy.mode = ProxyMode::Required;
        it.proxy.trusted = vec!["192.0.2.0/24".parse().unwrap()];
    });
    let mut silent = connect(&connector, "192.0.2.1").await;
    assert_eq!(until_closed(&mut silent).await.as_secs(), 3);
    // The whole header: its parts do not begin the time anew.
    let mut slow = connect(&connector, "192.0.2.1").await;
    let began = Instant::now();
    for part in ["PROXY ", "TCP4 ", "192.0"] {
        slow.write_all(part.as_bytes()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(900)).await;
    }
    until_closed(&mut slow).await;
    assert_eq!(began.elapsed().as_secs(), 3);
    assert_eq!(refused(&handle, Refusal::ProxyTimeout), 2);
    set_timeouts(&handle, |timeouts| timeouts.proxy_header = None);
    let mut silent = connect(&connector, "192.0.2.1").await;
    tokio::time::sleep(Duration::from_hours(1)).await;
    silent
        .write_all(b"PROXY TCP4 198.51.100.1 198.51.100.2 1 2\r\n")
        .await
        .unwrap();
    assert_eq!(knock(&mut silent).await, Answer::Served);
}

#[tokio::test(start_paused = true)]
async fn handshake() {
    let (handle, connector) = serve(Transport::Ws, |it| it.timeouts.handshake = seconds(3));
    let mut slow = connect(&connector, "192.0.2.1").await;
    let began = Instant::now();
    for part in ["GET / ", "HTTP/1.1\r\n", "Host: x\r\n"] {
        slow.write_all(part.as_bytes()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(900)).await;
    }
    until_closed(&mut slow).await;
    assert_eq!(began.elapsed().as_secs(), 3);
    set_timeouts(&handle, |timeouts| timeouts.handshake = seconds(7));
    let mut silent = connect(&connector, "192.0.2.1").await;
    assert_eq!(until_closed(&mut silent).await.as_secs(), 7);
    assert_eq!(refused(&handle, Refusal::HandshakeTimeout), 2);
    set_timeouts(&handle, |timeouts| timeouts.handshake = None);
    let _silent = connect(&connector, "192.0.2.1").await;
    tokio::time::sleep(Duration::from_hours(1)).await;
    assert_eq!(handle.inspect(IT).unwrap().stats.pending, 1);
}

#[tokio::test(start_paused = true)]
async fn first_byte() {
    let (handle, connector) = tcp(|it| it.timeouts.first_byte = seconds(5));
    let mut silent = connect(&connector, "192.0.2.1").await;
    assert_eq!(until_closed(&mut silent).await.as_secs(), 5);
    assert_eq!(closed(&handle, Closed::FirstByte), 1);
    // Who has spoken may be silent.
    let (answer, mut spoken) = arrive(&connector, "192.0.2.1").await;
    assert_eq!(answer, Answer::Served);
    tokio::time::sleep(Duration::from_hours(1)).await;
    assert_eq!(knock(&mut spoken).await, Answer::Served);
    // A connection that waits already obeys the new time, counted from when its read began.
    let mut silent = connect(&connector, "192.0.2.1").await;
    let began = Instant::now();
    tokio::time::sleep(Duration::from_secs(2)).await;
    set_timeouts(&handle, |timeouts| timeouts.first_byte = seconds(3));
    until_closed(&mut silent).await;
    assert_eq!(began.elapsed().as_secs(), 3);
    let mut silent = connect(&connector, "192.0.2.1").await;
    settle().await;
    set_timeouts(&handle, |timeouts| timeouts.first_byte = None);
    tokio::time::sleep(Duration::from_hours(1)).await;
    assert_eq!(knock(&mut silent).await, Answer::Served);
}

#[tokio::test(start_paused = true)]
async fn read_idle() {
    let (handle, connector) = tcp(|it| it.timeouts.read_idle = seconds(5));
    let (_, mut client) = arrive(&connector, "192.0.2.1").await;
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_secs(4)).await;
        assert_eq!(knock(&mut client).await, Answer::Served);
    }
    assert_eq!(until_closed(&mut client).await.as_secs(), 5);
    assert_eq!(closed(&handle, Closed::ReadIdle), 1);
    let (_, mut client) = arrive(&connector, "192.0.2.1").await;
    set_timeouts(&handle, |timeouts| timeouts.read_idle = None);
    tokio::time::sleep(Duration::from_hours(1)).await;
    assert_eq!(knock(&mut client).await, Answer::Served);
    set_timeouts(&handle, |timeouts| timeouts.read_idle = seconds(2));
    assert_eq!(until_closed(&mut client).await.as_secs(), 2);
}

#[tokio::test(start_paused = true)]
async fn write() {
    let (sender, mut errors) = tokio::sync::mpsc::unbounded_channel();
    let flood = move |mut stream: Stream| {
        let sender = sender.clone();
        async move {
            let error = loop {
                if let Err(error) = stream.write_all(&[7; 4096]).await {
                    break error;
                }
            };
            let reason = error
                .get_ref()
                .and_then(|source| source.downcast_ref::<ClosedByServer>());
            sender.send(reason.copied()).unwrap();
            Err::<(), _>(error)
        }
    };
    let (listen, connector) = testkit::memory(Transport::Tcp);
    let listen = listen.with(|it| it.timeouts.write = seconds(5));
    let handle = start(Server::builder().listen(IT, listen, flood));
    // A peer that takes something now and then is no reason to close.
    let mut client = connect(&connector, "192.0.2.1").await;
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_secs(4)).await;
        client.read_exact(&mut [0; 8192]).await.unwrap();
    }
    let began = Instant::now();
    let reason = errors.recv().await.unwrap();
    assert_eq!(reason, Some(ClosedByServer(Closed::WriteTimeout)));
    assert_eq!(began.elapsed().as_secs(), 5);
    assert_eq!(closed(&handle, Closed::WriteTimeout), 1);
    let _waiting = connect(&connector, "192.0.2.1").await;
    settle().await;
    set_timeouts(&handle, |timeouts| timeouts.write = None);
    tokio::time::sleep(Duration::from_hours(1)).await;
    assert_eq!(handle.inspect(IT).unwrap().stats.live, 1);
    set_timeouts(&handle, |timeouts| timeouts.write = seconds(1));
    assert!(errors.recv().await.unwrap().is_some());
}

#[tokio::test(start_paused = true)]
async fn lifetime() {
    let (handle, connector) = tcp(|it| it.timeouts.lifetime = seconds(10));
    let mut client = connect(&connector, "192.0.2.1").await;
    let began = Instant::now();
    while knock(&mut client).await == Answer::Served {
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    assert_eq!(began.elapsed().as_secs(), 10);
    assert_eq!(closed(&handle, Closed::Lifetime), 1);
    // For new connections.
    let (_, mut old) = arrive(&connector, "192.0.2.1").await;
    set_timeouts(&handle, |timeouts| timeouts.lifetime = None);
    let (_, mut new) = arrive(&connector, "192.0.2.1").await;
    tokio::time::sleep(Duration::from_secs(11)).await;
    assert_eq!(knock(&mut old).await, Answer::Closed);
    assert_eq!(knock(&mut new).await, Answer::Served);
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_does_not_see_the_end_of_its_life_is_ended() {
    let (listen, connector) = testkit::memory(Transport::Tcp);
    let listen = listen.with(|it| it.timeouts.lifetime = seconds(10));
    let deaf = async |stream: Stream| -> Result<(), BoxError> {
        std::future::pending::<()>().await;
        drop(stream);
        Ok(())
    };
    let handle = start(Server::builder().listen(IT, listen, deaf));
    let mut client = connect(&connector, "192.0.2.1").await;
    assert_eq!(until_closed(&mut client).await.as_secs(), 11);
    assert_eq!(closed(&handle, Closed::Lifetime), 1);
}

#[tokio::test(start_paused = true)]
async fn minimum_rate() {
    let rule = |bytes_per_second, grace| {
        Some(MinimumRate {
            bytes_per_second,
            grace: Duration::from_secs(grace),
        })
    };
    let (handle, connector) = tcp(|it| it.timeouts.minimum_rate = rule(10, 5));
    // A byte each second is a trickle; so that it is not silence, no other timeout sees it.
    let trickle = async |client: &mut testkit::MemoryStream| {
        let began = Instant::now();
        while knock(client).await == Answer::Served && began.elapsed() < Duration::from_secs(100) {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        began.elapsed().as_secs()
    };
    let mut client = connect(&connector, "192.0.2.1").await;
    let lasted = trickle(&mut client).await;
    assert!((5..=12).contains(&lasted), "{lasted} s");
    assert_eq!(closed(&handle, Closed::TooSlow), 1);
    // Ten at a time are fast enough.
    let mut client = connect(&connector, "192.0.2.1").await;
    for _ in 0..60 {
        client.write_all(&[7; 11]).await.unwrap();
        client.read_exact(&mut [0; 11]).await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    set_timeouts(&handle, |timeouts| timeouts.minimum_rate = rule(100, 5));
    let began = Instant::now();
    while client.write_all(&[7; 11]).await.is_ok() && began.elapsed() < Duration::from_secs(100) {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert!(began.elapsed() < Duration::from_secs(15));
    assert_eq!(closed(&handle, Closed::TooSlow), 2);
    let mut client = connect(&connector, "192.0.2.1").await;
    set_timeouts(&handle, |timeouts| timeouts.minimum_rate = None);
    assert_eq!(trickle(&mut client).await, 100);
}

/// What comes in one piece with the last of the handshakes is the peer's first byte.
#[tokio::test(start_paused = true)]
async fn bytes_that_come_with_the_handshakes_are_the_first() {
    let header = b"PROXY TCP4 198.51.100.1 198.51.100.2 1 2\r\n".as_slice();
    let upgrade = b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
    let frame = b"\x82\x81\0\0\0\0?";
    for (transport, sent) in [
        (Transport::Tcp, [header, b"?"].concat()),
        (Transport::Ws, [header, upgrade, frame].concat()),
    ] {
        let (handle, connector) = serve(transport, |it| {
            it.timeouts.first_byte = seconds(2);
            it.proxy.mode = ProxyMode::Required;
            it.proxy.trusted = vec!["192.0.2.0/24".parse().unwrap()];
        });
        let mut client = connect(&connector, "192.0.2.1").await;
        client.write_all(&sent).await.unwrap();
        let lasts = tokio::time::timeout(Duration::from_secs(9), until_closed(&mut client)).await;
        assert!(lasts.is_err(), "{transport:?}");
        assert_eq!(closed(&handle, Closed::FirstByte), 0);
    }
}

/// The writer has waited last, then goes elsewhere: the reader is woken by its own deadline.
#[tokio::test(start_paused = true)]
async fn a_read_ends_in_time_when_another_task_has_written() {
    let (listen, connector) = testkit::memory(Transport::Tcp);
    let listen = listen.with(|it| it.timeouts.first_byte = seconds(9));
    let handler = async |stream: Stream| -> Result<(), BoxError> {
        let (mut reader, mut writer) = tokio::io::split(stream);
        let writing = tokio::spawn(async move {
            settle().await;
            let _ = writer.write_all(&vec![0; 1 << 20]).await;
            std::future::pending::<()>().await;
        });
        let read = reader.read(&mut [0; 1]).await;
        writing.abort();
        read.map(drop).map_err(Into::into)
    };
    let handle = start(Server::builder().listen(IT, listen, handler));
    let mut client = connect(&connector, "192.0.2.1").await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let ends = tokio::time::timeout(Duration::from_secs(20), until_closed(&mut client)).await;
    assert!(ends.is_ok());
    assert_eq!(closed(&handle, Closed::FirstByte), 1);
}
