//! `rates.*`.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;
use tokio_util::codec::LinesCodec;
use wharf::config::{OnFull, Rate, Transport};
use wharf::{BoxError, Refusal, Server, Session, Stream, testkit};

use super::{
    Answer, IT, arrive, connect, knock, refused, set_limits, set_rates, settle, start, tcp,
};

#[expect(clippy::unnecessary_wraps, reason = "as the options take it")]
const fn rate(per_second: u32, burst: u32) -> Option<Rate> {
    Some(Rate { per_second, burst })
}

#[tokio::test(start_paused = true)]
async fn accept() {
    let (handle, connector) = tcp(|it| it.rates.accept = rate(1, 2));
    let (first, _) = arrive(&connector, "192.0.2.1").await;
    let (second, _) = arrive(&connector, "192.0.2.2").await;
    let (third, _) = arrive(&connector, "192.0.2.3").await;
    assert_eq!(
        (first, second, third),
        (Answer::Served, Answer::Served, Answer::Closed)
    );
    assert_eq!(refused(&handle, Refusal::Rate), 1);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(arrive(&connector, "192.0.2.3").await.0, Answer::Served);
    assert_eq!(arrive(&connector, "192.0.2.3").await.0, Answer::Closed);
    set_rates(&handle, |rates| rates.accept = None);
    for _ in 0..10 {
        assert_eq!(arrive(&connector, "192.0.2.3").await.0, Answer::Served);
    }
}

#[tokio::test(start_paused = true)]
async fn over_the_accept_rate_connections_wait_where_they_may() {
    let (handle, connector) = tcp(|it| {
        it.rates.accept = rate(1, 2);
        it.limits.on_full = OnFull::Wait;
    });
    let began = Instant::now();
    let mut clients = Vec::new();
    for n in 1..=4 {
        clients.push(connect(&connector, &format!("192.0.2.{n}")).await);
    }
    let mut served = Vec::new();
    for client in &mut clients {
        client.write_all(b"?").await.unwrap();
        client.read_u8().await.unwrap();
        served.push(began.elapsed().as_secs());
    }
    assert_eq!(served, [0, 0, 1, 2]);
    assert_eq!(handle.inspect(IT).unwrap().stats.all_refused(), 0);
    // Who waits for a token does not wait for it under another rule.
    let (answer, mut waiting) = arrive(&connector, "192.0.2.5").await;
    assert_eq!(answer, Answer::Waits);
    set_rates(&handle, |rates| rates.accept = None);
    assert_eq!(knock(&mut waiting).await, Answer::Served);
    set_limits(&handle, |limits| limits.on_full = OnFull::Close);
    assert_eq!(arrive(&connector, "192.0.2.6").await.0, Answer::Served);
}

#[tokio::test(start_paused = true)]
async fn accept_per_prefix() {
    let (handle, connector) = tcp(|it| it.rates.accept_per_prefix = rate(1, 1));
    let (first, _) = arrive(&connector, "192.0.2.1").await;
    let (second, _) = arrive(&connector, "192.0.2.1").await;
    let (other, _) = arrive(&connector, "192.0.2.2").await;
    assert_eq!(
        (first, second, other),
        (Answer::Served, Answer::Closed, Answer::Served)
    );
    assert_eq!(refused(&handle, Refusal::PrefixRate), 1);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(arrive(&connector, "192.0.2.1").await.0, Answer::Served);
    set_rates(&handle, |rates| rates.accept_per_prefix = None);
    assert_eq!(arrive(&connector, "192.0.2.1").await.0, Answer::Served);
}

/// How long it takes until `bytes` have gone to the server and come back.
async fn round_trip(client: testkit::MemoryStream, bytes: usize) -> Duration {
    let began = Instant::now();
    let (mut reader, mut writer) = tokio::io::split(client);
    let sent = vec![7; bytes];
    let mut answer = vec![0; bytes];
    let (written, read) = tokio::join!(writer.write_all(&sent), reader.read_exact(&mut answer));
    written.and(read.map(drop)).unwrap();
    assert_eq!(answer, sent, "nothing is lost");
    began.elapsed()
}

