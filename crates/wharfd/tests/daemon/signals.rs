//! SIGTERM and SIGINT drain, a second one ends at once; SIGHUP reads the file again.

use crate::client::Client;
use crate::harness::{Daemon, File, config, free_port};

#[test]
fn a_server_without_allocations_ends_at_the_first_signal() {
    for signal in ["TERM", "INT"] {
        let file = File::new(&config(free_port(), ""));
        let mut daemon = Daemon::ready(&file);
        daemon.signal(signal);
        assert_eq!(daemon.end().code(), Some(0), "{}", daemon.output());
        assert!(
            daemon.output().contains("\"drained\""),
            "{}",
            daemon.output()
        );
    }
}

#[test]
fn a_draining_server_takes_no_allocation_and_a_second_signal_ends_it() {
    let port = free_port();
    let file = File::new(&config(port, ""));
    let mut daemon = Daemon::ready(&file);
    let mut live = Client::new(port);
    assert_eq!(live.allocate("alice", "wonderland"), 0);
    daemon.signal("TERM");
    let event: serde_json::Value = serde_json::from_str(&daemon.line("deadline_seconds")).unwrap();
    assert_eq!(event["allocations"], 1);
    assert_eq!(event["deadline_seconds"], 60);
    assert_eq!(Client::new(port).allocate("alice", "wonderland"), 508);
    daemon.signal("TERM");
    assert_eq!(daemon.end().code(), Some(1), "{}", daemon.output());
}

#[test]
fn a_draining_server_names_the_alternate_server() {
    let port = free_port();
    let more = "[allocations]\nalternate-servers = ['127.0.0.2:3478']";
    let file = File::new(&config(port, more));
    let mut daemon = Daemon::ready(&file);
    let mut live = Client::new(port);
    assert_eq!(live.allocate("alice", "wonderland"), 0);
    daemon.signal("TERM");
    daemon.line("deadline_seconds");
    assert_eq!(Client::new(port).allocate("alice", "wonderland"), 300);
}

#[test]
fn the_drain_ends_at_its_deadline() {
    let port = free_port();
    let text = config(port, "").replace("[listen]", "drain-deadline = '1s'\n[listen]");
    let file = File::new(&text);
    let mut daemon = Daemon::ready(&file);
    let mut live = Client::new(port);
    assert_eq!(live.allocate("alice", "wonderland"), 0);
    daemon.signal("INT");
    assert_eq!(daemon.end().code(), Some(0), "{}", daemon.output());
    assert!(
        daemon.output().contains("the drain's deadline has come"),
        "{}",
        daemon.output()
    );
}

#[test]
fn a_reload_applies_users_and_quotas_and_names_what_must_wait() {
    let port = free_port();
    let file = File::new(&config(port, ""));
    let mut daemon = Daemon::ready(&file);
    assert_eq!(Client::new(port).allocate("bob", "builder"), 401);
    let text = config(port, "[allocations]\nper-user = 1\nchannels = 5");
    file.write(&text.replace("alice = 'wonderland'", "bob = 'builder'"));
    daemon.signal("HUP");
    let event: serde_json::Value = serde_json::from_str(&daemon.line("reloaded")).unwrap();
    assert_eq!(event["keys"], "allocations.per-user auth.users");
    let event: serde_json::Value = serde_json::from_str(&daemon.line("restart")).unwrap();
    assert_eq!(event["keys"], "allocations.channels");
    let mut first = Client::new(port);
    assert_eq!(first.allocate("bob", "builder"), 0);
    assert_eq!(Client::new(port).allocate("bob", "builder"), 486);
    assert_eq!(Client::new(port).allocate("alice", "wonderland"), 401);
}

#[test]
fn a_bad_file_changes_nothing() {
    let port = free_port();
    let file = File::new(&config(port, ""));
    let mut daemon = Daemon::ready(&file);
    file.write(&config(port, "user = 1").replace("alice = 'wonderland'", "bob = 7"));
    daemon.signal("HUP");
    daemon.line("auth.users.bob: ");
    daemon.line("auth.user: unknown key");
    assert_eq!(Client::new(port).allocate("alice", "wonderland"), 0);
}

/// Loopback peers need a server that listens on loopback only: the one that runs, not the one that
/// the file describes.
#[test]
fn a_reload_is_checked_against_what_runs() {
    let port = free_port();
    let public =
        config(port, "[relay]\naddresses = ['127.0.0.1']").replace("'127.0.0.1:", "'0.0.0.0:");
    let file = File::new(&public);
    let mut daemon = Daemon::ready(&file);
    file.write(&config(
        port,
        "[relay]\naddresses = ['127.0.0.1']\n[peers]\nallow-loopback = true",
    ));
    daemon.signal("HUP");
    let line = daemon.line("nothing has changed");
    assert!(line.contains("peers.allow-loopback"), "{line}");
}
