//! Peers that are refused, and clients that meet on this server (X9, and the advisories).

use wharf_policy::PrefixLimits;
use wharf_stun::{Class, Method};
use wharf_turn::{Config, DropReason, RelayAddress};

use crate::support::{Client, Host, PEER, Reaction, addr, config, policy, rules, secs};

#[test]
fn addresses_that_others_let_through() {
    // Slack 2017, CVE-2018-4058, CVE-2020-26262, CVE-2026-27624, coturn 4.13 and 4.13.1.
    let v4 = [
        "127.0.0.1",
        "0.0.0.0",
        "10.0.0.1",
        "169.254.169.254",
        "224.0.0.1",
        "100.64.0.1",
    ];
    let v6 = [
        "::1",
        "::",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::127.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "fe80::1",
        "fc00::1",
        "ff02::1",
        "fd00:ec2::254",
    ];
    let mut host = Host::default();
    for (port, family, peers) in [(1, 1, &v4[..]), (2, 2, &v6[..])] {
        let mut client = Client::new(&mut host, "alice", port);
        let answer = client.allocate_with(&mut host, |w| {
            w.push(&crate::support::Raw::<0x0017>(&[family, 0, 0, 0]))
                .map(drop)
        });
        assert_eq!(answer.error, None);
        for peer in peers {
            let peer = std::net::SocketAddr::new(peer.parse().expect("an address"), 80).to_string();
            assert_eq!(client.permit(&mut host, &[&peer]), Some(403), "{peer}");
            assert_eq!(client.bind(&mut host, 0x4000, &peer), Some(403), "{peer}");
            let refused = Reaction::Dropped(DropReason::NoPermission);
            assert_eq!(client.send_to(&mut host, &peer, b"x"), refused);
        }
    }
    assert_eq!((host.server.permissions(), host.server.channels()), (0, 0));
    let refused = host
        .events
        .iter()
        .filter(|event| matches!(event, wharf_turn::Event::PeerRefused { .. }));
    assert_eq!(refused.count(), 2 * (v4.len() + v6.len()));
    host.forget();
}

#[test]
fn x9_two_clients_meet_on_this_server() {
    let mut host = Host::default();
    let mut a = Client::new(&mut host, "alice", 1);
    let mut b = Client::new(&mut host, "bob", 2);
    let relays = [a.allocate(&mut host), b.allocate(&mut host)];
    let [at_a, at_b] = relays.map(|relay| relay.to_string());
    assert_eq!(a.bind(&mut host, 0x4000, &at_b), None);
    let refused = Reaction::Dropped(DropReason::NoPermission);
    // Both sides' permissions count, though nothing leaves the process.
    assert_eq!(a.channel_data(&mut host, 0x4000, b"x"), refused);
    assert_eq!(a.send_to(&mut host, &at_b, b"x"), refused);
    assert_eq!(b.permit(&mut host, &[&at_a]), None);
    for reaction in [
        a.channel_data(&mut host, 0x4000, b"hello"),
        a.send_to(&mut host, &at_b, b"hello"),
    ] {
        let Reaction::ToClient { client, bytes } = reaction else {
            panic!("{reaction:?}");
        };
        assert_eq!(client, b.path.client);
        assert_eq!(bytes[..2], [0, 0x17]);
        assert!(bytes.ends_with(b"hello\0\0\0"));
    }
    assert_eq!(b.bind(&mut host, 0x4001, &at_a), None);
    let Reaction::ToClient { client, bytes } = a.channel_data(&mut host, 0x4000, b"hi") else {
        panic!("ChannelData to ChannelData");
    };
    assert_eq!(
        (client, &bytes[..]),
        (b.path.client, &b"\x40\x01\0\x02hi"[..])
    );
    assert_eq!(
        b.send_to(&mut host, &at_a, b"hi").channel_data(),
        (0x4000, b"hi".to_vec())
    );
    // A relay of another worker, or one that is gone, is a peer like others.
    assert_eq!(b.refresh(&mut host, 0).error, None);
    assert_eq!(
        a.channel_data(&mut host, 0x4000, b"hi").into_peer().0,
        relays[1]
    );
    host.forget();
}

