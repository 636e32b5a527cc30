//! Allocate (RFC 8656 §7.2).

use std::collections::HashSet;

use wharf_stun::attribute::{
    AdditionalAddressFamily, AddressFamily, DontFragment, EvenPort, Lifetime,
    RequestedAddressFamily, RequestedTransport, ReservationToken, UnknownAttributes,
    XorMappedAddress,
};
use wharf_stun::{AttributeType, Class, Method};
use wharf_turn::{AuthFailure, Config, DropReason, Event, FreedBy, UserId};

use crate::support::{Client, Did, Host, PEER, PORTS, Raw, Reaction, addr, config, secs};

/// A server that relays from one family only.
pub(crate) fn only(v6: bool) -> Config {
    let mut config = config();
    config.relays.retain(|relay| relay.bind.is_ipv6() == v6);
    config
}

#[test]
fn t1_without_an_allocation_there_is_a_mismatch() {
    let mut host = Host::default();
    let mut client = Client::new(&mut host, "alice", 1);
    assert_eq!(client.refresh(&mut host, 600).error, Some(437));
    assert_eq!(client.permit(&mut host, &[PEER]), Some(437));
    assert_eq!(client.bind(&mut host, 0x4000, PEER), Some(437));
    let nothing = Reaction::Dropped(DropReason::NoAllocation);
    assert_eq!(client.send_to(&mut host, PEER, b"x"), nothing);
    assert_eq!(client.channel_data(&mut host, 0x4000, b"x"), nothing);
    assert_eq!(host.take_did(), [Did::LookUp(UserId::Name("alice".into()))]);
    host.assert_initial();
}

#[test]
fn t2_another_user_is_told_so() {
    let mut host = Host::default();
    let mut alice = Client::new(&mut host, "alice", 1);
    let mut bob = Client::new(&mut host, "bob", 1);
    alice.allocate(&mut host);
    assert_eq!(bob.refresh(&mut host, 0).error, Some(441));
    assert_eq!(bob.permit(&mut host, &[PEER]), Some(441));
    assert_eq!(bob.bind(&mut host, 0x4000, PEER), Some(441));
    let event = Event::AuthenticationFailed {
        path: alice.path,
        user: Some("bob".into()),
        why: AuthFailure::WrongUser,
    };
    assert_eq!(host.events(), [event.clone(), event.clone(), event]);
    // Not even with the same transaction ID is it a retransmission.
    bob.id = alice.id - 1;
    assert_eq!(bob.allocate_with(&mut host, |_| Ok(())).error, Some(437));
    assert_eq!(host.take_did().len(), 1);
}

#[test]
fn t3_the_servers_address_is_part_of_the_five_tuple() {
    let mut host = Host::default();
    let mut one = Client::new(&mut host, "alice", 1);
    let mut two = one.clone();
    two.path.server = addr("192.0.2.1:3479");
    let relays = [one.allocate(&mut host), two.allocate(&mut host)];
    assert_ne!(relays[0], relays[1]);
    two.path.listener = 9;
    assert_eq!(
        two.refresh(&mut host, 0).error,
        None,
        "the listener's number is not"
    );
    assert_eq!(host.server.allocations(), 1);
    assert_eq!(host.take_did(), [Did::Close(relays[1])]);
    assert_eq!(host.events().len(), 1);
}

#[test]
fn t10_unauthenticated_requests_leave_nothing_behind() {
    let mut host = Host::default();
    let mut client = Client::new(&mut host, "alice", 1);
    for _ in 0..10 {
        client.challenge(&mut host);
    }
    host.assert_initial();
}

#[test]
fn t11_a_second_allocation_is_a_mismatch() {
    let mut host = Host::default();
    let mut client = Client::new(&mut host, "alice", 1);
    client.allocate(&mut host);
    assert_eq!(client.allocate_with(&mut host, |_| Ok(())).error, Some(437));
    assert_eq!((host.server.allocations(), host.quotas.live()), (1, 1));
}

#[test]
fn t12_a_retransmission_gets_the_same_allocation() {
    let mut host = Host::default();
    let mut client = Client::new(&mut host, "alice", 1);
    let request = client.request(Method::ALLOCATE, |w| {
        w.push(&RequestedTransport::UDP)?
            .push(&EvenPort { reserve_next: true })
            .map(drop)
    });
    let first = client.send(&mut host, &request);
    assert_eq!(client.send(&mut host, &request), first);
    host.wait(secs(7));
    let later = client.send(&mut host, &request);
    assert_eq!(later.relayed(), first.relayed());
    assert_eq!(later.get::<ReservationToken>(), first.get());
    assert_eq!(later.get(), Some(Lifetime(593)));
    assert_eq!((host.server.allocations(), host.quotas.live()), (1, 2));
    host.forget();
}

