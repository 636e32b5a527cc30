//! How streams end, and what goes with them.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use wharf_stun::Method;
use wharf_turn_server::{
    Config, Counter, FrameError, Handle, StreamEnd, StreamError, StreamOptions,
};

use super::client::{ended, fresh_path, in_memory, on_path, over_tcp, until};
use crate::support::{PORTS, config, start};

/// A counter of another thread reaches a value.
async fn count(handle: &Handle, counter: Counter, value: u64) {
    let what = format!("{counter:?} is {value}");
    until(&what, || handle.counters().get(counter) == value).await;
}

#[tokio::test]
async fn t5_a_closed_connection_gives_its_port_back() {
    let server = start(config());
    let handle = server.handle();
    let (mut client, serving) = over_tcp(&server).await;
    let relay = client.allocate().await;
    assert!(std::net::UdpSocket::bind(relay).is_err(), "it is bound");
    drop(client);
    assert_eq!(ended(serving).await.unwrap(), StreamEnd::Closed);
    count(&handle, Counter::Disconnected, 1).await;
    count(&handle, Counter::FreePorts, PORTS.count() as u64).await;
    count(&handle, Counter::Allocations, 0).await;
    count(&handle, Counter::StreamsClosed, 1).await;
    std::net::UdpSocket::bind(relay).expect("the port is free");
}

#[tokio::test]
async fn s14_a_reply_that_is_due_comes_before_the_end() {
    let server = start(config());
    let (mut client, serving) = over_tcp(&server).await;
    client.challenge().await;
    let (id, request) = client.write(Method::ALLOCATE, &crate::client::udp);
    client.send(&request).await;
    client.io.shutdown().await.unwrap();
    assert_eq!(client.answer(id).await.code(), 0);
    assert_eq!(client.next().await, None);
    assert_eq!(ended(serving).await.unwrap(), StreamEnd::Closed);
    count(&server.handle(), Counter::Allocations, 0).await;
}

#[tokio::test]
async fn garbage_ends_a_stream_after_what_came_before() {
    let server = start(config());
    let too_long = [b"\0\x01\xff\xfc\x21\x12\xa4\x42", &[0; 12][..]].concat();
    let cases: [(&[u8], FrameError); 5] = [
        (b"POST / HTTP/1.1\r\n", FrameError::FirstByte(b'P')),
        (b"\x16\x03\x01\x02\0", FrameError::FirstByte(0x16)),
        (b"\0\x01\0\0abcd", FrameError::NoCookie),
        (b"\0\x01\0\x03\x21\x12\xa4\x42", FrameError::Length(3)),
        (
            &too_long,
            FrameError::TooLong {
                len: 65_552,
                max: 65_532,
            },
        ),
    ];
    for (number, (garbage, expected)) in (1..).zip(cases) {
        let (mut client, serving) = in_memory(&server);
        client.allocate().await;
        let (id, request) = client.write(Method::BINDING, &|_| {});
        client.send(&[&request, garbage].concat()).await;
        assert_eq!(client.answer(id).await.code(), 0);
        assert_eq!(client.next().await, None);
        match ended(serving).await {
            Err(StreamError::Frame(error)) => assert_eq!(error, expected),
            other => panic!("{other:?}"),
        }
        count(&server.handle(), Counter::StreamsGarbled, number).await;
    }
    count(&server.handle(), Counter::Allocations, 0).await;
}

#[tokio::test]
async fn a_connection_of_no_use_ends() {
    let idle = Duration::from_millis(20);
    let server = start(Config {
        streams: StreamOptions {
            idle,
            ..StreamOptions::default()
        },
        ..config()
    });
    let (mut busy, serving) = in_memory(&server);
    busy.allocate().await;
    for silent in [&b""[..], b"\0\x01\0"] {
        let (mut client, serving) = in_memory(&server);
        client.send(silent).await;
        assert_eq!(ended(serving).await.unwrap(), StreamEnd::Idle);
        assert_eq!(client.next().await, None);
    }
    assert!(!serving.is_finished(), "it has an allocation");
    assert_eq!(busy.refresh(0).await, 0);
    assert_eq!(ended(serving).await.unwrap(), StreamEnd::Idle);
    count(&server.handle(), Counter::StreamsIdle, 3).await;
    assert_eq!(server.handle().counters().get(Counter::Streams), 0);
}

