//! `health.*`.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::broadcast::{Receiver, error::TryRecvError};
use tokio::time::Instant;
use wharf::config::{HealthOptions, ServerLimits, Transport};
use wharf::events::Event;
use wharf::testkit::{self, Connector, MemoryStream};
use wharf::{BoxError, Cause, Handle, Health, Server, Stream};

use super::{IT, connect, start};

/// Succeeds or fails as the client says.
async fn as_told(mut stream: Stream) -> Result<(), BoxError> {
    match stream.read_u8().await? {
        b'+' => Ok(()),
        _ => Err("told to".into()),
    }
}

struct Watched {
    handle: Handle,
    connector: Connector,
    events: Receiver<Event>,
}

fn watch(change: impl FnOnce(&mut HealthOptions)) -> Watched {
    let (listen, connector) = testkit::memory(Transport::Tcp);
    let listen = listen
        .access("deny 198.51.100.0/24")
        .with(|it| it.limits.max_connections = 10);
    let mut health = HealthOptions::default();
    change(&mut health);
    let builder = Server::builder().health(health).limits(ServerLimits {
        max_connections: 20,
        ..ServerLimits::default()
    });
    let handle = start(builder.listen(IT, listen, as_told));
    let events = handle.events();
    Watched {
        handle,
        connector,
        events,
    }
}

impl Watched {
    fn set(&self, change: impl FnOnce(&mut HealthOptions)) {
        let mut config = self.handle.config();
        change(&mut config.health);
        self.handle.apply(config, Duration::ZERO).unwrap();
    }

    async fn visits(&self, from: &str, told: u8, times: usize) {
        for _ in 0..times {
            let mut client = connect(&self.connector, from).await;
            let _ = client.write_all(&[told]).await;
            client.read_to_end(&mut Vec::new()).await.unwrap();
        }
    }

    /// So many arrivals, of which some fail; then time for them to be judged.
    async fn work(&self, well: usize, failed: usize) {
        self.visits("192.0.2.1", b'+', well).await;
        self.visits("192.0.2.1", b'-', failed).await;
        self.ticks(2).await;
    }

    /// The counters are judged once a second.
    async fn ticks(&self, ticks: u64) {
        tokio::time::sleep(Duration::from_secs(ticks)).await;
    }

    /// The next change of health that is told.
    async fn change(&mut self) -> (Health, Health, Cause) {
        loop {
            if let Event::Health { from, to, cause } = self.events.recv().await.unwrap() {
                return (from, to, cause);
            }
        }
    }

    /// The alarms that were told until now: of the listener or of the server, raised or cleared.
    fn alarms(&mut self) -> Vec<(Option<String>, bool)> {
        let mut alarms = Vec::new();
        loop {
            match self.events.try_recv() {
                Ok(Event::Alarm { listener, raised }) => {
                    alarms.push((listener.map(|name| name.to_string()), raised));
                }
                Ok(_) => {}
                Err(TryRecvError::Empty) => return alarms,
                Err(error) => panic!("{error}"),
            }
        }
    }

    async fn connections(&self, count: usize) -> Vec<MemoryStream> {
        let mut clients = Vec::new();
        for _ in 0..count {
            clients.push(connect(&self.connector, "192.0.2.1").await);
        }
        self.ticks(2).await;
        clients
    }
}

