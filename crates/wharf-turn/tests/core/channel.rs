//! Channels (RFC 8656 §12).

use wharf_stun::Method;
use wharf_stun::attribute::{ChannelNumber, XorPeerAddress};
use wharf_turn::{Config, DropReason};

use crate::support::{Client, Host, PEER, PEER_2, PEER_6, Raw, Reaction, addr, config, secs};

const UNBOUND: Reaction = Reaction::Dropped(DropReason::UnboundChannel);

fn client(host: &mut Host) -> (Client, std::net::SocketAddr) {
    let mut client = Client::new(host, "alice", 1);
    let relay = client.allocate(host);
    (client, relay)
}

#[test]
fn t60_numbers_and_peers_are_bound_to_each_other() {
    let mut host = Host::default();
    let (mut client, _) = client(&mut host);
    let mut ask = |number: Option<&[u8]>, peer: Option<&str>| {
        let answer = client.ask(&mut host, Method::CHANNEL_BIND, |w| {
            if let Some(number) = number {
                w.push(&Raw::<0x000c>(number))?;
            }
            if let Some(peer) = peer {
                w.push(&XorPeerAddress(addr(peer)))?;
            }
            Ok(())
        });
        answer.error
    };
    assert_eq!(ask(None, Some(PEER)), Some(400));
    assert_eq!(ask(Some(&[0x40, 0, 0, 0]), None), Some(400));
    assert_eq!(ask(Some(&[0x40, 0]), Some(PEER)), Some(400));
    for outside in [0, 0x3FFF, 0x5000, 0x7FFE, 0x7FFF, 0xFFFF_u16] {
        let [a, b] = outside.to_be_bytes();
        assert_eq!(ask(Some(&[a, b, 0, 0]), Some(PEER)), Some(400));
    }
    assert_eq!(client.bind(&mut host, 0x4000, PEER), None);
    assert_eq!(client.bind(&mut host, 0x4FFF, PEER_2), None);
    assert_eq!(client.bind(&mut host, 0x4000, PEER_2), Some(400));
    assert_eq!(client.bind(&mut host, 0x4000, "11.0.0.3:1"), Some(400));
    assert_eq!(client.bind(&mut host, 0x4001, PEER), Some(400));
    assert_eq!(
        client.bind(&mut host, 0x4001, "11.0.0.1:4001"),
        None,
        "another port"
    );
    assert_eq!((host.server.channels(), host.server.permissions()), (3, 2));
}

#[test]
pub(crate) fn t60_numbers_of_rfc_5766() {
    let mut host = Host::new(Config {
        rfc5766_channels: true,
        ..config()
    });
    let (mut client, relay) = client(&mut host);
    assert_eq!(client.bind(&mut host, 0x7FFF, PEER), Some(400));
    assert_eq!(client.bind(&mut host, 0x7FFE, PEER), None);
    assert_eq!(
        client.channel_data(&mut host, 0x7FFE, b"x").into_peer().0,
        addr(PEER)
    );
    let back = host.peer(relay, addr(PEER), b"y").into_client();
    assert_eq!(back, b"\x7f\xfe\0\x01y");
}

#[test]
fn t61_binding_again_prolongs_both() {
    let mut host = Host::default();
    let (mut client, _) = client(&mut host);
    assert_eq!(client.refresh(&mut host, 3_600).error, None);
    for _ in 0..5 {
        assert_eq!(client.bind(&mut host, 0x4000, PEER), None);
        host.wait(secs(299));
        client.channel_data(&mut host, 0x4000, b"x").into_peer();
    }
    host.wait(secs(1));
    let lapsed = Reaction::Dropped(DropReason::NoPermission);
    assert_eq!(client.channel_data(&mut host, 0x4000, b"x"), lapsed);
    assert_eq!((host.server.channels(), host.server.permissions()), (1, 0));
}

