//! A connection that is kept: made again after it is lost, in virtual time and with known entropy.

use std::io;
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::time::{Instant, sleep};
use wharf::client::{ClientBuilder, KeepEnd, KeepState, Lost};
use wharf::config::Transport;
use wharf::events::Event;
use wharf::message::Message;
use wharf::testkit::Connector;
use wharf::{Client, Closed, ConnectError, Messages, Refusal, Socket, Stream};

use crate::support::{ask, in_memory, is_conserved};

const URL: &str = "tcp://192.0.2.1:1";

/// A client of the listener, which refuses while `down`; its waits are as long as they can be.
fn client(server: &Connector, down: &Arc<AtomicBool>) -> ClientBuilder {
    let (server, down) = (server.clone(), down.clone());
    let connect = move |_: SocketAddr| {
        let (server, down) = (server.clone(), down.clone());
        async move {
            if down.load(Ordering::SeqCst) {
                return Err(io::ErrorKind::ConnectionRefused.into());
            }
            Ok(Socket::from(server.connect_from("192.0.2.9:1").await?))
        }
    };
    Client::builder().connector(connect).entropy(|| u64::MAX)
}

fn is_down(down: bool) -> Arc<AtomicBool> {
    Arc::new(AtomicBool::new(down))
}

/// What a function gets that only asks once.
async fn once(mut stream: Stream) -> ControlFlow<()> {
    ask(&mut stream).await;
    ControlFlow::Continue(())
}

#[tokio::test(start_paused = true)]
async fn waits_grow_until_somebody_is_there() {
    let (_handle, server) = in_memory(Transport::Tcp);
    let down = is_down(true);
    let client = client(&server, &down).build().unwrap();
    let mut events = client.events();
    let began = Instant::now();
    let mut keeper = client
        .keep(URL, async |stream: Stream| {
            let _ = once(stream).await;
            ControlFlow::Break(())
        })
        .unwrap();
    let mut watch = keeper.watch();
    let is_fifth = |state: &KeepState| matches!(state, KeepState::Waiting { failures: 5, .. });
    let state = watch.wait_for(is_fifth).await.unwrap().clone();
    let KeepState::Waiting { delay, why, .. } = state else {
        panic!("{state:?}");
    };
    // 0.2, 0.4, 0.8 and 1.6 s lie behind it.
    assert_eq!(began.elapsed().as_millis() / 100, 30);
    assert_eq!(delay.as_millis(), 3199);
    let Lost::Failed(error) = why else {
        panic!("{why}");
    };
    assert!(
        matches!(*error, ConnectError::Unreachable { .. }),
        "{error}"
    );
    down.store(false, Ordering::SeqCst);
    assert!(matches!(keeper.ended().await, KeepEnd::Done));
    let stats = client.stats();
    assert_eq!(
        (stats.accepted, stats.refused(Refusal::Unreachable)),
        (1, 5)
    );
    is_conserved(&stats);
    let mut told = Vec::new();
    while let Ok(event) = events.try_recv() {
        if let Event::Reconnect { failures, .. } = event {
            told.push(failures);
        }
    }
    assert_eq!(told, [1, 2, 3, 4, 5]);
}

#[tokio::test(start_paused = true)]
async fn each_option_of_the_waits_is_obeyed() {
    let (_handle, server) = in_memory(Transport::Tcp);
    let client = client(&server, &is_down(true))
        .with(|options| {
            options.reconnect.min = Duration::from_secs(1);
            options.reconnect.max = Duration::from_secs(10);
            options.reconnect.factor = 3;
            options.reconnect.give_up = Some(4);
        })
        .build()
        .unwrap();
    let began = Instant::now();
    let mut keeper = client.keep(URL, once).unwrap();
    let KeepEnd::GaveUp(Lost::Failed(_)) = keeper.ended().await else {
        panic!("{:?}", keeper.state());
    };
    // 3, 9 and 10 s, all but a nanosecond; timers count in milliseconds.
    assert_eq!(began.elapsed().as_millis() / 100, 220);
    assert_eq!(client.stats().arrived, 4);
}

#[tokio::test(start_paused = true)]
async fn entropy_spreads_the_waits() {
    let (_handle, server) = in_memory(Transport::Tcp);
    for (random, expected) in [(0, 100), (1 << 63, 150)] {
        let client = client(&server, &is_down(true)).entropy(move || random);
        let client = client.build().unwrap();
        let keeper = client.keep(URL, once).unwrap();
        let mut watch = keeper.watch();
        let waits = |state: &KeepState| matches!(state, KeepState::Waiting { .. });
        let state = watch.wait_for(waits).await.unwrap().clone();
        let KeepState::Waiting { delay, .. } = state else {
            panic!("{state:?}");
        };
        assert_eq!(delay.as_millis(), expected);
    }
}

