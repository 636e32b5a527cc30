//! Refresh (RFC 8656 §8).

use wharf_stun::Method;
use wharf_stun::attribute::{
    AdditionalAddressFamily, AddressFamily, Lifetime, RequestedAddressFamily,
};
use wharf_turn::{Config, DropReason, Event, FreedBy};

use crate::support::{Answer, Client, Did, Host, PEER, PEER_6, Raw, Reaction, addr, config, secs};

fn refresh(
    host: &mut Host,
    client: &mut Client,
    lifetime: Option<u32>,
    family: AddressFamily,
) -> Answer {
    client.ask(host, Method::REFRESH, |w| {
        if let Some(lifetime) = lifetime {
            w.push(&Lifetime(lifetime))?;
        }
        w.push(&RequestedAddressFamily(family)).map(drop)
    })
}

#[test]
fn t30_a_lifetime_of_zero_ends_it() {
    let mut host = Host::default();
    let mut client = Client::new(&mut host, "alice", 1);
    let relay = client.allocate(&mut host);
    assert_eq!(client.permit(&mut host, &[PEER]), None);
    assert_eq!(client.bind(&mut host, 0x4000, PEER), None);
    let answer = client.refresh(&mut host, 0);
    assert_eq!((answer.error, answer.get()), (None, Some(Lifetime(0))));
    let freed = Event::Freed {
        path: client.path,
        user: "alice".into(),
        by: FreedBy::Client,
    };
    assert_eq!(host.events(), [freed]);
    assert_eq!(host.take_did(), [Did::Close(relay)]);
    host.assert_initial();
    assert_eq!(client.refresh(&mut host, 0).error, Some(437));
}

#[test]
pub(crate) fn t31_lifetimes_are_kept_within_bounds() {
    let mut host = Host::new(Config {
        default_lifetime: secs(700),
        max_lifetime: secs(1_400),
        ..config()
    });
    let mut client = Client::new(&mut host, "alice", 1);
    client.allocate(&mut host);
    for (asked, granted) in [
        (1, 700),
        (699, 700),
        (700, 700),
        (1_000, 1_000),
        (u32::MAX, 1_400),
    ] {
        assert_eq!(
            client.refresh(&mut host, asked).get(),
            Some(Lifetime(granted))
        );
    }
    let absent = client.ask(&mut host, Method::REFRESH, |_| Ok(()));
    assert_eq!(absent.get(), Some(Lifetime(700)));
    let malformed = client.ask(&mut host, Method::REFRESH, |w| {
        w.push(&Raw::<0x000d>(&[0; 3])).map(drop)
    });
    assert_eq!(malformed.error, Some(400));
    host.wait(secs(699));
    assert_eq!(host.server.allocations(), 1);
    host.wait(secs(1));
    assert_eq!(host.take_did().len(), 1);
    assert_eq!(host.events().len(), 1);
    host.assert_initial();
}

#[test]
fn t32_a_family_that_it_does_not_have() {
    let mut host = Host::default();
    let mut client = Client::new(&mut host, "alice", 1);
    client.allocate(&mut host);
    for lifetime in [None, Some(0), Some(600)] {
        let answer = refresh(&mut host, &mut client, lifetime, AddressFamily::V6);
        assert_eq!(answer.error, Some(443));
    }
    assert_eq!(
        refresh(&mut host, &mut client, None, AddressFamily::V4).error,
        None
    );
    for (value, code) in [(&[3, 0, 0, 0][..], 443), (&[1, 0], 400)] {
        let answer = client.ask(&mut host, Method::REFRESH, |w| {
            w.push(&Raw::<0x0017>(value)).map(drop)
        });
        assert_eq!(answer.error, Some(code));
    }
    assert_eq!(host.server.allocations(), 1);
}

fn dual(host: &mut Host) -> (Client, [std::net::SocketAddr; 2]) {
    let mut client = Client::new(host, "alice", 1);
    let answer = client.allocate_with(host, |w| {
        w.push(&AdditionalAddressFamily(AddressFamily::V6))
            .map(drop)
    });
    let relays = answer.relayed().try_into().expect("two families");
    assert_eq!(client.permit(host, &[PEER, PEER_6]), None);
    assert_eq!(client.bind(host, 0x4000, PEER), None);
    assert_eq!(client.bind(host, 0x4001, PEER_6), None);
    host.forget();
    (client, relays)
}