#[test]
pub(crate) fn t62_family_policy_and_capacity() {
    let mut host = Host::new(Config {
        max_channels: 2,
        ..config()
    });
    let (mut client, _) = client(&mut host);
    assert_eq!(client.bind(&mut host, 0x4000, PEER_6), Some(443));
    assert_eq!(client.bind(&mut host, 0x4000, "127.0.0.1:1"), Some(403));
    assert_eq!(
        client.bind(&mut host, 0x4000, "11.0.0.1:0"),
        Some(403),
        "no destination"
    );
    assert_eq!(host.events().len(), 2);
    assert_eq!(client.bind(&mut host, 0x4000, PEER), None);
    assert_eq!(client.bind(&mut host, 0x4001, PEER_2), None);
    assert_eq!(client.bind(&mut host, 0x4002, "11.0.0.3:1"), Some(508));
    assert_eq!(
        client.bind(&mut host, 0x4001, PEER_2),
        None,
        "takes no room"
    );
    assert_eq!((host.server.channels(), host.server.permissions()), (2, 2));
}

#[test]
fn x7_the_default_cap_is_the_range_of_numbers() {
    let mut host = Host::new(Config {
        max_permissions: 5_000,
        rfc5766_channels: true,
        ..config()
    });
    let (mut client, _) = client(&mut host);
    for number in 0..4_096 {
        let peer = format!("11.0.{}.{}:1", number >> 8, number & 0xFF);
        assert_eq!(client.bind(&mut host, 0x4000 + number, &peer), None);
    }
    assert_eq!(client.bind(&mut host, 0x5000, "11.1.0.0:1"), Some(508));
}

#[test]
fn t63_after_expiry_number_and_peer_are_free() {
    let mut host = Host::default();
    let (mut client, _) = client(&mut host);
    assert_eq!(client.refresh(&mut host, 3_600).error, None);
    assert_eq!(client.bind(&mut host, 0x4000, PEER), None);
    assert_eq!(client.bind(&mut host, 0x4001, PEER_2), None);
    host.wait(secs(599));
    assert_eq!(client.bind(&mut host, 0x4000, PEER_2), Some(400));
    // Although the timer is late.
    host.now += secs(1);
    assert_eq!(client.bind(&mut host, 0x4000, PEER_2), None);
    assert_eq!(client.bind(&mut host, 0x4001, PEER), None);
    assert_eq!(
        client.channel_data(&mut host, 0x4000, b"x").into_peer().0,
        addr(PEER_2)
    );
}

#[test]
fn t64_a_channel_ends_and_the_permission_goes_on() {
    let mut host = Host::default();
    let (mut client, relay) = client(&mut host);
    assert_eq!(client.refresh(&mut host, 3_600).error, None);
    assert_eq!(client.bind(&mut host, 0x4000, PEER), None);
    host.wait(secs(500));
    let lapsed = Reaction::Dropped(DropReason::NoPermission);
    // The permission has lapsed while the channel lives: nothing passes in either direction.
    assert_eq!(host.peer(relay, addr(PEER), b"x"), lapsed);
    assert_eq!(client.channel_data(&mut host, 0x4000, b"x"), lapsed);
    // CreatePermission revives it.
    assert_eq!(client.permit(&mut host, &[PEER]), None);
    host.wait(secs(99));
    assert_eq!(
        host.peer(relay, addr(PEER), b"x").channel_data(),
        (0x4000, b"x".to_vec())
    );
    host.now += secs(1);
    let indication = host.peer(relay, addr(PEER), b"x").into_client();
    assert_eq!(indication[..2], [0, 0x17]);
    assert_eq!(client.channel_data(&mut host, 0x4000, b"x"), UNBOUND);
    host.wait(secs(0));
    assert_eq!((host.server.channels(), host.server.permissions()), (0, 1));
}

