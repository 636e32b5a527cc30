//! What the daemon does to live clients when it is told to end or to read its configuration again.

use std::time::Duration;

use wharf_interop::{Running, Site};

/// More than the second that a test's configuration gives the drain, less than any other deadline.
const SOON: Duration = Duration::from_secs(15);

/// A client that sends for two seconds, once its first message has come back.
fn live(site: &Site) -> Running {
    let client = site
        .uclient()
        .flags("-c -n 100")
        .to_peer("127.0.0.1")
        .start();
    client.wait_until_relaying();
    client
}

fn site_with_drain_deadline(deadline: &str) -> Site {
    Site::start_with(|config| {
        config.set("server.drain-deadline", deadline);
    })
}

/// While it drains, the daemon serves the allocations it has without loss and answers 508 to a new
/// one.
#[test]
fn a_drain_serves_the_live_and_refuses_the_new() {
    let site = site_with_drain_deadline("20s");
    let client = live(&site);
    site.daemon.drain();
    let late = site.uclient().flags("-c -v").to_peer("127.0.0.1").run();
    late.assert_refused("error 508");
    client.finish().assert_relayed(100, 100);
    let finished = site.daemon.finish(Duration::from_secs(40));
    assert!(finished.status.success(), "{}", finished.output);
}

/// The drain ends at its deadline although a client is still there.
#[test]
fn a_drain_ends_at_its_deadline() {
    let site = site_with_drain_deadline("1s");
    let _client = live(&site);
    site.daemon.drain();
    let finished = site.daemon.finish(SOON);
    assert_eq!(finished.status.code(), Some(0), "{}", finished.output);
}

/// The second signal ends the daemon at once, long before its drain would.
#[test]
fn a_second_signal_ends_the_drain() {
    let site = site_with_drain_deadline("10m");
    let _client = live(&site);
    site.daemon.drain();
    site.daemon.drain();
    let finished = site.daemon.finish(SOON);
    assert_eq!(finished.status.code(), Some(1), "{}", finished.output);
}

/// With no allocation the drain is over as soon as it starts.
#[test]
fn a_drain_of_nothing_ends_at_once() {
    let site = site_with_drain_deadline("10m");
    site.daemon.drain();
    let finished = site.daemon.finish(SOON);
    assert!(finished.status.success(), "{}", finished.output);
}

/// A user added to the file can allocate after a reload, and a live client loses nothing by it.
#[test]
fn a_reload_adds_a_user_under_traffic() {
    let site = Site::start();
    let bob = || {
        site.uclient()
            .user("bob", "battery")
            .flags("-c")
            .to_peer("127.0.0.1")
            .run()
    };
    bob().assert_refused("Cannot complete Allocation");
    let client = live(&site);
    let mut config = site.config();
    config.set(
        "auth.users",
        toml::Table::from_iter([("bob".to_owned(), "battery".into())]),
    );
    site.daemon.reload(&config);
    bob().assert_relayed(3, 100);
    client.finish().assert_relayed(100, 100);
}