/// When a function with connections of this length began, in milliseconds.
async fn beginnings(client: &Client, length: Duration, count: usize) -> Vec<u128> {
    let began = Instant::now();
    let times = Arc::new(Mutex::new(Vec::new()));
    let noted = times.clone();
    let mut keeper = client
        .keep(URL, move |stream: Stream| {
            let mut times = noted.lock().unwrap();
            times.push(began.elapsed().as_millis());
            let is_last = times.len() == count;
            async move {
                sleep(length).await;
                drop(stream);
                if is_last {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            }
        })
        .unwrap();
    assert!(matches!(keeper.ended().await, KeepEnd::Done));
    times.lock().unwrap().clone()
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_was_stable_has_failures_forgotten() {
    let (_handle, server) = in_memory(Transport::Tcp);
    let client = client(&server, &is_down(false))
        .with(|options| {
            options.reconnect.min = Duration::from_secs(1);
            options.reconnect.stable = Duration::from_mins(1);
        })
        .build()
        .unwrap();
    let stable = beginnings(&client, Duration::from_mins(1), 3).await;
    let rounded =
        |times: Vec<u128>| -> Vec<_> { times.iter().map(|time| (time + 500) / 1000).collect() };
    assert_eq!(rounded(stable), [0, 62, 124]);
    // Those that flap are waited for longer and longer.
    let flapping = beginnings(&client, Duration::from_secs(59), 3).await;
    assert_eq!(rounded(flapping), [0, 61, 124]);
}

#[tokio::test(start_paused = true)]
async fn finishing_lets_the_function_end_and_stops_a_wait() {
    let (_handle, server) = in_memory(Transport::Tcp);
    let client = client(&server, &is_down(false)).build().unwrap();
    let mut keeper = client
        .keep(URL, async |mut stream: Stream| {
            sleep(Duration::from_secs(5)).await;
            ask(&mut stream).await;
            ControlFlow::Continue(())
        })
        .unwrap();
    let connected = |state: &KeepState| matches!(state, KeepState::Connected(_));
    keeper.watch().wait_for(connected).await.unwrap();
    let began = Instant::now();
    keeper.finish();
    assert!(matches!(keeper.ended().await, KeepEnd::Stopped));
    assert_eq!(began.elapsed().as_secs(), 5);
    assert_eq!(client.stats().received, 5);

    let mut keeper = client.keep(URL, once).unwrap();
    let waits = |state: &KeepState| matches!(state, KeepState::Waiting { .. });
    keeper.watch().wait_for(waits).await.unwrap();
    let began = Instant::now();
    keeper.finish();
    assert!(matches!(keeper.ended().await, KeepEnd::Stopped));
    assert!(began.elapsed() < Duration::from_millis(100));
}

#[tokio::test(start_paused = true)]
async fn dropping_the_keeper_ends_its_connection() {
    let (_handle, server) = in_memory(Transport::Tcp);
    let client = client(&server, &is_down(false)).build().unwrap();
    let keeper = client
        .keep(URL, async |mut stream: Stream| {
            let _ = stream.read(&mut [0; 1]).await;
            ControlFlow::Continue(())
        })
        .unwrap();
    let connected = |state: &KeepState| matches!(state, KeepState::Connected(_));
    let mut watch = keeper.watch();
    watch.wait_for(connected).await.unwrap();
    drop(keeper);
    // The task is gone with all it had.
    while watch.changed().await.is_ok() {}
    let stats = client.stats();
    assert_eq!((stats.live, stats.accepted), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_drain_ends_the_wait_and_the_connection() {
    let (_handle, server) = in_memory(Transport::Tcp);
    let client = client(&server, &is_down(false)).build().unwrap();
    let mut busy = client
        .keep(URL, async |stream: Stream| {
            stream.connection().draining().await;
            ControlFlow::Continue(())
        })
        .unwrap();
    let connected = |state: &KeepState| matches!(state, KeepState::Connected(_));
    busy.watch().wait_for(connected).await.unwrap();
    let mut waiting = client.keep(URL, once).unwrap();
    let waits = |state: &KeepState| matches!(state, KeepState::Waiting { .. });
    waiting.watch().wait_for(waits).await.unwrap();
    let report = client.drain(Duration::from_secs(10)).await;
    assert_eq!((report.finished(), report.forced()), (1, 0), "{report}");
    for keeper in [&mut busy, &mut waiting] {
        let ended = tokio::time::timeout(Duration::from_millis(1), keeper.ended()).await;
        assert!(matches!(ended, Ok(KeepEnd::Draining)), "{ended:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_function_that_panics_loses_its_connection_only() {
    let (_handle, server) = in_memory(Transport::Ws);
    let client = client(&server, &is_down(false)).build().unwrap();
    let mut times = 0;
    let mut keeper = client
        .keep_messages("ws://192.0.2.1/", move |mut messages: Messages| {
            times += 1;
            async move {
                messages.send(Message::text("x")).await.unwrap();
                messages.recv().await.unwrap().unwrap();
                assert!(times > 1, "the first time");
                ControlFlow::Break(())
            }
        })
        .unwrap();
    assert!(matches!(keeper.ended().await, KeepEnd::Done));
    let stats = client.stats();
    assert_eq!(
        (stats.closed(Closed::Panic), stats.closed(Closed::Finished)),
        (1, 1)
    );
    assert_eq!(stats.messages_received, 2);
    is_conserved(&stats);
}

#[tokio::test]
async fn what_cannot_be_kept_is_told_at_once() {
    let client = Client::builder().build().unwrap();
    assert!(client.keep("tcp://h", once).is_err());
    let serve = async |_: Messages| ControlFlow::Continue(());
    assert!(client.keep_messages("tcp://h:1", serve).is_err());
    let problems = Client::builder()
        .with(|options| {
            options.reconnect.min = Duration::ZERO;
            options.reconnect.max = Duration::MAX;
            options.reconnect.stable = Duration::MAX;
            options.reconnect.factor = 11;
            options.reconnect.give_up = Some(0);
        })
        .build()
        .unwrap_err();
    let mut keys: Vec<_> = problems.0.iter().map(|problem| &*problem.key).collect();
    keys.sort_unstable();
    assert_eq!(
        keys,
        [
            "reconnect.factor",
            "reconnect.give-up",
            "reconnect.max",
            "reconnect.min",
            "reconnect.stable"
        ]
    );
}
