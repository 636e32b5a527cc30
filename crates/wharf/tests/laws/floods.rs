//! Thousands who waste the server's time, and a hundred who are served all the while.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use wharf::config::{Limits, Transport};
use wharf::testkit::{Authority, Connector, Leaf, memory};
use wharf::{Refusal, Server, Stream};

use crate::echo;

const FLOOD: u32 = 5_000;
const CLIENTS: u32 = 100;
const HANDSHAKES: u64 = 2_000;
const READERS: u64 = 4_000;

fn address(network: u8, index: u32) -> String {
    let [_, _, high, low] = index.to_be_bytes();
    format!("10.{network}.{high}.{low}:1000")
}

/// The times of `rounds` echoes of each of the clients, sorted.
async fn serve_clients(connector: &Connector, network: u8, rounds: usize) -> Vec<Duration> {
    let mut clients = JoinSet::new();
    for index in 0..CLIENTS {
        let mut stream = connector
            .connect_from(&address(network, index))
            .await
            .unwrap();
        clients.spawn(async move {
            let mut times = Vec::with_capacity(rounds);
            for _ in 0..rounds {
                let began = Instant::now();
                stream.write_all(&[7; 64]).await.unwrap();
                stream.read_exact(&mut [0; 64]).await.unwrap();
                times.push(began.elapsed());
            }
            times
        });
    }
    let mut times = clients.join_all().await.concat();
    times.sort_unstable();
    times
}

fn p99(times: &[Duration]) -> Duration {
    times[times.len() * 99 / 100]
}

/// Resident memory of this process in MiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kibibytes = line
        .and_then(|line| line.split_whitespace().nth(1))
        .unwrap();
    kibibytes.parse::<u64>().unwrap() / 1024
}

#[tokio::test]
async fn everybody_else_is_served_in_a_flood() {
    let issued = Authority::new("floods").issue(&Leaf::named("a.example", &["a.example"]));
    let (tls, handshakes) = memory(Transport::Tls);
    let tls = tls
        .with(|config| config.tls.certificates.push(issued.certificate()))
        .limits(Limits {
            max_handshakes: HANDSHAKES,
            ..Limits::default()
        });
    let (feed, readers) = memory(Transport::Tcp);
    let feed = feed.limits(Limits {
        max_connections: READERS,
        ..Limits::default()
    });
    let (normal, connector) = memory(Transport::Tcp);
    let server = Server::builder()
        .listen("tls", tls, echo)
        .listen("feed", feed, async |mut stream: Stream| {
            // More than a connection holds: it waits for its reader.
            loop {
                stream.write_all(&[1; 4096]).await?;
            }
            #[allow(unreachable_code, reason = "says the type of the error")]
            Ok::<(), std::io::Error>(())
        })
        .listen("normal", normal, echo)
        .build()
        .unwrap();
    let handle = server.handle();
    let running = tokio::spawn(server.run());
    let quiet = serve_clients(&connector, 1, 50).await;
    let before = resident();

    let flood = async {
        let mut held = Vec::new();
        for index in 0..FLOOD {
            let mut half = handshakes.connect_from(&address(2, index)).await.unwrap();
            if index % 2 == 0 {
                // A hello that says it has 512 bytes, and stops.
                let _ = half.write_all(b"\x16\x03\x01\x02\x00\x01\x00\x01").await;
            }
            held.push(half);
            held.push(readers.connect_from(&address(3, index)).await.unwrap());
        }
        held
    };
    let (held, busy) = tokio::join!(flood, serve_clients(&connector, 4, 50));
    let stats = |name| handle.inspect(name).unwrap().stats;
    let arrived = async {
        while stats("tls").arrived < FLOOD.into() || stats("feed").arrived < FLOOD.into() {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(30), arrived)
        .await
        .expect("all arrive");
    assert_eq!(stats("tls").pending, HANDSHAKES);
    let refused = stats("tls").refused(Refusal::HandshakesFull);
    assert_eq!(refused, u64::from(FLOOD) - HANDSHAKES);
    let feed = stats("feed");
    assert_eq!(feed.live + feed.pending, READERS);
    assert_eq!(
        feed.refused(Refusal::ListenerFull),
        u64::from(FLOOD) - READERS
    );
    let grown = resident().saturating_sub(before);
    // 16 KiB that each connection in memory holds, and as much again for its tasks and sessions.
    assert!(grown < 32 * 6_000 / 1024 + 100, "{grown} MiB more");

    let during = serve_clients(&connector, 5, 50).await;
    let worst = p99(&busy).max(p99(&during));
    println!(
        "p99 of an echo: quiet {:?}, in the flood {:?}, beside it {:?}; {grown} MiB more",
        p99(&quiet),
        p99(&busy),
        p99(&during)
    );
    assert!(worst < Duration::from_secs(2), "{worst:?}");
    assert_eq!(stats("normal").all_refused(), 0);
    drop(held);
    let report = handle.drain(Duration::from_secs(10)).await;
    assert_eq!(report.forced(), 0, "{report}");
    assert_eq!(handle.memory(), 0);
    assert_eq!(running.await.unwrap(), report);
}