#[tokio::test]
async fn a_newer_connection_of_the_same_addresses_ends_the_older() {
    let server = start(Config {
        workers: 3,
        ..config()
    });
    let handle = server.handle();
    let path = fresh_path(&server);
    let (mut older, of_older) = on_path(&handle, path, 1_000);
    older.allocate().await;
    let (mut newer, of_newer) = on_path(&handle, path, 1_000);
    assert_eq!(ended(of_older).await.unwrap(), StreamEnd::Replaced);
    assert_eq!(older.next().await, None);
    newer.allocate().await;
    count(&handle, Counter::Streams, 1).await;
    count(&handle, Counter::StreamsReplaced, 1).await;
    // The end of the older one is not the end of the newer one's allocation.
    drop(older);
    assert_eq!(newer.refresh(600).await, 0);
    assert!(!of_newer.is_finished());
}

#[tokio::test]
async fn a_stream_ends_with_its_task() {
    let server = start(config());
    let handle = server.handle();
    let (mut client, serving) = in_memory(&server);
    client.allocate().await;
    serving.abort();
    assert!(serving.await.unwrap_err().is_cancelled());
    count(&handle, Counter::StreamsAbandoned, 1).await;
    count(&handle, Counter::Allocations, 0).await;
    assert_eq!(client.next().await, None);
}

#[tokio::test]
async fn a_broken_connection_is_an_error() {
    let server = start(config());
    let (mut client, serving) = over_tcp(&server).await;
    client.allocate().await;
    socket2::SockRef::from(&client.io)
        .set_linger(Some(Duration::ZERO))
        .unwrap();
    drop(client);
    match ended(serving).await {
        Err(StreamError::Io(error)) => {
            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
        }
        other => panic!("{other:?}"),
    }
    count(&server.handle(), Counter::StreamsFailed, 1).await;
    count(&server.handle(), Counter::Allocations, 0).await;
}

#[tokio::test]
async fn x5_a_drain_ends_streams_with_their_allocations() {
    let server = start(Config {
        workers: 2,
        ..config()
    });
    let handle = server.handle();
    let (mut with, of_with) = in_memory(&server);
    let (mut without, of_without) = in_memory(&server);
    with.allocate().await;
    without.challenge().await;
    let path = fresh_path(&server);
    handle.drain();
    assert_eq!(ended(of_without).await.unwrap(), StreamEnd::Drained);
    assert_eq!(without.next().await, None);
    assert_eq!(with.refresh(600).await, 0);

    // One that comes later is told.
    let (mut later, of_later) = in_memory(&server);
    assert_eq!(later.try_allocate(&|_| {}).await.code(), 508);

    assert_eq!(with.refresh(0).await, 0);
    assert_eq!(with.next().await, None);
    assert_eq!(ended(of_with).await.unwrap(), StreamEnd::Drained);
    count(&handle, Counter::StreamsDrained, 2).await;

    server.stop();
    assert_eq!(ended(of_later).await.unwrap(), StreamEnd::Stopped);
    // Nobody is there any more.
    let (mut client, serving) = on_path(&handle, path, 1_000);
    assert_eq!(ended(serving).await.unwrap(), StreamEnd::Stopped);
    let mut rest = Vec::new();
    client.io.read_to_end(&mut rest).await.unwrap();
    assert_eq!(rest, []);
}

#[tokio::test]
async fn a_client_that_does_not_read_holds_no_end_up() {
    let server = start(config());
    let handle = server.handle();
    let (mut stalled, of_stalled) = on_path(&handle, fresh_path(&server), 64);
    let (mut garbled, of_garbled) = on_path(&handle, fresh_path(&server), 64);
    for client in [&mut stalled, &mut garbled] {
        client.challenge().await;
        let (_, request) = client.write(Method::BINDING, &|_| {});
        client.send(&request.repeat(20)).await;
    }
    // More than the pipes hold.
    count(&handle, Counter::ToStreamFrames, 2 + 2 * 20).await;
    garbled.send(b"P").await;
    count(&handle, Counter::StreamsGarbled, 1).await;
    server.stop();
    assert!(!of_stalled.is_finished() && !of_garbled.is_finished());
    // From here on nothing but time passes.
    tokio::time::pause();
    let begin = tokio::time::Instant::now();
    assert_eq!(ended(of_stalled).await.unwrap(), StreamEnd::Stopped);
    ended(of_garbled).await.unwrap_err();
    assert!(begin.elapsed() <= Duration::from_secs(6));
    // What was in the pipe is there, and then the end.
    assert!(stalled.next().await.is_some() && garbled.next().await.is_some());
}