#[tokio::test(start_paused = true)]
async fn window() {
    for seconds in [10, 60] {
        let mut server = watch(|health| {
            health.window = Duration::from_secs(seconds);
            health.recover_after = Duration::ZERO;
        });
        server.ticks(2).await;
        let began = Instant::now();
        server.work(10, 20).await;
        let change = server.change().await;
        assert_eq!(
            change,
            (Health::Healthy, Health::Unhealthy, Cause::Failures)
        );
        // What happened is forgotten after the window, to within its resolution.
        assert_eq!(server.change().await.1, Health::Healthy);
        let forgotten = began.elapsed().as_secs();
        assert!(
            (seconds * 7 / 8..=seconds * 9 / 8 + 2).contains(&forgotten),
            "{forgotten} s"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn min_samples() {
    let server = watch(|health| health.min_samples = 20);
    server.ticks(2).await;
    server.work(0, 19).await;
    assert_eq!(server.handle.health(), Health::Healthy);
    server.set(|health| health.min_samples = 19);
    server.ticks(2).await;
    assert_eq!(server.handle.health(), Health::Unhealthy);
}

#[tokio::test(start_paused = true)]
async fn degraded() {
    let mut server = watch(|health| health.degraded = 0.3);
    server.ticks(2).await;
    server.work(80, 20).await;
    assert_eq!(server.handle.health(), Health::Healthy);
    server.set(|health| health.degraded = 0.1);
    let change = server.change().await;
    assert_eq!(change, (Health::Healthy, Health::Degraded, Cause::Failures));
    assert_eq!(server.handle.health(), Health::Degraded);
}

#[tokio::test(start_paused = true)]
async fn unhealthy() {
    let mut server = watch(|health| health.unhealthy = 0.3);
    server.ticks(2).await;
    server.work(80, 20).await;
    assert_eq!(server.handle.health(), Health::Degraded);
    server.change().await;
    server.set(|health| health.unhealthy = 0.1);
    let change = server.change().await;
    assert_eq!(
        change,
        (Health::Degraded, Health::Unhealthy, Cause::Failures)
    );
}

#[tokio::test(start_paused = true)]
async fn attack_per_second() {
    let mut server = watch(|health| health.attack_per_second = 5.0);
    server.ticks(2).await;
    // In a window of 10 s these are four a second.
    server.visits("198.51.100.1", b'+', 40).await;
    server.ticks(2).await;
    assert_eq!(
        server.handle.health(),
        Health::Healthy,
        "to refuse who is not welcome is no failure"
    );
    server.set(|health| health.attack_per_second = 3.0);
    let change = server.change().await;
    assert_eq!(change.1, Health::UnderAttack);
    assert_eq!(change.2, Cause::Attack);
}

#[tokio::test(start_paused = true)]
async fn recover_after() {
    for seconds in [5, 60] {
        let mut server = watch(|health| {
            health.window = Duration::from_secs(1);
            health.recover_after = Duration::from_secs(seconds);
        });
        server.ticks(2).await;
        server.work(0, 20).await;
        assert_eq!(server.change().await.1, Health::Unhealthy);
        let began = Instant::now();
        let change = server.change().await;
        assert_eq!(
            change,
            (Health::Unhealthy, Health::Healthy, Cause::Recovered)
        );
        let recovered = began.elapsed().as_secs();
        assert!(
            (seconds - 2..=seconds + 2).contains(&recovered),
            "{recovered} s"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn alarm_connections() {
    let of_it = || Some(IT.to_owned());
    let mut server = watch(|health| health.alarm_connections = 0.5);
    let half = server.connections(5).await;
    assert_eq!(server.alarms(), []);
    let one_more = server.connections(1).await;
    assert_eq!(server.alarms(), [(of_it(), true)]);
    // Cleared a tenth below.
    drop(one_more);
    server.ticks(2).await;
    assert_eq!(server.alarms(), []);
    drop(half);
    server.ticks(2).await;
    assert_eq!(server.alarms(), [(of_it(), false)]);
    server.set(|health| {
        health.alarm_connections = 0.7;
        health.alarm_cooldown = Duration::ZERO;
    });
    let seven = server.connections(7).await;
    assert_eq!(server.alarms(), []);
    let eight = server.connections(1).await;
    assert_eq!(server.alarms(), [(of_it(), true)]);
    drop((seven, eight));
    server.ticks(2).await;
    server.alarms();
    // The server's own limit has an alarm too.
    let mut config = server.handle.config();
    config.limits.max_connections = 5;
    server.handle.set_limits(config.limits).unwrap();
    let _four = server.connections(4).await;
    assert_eq!(server.alarms(), [(None, true)]);
}

#[tokio::test(start_paused = true)]
async fn alarm_cooldown() {
    let mut server = watch(|health| {
        health.alarm_connections = 0.5;
        health.alarm_cooldown = Duration::from_mins(1);
    });
    let began = Instant::now();
    for _ in 0..10 {
        drop(server.connections(6).await);
        server.ticks(2).await;
    }
    assert!(began.elapsed() < Duration::from_mins(1));
    let raised = |alarms: Vec<(_, bool)>| alarms.into_iter().filter(|(_, raised)| *raised).count();
    assert_eq!(raised(server.alarms()), 1);
    tokio::time::sleep(Duration::from_mins(1)).await;
    drop(server.connections(6).await);
    assert_eq!(raised(server.alarms()), 1);
    server.set(|health| health.alarm_cooldown = Duration::ZERO);
    server.ticks(2).await;
    for _ in 0..3 {
        drop(server.connections(6).await);
        server.ticks(2).await;
    }
    assert_eq!(raised(server.alarms()), 3);
}
