//! Handlers that panic, that never return, that give their stream away.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{Mutex, mpsc};
use wharf::config::Transport;
use wharf::testkit::{Harness, memory};
use wharf::{Closed, IntoInner, Server, Stream};

use crate::echo;

#[tokio::test(start_paused = true)]
async fn a_panic_ends_its_own_connection_and_is_counted() {
    let (later, after) = memory(Transport::Tcp);
    let (now, before) = memory(Transport::Tcp);
    let builder = Server::builder()
        .listen("later", later, async |mut stream: Stream| {
            assert_ne!(
                stream.read_u8().await.unwrap(),
                b'!',
                "a panic while it runs"
            );
            stream.write_all(b"fine").await
        })
        .listen("now", now, |_: Stream| {
            assert!(
                std::hint::black_box(false),
                "a panic before there is a future"
            );
            std::future::ready(())
        });
    let harness = Harness::start(builder).unwrap();
    let mut good = after.connect_from("192.0.2.1:1").await.unwrap();
    let mut bad = after.connect_from("192.0.2.1:2").await.unwrap();
    bad.write_all(b"!").await.unwrap();
    assert_eq!(bad.read(&mut [0]).await.unwrap(), 0);
    good.write_all(b".").await.unwrap();
    let mut said = String::new();
    good.read_to_string(&mut said).await.unwrap();
    assert_eq!(said, "fine");
    for port in 1..=2 {
        let peer = format!("192.0.2.2:{port}");
        let mut client = before.connect_from(&peer).await.unwrap();
        assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
    }
    harness.settle().await;
    let later = harness.stats("later");
    assert_eq!(
        (later.closed(Closed::Panic), later.closed(Closed::Finished)),
        (1, 1)
    );
    assert_eq!(harness.stats("now").closed(Closed::Panic), 2);
    harness.finish(Duration::from_secs(1)).await;
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_never_returns_is_ended_at_the_deadline() {
    let (listen, connector) = memory(Transport::Tcp);
    let (other, quick) = memory(Transport::Tcp);
    let builder = Server::builder()
        .listen("stuck", listen, |stream: Stream| async move {
            let _kept = stream;
            std::future::pending::<()>().await;
        })
        .listen("quick", other, echo);
    let harness = Harness::start(builder).unwrap();
    let _stuck = connector.connect_from("192.0.2.1:1").await.unwrap();
    let finishes = quick.connect_from("192.0.2.1:2").await.unwrap();
    harness.settle().await;
    drop(finishes);
    harness.settle().await;
    let handle = harness.handle().clone();
    let report = harness.finish(Duration::from_secs(5)).await;
    assert_eq!((report.finished(), report.forced()), (0, 1));
    let took = report.took.as_millis();
    assert!((5_000..5_600).contains(&took), "{took} ms");
    let stuck = report
        .listeners
        .iter()
        .find(|one| one.listener == "stuck")
        .unwrap();
    assert_eq!(stuck.reasons, [(Closed::Drained, 1)]);
    assert!(handle.is_draining());
}

#[tokio::test(start_paused = true)]
async fn a_drain_ends_as_soon_as_the_last_is_gone_and_survives_its_caller() {
    let (listen, connector) = memory(Transport::Tcp);
    let builder = Server::builder().listen("polite", listen, |mut stream: Stream| async move {
        stream.connection().clone().draining().await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        stream.write_all(b"bye").await
    });
    let harness = Harness::start(builder).unwrap();
    let mut client = connector.connect_from("192.0.2.1:1").await.unwrap();
    harness.settle().await;
    let impatient = harness.handle().drain(Duration::from_mins(1));
    let given_up = tokio::time::timeout(Duration::from_secs(1), impatient).await;
    assert!(given_up.is_err());
    let report = harness.finish(Duration::ZERO).await;
    assert_eq!(
        (report.finished(), report.forced(), report.took.as_secs()),
        (1, 0, 2)
    );
    let mut said = String::new();
    client.read_to_string(&mut said).await.unwrap();
    assert_eq!(said, "bye");
    assert!(connector.connect_from("192.0.2.1:2").await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_stream_in_another_task_and_a_lease_keep_their_place() {
    let (listen, connector) = memory(Transport::Tcp);
    let (give, mut given) = mpsc::channel::<Stream>(2);
    let give = Arc::new(Mutex::new(give));
    let builder = Server::builder().listen("gives", listen, move |stream: Stream| {
        let give = give.clone();
        async move {
            give.lock()
                .await
                .send(stream)
                .await
                .map_err(|_| "nobody takes it")
        }
    });
    let harness = Harness::start(builder).unwrap();
    let mut client = connector.connect_from("192.0.2.1:1").await.unwrap();
    let stream = given.recv().await.unwrap();
    harness.settle().await;
    assert_eq!(harness.stats("gives").live, 1, "its handler has returned");
    let Ok((IntoInner::Socket(mut socket, unread), lease)) = stream.into_inner() else {
        panic!("a socket is inside")
    };
    assert!(unread.is_empty());
    client.write_all(b"hello").await.unwrap();
    let mut read = [0; 5];
    socket.read_exact(&mut read).await.unwrap();
    assert_eq!(&read, b"hello");
    drop(socket);
    harness.settle().await;
    assert_eq!(harness.stats("gives").live, 1, "the lease counts");
    assert_eq!(lease.connection().listener(), "gives");
    drop(lease);
    harness.settle().await;
    assert_eq!(harness.stats("gives").closed(Closed::Finished), 1);
    harness.finish(Duration::from_secs(1)).await;
}

#[tokio::test(start_paused = true)]
async fn one_direction_ends_and_the_other_goes_on() {
    let (listen, connector) = memory(Transport::Tcp);
    let builder = Server::builder().listen("half", listen, async |mut stream: Stream| {
        let mut all = Vec::new();
        stream.read_to_end(&mut all).await?;
        all.reverse();
        stream.write_all(&all).await?;
        stream.shutdown().await
    });
    let harness = Harness::start(builder).unwrap();
    let mut client = connector.connect_from("192.0.2.1:1").await.unwrap();
    client.write_all(b"abc").await.unwrap();
    client.shutdown().await.unwrap();
    let mut back = Vec::new();
    client.read_to_end(&mut back).await.unwrap();
    assert_eq!(back, b"cba");
    harness.finish(Duration::from_secs(1)).await;
}
