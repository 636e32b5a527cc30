//! A server accepts, counts, limits, drains.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wharf::config::{Limits, Transport};
use wharf::events::{Event, State};
use wharf::{BoxError, Closed, Refusal, Server, Stream, testkit};

async fn echo(mut stream: Stream) -> Result<(), BoxError> {
    let mut buffer = [0; 1024];
    loop {
        match stream.read(&mut buffer).await? {
            0 => return Ok(()),
            n => stream.write_all(&buffer[..n]).await?,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_echo_is_counted_from_arrival_to_end() {
    let (listen, connector) = testkit::memory(Transport::Tcp);
    let server = Server::builder()
        .listen("echo", listen, echo)
        .build()
        .unwrap();
    let handle = server.handle();
    let running = tokio::spawn(server.run());
    let mut client = connector.connect_from("192.0.2.1:1000").await.unwrap();
    client.write_all(b"hello").await.unwrap();
    let mut answer = [0; 5];
    client.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"hello");
    let stats = handle.inspect("echo").unwrap().stats;
    assert_eq!((stats.arrived, stats.accepted, stats.live), (1, 1, 1));
    assert_eq!((stats.received, stats.sent), (5, 5));
    let mut events = handle.events();
    let finishing = async {
        while !matches!(events.recv().await.unwrap(), Event::ListenerStopped { .. }) {}
        drop(client);
    };
    let (report, ()) = tokio::join!(handle.drain(Duration::from_secs(1)), finishing);
    assert_eq!((report.finished(), report.forced()), (1, 0));
    assert_eq!(handle.stats()[0].1.closed(Closed::Finished), 1);
    assert_eq!(running.await.unwrap(), report);
}

#[tokio::test(start_paused = true)]
async fn one_too_many_is_closed_and_a_silent_one_times_out() {
    let (listen, connector) = testkit::memory(Transport::Tcp);
    let limits = Limits {
        max_connections: 1,
        ..Limits::default()
    };
    let server = Server::builder()
        .listen("echo", listen.limits(limits), echo)
        .build()
        .unwrap();
    let handle = server.handle();
    tokio::spawn(server.run());
    let mut first = connector.connect_from("192.0.2.1:1000").await.unwrap();
    let mut second = connector.connect_from("192.0.2.1:1001").await.unwrap();
    assert_eq!(second.read(&mut [0; 1]).await.unwrap(), 0);
    let stats = handle.inspect("echo").unwrap().stats;
    assert_eq!(
        (stats.arrived, stats.refused(Refusal::ListenerFull)),
        (2, 1)
    );
    // The first byte has 60 s.
    let began = tokio::time::Instant::now();
    assert_eq!(first.read(&mut [0; 1]).await.unwrap(), 0);
    assert_eq!(began.elapsed().as_secs(), 60);
    assert_eq!(
        handle
            .inspect("echo")
            .unwrap()
            .stats
            .closed(Closed::FirstByte),
        1
    );
}

#[tokio::test(start_paused = true)]
async fn a_close_from_a_thread_of_its_own_ends_a_deaf_handler() {
    let (listen, connector) = testkit::memory(Transport::Tcp);
    let deaf = async |stream: Stream| {
        let _held = stream;
        std::future::pending::<()>().await;
    };
    let server = Server::builder().listen("deaf", listen, deaf);
    let server = server.build().unwrap();
    let handle = server.handle();
    tokio::spawn(server.run());
    let mut client = connector.connect_from("192.0.2.1:1000").await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let connection = handle.connections(&wharf::Filter::default()).remove(0);
    std::thread::spawn(move || connection.close())
        .join()
        .unwrap();
    let mut end = [0];
    let ended = tokio::time::timeout(Duration::from_secs(2), client.read(&mut end));
    assert_eq!(ended.await.unwrap().unwrap(), 0);
    let stats = handle.inspect("deaf").unwrap().stats;
    assert_eq!((stats.live, stats.closed(Closed::Control)), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn the_end_of_what_the_peer_sends_is_told_once() {
    let (listen, connector) = testkit::memory(Transport::Tcp);
    let reads = async |mut stream: Stream| {
        assert_eq!(stream.read(&mut []).await?, 0);
        let mut said = Vec::new();
        stream.read_to_end(&mut said).await?;
        stream.read_to_end(&mut said).await?;
        stream.write_all(&said).await
    };
    let server = Server::builder().listen("reads", listen, reads);
    let server = server.build().unwrap();
    let mut events = server.handle().events();
    tokio::spawn(server.run());
    let mut client = connector.connect_from("192.0.2.1:1000").await.unwrap();
    // The empty read is made while nothing is there.
    tokio::time::sleep(Duration::from_secs(1)).await;
    client.write_all(b"1").await.unwrap();
    client.shutdown().await.unwrap();
    assert_eq!(client.read_u8().await.unwrap(), b'1');
    assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
    let mut told = Vec::new();
    while let Ok(event) = events.try_recv() {
        if let Event::Connection { state, .. } = event {
            told.push(state);
        }
    }
    let read = told.iter().position(|state| *state == State::Read);
    let ends = |state: &&State| **state == State::CloseRead;
    let end = told.iter().position(|state| *state == State::CloseRead);
    assert_eq!(told.iter().filter(ends).count(), 1, "{told:?}");
    assert!(read < end, "{told:?}");
}
