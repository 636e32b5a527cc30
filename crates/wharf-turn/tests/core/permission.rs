//! Permissions (RFC 8656 §9, §10).

use wharf_stun::Method;
use wharf_stun::attribute::{AdditionalAddressFamily, AddressFamily};
use wharf_turn::{Config, DropReason, Event};

use crate::support::{
    Client, Host, PEER, PEER_2, PEER_6, Raw, Reaction, addr, config, policy, rules, secs,
};

const REFUSED: Reaction = Reaction::Dropped(DropReason::NoPermission);

fn permitted(
    host: &mut Host,
    client: &mut Client,
    relay: std::net::SocketAddr,
    peer: &str,
) -> bool {
    let out = client.send_to(host, peer, b"x");
    let back = host.peer(relay, addr(peer), b"x");
    let both = (out == REFUSED, back == REFUSED);
    assert!(
        both == (true, true) || both == (false, false),
        "{out:?} {back:?}"
    );
    !both.0
}

#[test]
fn t40_a_permission_lasts_exactly_five_minutes() {
    let mut host = Host::default();
    let mut client = Client::new(&mut host, "alice", 1);
    let relay = client.allocate(&mut host);
    assert_eq!(client.permit(&mut host, &[PEER]), None);
    // Data in either direction prolongs nothing.
    host.wait(secs(299));
    assert!(permitted(&mut host, &mut client, relay, PEER));
    host.wait(secs(1));
    assert!(!permitted(&mut host, &mut client, relay, PEER));
    assert_eq!(host.server.permissions(), 0);

    assert_eq!(client.permit(&mut host, &[PEER]), None);
    host.wait(secs(200));
    assert_eq!(client.permit(&mut host, &[PEER]), None);
    assert_eq!(client.refresh(&mut host, 3_600).error, None);
    host.wait(secs(299));
    assert!(permitted(&mut host, &mut client, relay, PEER));
    assert_eq!(client.bind(&mut host, 0x4000, PEER), None);
    host.wait(secs(299));
    assert!(permitted(&mut host, &mut client, relay, PEER));
    client.channel_data(&mut host, 0x4000, b"x").into_peer();
    host.wait(secs(1));
    assert!(!permitted(&mut host, &mut client, relay, PEER));
}

#[test]
fn t41_a_permission_is_for_an_ip_address() {
    let mut host = Host::default();
    let mut client = Client::new(&mut host, "alice", 1);
    let relay = client.allocate(&mut host);
    assert_eq!(client.permit(&mut host, &["11.0.0.1:0"]), None);
    for peer in ["11.0.0.1:1", "11.0.0.1:4000", "11.0.0.1:65535"] {
        assert!(permitted(&mut host, &mut client, relay, peer));
    }
    assert!(!permitted(&mut host, &mut client, relay, PEER_2));
    assert_eq!(host.server.permissions(), 1);
}

#[test]
fn t42_who_has_no_permission_is_dropped() {
    let mut host = Host::default();
    let mut client = Client::new(&mut host, "alice", 1);
    let relay = client.allocate(&mut host);
    assert_eq!(host.peer(relay, addr(PEER), b"x"), REFUSED);
    assert_eq!(client.permit(&mut host, &[PEER]), None);
    assert_eq!(host.peer(relay, addr(PEER_2), b"x"), REFUSED);
}

#[test]
fn t43_t44_all_of_the_peers_or_none() {
    let mut host = Host::default();
    let mut client = Client::new(&mut host, "alice", 1);
    client.allocate(&mut host);
    assert_eq!(client.permit(&mut host, &[]), Some(400));
    let answer = client.ask(&mut host, Method::CREATE_PERMISSION, |w| {
        w.push(&wharf_stun::attribute::XorPeerAddress(addr(PEER)))?;
        w.push(&Raw::<0x0012>(&[0, 3, 0, 0, 1, 2, 3, 4])).map(drop)
    });
    assert_eq!(answer.error, Some(400));
    assert_eq!(client.permit(&mut host, &[PEER, PEER_6]), Some(443));
    assert_eq!(client.permit(&mut host, &[PEER, "127.0.0.1:1"]), Some(403));
    assert_eq!(host.events().len(), 1);
    assert_eq!(host.server.permissions(), 0);
    assert_eq!(
        client.permit(&mut host, &[PEER, PEER_2, PEER, "11.0.0.3:1"]),
        None
    );
    assert_eq!(host.server.permissions(), 3);
}

#[test]
fn t45_the_family_must_be_one_that_is_relayed() {
    let mut host = Host::default();
    let mut client = Client::new(&mut host, "alice", 1);
    client.allocate(&mut host);
    assert_eq!(client.permit(&mut host, &[PEER_6]), Some(443));
    let mut dual = Client::new(&mut host, "alice", 2);
    let answer = dual.allocate_with(&mut host, |w| {
        w.push(&AdditionalAddressFamily(AddressFamily::V6))
            .map(drop)
    });
    assert_eq!(dual.permit(&mut host, &[PEER, PEER_6]), None);
    for (relay, peer) in answer.relayed().into_iter().zip([PEER, PEER_6]) {
        assert!(permitted(&mut host, &mut dual, relay, peer));
    }
    host.forget();
}

