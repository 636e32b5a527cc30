//! Send and Data indications, and ICMP errors (RFC 8656 §11).

use wharf_stun::attribute::{Data, DontFragment, Icmp, XorPeerAddress};
use wharf_stun::{AttributeType, Class, Message, Method};
use wharf_turn::DropReason;

use crate::support::{Client, Host, PEER, PEER_2, PEER_6, Raw, Reaction, addr, secs};

fn permitted(host: &mut Host, peers: &[&str]) -> (Client, Vec<std::net::SocketAddr>) {
    let mut client = Client::new(host, "alice", 1);
    let answer = client.allocate_with(host, |w| w.push(&Raw::<0x8000>(&[2, 0, 0, 0])).map(drop));
    assert_eq!(client.permit(host, peers), None);
    host.forget();
    (client, answer.relayed())
}

#[test]
fn t50_an_indication_needs_both_attributes() {
    let mut host = Host::default();
    let (mut client, _) = permitted(&mut host, &[PEER]);
    let bad = Reaction::Dropped(DropReason::BadIndication);
    let peer = XorPeerAddress(addr(PEER));
    for missing in [0, 1, 2] {
        let bytes = client.message(Method::SEND, Class::Indication, |w| {
            match missing {
                0 => w.push(&peer)?,
                1 => w.push(&Data(b"x"))?,
                _ => w.push(&Raw::<0x0012>(&[0; 5]))?.push(&Data(b"x"))?,
            };
            Ok(())
        });
        assert_eq!(host.client(&client.path, &bytes), bad);
    }
    assert_eq!(
        client.send_to(&mut host, PEER, b"").into_peer(),
        (addr(PEER), vec![])
    );
    assert_eq!(
        client.send_to(&mut host, PEER, b"abcde").into_peer().1,
        b"abcde"
    );
    let most = vec![7; 65_000];
    assert_eq!(client.send_to(&mut host, PEER, &most).into_peer().1, most);
}

#[test]
fn t51_without_permission_nothing_is_sent() {
    let mut host = Host::default();
    let (mut client, _) = permitted(&mut host, &[PEER]);
    let refused = Reaction::Dropped(DropReason::NoPermission);
    assert_eq!(client.send_to(&mut host, PEER_2, b"x"), refused);
    assert_eq!(client.send_to(&mut host, PEER_6, b"x"), refused);
    let no_port = Reaction::Dropped(DropReason::PeerRefused);
    assert_eq!(client.send_to(&mut host, "11.0.0.1:0", b"x"), no_port);
}

#[test]
fn t52_dont_fragment_is_passed_on() {
    let mut host = Host::default();
    let (mut client, _) = permitted(&mut host, &[PEER, PEER_6]);
    for (peer, ask, expected) in [
        (PEER, true, true),
        (PEER, false, false),
        // RFC 8656 §14: there is no such bit in IPv6.
        (PEER_6, true, false),
    ] {
        let bytes = client.message(Method::SEND, Class::Indication, |w| {
            if ask {
                w.push(&DontFragment)?;
            }
            w.push(&XorPeerAddress(addr(peer)))?
                .push(&Data(b"x"))
                .map(drop)
        });
        let reaction = host.client(&client.path, &bytes);
        let Reaction::ToPeer { dont_fragment, .. } = reaction else {
            panic!("{reaction:?}");
        };
        assert_eq!(dont_fragment, expected);
    }
}