#[test]
fn x9_the_servers_own_sockets_are_no_peers() {
    let mut host = Host::default();
    let mut a = Client::new(&mut host, "alice", 1);
    let relay = a.allocate(&mut host);
    for own in ["192.0.2.1:3478", "192.0.2.1:9", "192.0.2.1:49999"] {
        assert_eq!(a.bind(&mut host, 0x4000, own), Some(403));
        // A permission for the IP address alone does not open these ports, out or in.
        assert_eq!(a.permit(&mut host, &[own]), None);
        let refused = Reaction::Dropped(DropReason::PeerRefused);
        assert_eq!(a.send_to(&mut host, own, b"x"), refused);
        assert_eq!(host.peer(relay, addr(own), b"x"), refused);
    }
    assert_eq!(host.events().len(), 3);
}

#[test]
fn x9_relay_addresses_behind_a_nat() {
    let mut natted = config();
    natted.relays = vec![RelayAddress {
        bind: addr("10.9.9.9:0").ip(),
        advertised: addr("192.0.2.1:0").ip(),
        ports: crate::support::PORTS,
    }];
    let mut host = Host::new(natted);
    let mut a = Client::new(&mut host, "alice", 1);
    let answer = a.allocate_with(&mut host, |_| Ok(()));
    let relay = answer.relayed()[0];
    assert_eq!(relay.ip(), addr("192.0.2.1:0").ip());
    let local = *host.sockets.values().next().expect("a socket");
    assert_eq!(
        (local.ip(), local.port()),
        (addr("10.9.9.9:0").ip(), relay.port())
    );

    // A relay of another worker: sent to where it is bound, heard as it is advertised.
    let mut elsewhere = relay;
    elsewhere.set_port(if relay.port() == 50_000 {
        50_001
    } else {
        50_000
    });
    let bound = std::net::SocketAddr::new(local.ip(), elsewhere.port());
    assert_eq!(a.permit(&mut host, &[&elsewhere.to_string()]), None);
    assert_eq!(
        a.send_to(&mut host, &elsewhere.to_string(), b"x")
            .into_peer()
            .0,
        bound
    );
    assert_eq!(a.bind(&mut host, 0x4000, &elsewhere.to_string()), None);
    assert_eq!(a.channel_data(&mut host, 0x4000, b"x").into_peer().0, bound);
    assert_eq!(
        host.peer(local, bound, b"y").channel_data(),
        (0x4000, b"y".to_vec())
    );
    host.forget();
}

#[test]
fn low_ports_are_refused_in_both_directions_when_so_configured() {
    let mut host = Host::default();
    let mut client = Client::new(&mut host, "alice", 1);
    let relay = client.allocate(&mut host);
    assert_eq!(client.permit(&mut host, &[PEER]), None);
    host.peer(relay, addr("11.0.0.1:53"), b"x").into_client();
    let mut stricter = rules();
    stricter.deny_ports_below_1024 = true;
    host.server.set_peers(policy(stricter));
    let refused = Reaction::Dropped(DropReason::PeerRefused);
    assert_eq!(host.peer(relay, addr("11.0.0.1:53"), b"x"), refused);
    assert_eq!(client.send_to(&mut host, "11.0.0.1:53", b"x"), refused);
    host.peer(relay, addr(PEER), b"x").into_client();
}

#[test]
pub(crate) fn answers_without_proof_have_a_rate_for_each_prefix() {
    let limits = PrefixLimits {
        per_second: 1,
        burst: 3,
        ..PrefixLimits::default()
    };
    let mut host = Host::new(Config {
        unauthenticated: limits,
        ..config()
    });
    let mut client = Client::new(&mut host, "alice", 1);
    let limited = Reaction::Dropped(DropReason::RateLimited);
    for method in [Method::BINDING, Method::REFRESH] {
        let request = client.message(method, Class::Request, |_| Ok(()));
        host.client(&client.path, &request).reply();
    }
    for method in [Method::BINDING, Method::REFRESH, Method::ALLOCATE] {
        let request = client.message(method, Class::Request, |_| Ok(()));
        assert_eq!(host.client(&client.path, &request), limited);
    }
    // Who knows the password is not limited, and neither is another source.
    client.allocate(&mut host);
    for _ in 0..10 {
        assert_eq!(client.refresh(&mut host, 600).error, None);
    }
    let mut other = client.clone();
    other.path.client = addr("198.51.100.8:1");
    other.challenge(&mut host);
    host.wait(secs(1));
    client.challenge(&mut host);
    let off = PrefixLimits {
        per_second: 0,
        ..limits
    };
    host.server.set_unauthenticated_limit(off);
    for _ in 0..10 {
        client.challenge(&mut host);
    }
}
