//! A client's connections are listed, limited, closed and drained as a server's are.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wharf::config::{Rate, Transport};
use wharf::message::Message;
use wharf::{Client, Closed, ClosedByServer, ConnectError, Filter};

use crate::support::{ask, in_memory, is_conserved};

#[tokio::test(start_paused = true)]
async fn connections_are_closed_by_filter() {
    let (_handle, connector) = in_memory(Transport::Tcp);
    let client = Client::builder().name("upstream").build().unwrap();
    let mut streams = Vec::new();
    for _ in 0..3 {
        let socket = connector.connect_from("192.0.2.1:1").await.unwrap();
        streams.push(client.connect_over(socket, "tcp://h:1").await.unwrap());
    }
    let id = streams[1].connection().id();
    assert_eq!(streams[1].connection().listener(), "upstream");
    assert_eq!(client.close(&Filter::default().id(id)), 1);
    let error = streams[1].read(&mut [0; 1]).await.unwrap_err();
    let why = error.get_ref().unwrap().downcast_ref::<ClosedByServer>();
    assert_eq!(why, Some(&ClosedByServer(Closed::Control)));
    ask(&mut streams[0]).await;
    assert_eq!(
        client
            .connections(&Filter::default().listener("upstream"))
            .len(),
        3
    );
    drop(streams);
    let stats = client.stats();
    assert_eq!(
        (
            stats.closed(Closed::Control),
            stats.closed(Closed::Finished)
        ),
        (1, 2)
    );
    is_conserved(&stats);
}

#[tokio::test(start_paused = true)]
async fn a_byte_rate_holds_reading_back() {
    let (_handle, connector) = in_memory(Transport::Tcp);
    let rate = Rate {
        per_second: 100,
        burst: 100,
    };
    let client = Client::builder()
        .with(|options| options.bytes = Some(rate))
        .build()
        .unwrap();
    let socket = connector.connect_from("192.0.2.1:1").await.unwrap();
    let mut stream = client.connect_over(socket, "tcp://h:1").await.unwrap();
    stream.write_all(&[7; 1000]).await.unwrap();
    let began = tokio::time::Instant::now();
    let mut taken = 0;
    while taken < 1000 {
        taken += stream.read(&mut [0; 50]).await.unwrap();
    }
    // 1000 bytes at 100 a second, the first 100 and the last read for nothing.
    let took = began.elapsed();
    assert!((8..=10).contains(&took.as_secs()), "{took:?}");
    assert!(client.stats().throttled > 0);
}

#[tokio::test(start_paused = true)]
async fn a_drain_says_goodbye_and_ends_what_does_not() {
    let (_handle, connector) = in_memory(Transport::Ws);
    let client = Client::builder().build().unwrap();
    let connect = async || {
        let socket = connector.connect_from("192.0.2.1:1").await.unwrap();
        client
            .connect_messages_over(socket, "ws://h/")
            .await
            .unwrap()
    };
    let (mut polite, mut stubborn) = (connect().await, connect().await);
    polite.send(Message::text("x")).await.unwrap();
    let polite = tokio::spawn(async move { while polite.recv().await.is_some() {} });
    let drain = {
        let client = client.clone();
        tokio::spawn(async move { client.drain(Duration::from_secs(2)).await })
    };
    polite.await.unwrap();
    let report = drain.await.unwrap();
    assert_eq!((report.finished(), report.forced()), (1, 1), "{report}");
    assert!(stubborn.send(Message::text("x")).await.is_err());
    drop(stubborn);
    assert_eq!(client.stats().closed(Closed::Drained), 1);
    let error = client.connect("tcp://127.0.0.1:1").await.unwrap_err();
    assert!(matches!(error, ConnectError::Draining), "{error}");
}
