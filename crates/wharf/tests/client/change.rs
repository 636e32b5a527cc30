//! The options of a client change while it works.

use std::time::Duration;

use tokio::io::AsyncReadExt;
use wharf::config::{Pem, Rate, SlowPeer, Transport};
use wharf::events::Event;
use wharf::message::Message;
use wharf::{Client, Closed, ConnectError, Tls};

use crate::support::{ask, certificate, in_memory, serve};

#[tokio::test(start_paused = true)]
async fn timeouts_hold_for_connections_that_are_there() {
    let (_handle, connector) = in_memory(Transport::Tcp);
    let client = Client::builder().build().unwrap();
    let mut events = client.events();
    let socket = connector.connect_from("192.0.2.1:1").await.unwrap();
    let mut stream = client.connect_over(socket, "tcp://h:1").await.unwrap();
    ask(&mut stream).await;
    let reading = tokio::spawn(async move { stream.read(&mut [0; 1]).await });
    tokio::time::sleep(Duration::from_mins(5)).await;
    let began = tokio::time::Instant::now();
    let limit = Duration::from_secs(3);
    client
        .change(|options| options.timeouts.read_idle = Some(limit))
        .unwrap();
    let error = reading.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
    assert_eq!(began.elapsed(), limit);
    assert_eq!(client.stats().closed(Closed::ReadIdle), 1);
    let mut told = std::iter::from_fn(|| events.try_recv().ok());
    assert!(
        told.any(|event| matches!(event, Event::Changed { listener } if &*listener == "client"))
    );
}

#[tokio::test(start_paused = true)]
async fn a_rate_and_the_memory_hold_at_once() {
    let (_handle, connector) = in_memory(Transport::Ws);
    let client = Client::builder().build().unwrap();
    let socket = connector.connect_from("192.0.2.1:1").await.unwrap();
    let mut messages = client
        .connect_messages_over(socket, "ws://h/")
        .await
        .unwrap();
    let rate = Rate {
        per_second: 1,
        burst: 1,
    };
    client
        .change(|options| {
            options.messages = Some(rate);
            options.memory = Some(0);
            options.buffers.slow_peer = SlowPeer::Drop;
        })
        .unwrap();
    let began = tokio::time::Instant::now();
    for _ in 0..3 {
        messages.send(Message::text("x")).await.unwrap();
        messages.recv().await.unwrap().unwrap();
    }
    assert_eq!(began.elapsed().as_secs(), 2);
    assert!(messages.sender().send(Message::text("x")).await.is_err());
}

#[tokio::test]
async fn authorities_are_replaced() {
    let (pem, key) = certificate();
    let handle = serve(Tls::bind("127.0.0.1:0").cert(&*pem, &*key));
    let url = format!("tls://{}", handle.address("it").unwrap());
    let inline = |pem: String| vec![Pem::Inline { pem }];
    let client = Client::builder()
        .with(|options| options.tls.ca = inline(certificate().0))
        .build()
        .unwrap();
    let error = client.connect(&url).await.unwrap_err();
    assert!(matches!(error, ConnectError::Tls { .. }), "{error}");
    client
        .change(|options| options.tls.ca = inline(pem))
        .unwrap();
    ask(&mut client.connect(&url).await.unwrap()).await;
}

#[tokio::test]
async fn a_bad_change_changes_nothing() {
    let client = Client::builder().build().unwrap();
    let before = client.options();
    let problems = client
        .change(|options| {
            options.timeouts.connect = Some(Duration::from_secs(1));
            options.timeouts.attempt_delay = Some(Duration::from_millis(9));
            options.max_addresses = 65;
            options.tls.ca = vec![Pem::File("/nonexistent/ca.pem".into())];
        })
        .unwrap_err();
    let keys: Vec<_> = problems.0.iter().map(|problem| &*problem.key).collect();
    assert_eq!(keys, ["timeouts.attempt-delay", "max-addresses", "tls"]);
    assert_eq!(client.options(), before);
}