#[test]
fn t46_the_policy_refuses_and_says_why() {
    let mut host = Host::default();
    let mut client = Client::new(&mut host, "alice", 1);
    client.allocate(&mut host);
    assert_eq!(client.permit(&mut host, &["10.0.0.1:80"]), Some(403));
    let events = host.events();
    let [Event::PeerRefused { path, peer, why }] = &events[..] else {
        panic!("{events:?}");
    };
    assert_eq!((*path, *peer), (client.path, addr("10.0.0.1:0")));
    assert_eq!(why.label(), "private");
    assert_eq!(host.server.permissions(), 0);
}

#[test]
pub(crate) fn t47_x7_permissions_are_capped() {
    let mut host = Host::new(Config {
        max_permissions: 3,
        ..config()
    });
    let mut client = Client::new(&mut host, "alice", 1);
    client.allocate(&mut host);
    assert_eq!(
        client.permit(&mut host, &["11.0.0.1:1", "11.0.0.2:1"]),
        None
    );
    assert_eq!(
        client.permit(&mut host, &["11.0.0.3:1", "11.0.0.4:1"]),
        Some(508)
    );
    assert_eq!(host.server.permissions(), 2, "none of the two");
    // What is there already, or twice in the request, takes no room.
    let known = ["11.0.0.1:1", "11.0.0.2:1", "11.0.0.3:1", "11.0.0.3:2"];
    assert_eq!(client.permit(&mut host, &known), None);
    assert_eq!(client.bind(&mut host, 0x4000, "11.0.0.4:1"), Some(508));
    assert_eq!(host.server.channels(), 0);
    // What has expired makes room.
    host.now += secs(300);
    assert_eq!(client.permit(&mut host, &["11.0.0.4:1"]), None);
    assert_eq!(host.server.permissions(), 1);
}

#[test]
fn x7_the_default_cap_is_a_thousand() {
    let mut host = Host::default();
    let mut client = Client::new(&mut host, "alice", 1);
    client.allocate(&mut host);
    let peers: Vec<_> = (0..1_001)
        .map(|n| format!("11.0.{}.{}:1", n / 250, n % 250))
        .collect();
    let peers: Vec<&str> = peers.iter().map(String::as_str).collect();
    for some in peers[..1_000].chunks(100) {
        assert_eq!(client.permit(&mut host, some), None);
    }
    assert_eq!(client.permit(&mut host, &peers[1_000..]), Some(508));
    assert_eq!(host.server.permissions(), 1_000);
    // More peers than a datagram of an MTU holds are too many for one request.
    assert_eq!(client.permit(&mut host, &peers[..129]), Some(508));
}

#[test]
fn t48_a_permission_serves_one_allocation() {
    let mut host = Host::default();
    let mut a = Client::new(&mut host, "alice", 1);
    let mut b = Client::new(&mut host, "alice", 2);
    let relays = [a.allocate(&mut host), b.allocate(&mut host)];
    assert_eq!(a.permit(&mut host, &[PEER]), None);
    assert_eq!(b.permit(&mut host, &[PEER_2]), None);
    assert!(permitted(&mut host, &mut a, relays[0], PEER));
    assert!(permitted(&mut host, &mut b, relays[1], PEER_2));
    assert!(!permitted(&mut host, &mut a, relays[0], PEER_2));
    assert!(!permitted(&mut host, &mut b, relays[1], PEER));
    // Nor the allocation that comes to have the same relay index later.
    assert_eq!(a.refresh(&mut host, 0).error, None);
    host.forget();
    let again = a.allocate(&mut host);
    assert!(!permitted(&mut host, &mut a, again, PEER));
}

#[test]
fn other_rules_end_what_they_refuse() {
    let mut host = Host::default();
    let mut client = Client::new(&mut host, "alice", 1);
    let relay = client.allocate(&mut host);
    assert_eq!(client.permit(&mut host, &[PEER, PEER_2]), None);
    assert_eq!(client.bind(&mut host, 0x4000, PEER), None);
    let mut stricter = rules();
    stricter.deny = vec!["11.0.0.1/32".parse().expect("a range")];
    host.server.set_peers(policy(stricter));
    assert_eq!((host.server.permissions(), host.server.channels()), (1, 0));
    let unbound = Reaction::Dropped(DropReason::UnboundChannel);
    assert_eq!(client.channel_data(&mut host, 0x4000, b"x"), unbound);
    assert!(!permitted(&mut host, &mut client, relay, PEER));
    assert!(permitted(&mut host, &mut client, relay, PEER_2));
    assert_eq!(client.permit(&mut host, &[PEER]), Some(403));
    assert_eq!(host.events().len(), 1);
}
