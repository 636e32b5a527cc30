//! STUN itself: what is answered, what is not (RFC 8489 §6, §7).

use wharf_stun::attribute::{
    Lifetime, RequestedTransport, Software, UnknownAttributes, XorMappedAddress,
};
use wharf_stun::{AttributeType, Class, Method};
use wharf_turn::DropReason;

use crate::support::{Client, Did, Host, Raw, Reaction, addr};

const BINDING: [u8; 20] = [
    0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12,
];

fn dropped(host: &mut Host, client: &Client, bytes: &[u8], why: DropReason) {
    assert_eq!(
        host.client(&client.path, bytes),
        Reaction::Dropped(why),
        "{bytes:02x?}"
    );
}

#[test]
fn s2_what_is_not_a_request_of_ours_is_dropped_in_silence() {
    let mut host = Host::default();
    let client = Client::new(&mut host, "alice", 1);
    let bent = |at: usize, byte: u8| {
        let mut bytes = BINDING;
        bytes[at] = byte;
        bytes
    };
    for first in [4, 19, 20, 63, 80, 128, 255] {
        dropped(
            &mut host,
            &client,
            &bent(0, first),
            DropReason::UnknownProtocol,
        );
    }
    dropped(&mut host, &client, &[], DropReason::UnknownProtocol);
    for (at, byte) in [(4, 0x20), (7, 0x43), (3, 1), (3, 4), (2, 1)] {
        dropped(&mut host, &client, &bent(at, byte), DropReason::Malformed);
    }
    dropped(&mut host, &client, &BINDING[..19], DropReason::Malformed);
    let mut longer = BINDING.to_vec();
    longer.extend([0; 4]);
    dropped(&mut host, &client, &longer, DropReason::Malformed);
    // Methods that are not here, and classes that these methods do not have.
    for (first, second) in [
        (0, 2),
        (0, 0x0a),
        (0, 6),
        (0, 0x13),
        (0, 7),
        (0, 0x17),
        (0, 0x80),
    ] {
        let mut bytes = bent(1, second);
        bytes[0] = first;
        dropped(&mut host, &client, &bytes, DropReason::UnsupportedMethod);
    }
    for (first, second) in [(1, 1), (1, 0x11), (1, 3), (1, 0x13), (1, 2)] {
        let mut bytes = bent(1, second);
        bytes[0] = first;
        dropped(&mut host, &client, &bytes, DropReason::UnexpectedResponse);
    }
    host.assert_initial();
}

#[test]
fn s3_binding_tells_the_source_and_nothing_else() {
    let mut host = Host::default();
    let mut client = Client::new(&mut host, "alice", 1);
    for source in ["198.51.100.7:4000", "[2a00::7]:4000"] {
        client.path.client = addr(source);
        let answer = host.client(&client.path, &BINDING).reply();
        assert_eq!((answer.path, answer.error), (client.path, None));
        assert_eq!(answer.types(), [AttributeType::XOR_MAPPED_ADDRESS]);
        assert_eq!(answer.get(), Some(XorMappedAddress(addr(source))));
        assert_eq!(answer.bytes[4..20], BINDING[4..]);
        assert_eq!(
            answer.bytes.len(),
            if source.starts_with('[') { 44 } else { 32 }
        );
    }
    host.assert_initial();
}

#[test]
fn s4_a_binding_indication_is_a_keep_alive() {
    let mut host = Host::default();
    let client = Client::new(&mut host, "alice", 1);
    let mut bytes = BINDING;
    bytes[1] = 0x11;
    dropped(&mut host, &client, &bytes, DropReason::KeepAlive);
}

#[test]
fn s5_unknown_attributes_are_listed_after_authentication() {
    let mut host = Host::default();
    let mut client = Client::new(&mut host, "alice", 1);
    let listed = [
        AttributeType(0x7001),
        AttributeType(0x0003),
        AttributeType(0x7002),
    ];

    let binding = client.message(Method::BINDING, Class::Request, |w| {
        w.push(&Raw::<0x7001>(&[1]))?
            .push(&Raw::<0x8777>(&[1]))?
            .push(&Raw::<0x0003>(&[0; 4]))?
            .push(&Raw::<0x7001>(&[2]))?
            .push(&Raw::<0x7002>(&[]))
            .map(drop)
    });
    let answer = host.client(&client.path, &binding).reply();
    assert_eq!(answer.error, Some(420));
    assert_eq!(answer.get(), Some(UnknownAttributes::new(&listed)));

    // Without credentials the answer is a 401, with them a 420; optional ones are ignored.
    let unproven = client.message(Method::ALLOCATE, Class::Request, |w| {
        w.push(&RequestedTransport::UDP)?
            .push(&Raw::<0x7001>(&[1]))
            .map(drop)
    });
    assert_eq!(
        host.client(&client.path, &unproven).reply().error,
        Some(401)
    );
    let answer = client.allocate_with(&mut host, |w| w.push(&Raw::<0x7001>(&[1])).map(drop));
    assert_eq!(answer.error, Some(420));
    assert_eq!(answer.get(), Some(UnknownAttributes::new(&listed[..1])));
    let answer = client.allocate_with(&mut host, |w| w.push(&Raw::<0x8777>(&[1])).map(drop));
    assert_eq!(answer.error, None);

    let indication = client.message(Method::SEND, Class::Indication, |w| {
        w.push(&Raw::<0x7001>(&[1])).map(drop)
    });
    dropped(
        &mut host,
        &client,
        &indication,
        DropReason::UnknownAttribute,
    );
    host.forget();
}