#[test]
fn t13_only_udp_is_relayed() {
    let mut host = Host::default();
    let mut client = Client::new(&mut host, "alice", 1);
    let mut ask = |value: &[u8]| {
        let answer = client.ask(&mut host, Method::ALLOCATE, |w| {
            w.push(&Raw::<0x0019>(value)).map(drop)
        });
        answer.error
    };
    assert_eq!(ask(&[]), Some(400));
    assert_eq!(ask(&[17, 0, 0]), Some(400));
    assert_eq!(ask(&[6, 0, 0, 0]), Some(442));
    assert_eq!(ask(&[0, 0, 0, 0]), Some(442));
    assert_eq!(ask(&[17, 1, 2, 3]), None, "RFFU is ignored");
    client.id += 1;
    let answer = client.ask(&mut host, Method::ALLOCATE, |_| Ok(()));
    assert_eq!(answer.error, Some(437), "before all else");
    assert_eq!(client.refresh(&mut host, 0).error, None);
    assert_eq!(
        client.ask(&mut host, Method::ALLOCATE, |_| Ok(())).error,
        Some(400)
    );
    host.forget();
    host.assert_initial();
}

#[test]
fn t14_dont_fragment_is_understood() {
    let mut host = Host::default();
    let mut client = Client::new(&mut host, "alice", 1);
    let answer = client.allocate_with(&mut host, |w| w.push(&DontFragment).map(drop));
    assert_eq!(answer.error, None);
    // What is not: RFC 6062, 8016 and 7635 are not spoken.
    let answer = client.ask(&mut host, Method::REFRESH, |w| {
        w.push(&Raw::<0x002a>(&[0; 4]))?
            .push(&Raw::<0x001b>(&[]))
            .map(drop)
    });
    let listed = [AttributeType::CONNECTION_ID, AttributeType::ACCESS_TOKEN];
    assert_eq!(answer.error, Some(420));
    assert_eq!(answer.get(), Some(UnknownAttributes::new(&listed)));
    host.forget();
}

#[test]
fn t15_t16_t18_t19_wishes_that_exclude_each_other() {
    let mut host = Host::default();
    let mut client = Client::new(&mut host, "alice", 1);
    let token = ReservationToken([1; 8]);
    let v4 = RequestedAddressFamily(AddressFamily::V4);
    let even = EvenPort {
        reserve_next: false,
    };
    let pair = EvenPort { reserve_next: true };
    let both = AdditionalAddressFamily(AddressFamily::V6);
    let mut ask = |fill: &dyn Fn(&mut wharf_stun::Writer<'_>) -> Option<()>| {
        let answer = client.allocate_with(&mut host, |w| {
            fill(w).expect("room");
            Ok(())
        });
        answer.error
    };
    assert_eq!(
        ask(&|w| w.push(&token).ok()?.push(&even).ok().map(drop)),
        Some(400)
    );
    assert_eq!(
        ask(&|w| w.push(&token).ok()?.push(&v4).ok().map(drop)),
        Some(400)
    );
    assert_eq!(
        ask(&|w| w.push(&token).ok()?.push(&both).ok().map(drop)),
        Some(400)
    );
    assert_eq!(
        ask(&|w| w.push(&v4).ok()?.push(&both).ok().map(drop)),
        Some(400),
        "T16"
    );
    assert_eq!(
        ask(&|w| w.push(&pair).ok()?.push(&both).ok().map(drop)),
        Some(400),
        "T18"
    );
    let four = AdditionalAddressFamily(AddressFamily::V4);
    assert_eq!(ask(&|w| w.push(&four).ok().map(drop)), Some(400), "T19");
    for malformed in [&[1, 0, 0][..], &[]] {
        assert_eq!(
            ask(&|w| w.push(&Raw::<0x0017>(malformed)).ok().map(drop)),
            Some(400)
        );
        assert_eq!(
            ask(&|w| w.push(&Raw::<0x000d>(malformed)).ok().map(drop)),
            Some(400)
        );
        assert_eq!(
            ask(&|w| w.push(&Raw::<0x0022>(malformed)).ok().map(drop)),
            Some(400)
        );
    }
    assert_eq!(
        ask(&|w| w.push(&Raw::<0x0018>(&[])).ok().map(drop)),
        Some(400)
    );
    assert_eq!(
        ask(&|w| w.push(&token).ok().map(drop)),
        Some(508),
        "T15: unknown"
    );
    assert_eq!(host.events(), [], "a bad token says nothing of the ports");
    assert_eq!(host.take_did().len(), 1);
    host.assert_initial();
}

#[test]
pub(crate) fn t17_families_that_are_not_there() {
    let family = RequestedAddressFamily;
    let ask = |v6_only, wanted: Option<AddressFamily>| {
        let mut host = Host::new(only(v6_only));
        let mut client = Client::new(&mut host, "alice", 1);
        let answer = client.allocate_with(&mut host, |w| match wanted {
            Some(wanted) => w.push(&family(wanted)).map(drop),
            None => Ok(()),
        });
        host.forget();
        (
            answer.error,
            answer.relayed().first().map(std::net::SocketAddr::is_ipv6),
        )
    };
    assert_eq!(ask(false, None), (None, Some(false)));
    assert_eq!(ask(false, Some(AddressFamily::V4)), (None, Some(false)));
    assert_eq!(ask(false, Some(AddressFamily::V6)), (Some(440), None));
    assert_eq!(ask(true, Some(AddressFamily::V6)), (None, Some(true)));
    assert_eq!(ask(true, Some(AddressFamily::V4)), (Some(440), None));
    assert_eq!(ask(true, None), (Some(440), None), "absent means IPv4");

    let mut host = Host::default();
    let mut client = Client::new(&mut host, "alice", 1);
    for value in [0, 3, 255] {
        let answer = client.allocate_with(&mut host, |w| {
            w.push(&Raw::<0x0017>(&[value, 0, 0, 0])).map(drop)
        });
        assert_eq!(answer.error, Some(440));
    }
    host.forget();
}

