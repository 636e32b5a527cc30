//! Spans and lines.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tracing::Level;
use wharf::config::Transport;
use wharf::{Refusal, Server, Stream, testkit};

use crate::support::{Log, echo};

#[tokio::test(start_paused = true)]
async fn what_a_handler_logs_is_in_the_span_of_its_connection() {
    let (log, _guard) = Log::start();
    let (listen, connector) = testkit::memory(Transport::Tcp);
    let server = Server::builder()
        .listen("web", listen, async |stream: Stream| {
            tokio::task::yield_now().await;
            tracing::info!(said = stream.connection().id(), "hello");
        })
        .build()
        .unwrap();
    tokio::spawn(server.run());
    for port in 1..=3 {
        let peer = format!("192.0.2.1:{port}");
        let mut client = connector.connect_from(&peer).await.unwrap();
        assert_eq!(client.read(&mut [0; 1]).await.unwrap(), 0);
    }
    let lines = log.lines("hello");
    assert_eq!(lines.len(), 3);
    let mut ids = BTreeSet::new();
    for line in lines {
        let (name, span) = line.span.unwrap();
        assert_eq!((name, span.get("listener")), ("connection", "web"));
        assert!(span.get("peer").starts_with("192.0.2.1:"));
        assert_eq!(span.get("id"), line.fields.get("said"));
        ids.insert(span.get("id").to_owned());
    }
    assert_eq!(ids.len(), 3, "no id is used twice");
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_refusals_is_one_line_a_period() {
    let (log, _guard) = Log::start();
    let (listen, connector) = testkit::memory(Transport::Tcp);
    let server = Server::builder()
        .listen("web", listen.access("deny all"), echo)
        .build()
        .unwrap();
    let handle = server.handle();
    tokio::spawn(server.run());
    let refuse = async |times: u16| {
        for port in 1..=times {
            let peer = format!("192.0.2.1:{port}");
            let mut client = connector.connect_from(&peer).await.unwrap();
            assert_eq!(client.read(&mut [0; 1]).await.unwrap(), 0);
        }
    };
    refuse(500).await;
    assert_eq!(log.lines("connection refused").len(), 1);
    tokio::time::sleep(Duration::from_secs(10)).await;
    refuse(1).await;
    let lines = log.lines("connection refused");
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[1].level, Level::WARN);
    assert_eq!(lines[1].fields.get("listener"), "web");
    assert_eq!(lines[1].fields.get("reason"), "access");
    assert_eq!(lines[1].fields.get("suppressed"), "499");
    let stats = handle.inspect("web").unwrap().stats;
    assert_eq!(stats.refused(Refusal::Access), 501);
}

#[tokio::test(start_paused = true)]
async fn the_probes_of_a_load_balancer_are_quiet() {
    let (log, _guard) = Log::start();
    let (listen, connector) = testkit::memory(Transport::Ws);
    let server = Server::builder().listen("web", listen, echo).build();
    let server = server.unwrap();
    let handle = server.handle();
    let mut events = handle.events();
    tokio::spawn(server.run());
    for port in 1..=10 {
        let peer = format!("192.0.2.1:{port}");
        drop(connector.connect_from(&peer).await.unwrap());
    }
    let mut probes = 0;
    while probes < 10 {
        if let wharf::events::Event::Refused { reason, .. } = events.recv().await.unwrap() {
            assert_eq!(reason, Refusal::Probe);
            probes += 1;
        }
    }
    handle.drain(Duration::from_secs(1)).await;
    let stats = &handle.stats()[0].1;
    assert_eq!((stats.arrived, stats.refused(Refusal::Probe)), (10, 10));
    assert!(log.lines("connection refused").is_empty());
    assert_eq!(log.lines("listening").len(), 1, "the log does work");
}
