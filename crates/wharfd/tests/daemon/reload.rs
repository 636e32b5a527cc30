//! SIGHUP on a server at work: peers and limits. `signals.rs` has users and quotas.
//!
//! A worker takes new settings the next time it wakes, which a request may precede. So each test asks
//! until the effect shows.

use crate::client::Client;
use crate::harness::{DEADLINE, Daemon, File, config, free_port};
use std::net::SocketAddr;
use std::time::Instant;

/// Starts without `after`, sends SIGHUP with it in the file, and expects the log to name the keys.
fn reloaded(port: u16, after: &str, keys: &str) -> (Daemon, Client) {
    let metrics = "[metrics]\nlisten = '127.0.0.1:0'";
    let file = File::new(&config(port, metrics));
    let mut daemon = Daemon::ready(&file);
    let mut client = Client::new(port);
    assert_eq!(client.allocate("alice", "wonderland"), 0);
    assert_eq!(client.permit(denied(1)), 0);
    assert_eq!(client.binding_answers(10, denied(1)), 10);
    file.write(&config(port, &format!("{metrics}\n{after}")));
    daemon.signal("HUP");
    let event: serde_json::Value = serde_json::from_str(&daemon.line("reloaded")).unwrap();
    assert_eq!(event["keys"], keys);
    (daemon, client)
}

/// A peer of the network that the tests deny.
fn denied(port: u16) -> SocketAddr {
    SocketAddr::from(([8, 8, 8, 8], port))
}

#[test]
fn denied_peers_are_refused_permissions_and_channels() {
    let port = free_port();
    let deny = "[peers]\ndeny = ['8.8.8.0/24']";
    let (daemon, mut client) = reloaded(port, deny, "peers.deny");
    let end = Instant::now() + DEADLINE;
    while client.permit(denied(2)) == 0 {
        assert!(Instant::now() < end, "the peer is still allowed");
    }
    assert_eq!(client.permit(denied(3)), 403);
    assert_eq!(client.bind(0x4000, denied(4)), 403);
    let open = SocketAddr::from(([9, 9, 9, 9], 1));
    assert_eq!(client.permit(open), 0);
    assert_eq!(client.bind(0x4000, open), 0);
    let metrics = daemon.get("/metrics");
    assert!(
        metrics.contains("\nwharf_peer_refused_total 3\n"),
        "{metrics}"
    );
}

#[test]
fn unauthenticated_answers_keep_to_the_new_burst() {
    let port = free_port();
    let limits = "[limits]\nunauthenticated-per-second = 1\nunauthenticated-burst = 3";
    let keys = "limits.unauthenticated-burst limits.unauthenticated-per-second";
    let (daemon, mut client) = reloaded(port, limits, keys);
    let end = Instant::now() + DEADLINE;
    let answers = loop {
        let answers = client.binding_answers(10, denied(1));
        if answers < 10 {
            break answers;
        }
        assert!(Instant::now() < end, "the limit is still the old one");
    };
    let withheld = 10 - answers;
    let line = format!("\nwharf_dropped_total{{reason=\"rate_limited\"}} {withheld}\n");
    let metrics = daemon.get("/metrics");
    assert!(metrics.contains(&line), "{line}{metrics}");
}