#[test]
fn t22_lifetimes_are_kept_within_bounds() {
    for (asked, granted) in [
        (None, 600),
        (Some(0), 600),
        (Some(1), 600),
        (Some(600), 600),
        (Some(1_234), 1_234),
        (Some(3_600), 3_600),
        (Some(3_601), 3_600),
        (Some(u32::MAX), 3_600),
    ] {
        let mut host = Host::default();
        let mut client = Client::new(&mut host, "alice", 1);
        let answer = client.allocate_with(&mut host, |w| match asked {
            Some(asked) => w.push(&Lifetime(asked)).map(drop),
            None => Ok(()),
        });
        assert_eq!(answer.get(), Some(Lifetime(granted)), "{asked:?}");
        host.wait(secs(u64::from(granted) - 1));
        assert_eq!(host.server.allocations(), 1);
        host.wait(secs(1));
        let freed = Event::Freed {
            path: client.path,
            user: "alice".into(),
            by: FreedBy::Expiry,
        };
        assert_eq!(host.events().pop(), Some(freed));
        host.forget();
        host.assert_initial();
    }
}

#[test]
fn t23_a_success_says_where_and_for_how_long() {
    let mut host = Host::default();
    let mut client = Client::new(&mut host, "alice", 1);
    let answer = client.allocate_with(&mut host, |_| Ok(()));
    assert_eq!(
        answer.types(),
        [
            AttributeType::XOR_RELAYED_ADDRESS,
            AttributeType::LIFETIME,
            AttributeType::XOR_MAPPED_ADDRESS,
            AttributeType::MESSAGE_INTEGRITY_SHA256,
        ]
    );
    assert_eq!(answer.get(), Some(XorMappedAddress(client.path.client)));
    host.forget();
    // Every port of the range is used, each once. How evenly, the port pool's own tests say.
    let mut seen = HashSet::from([answer.relayed()[0]]);
    for port in 2..=100 {
        let relay = Client::new(&mut host, "alice", port).allocate(&mut host);
        assert!(PORTS.contains(&relay.port()));
        assert!(seen.insert(relay));
    }
}

#[test]
fn t24_what_a_permitted_peer_sends_arrives() {
    let mut host = Host::default();
    let mut client = Client::new(&mut host, "alice", 1);
    let relay = client.allocate(&mut host);
    assert_eq!(client.permit(&mut host, &[PEER]), None);
    let bytes = host.peer(relay, addr(PEER), b"hello").into_client();
    assert!(bytes.ends_with(b"hello\0\0\0"));
}

#[test]
pub(crate) fn early_refusals_are_the_shortest_answers() {
    for early in [true, false] {
        let mut host = Host::new(Config {
            early_refusal: early,
            ..config()
        });
        let mut client = Client::new(&mut host, "alice", 1);
        for (method, code) in [
            (Method::ALLOCATE, 400),
            (Method::REFRESH, 437),
            (Method::CREATE_PERMISSION, 437),
            (Method::CHANNEL_BIND, 437),
        ] {
            let request = client.message(method, Class::Request, |_| Ok(()));
            let answer = host.client(&client.path, &request).reply();
            let expected = if early {
                (Some(code), 28)
            } else {
                (Some(401), 88)
            };
            assert_eq!((answer.error, answer.bytes.len()), expected);
        }
        // Neither does a REQUESTED-TRANSPORT without a value draw more.
        let request = client.message(Method::ALLOCATE, Class::Request, |w| {
            w.push(&Raw::<0x0019>(&[])).map(drop)
        });
        let answer = host.client(&client.path, &request).reply();
        assert_eq!(answer.error, Some(if early { 400 } else { 401 }));
    }
}

#[test]
fn an_allocation_that_has_ended_makes_room_before_it_is_cleaned_up() {
    let mut host = Host::default();
    let mut client = Client::new(&mut host, "alice", 1);
    let old = client.allocate(&mut host);
    // The timer is late.
    host.now += secs(600);
    assert_eq!(client.refresh(&mut host, 600).error, Some(437));
    let answer = client.allocate_with(&mut host, |_| Ok(()));
    assert_eq!(answer.error, None);
    let new = answer.relayed()[0];
    assert_eq!(host.take_did()[1..], [Did::Close(old), Did::Bind(new)]);
    assert_eq!(host.events().len(), 2);
    assert_eq!((host.server.allocations(), host.quotas.live()), (1, 1));
}
