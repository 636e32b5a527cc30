//! Health and alarms over time.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::broadcast::Receiver;
use tokio::time::Instant;
use wharf::config::{HealthOptions, Limits, OnFull, Transport};
use wharf::events::Event;
use wharf::testkit::{Connector, MemoryStream, memory};
use wharf::{Cause, Handle, Health, Server};

use crate::support::echo;

fn start(health: HealthOptions, limits: Limits) -> (Handle, Connector) {
    let (listen, connector) = memory(Transport::Tcp);
    let server = Server::builder()
        .listen("web", listen.limits(limits), echo)
        .health(health)
        .build()
        .unwrap();
    let handle = server.handle();
    tokio::spawn(server.run());
    (handle, connector)
}

async fn connected(connector: &Connector) -> MemoryStream {
    let mut client = connector.connect_from("192.0.2.1:1").await.unwrap();
    client.write_all(b"1").await.unwrap();
    client.read_exact(&mut [0; 1]).await.unwrap();
    client
}

/// The next event that `pick` takes, in virtual time.
async fn next<T>(events: &mut Receiver<Event>, pick: impl Fn(Event) -> Option<T>) -> T {
    loop {
        if let Some(found) = pick(events.recv().await.unwrap()) {
            return found;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn health_worsens_at_once_and_recovers_when_it_was_better_for_long() {
    let health = HealthOptions {
        min_samples: 2,
        recover_after: Duration::from_mins(1),
        ..HealthOptions::default()
    };
    let limits = Limits {
        max_connections: 1,
        ..Limits::default()
    };
    let (handle, connector) = start(health, limits);
    let mut events = handle.events();
    // The first sample is where the meter counts from.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(handle.health(), Health::Healthy);
    let client = connected(&connector).await;
    for _ in 0..3 {
        let mut refused = connector.connect_from("192.0.2.1:2").await.unwrap();
        assert_eq!(refused.read(&mut [0; 1]).await.unwrap(), 0);
    }
    drop(client);
    let change = |event| match event {
        Event::Health { from, to, cause } => Some((from, to, cause)),
        _ => None,
    };
    let began = Instant::now();
    let worse = next(&mut events, change).await;
    assert_eq!(worse, (Health::Healthy, Health::Unhealthy, Cause::Failures));
    assert!(began.elapsed() <= Duration::from_secs(1));
    assert_eq!(handle.health(), Health::Unhealthy);
    assert!(!handle.is_ready());
    let better = next(&mut events, change).await;
    assert_eq!(
        better,
        (Health::Unhealthy, Health::Healthy, Cause::Recovered)
    );
    assert!(began.elapsed() >= Duration::from_mins(1));
    assert_eq!(handle.health(), Health::Healthy);
    assert!(handle.is_ready());
}

/// Only connections take places: an acceptor that waits for one raises no alarm.
#[tokio::test(start_paused = true)]
async fn nobody_raises_no_alarm() {
    let limits = Limits {
        max_connections: 1,
        on_full: OnFull::Wait,
        ..Limits::default()
    };
    let (handle, _connector) = start(HealthOptions::default(), limits);
    let mut events = handle.events();
    tokio::time::sleep(Duration::from_secs(3)).await;
    while let Ok(event) = events.try_recv() {
        assert!(!matches!(event, Event::Alarm { .. }), "{event:?}");
    }
}

/// One listener's full room for handshakes is not hidden by another's, and takes nobody out of
/// service.
#[tokio::test(start_paused = true)]
async fn the_listener_with_the_least_room_for_handshakes_is_judged() {
    let (ws, connector) = memory(Transport::Ws);
    let (other, _other) = memory(Transport::Ws);
    let ws = ws.with(|it| it.limits.max_handshakes = 10);
    let server = Server::builder()
        .listen("other", other, echo)
        .listen("ws", ws, echo)
        .build()
        .unwrap();
    let handle = server.handle();
    tokio::spawn(server.run());
    let mut events = handle.events();
    let mut silent = Vec::new();
    for _ in 0..10 {
        silent.push(connector.connect_from("192.0.2.1:1").await.unwrap());
    }
    let cause = next(&mut events, |event| match event {
        Event::Health { to, cause, .. } => Some((to, cause)),
        _ => None,
    });
    assert_eq!(cause.await, (Health::Unhealthy, Cause::Pending));
    assert!(handle.is_ready());
}

#[tokio::test(start_paused = true)]
async fn an_alarm_is_not_raised_again_before_its_cooldown() {
    let health = HealthOptions {
        alarm_connections: 0.5,
        alarm_cooldown: Duration::from_mins(5),
        ..HealthOptions::default()
    };
    let limits = Limits {
        max_connections: 2,
        ..Limits::default()
    };
    let (handle, connector) = start(health, limits);
    let mut events = handle.events();
    let alarm = |event| match event {
        Event::Alarm { listener, raised } => Some((listener, raised)),
        _ => None,
    };
    let both = (connected(&connector).await, connected(&connector).await);
    let (listener, raised) = next(&mut events, alarm).await;
    assert_eq!((listener.as_deref(), raised), (Some("web"), true));
    let since = Instant::now();
    drop(both);
    assert!(!next(&mut events, alarm).await.1);
    let _both = (connected(&connector).await, connected(&connector).await);
    assert!(next(&mut events, alarm).await.1);
    assert!(since.elapsed() >= Duration::from_secs(299));
}
