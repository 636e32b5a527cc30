//! E4: a connection stays as long as somebody may wait for an answer on it.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wharf_sip_transport::{CloseReason, SipOptions};

use crate::support::{Seen, Site, options, send};

#[tokio::test(start_paused = true)]
async fn e4_a_drain_waits_for_the_life_of_a_transaction() {
    let mut site = Site::new(SipOptions::default());
    let (handle, connector) = site.in_memory();
    let mut client = connector.connect_from("192.0.2.1:1").await.unwrap();
    tokio::time::sleep(Duration::from_secs(10)).await;
    let request = options(1, "TCP a.invalid");
    client.write_all(request.as_bytes()).await.unwrap();
    let (_, flow) = site.message().await;
    let began = tokio::time::Instant::now();
    let drain = tokio::spawn(async move { handle.drain(Duration::from_mins(5)).await });
    tokio::time::sleep(Duration::from_secs(20)).await;
    send(&site.sip, &flow, "SIP/2.0 200 OK\r\n\r\n");
    let report = drain.await.unwrap();
    assert_eq!((report.finished(), report.forced()), (1, 0));
    assert_eq!(began.elapsed().as_secs(), 20 + 32);
    assert_eq!(
        site.next().await,
        Seen::Other(format!("Draining({flow:?})"))
    );
    assert_eq!(site.next().await, Seen::Closed(flow, CloseReason::Drained));
    let mut rest = String::new();
    client.read_to_string(&mut rest).await.unwrap();
    assert!(rest.ends_with("SIP/2.0 200 OK\r\n\r\n"));
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_ends_with_the_drain() {
    let mut site = Site::new(SipOptions::default());
    let (handle, connector) = site.in_memory();
    let mut client = connector.connect_from("192.0.2.1:1").await.unwrap();
    client
        .write_all(options(1, "TCP a.invalid").as_bytes())
        .await
        .unwrap();
    site.message().await;
    tokio::time::sleep(Duration::from_secs(40)).await;
    let began = tokio::time::Instant::now();
    handle.drain(Duration::from_mins(5)).await;
    assert_eq!(began.elapsed().as_secs(), 0);
    assert_eq!(site.closed().await, CloseReason::Drained);
}

#[tokio::test(start_paused = true)]
async fn a_drain_is_told_while_the_peer_does_not_read() {
    let mut site = Site::new(SipOptions::default());
    let (handle, connector) = site.in_memory();
    let _client = connector.connect_from("192.0.2.1:1").await.unwrap();
    let Seen::Opened(flow) = site.next().await else {
        panic!("it opens");
    };
    send(&site.sip, &flow, &"x".repeat(40_000));
    tokio::time::sleep(Duration::from_secs(1)).await;
    let began = tokio::time::Instant::now();
    let drain = tokio::spawn(async move { handle.drain(Duration::from_secs(5)).await });
    let draining = Seen::Other(format!("Draining({flow:?})"));
    assert_eq!(site.next().await, draining);
    assert_eq!(began.elapsed().as_secs(), 0);
    assert_eq!(drain.await.unwrap().forced(), 1);
}
