//! Time-limited credentials (draft-uberti-behave-turn-rest): the daemon's, coturn's and our own.

use serde_json::Value;
use wharf_interop::{Daemon, Site, rest_password};

const SECRET: &str = "north sea";
/// The year 2100, in Unix seconds.
const LATER: u64 = 4_102_444_800;

fn site(secrets: &[&str]) -> Site {
    Site::start_with(|config| {
        config.set("auth.secrets", secrets.to_vec());
    })
}

/// coturn's client derives user name and password from the shared secret.
#[test]
fn the_clients_own_derivation() {
    let site = site(&[SECRET]);
    let client = site.uclient().secret(SECRET).flags("-c");
    client.to_peer("127.0.0.1").run().assert_relayed(3, 100);
}

/// During a rotation the daemon takes the old secret and the new one.
#[test]
fn both_secrets_of_a_rotation() {
    let site = site(&["the old one", SECRET]);
    let username = format!("{LATER}:alice");
    for secret in ["the old one", SECRET] {
        let client = site
            .uclient()
            .user(&username, &rest_password(secret, &username));
        client
            .flags("-c")
            .to_peer("127.0.0.1")
            .run()
            .assert_relayed(3, 100);
    }
}

/// What `wharfd credentials` prints opens the daemon.
#[test]
fn the_daemons_own_command() {
    let site = site(&[SECRET]);
    let printed = Daemon::command(&[
        "credentials",
        "--secret",
        SECRET,
        "--user",
        "alice",
        "--ttl",
        "1h",
        "--json",
    ]);
    assert!(printed.status.success(), "{}", printed.output);
    let printed: Value = serde_json::from_str(&printed.output).expect(&printed.output);
    let text = |key| printed[key].as_str().expect("a string");
    let client = site.uclient().user(text("username"), text("password"));
    client
        .flags("-c")
        .to_peer("127.0.0.1")
        .run()
        .assert_relayed(3, 100);
}

/// A credential whose time has passed is an unknown user: 401, although its password is right.
#[test]
fn an_expired_credential_is_refused() {
    let site = site(&[SECRET]);
    let expired = "1000000000:alice";
    let client = site
        .uclient()
        .user(expired, &rest_password(SECRET, expired));
    let outcome = client.flags("-c -v").to_peer("127.0.0.1").run();
    outcome.assert_refused("Cannot complete Allocation");
    site.daemon.logged(&["127.0.0.1:", expired]);
}

/// A password made with another secret is refused.
#[test]
fn a_foreign_secret_is_refused() {
    let site = site(&[SECRET]);
    let username = format!("{LATER}:alice");
    let client = site
        .uclient()
        .user(&username, &rest_password("south sea", &username));
    client
        .flags("-c")
        .to_peer("127.0.0.1")
        .run()
        .assert_refused("Cannot complete Allocation");
    site.daemon.logged(&["127.0.0.1:", &username]);
}