#[test]
fn s6_the_first_of_two_attributes_counts() {
    let mut host = Host::default();
    let mut client = Client::new(&mut host, "alice", 1);
    let answer = client.allocate_with(&mut host, |w| {
        w.push(&Lifetime(1_000))?.push(&Lifetime(2_000)).map(drop)
    });
    assert_eq!(answer.get(), Some(Lifetime(1_000)));
    host.forget();
}

#[test]
fn s7_what_follows_the_integrity_does_not_count() {
    let mut host = Host::default();
    let mut client = Client::new(&mut host, "alice", 1);
    client.allocate(&mut host);
    // coturn 4.15: a LIFETIME of 0 behind the integrity ended the allocation.
    let mut request = client.request(Method::REFRESH, |_| Ok(()));
    request.extend([0, 0x0d, 0, 4, 0, 0, 0, 0]);
    let len = (request.len() - 20) as u16;
    request[2..4].copy_from_slice(&len.to_be_bytes());
    let answer = client.send(&mut host, &request);
    assert_eq!((answer.error, answer.get()), (None, Some(Lifetime(600))));

    // FINGERPRINT may follow; it is checked, and the reply has one too.
    let me = client.clone();
    let mut request = client.message(Method::REFRESH, Class::Request, |w| {
        me.sign(w)?;
        w.fingerprint().map(drop)
    });
    let answer = client.send(&mut host, &request);
    assert_eq!(answer.error, None);
    assert_eq!(answer.types().last(), Some(&AttributeType::FINGERPRINT));
    let last = request.len() - 1;
    request[last] ^= 1;
    dropped(&mut host, &client, &request, DropReason::BadFingerprint);
    assert_eq!(host.server.allocations(), 1);
}

#[test]
fn s10_every_truncation_and_every_length_is_harmless() {
    let mut host = Host::default();
    let mut client = Client::new(&mut host, "alice", 1);
    let request = client.request(Method::ALLOCATE, |w| {
        w.push(&RequestedTransport::UDP)?
            .push(&Software("s"))
            .map(drop)
    });
    for end in 0..request.len() {
        let reaction = host.client(&client.path, &request[..end]);
        assert!(
            matches!(reaction, Reaction::Dropped(_)),
            "{end}: {reaction:?}"
        );
        // The same with a header that tells the truth about it.
        let mut short = request[..end].to_vec();
        if end >= 20 {
            short[2..4].copy_from_slice(&((end - 20) as u16).to_be_bytes());
            host.client(&client.path, &short);
        }
    }
    for value in 0..=u16::MAX {
        let mut bent = request.clone();
        bent[22..24].copy_from_slice(&value.to_be_bytes());
        match host.client(&client.path, &bent) {
            Reaction::Reply(answer) => assert!(answer.error.is_some() || value == 4),
            other => assert!(matches!(other, Reaction::Dropped(_)), "{value}: {other:?}"),
        }
    }
    host.forget();
}

#[test]
fn s11_names_and_realms_have_limits() {
    let mut host = Host::default();
    let mut client = Client::new(&mut host, "alice", 1);
    client.name = "u".repeat(513);
    let answer = client.allocate_with(&mut host, |_| Ok(()));
    assert_eq!(
        answer.error,
        Some(401),
        "unknown, but of a length that is accepted"
    );
    let event = host.events.pop().expect("an event");
    let wharf_turn::Event::AuthenticationFailed { user, .. } = event else {
        panic!("{event:?}");
    };
    assert_eq!(user.map(|name| name.len()), Some(128), "cut in events");
    host.forget();

    client.name = "u".repeat(764);
    let request = client.request(Method::ALLOCATE, |w| {
        w.push(&RequestedTransport::UDP).map(drop)
    });
    assert_eq!(host.client(&client.path, &request).reply().error, Some(400));
    client.name = "alice".into();
    client.realm = "r".repeat(764);
    let request = client.request(Method::ALLOCATE, |w| {
        w.push(&RequestedTransport::UDP).map(drop)
    });
    assert_eq!(host.client(&client.path, &request).reply().error, Some(400));
    assert_eq!(host.take_did(), [], "nobody was looked up");
}

#[test]
fn s13_without_the_cookie_there_is_silence_over_udp() {
    let mut host = Host::default();
    let client = Client::new(&mut host, "alice", 1);
    let mut classic = BINDING;
    classic[4..8].copy_from_slice(&[9; 4]);
    dropped(&mut host, &client, &classic, DropReason::Malformed);
}

#[test]
fn s15_a_retransmission_gets_an_equivalent_answer() {
    let mut host = Host::default();
    let mut client = Client::new(&mut host, "alice", 1);
    let first = host.client(&client.path, &BINDING);
    assert_eq!(host.client(&client.path, &BINDING), first);

    client.allocate(&mut host);
    for (method, number) in [(Method::REFRESH, false), (Method::CHANNEL_BIND, true)] {
        let peer = wharf_stun::attribute::XorPeerAddress(addr(crate::support::PEER));
        let request = client.request(method, |w| {
            if number {
                w.push(&wharf_stun::attribute::ChannelNumber(0x4000))?
                    .push(&peer)?;
            }
            Ok(())
        });
        let first = client.send(&mut host, &request);
        assert_eq!(first.error, None);
        assert_eq!(client.send(&mut host, &request), first);
    }
    assert_eq!(host.take_did(), [] as [Did; 0]);
}
