//! The daemon that can't start says why and leaves nothing half-started.

use std::net::UdpSocket;

use wharf_interop::{Config, Daemon, Finished, PortBlock};

/// Starts the daemon after `change` has been at a good configuration, and asserts that it ends with
/// exit code 2 and output that has each of `words`.
fn assert_not_started(change: impl FnOnce(&mut Config), words: &[&str]) {
    let mut config = Config::new(&mut PortBlock::claim());
    change(&mut config);
    assert_failed(&Daemon::fail_to_start(&config), words);
}

fn assert_failed(finished: &Finished, words: &[&str]) {
    assert_eq!(finished.status.code(), Some(2), "{}", finished.output);
    for word in words {
        assert!(
            finished.output.contains(word),
            "no {word:?} in:\n{}",
            finished.output
        );
    }
    assert!(
        !finished.output.contains(r#""message":"ready""#),
        "{}",
        finished.output
    );
}

#[test]
fn a_port_already_taken() {
    let mut ports = PortBlock::claim();
    let config = Config::new(&mut ports);
    let address = format!("127.0.0.1:{}", config.port());
    let _taken = UdpSocket::bind(&address).expect("a free port");
    assert_failed(&Daemon::fail_to_start(&config), &[&address]);
}

#[test]
fn a_relay_address_that_is_not_the_hosts() {
    let change = |config: &mut Config| {
        config.set("relay.addresses", vec!["203.0.113.77"]);
    };
    assert_not_started(change, &["203.0.113.77"]);
}

#[test]
fn all_problems_of_a_file_at_once() {
    let change = |config: &mut Config| {
        config
            .set("relay.ports", "50000-49999")
            .set("server.relam", "example.org")
            .set("auth.nonce-lifetime", "soon");
    };
    assert_not_started(change, &["relay.ports", "relam", "auth.nonce-lifetime"]);
}

#[test]
fn a_file_that_is_not_there() {
    let finished = Daemon::command(&["--config", "/nonexistent/wharf.toml"]);
    assert_failed(&finished, &["/nonexistent/wharf.toml"]);
}
