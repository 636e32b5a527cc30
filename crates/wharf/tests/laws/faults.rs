//! Each injected fault happens, and a server takes each in its stride.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;
use wharf::config::Transport;
use wharf::testkit::{Fault, Faults, Harness, memory};
use wharf::{Closed, Refusal, Server};

use crate::echo;

#[tokio::test(start_paused = true)]
async fn small_pieces_and_delays_change_nothing_but_the_time() {
    let faults = Faults::default().split(3).delay(Duration::from_millis(10));
    let (listen, connector) = memory(Transport::Tcp);
    let harness = Harness::start(Server::builder().listen("echo", listen, echo)).unwrap();
    let connector = connector.with_faults(&faults);
    let mut client = connector.connect_from("192.0.2.1:1").await.unwrap();
    let began = Instant::now();
    client.write_all(b"0123456789").await.unwrap();
    let mut back = [0; 10];
    client.read_exact(&mut back).await.unwrap();
    assert_eq!(&back, b"0123456789");
    assert!(faults.fired(Fault::Split) >= 3);
    // Four reads and four writes of three bytes at most.
    assert!(
        began.elapsed() >= Duration::from_millis(80),
        "{:?}",
        began.elapsed()
    );
    assert!(faults.fired(Fault::Delay) >= 8);
    drop(client);
    harness.finish(Duration::from_secs(1)).await;
}

#[tokio::test(start_paused = true)]
async fn a_reset_ends_the_connection_by_its_name() {
    let faults = Faults::default().reset_after(6);
    let (listen, connector) = memory(Transport::Tcp);
    let harness = Harness::start(Server::builder().listen("echo", listen, echo)).unwrap();
    let connector = connector.with_faults(&faults);
    let mut client = connector.connect_from("192.0.2.1:1").await.unwrap();
    client.write_all(b"abcd").await.unwrap();
    let mut back = Vec::new();
    client.read_to_end(&mut back).await.unwrap();
    assert_eq!(back, b"ab");
    assert_eq!(faults.fired(Fault::Reset), 1);
    assert_eq!(harness.stats("echo").closed(Closed::Reset), 1);
    harness.finish(Duration::from_secs(1)).await;
}

#[tokio::test(start_paused = true)]
async fn corrupted_upgrades_are_refused() {
    let faults = Faults::default().corrupt_every(7);
    let (listen, connector) = memory(Transport::Ws);
    let harness = Harness::start(Server::builder().listen("ws", listen, echo)).unwrap();
    let connector = connector.with_faults(&faults);
    let mut client = connector.connect_from("192.0.2.1:1").await.unwrap();
    client
        .write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).await.unwrap();
    assert!(
        answer.starts_with(b"HTTP/1.1 505"),
        "{}",
        answer.escape_ascii()
    );
    assert!(faults.fired(Fault::Corrupt) >= 3);
    assert_eq!(harness.stats("ws").refused(Refusal::Upgrade), 1);
    harness.finish(Duration::from_secs(1)).await;
}

#[tokio::test(start_paused = true)]
async fn a_failing_accept_pauses_or_goes_on_by_its_kind() {
    let faults = Faults::default();
    let (listen, connector) = memory(Transport::Tcp);
    // One that pauses is not stood in for by another.
    let listen = listen.with(|config| config.accept.acceptors = 1);
    let harness = Harness::start(Server::builder().listen("echo", listen, echo)).unwrap();
    let connector = connector.with_faults(&faults);
    let fail = |number| connector.fail_accept(io::Error::from_raw_os_error(number));
    let began = Instant::now();
    // An arrival that was gone again costs neither a pause nor a count.
    fail(103 /* ECONNABORTED */).await.unwrap();
    let mut client = connector.connect_from("192.0.2.1:1").await.unwrap();
    client.write_all(b"x").await.unwrap();
    client.read_exact(&mut [0]).await.unwrap();
    assert_eq!(began.elapsed(), Duration::ZERO);
    assert_eq!(harness.stats("echo").accept_errors, 0);
    // Without descriptors: 100 ms, then 200 ms, and one who waits is refused each time.
    fail(24 /* EMFILE */).await.unwrap();
    let mut refused = connector.connect_from("192.0.2.1:2").await.unwrap();
    fail(24).await.unwrap();
    let mut served = connector.connect_from("192.0.2.1:3").await.unwrap();
    assert_eq!(refused.read(&mut [0]).await.unwrap(), 0);
    let mut last = connector.connect_from("192.0.2.1:4").await.unwrap();
    assert_eq!(
        served.read(&mut [0]).await.unwrap(),
        0,
        "refused by the second failure"
    );
    last.write_all(b"y").await.unwrap();
    last.read_exact(&mut [0]).await.unwrap();
    let waited = began.elapsed();
    assert!((300..320).contains(&waited.as_millis()), "{waited:?}");
    let stats = harness.stats("echo");
    assert_eq!((stats.accept_errors, stats.accept_pauses), (2, 2));
    assert_eq!(stats.refused(Refusal::Exhausted), 2);
    assert_eq!(faults.fired(Fault::Accept), 3);
    drop((client, last));
    harness.finish(Duration::from_secs(1)).await;
}