#[test]
fn t32_each_family_ends_by_itself() {
    let mut host = Host::default();
    let (mut client, relays) = dual(&mut host);
    let answer = refresh(&mut host, &mut client, Some(0), AddressFamily::V4);
    assert_eq!(answer.error, None);
    assert_eq!(host.take_did(), [Did::Close(relays[0])]);
    assert_eq!(host.events(), [], "the allocation goes on");
    assert_eq!((host.server.permissions(), host.server.channels()), (1, 1));
    assert_eq!(
        client.channel_data(&mut host, 0x4001, b"x").into_peer().0,
        addr(PEER_6)
    );
    let unbound = Reaction::Dropped(DropReason::UnboundChannel);
    assert_eq!(client.channel_data(&mut host, 0x4000, b"x"), unbound);
    assert_eq!(client.permit(&mut host, &[PEER]), Some(443));
    let gone = refresh(&mut host, &mut client, Some(0), AddressFamily::V4);
    assert_eq!(gone.error, Some(443));
    assert_eq!(
        refresh(&mut host, &mut client, Some(0), AddressFamily::V6).error,
        None
    );
    host.forget();
    host.assert_initial();
}

#[test]
fn t32_each_family_has_its_own_lifetime() {
    let mut host = Host::default();
    let (mut client, relays) = dual(&mut host);
    host.wait(secs(100));
    assert_eq!(
        refresh(&mut host, &mut client, None, AddressFamily::V6).error,
        None
    );
    // IPv4 has run out though the timer is late: a Refresh does not bring it back.
    host.now += secs(500);
    let late = refresh(&mut host, &mut client, None, AddressFamily::V4);
    assert_eq!(late.error, Some(443));
    assert_eq!(client.permit(&mut host, &[PEER]), Some(443));
    assert_eq!(client.permit(&mut host, &[PEER_6]), None);
    assert_eq!(client.refresh(&mut host, 600).error, None);
    host.wait(secs(0));
    assert_eq!(host.take_did(), [Did::Close(relays[0])]);
    let from_v6 = host.peer(relays[1], addr(PEER_6), b"x");
    assert!(matches!(from_v6, Reaction::ToClient { .. }));

    // Without a family both are meant.
    let mut host = Host::default();
    let (mut client, relays) = dual(&mut host);
    assert_eq!(client.refresh(&mut host, 0).error, None);
    assert_eq!(host.take_did(), relays.map(Did::Close));
    assert_eq!(host.events().len(), 1);
    host.assert_initial();
}

#[test]
fn t33_only_refresh_prolongs_and_all_ends_with_it() {
    let mut host = Host::default();
    let mut client = Client::new(&mut host, "alice", 1);
    let relay = client.allocate(&mut host);
    for _ in 0..5 {
        host.wait(secs(119));
        assert_eq!(client.bind(&mut host, 0x4000, PEER), None);
        client.channel_data(&mut host, 0x4000, b"x").into_peer();
        client.send_to(&mut host, PEER, b"x").into_peer();
        host.peer(relay, addr(PEER), b"x").into_client();
    }
    host.wait(secs(4));
    assert_eq!(host.server.allocations(), 1);
    host.now += secs(1);
    // The moment counts and not the timer.
    let gone = Reaction::Dropped(DropReason::NoAllocation);
    assert_eq!(client.channel_data(&mut host, 0x4000, b"x"), gone);
    assert_eq!(client.send_to(&mut host, PEER, b"x"), gone);
    let refused = Reaction::Dropped(DropReason::NoPermission);
    assert_eq!(host.peer(relay, addr(PEER), b"x"), refused);
    let icmp = {
        let id = host.relay(relay).expect("open");
        let output = host
            .server
            .handle_peer_error(host.now, id, addr(PEER), 3, 3, 0);
        Reaction::new(output, &[])
    };
    assert_eq!(icmp, refused);
    host.wait(secs(0));
    let freed = Event::Freed {
        path: client.path,
        user: "alice".into(),
        by: FreedBy::Expiry,
    };
    assert_eq!(host.events(), [freed]);
    assert_eq!(host.take_did(), [Did::Close(relay)]);
    host.assert_initial();
    let gone = Reaction::Dropped(DropReason::NoRelay);
    assert_eq!(host.peer(relay, addr(PEER), b"x"), gone);
}

#[test]
fn timers_come_a_bounded_number_at_a_time() {
    let mut host = Host::default();
    for port in 1..=100 {
        Client::new(&mut host, "alice", port).allocate(&mut host);
    }
    host.now += secs(600);
    host.server.handle_timeout(host.now);
    assert_eq!(host.server.allocations(), 36);
    assert!(
        host.server
            .poll_timeout()
            .is_some_and(|due| due <= host.now)
    );
    host.wait(secs(0));
    host.forget();
    host.assert_initial();
}

#[test]
fn t33_a_channel_outlives_the_lifetime_that_it_was_bound_in() {
    let mut host = Host::default();
    let mut client = Client::new(&mut host, "alice", 1);
    let relay = client.allocate(&mut host);
    host.wait(secs(400));
    assert_eq!(client.bind(&mut host, 0x4000, PEER), None);
    host.wait(secs(100));
    assert_eq!(client.refresh(&mut host, 1_000).error, None);
    host.wait(secs(150));
    client.channel_data(&mut host, 0x4000, b"x").into_peer();
    host.peer(relay, addr(PEER), b"x").channel_data();
}
