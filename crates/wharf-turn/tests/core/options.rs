//! Every option takes effect. The table names the test that fails when one is ignored; an option that is
//! new does not compile until it stands here.

use wharf_stun::attribute::Realm;
use wharf_turn::{Config, RelayAddress, Shared, Worker};

use crate::support::{Client, Did, Host, PORTS, addr, config, secs};

#[test]
fn every_option_has_a_test() {
    use crate::{
        allocate, channel, credential, drain, even_port, look_up, permission, policy, refresh,
    };
    type Test = fn();
    let Config {
        realm: _,
        relays: _,
        worker: _,
        default_lifetime: _,
        max_lifetime: _,
        nonce_lifetime: _,
        reservation_lifetime: _,
        algorithms: _,
        username_anonymity: _,
        strict_expiry: _,
        max_permissions: _,
        max_channels: _,
        rfc5766_channels: _,
        alternate_servers: _,
        early_refusal: _,
        unauthenticated: _,
        credential_cache: _,
        credential_ttl: _,
        max_look_ups: _,
    } = config();
    let tests: [(&str, Test); 19] = [
        ("realm", the_realm_is_told_and_used),
        ("relays", allocate::t17_families_that_are_not_there),
        ("worker", each_worker_has_ports_of_its_own),
        (
            "default_lifetime",
            refresh::t31_lifetimes_are_kept_within_bounds,
        ),
        (
            "max_lifetime",
            refresh::t31_lifetimes_are_kept_within_bounds,
        ),
        (
            "nonce_lifetime",
            credential::l7_a_stale_nonce_is_renewed_but_only_for_who_knows_the_password,
        ),
        (
            "reservation_lifetime",
            even_port::t18_a_reservation_ends_after_its_time,
        ),
        (
            "algorithms",
            credential::l4_algorithms_that_are_not_offered_are_refused,
        ),
        (
            "username_anonymity",
            credential::l3_the_nonce_tells_the_security_features,
        ),
        (
            "strict_expiry",
            look_up::l11_strict_expiry_refuses_a_live_allocation_too,
        ),
        ("max_permissions", permission::t47_x7_permissions_are_capped),
        ("max_channels", channel::t62_family_policy_and_capacity),
        ("rfc5766_channels", channel::t60_numbers_of_rfc_5766),
        (
            "alternate_servers",
            drain::l12_clients_are_sent_to_a_server_of_their_family,
        ),
        (
            "early_refusal",
            allocate::early_refusals_are_the_shortest_answers,
        ),
        (
            "unauthenticated",
            policy::answers_without_proof_have_a_rate_for_each_prefix,
        ),
        (
            "credential_cache",
            credentials_are_kept_as_far_as_there_is_room,
        ),
        ("credential_ttl", credentials_are_kept_for_their_time),
        (
            "max_look_ups",
            look_up::look_ups_are_bounded_and_half_of_them_want_a_valid_nonce,
        ),
    ];
    let debug = format!("{:?}", config());
    for (option, _) in tests {
        assert!(debug.contains(&format!("{option}: ")), "{option}");
    }
}

#[test]
fn the_realm_is_told_and_used() {
    let mut host = Host::new(Config {
        realm: "example.org".into(),
        ..config()
    });
    let mut client = Client::new(&mut host, "alice", 1);
    let answer = client.allocate_with(&mut host, |_| Ok(()));
    assert_eq!(answer.error, Some(401), "the key is of another realm");
    assert_eq!(answer.get(), Some(Realm("example.org")));
    host.forget();
    client.realm = "example.org".into();
    client.allocate(&mut host);
}

#[test]
fn each_worker_has_ports_of_its_own() {
    let relays = vec![RelayAddress::new(addr("192.0.2.1:0").ip(), PORTS)];
    let mut seen = std::collections::HashSet::new();
    for index in 0..3 {
        let worker = Worker { index, count: 3 };
        let mut host = Host::new(Config {
            worker,
            relays: relays.clone(),
            ..config()
        });
        for port in 1..=host.server.free_ports() {
            let relay = Client::new(&mut host, "alice", port as u16).allocate(&mut host);
            assert!(seen.insert(relay), "{relay} twice");
        }
    }
    assert_eq!(seen.len(), PORTS.count());
}

/// How often the back-end is asked when each of these users makes an allocation.
fn look_ups(host: &mut Host, users: &[&str], port: u16) -> usize {
    for (at, user) in (port..).zip(users) {
        let mut client = Client::new(host, user, at);
        assert_eq!(client.allocate_with(host, |_| Ok(())).error, None);
    }
    host.events();
    let did = host.take_did();
    did.iter()
        .filter(|did| matches!(did, Did::LookUp(_)))
        .count()
}

#[test]
fn credentials_are_kept_as_far_as_there_is_room() {
    let users = ["alice", "alice", "bob", "carol", "alice"];
    for (room, asked) in [(0, 5), (2, 4), (8_192, 3)] {
        let mut host = Host::new(Config {
            credential_cache: room,
            ..config()
        });
        assert_eq!(look_ups(&mut host, &users, 1), asked, "room for {room}");
    }
}

#[test]
fn credentials_are_kept_for_their_time() {
    let mut host = Host::new(Config {
        credential_ttl: secs(10),
        ..config()
    });
    assert_eq!(look_ups(&mut host, &["alice"], 1), 1);
    host.wait(secs(9));
    assert_eq!(look_ups(&mut host, &["alice"], 2), 0);
    host.wait(secs(1));
    assert_eq!(look_ups(&mut host, &["alice"], 3), 1);
    host.server.forget_credentials();
    assert_eq!(look_ups(&mut host, &["alice"], 4), 1);
}

#[test]
fn workers_of_a_fleet_accept_each_others_nonces() {
    let mut one = Host::default();
    let mut client = Client::new(&mut one, "alice", 1);
    let mut two = Host::default();
    client.allocate(&mut two);

    let shared = Shared {
        nonce_secret: [8; 32],
        quotas: two.quotas.clone(),
        peers: crate::support::policy(crate::support::rules()),
    };
    let unix = std::time::Duration::from_hours(500_000);
    two.server = wharf_turn::Server::new(config(), shared, two.now, unix, [1; 32]);
    let stale = client.allocate_with(&mut two, |_| Ok(()));
    assert_eq!(stale.error, Some(438), "another secret");
    two.forget();
}