#[tokio::test(start_paused = true)]
async fn bytes() {
    let (handle, connector) = tcp(|it| it.rates.bytes = rate(1000, 1000));
    let client = connect(&connector, "192.0.2.1").await;
    let took = round_trip(client, 61_000).await;
    // What is read over the burst is made up for before the next read.
    assert!((55..=60).contains(&took.as_secs()), "{took:?}");
    assert!(handle.inspect(IT).unwrap().stats.throttled > 0);
    // Connections that wait for the rate see it change.
    let client = connect(&connector, "192.0.2.1").await;
    let running = tokio::spawn(round_trip(client, 61_000));
    tokio::time::sleep(Duration::from_secs(10)).await;
    set_rates(&handle, |rates| rates.bytes = None);
    assert_eq!(running.await.unwrap().as_secs(), 10);
    let client = connect(&connector, "192.0.2.1").await;
    let running = tokio::spawn(round_trip(client, 61_000));
    assert!(running.await.unwrap() < Duration::from_secs(1));
    // And one that was there without a rate gets it.
    let (answer, client) = arrive(&connector, "192.0.2.1").await;
    assert_eq!(answer, Answer::Served);
    set_rates(&handle, |rates| rates.bytes = rate(1000, 1000));
    assert!(round_trip(client, 61_000).await > Duration::from_secs(50));
}

async fn lines(stream: Stream) -> Result<(), BoxError> {
    let mut session = Session::new(stream, LinesCodec::new());
    while let Some(line) = session.recv().await {
        session.send(line?).await?;
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn messages() {
    let (listen, connector) = testkit::memory(Transport::Tcp);
    let listen = listen.with(|it| it.rates.messages = rate(1, 2));
    let handle = start(Server::builder().listen(IT, listen, lines));
    let mut client = connect(&connector, "192.0.2.1").await;
    let began = Instant::now();
    client.write_all(&b"line\n".repeat(8)).await.unwrap();
    let mut answered = Vec::new();
    for _ in 0..5 {
        client.read_exact(&mut [0; 5]).await.unwrap();
        answered.push(began.elapsed().as_secs());
    }
    assert_eq!(answered, [0, 0, 1, 2, 3]);
    assert!(handle.inspect(IT).unwrap().stats.throttled > 0);
    // A connection that waits for the rate sees it change.
    set_rates(&handle, |rates| rates.messages = None);
    client.read_exact(&mut [0; 15]).await.unwrap();
    settle().await;
    assert_eq!(began.elapsed().as_secs(), 3);
}

#[tokio::test(start_paused = true)]
async fn datagrams_per_prefix() {
    let listen = wharf::Udp::bind("127.0.0.1:0").with(|it| {
        it.rates.datagrams_per_prefix = rate(1, 2);
    });
    let handler = |mut messages: wharf::Messages| async move {
        while let Some(Ok(message)) = messages.recv().await {
            let _ = messages.send(message).await;
        }
    };
    let handle = start(Server::builder().listen_messages(IT, listen, handler));
    let to = handle.address(IT).unwrap().ip().unwrap();
    let one = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let other = tokio::net::UdpSocket::bind("127.0.0.2:0").await.unwrap();
    for client in [&one, &one, &one, &one, &other] {
        client.send_to(b"x", to).await.unwrap();
    }
    let stats = crate::datagrams::until(&handle, |stats| stats.datagrams_received == 5).await;
    assert_eq!(stats.dropped(wharf::Dropped::PrefixRate), 2);
    set_rates(&handle, |rates| rates.datagrams_per_prefix = None);
    for _ in 0..4 {
        one.send_to(b"x", to).await.unwrap();
    }
    let stats = crate::datagrams::until(&handle, |stats| stats.datagrams_received == 9).await;
    assert_eq!(stats.datagrams_delivered, 7);
}