#[test]
fn t65_t69_channel_data_that_is_none() {
    let mut host = Host::default();
    let (mut client, _) = client(&mut host);
    assert_eq!(client.bind(&mut host, 0x4000, PEER), None);
    assert_eq!(client.channel_data(&mut host, 0x4001, b"x"), UNBOUND);
    let mut ask = |bytes: &[u8]| host.client(&client.path, bytes);
    let short = Reaction::Dropped(DropReason::BadChannelData);
    for bytes in [
        &b"\x40"[..],
        b"\x40\0\0",
        b"\x40\0\0\x01",
        b"\x40\0\0\x03xy",
        b"\x40\0\xff\xffx",
    ] {
        assert_eq!(ask(bytes), short);
    }
    assert_eq!(
        ask(b"\x40\0\0\x01x\0\0\0").into_peer().1,
        b"x",
        "a surplus is ignored"
    );
    assert_eq!(ask(b"\x40\0\0\0").into_peer(), (addr(PEER), vec![]));
    let unknown = Reaction::Dropped(DropReason::UnknownProtocol);
    for first in 0x50..=0xFF {
        assert_eq!(ask(&[first, 0, 0, 1, 9]), unknown);
    }
    // Traffic does not prolong.
    assert_eq!(client.refresh(&mut host, 3_600).error, None);
    for _ in 0..2 {
        host.wait(secs(299));
        assert_eq!(client.permit(&mut host, &[PEER]), None);
        client.channel_data(&mut host, 0x4000, b"x").into_peer();
    }
    host.wait(secs(2));
    assert_eq!(client.channel_data(&mut host, 0x4000, b"x"), UNBOUND);
}

#[test]
fn t66_a_bound_peer_is_heard_on_its_channel() {
    let mut host = Host::default();
    let (mut client, relay) = client(&mut host);
    assert_eq!(client.bind(&mut host, 0x4abc, PEER), None);
    assert_eq!(
        host.peer(relay, addr(PEER), b"abc").channel_data(),
        (0x4abc, b"abc".to_vec())
    );
    let other_port = host
        .peer(relay, addr("11.0.0.1:4001"), b"abc")
        .into_client();
    assert_eq!(other_port[..2], [0, 0x17]);
    // Another client's channel of the same number is another one.
    let mut other = Client::new(&mut host, "alice", 2);
    other.allocate(&mut host);
    assert_eq!(other.channel_data(&mut host, 0x4abc, b"x"), UNBOUND);
    assert_eq!(other.bind(&mut host, 0x4abc, PEER_2), None);
    assert_eq!(
        other.channel_data(&mut host, 0x4abc, b"x").into_peer().0,
        addr(PEER_2)
    );
    assert_eq!(
        client.channel_data(&mut host, 0x4abc, b"x").into_peer().0,
        addr(PEER)
    );
}

#[test]
fn t67_payloads_of_every_small_length() {
    let mut host = Host::default();
    let (mut client, relay) = client(&mut host);
    assert_eq!(client.bind(&mut host, 0x4000, PEER), None);
    for len in 0..=9 {
        let payload = &b"123456789"[..len];
        let sent = client.channel_data(&mut host, 0x4000, payload).into_peer();
        assert_eq!(sent, (addr(PEER), payload.to_vec()));
        let mut padded = vec![0x40, 0, 0, len as u8];
        padded.extend_from_slice(payload);
        padded.resize(padded.len().next_multiple_of(4), 0xEE);
        let sent = host.client(&client.path, &padded).into_peer();
        assert_eq!(sent.1, payload);
        let back = host.peer(relay, addr(PEER), payload);
        assert_eq!(back.channel_data(), (0x4000, payload.to_vec()));
    }
    let most = vec![7; 65_503];
    assert_eq!(host.peer(relay, addr(PEER), &most).channel_data().1, most);
    let too_large = Reaction::Dropped(DropReason::TooLarge);
    assert_eq!(host.peer(relay, addr(PEER), &vec![7; 65_504]), too_large);
}

#[test]
fn t68_the_first_byte_decides() {
    let mut host = Host::default();
    let (mut client, _) = client(&mut host);
    assert_eq!(client.bind(&mut host, ChannelNumber(0x4F00).0, PEER), None);
    for first in 0..=255 {
        let reaction = host.client(&client.path, &[first, 0, 0, 0]);
        let why = match first {
            0x4F => {
                assert_eq!(reaction.into_peer().0, addr(PEER));
                continue;
            }
            0..=3 => DropReason::Malformed,
            64..=79 => DropReason::UnboundChannel,
            _ => DropReason::UnknownProtocol,
        };
        assert_eq!(reaction, Reaction::Dropped(why));
    }
}