#[test]
fn t53_data_of_every_size() {
    let mut host = Host::default();
    let (client, relays) = permitted(&mut host, &[PEER, PEER_6]);
    let mut ids = std::collections::HashSet::new();
    for (relay, peer, most) in [(relays[0], PEER, 65_468), (relays[1], PEER_6, 65_456)] {
        for len in (0..=40).chain([1_199, 1_200, most - 1, most]) {
            let payload: Vec<_> = (0..len).map(|n| n as u8).collect();
            let reaction = host.peer(relay, addr(peer), &payload);
            let Reaction::ToClient { client: to, bytes } = reaction else {
                panic!("{len}: {reaction:?}");
            };
            assert_eq!(to, client.path.client);
            let message = Message::parse(&bytes).expect("a Data indication");
            assert_eq!(
                (message.class(), message.method()),
                (Class::Indication, Method::DATA)
            );
            assert_eq!(message.get(), Some(Ok(XorPeerAddress(addr(peer)))));
            assert_eq!(message.get(), Some(Ok(Data(&payload))));
            let types: Vec<_> = message.attributes().map(|(ty, _)| ty).collect();
            assert_eq!(
                types,
                [AttributeType::XOR_PEER_ADDRESS, AttributeType::DATA]
            );
            assert!(ids.insert(message.transaction_id()));
        }
        let too_large = Reaction::Dropped(DropReason::TooLarge);
        assert_eq!(host.peer(relay, addr(peer), &vec![0; most + 1]), too_large);
    }
}

#[test]
fn t54_indications_are_never_answered() {
    let mut host = Host::default();
    let (mut client, _) = permitted(&mut host, &[PEER]);
    let good = client.message(Method::SEND, Class::Indication, |w| {
        w.push(&XorPeerAddress(addr(PEER)))?
            .push(&Data(b"abc"))
            .map(drop)
    });
    for at in 0..good.len() {
        for bit in 0..8 {
            let mut bent = good.clone();
            bent[at] ^= 1 << bit;
            let reaction = host.client(&client.path, &bent);
            // Where the class says so it is an indication no longer.
            let answered = matches!(reaction, Reaction::Reply(_));
            assert!(!answered || at < 2, "{at} {bit}: {reaction:?}");
        }
    }
}

fn icmp(host: &mut Host, relay: std::net::SocketAddr, peer: &str, ty: u8, code: u8) -> Reaction {
    let id = host.relay(relay).expect("open");
    let output = host
        .server
        .handle_peer_error(host.now, id, addr(peer), ty, code, 1_280);
    Reaction::new(output, &[])
}

#[test]
fn t55_icmp_errors_are_told() {
    let mut host = Host::default();
    let (_, relays) = permitted(&mut host, &[PEER, PEER_6]);
    let mtu = 1_280_u32.to_be_bytes();
    for (relay, peer, ty, code, data) in [
        (relays[0], PEER, 3, 3, [0; 4]),
        (relays[0], PEER, 3, 4, mtu),
        (relays[0], "11.0.0.1:0", 11, 0, [0; 4]),
        (relays[1], PEER_6, 1, 4, [0; 4]),
        (relays[1], PEER_6, 2, 0, mtu),
        (relays[1], PEER_6, 3, 0, [0; 4]),
    ] {
        let bytes = icmp(&mut host, relay, peer, ty, code).into_client();
        let message = Message::parse(&bytes).expect("a Data indication");
        assert_eq!(message.get(), Some(Ok(XorPeerAddress(addr(peer)))));
        let expected = Icmp {
            icmp_type: ty,
            code,
            data,
        };
        assert_eq!(message.get(), Some(Ok(expected)));
        assert!(!message.has(AttributeType::DATA));
    }
    let ignored = Reaction::Dropped(DropReason::IcmpIgnored);
    for ty in (0..=255).filter(|ty| ![3, 11].contains(ty)) {
        assert_eq!(icmp(&mut host, relays[0], PEER, ty, 0), ignored);
    }
    for ty in (0..=255).filter(|ty| ![1, 2, 3].contains(ty)) {
        assert_eq!(icmp(&mut host, relays[1], PEER_6, ty, 0), ignored);
    }
    let refused = Reaction::Dropped(DropReason::NoPermission);
    assert_eq!(icmp(&mut host, relays[0], PEER_2, 3, 3), refused);
}

#[test]
fn t55_icmp_errors_have_a_rate() {
    let mut host = Host::default();
    let (_, relays) = permitted(&mut host, &[PEER]);
    let passed = |host: &mut Host| {
        (0..100)
            .filter(|_| matches!(icmp(host, relays[0], PEER, 3, 3), Reaction::ToClient { .. }))
            .count()
    };
    assert_eq!(passed(&mut host), 10);
    host.wait(secs(1));
    assert_eq!(passed(&mut host), 10);
}
