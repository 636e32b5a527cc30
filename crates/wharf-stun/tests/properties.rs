//! What holds for any bytes and any values.

use std::net::{IpAddr, SocketAddr};

use proptest::collection::vec;
use proptest::prelude::*;
use wharf_stun::attribute::*;
use wharf_stun::{
    Attribute, AttributeType, ChannelData, Class, Fingerprint, Frame, Framer, Message, MessageType,
    Method, Sha1Key, Sha256Key, Step, TransactionId, Writer, security_features::SecurityFeatures,
};

/// Something that begins as a message does, with types that mean something.
fn nearly_a_message() -> impl Strategy<Value = Vec<u8>> {
    let ty = prop_oneof![0u16..0x30, 0x8000u16..0x8032, any::<u16>()];
    let attribute = (
        ty,
        vec(any::<u8>(), 0..40),
        prop::option::weighted(0.1, any::<u16>()),
    );
    (any::<[u8; 12]>(), vec(attribute, 0..12)).prop_map(|(id, attributes)| {
        let mut bytes = [&[0, 3, 0, 0, 0x21, 0x12, 0xa4, 0x42], &id[..]].concat();
        for (ty, value, stated) in attributes {
            bytes.extend(ty.to_be_bytes());
            bytes.extend(stated.unwrap_or(value.len() as u16).to_be_bytes());
            bytes.extend(value);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
        }
        let body = (bytes.len() - 20) as u16;
        bytes[2..4].copy_from_slice(&body.to_be_bytes());
        bytes
    })
}

/// Decodes every occurrence of `A`; what decodes is written and decodes to the same again.
fn check<'a, A: Attribute<'a>>(message: &Message<'a>) {
    let id = message.transaction_id();
    for attribute in message.all::<A>().flatten() {
        let mut once = vec![0xaa; attribute.value_len()];
        attribute.encode(&mut once, &id);
        let again = A::decode(once.clone().leak(), &id).expect("what was written is legal");
        let mut twice = vec![0x55; again.value_len()];
        again.encode(&mut twice, &id);
        assert_eq!(once, twice);
    }
    let first = message.all::<A>().next().map(|first| first.is_ok());
    assert_eq!(message.get::<A>().map(|first| first.is_ok()), first);
    assert_eq!(message.has(A::TYPE), first.is_some());
}

fn check_all(message: &Message<'_>) {
    check::<AccessToken<'_>>(message);
    check::<AdditionalAddressFamily>(message);
    check::<AddressErrorCode<'_>>(message);
    check::<AlternateDomain<'_>>(message);
    check::<AlternateServer>(message);
    check::<ChangeRequest>(message);
    check::<ChannelNumber>(message);
    check::<ConnectionId>(message);
    check::<Data<'_>>(message);
    check::<DontFragment>(message);
    check::<ErrorCode<'_>>(message);
    check::<EvenPort>(message);
    check::<Icmp>(message);
    check::<Lifetime>(message);
    check::<MappedAddress>(message);
    check::<MobilityTicket<'_>>(message);
    check::<Nonce<'_>>(message);
    check::<OtherAddress>(message);
    check::<Padding<'_>>(message);
    check::<PasswordAlgorithm<'_>>(message);
    check::<PasswordAlgorithms<'_>>(message);
    check::<Realm<'_>>(message);
    check::<RequestedAddressFamily>(message);
    check::<RequestedTransport>(message);
    check::<ReservationToken>(message);
    check::<ResponseOrigin>(message);
    check::<ResponsePort>(message);
    check::<Software<'_>>(message);
    check::<ThirdPartyAuthorization<'_>>(message);
    check::<UnknownAttributes<'_>>(message);
    check::<UserHash>(message);
    check::<Username<'_>>(message);
    check::<XorMappedAddress>(message);
    check::<XorPeerAddress>(message);
    check::<XorRelayedAddress>(message);
}

fn message_type() -> impl Strategy<Value = MessageType> {
    (0u16..0x4000).prop_map(|bits| MessageType::from_bits(bits).expect("14 bits"))
}

fn address() -> impl Strategy<Value = SocketAddr> {
    any::<(IpAddr, u16)>().prop_map(SocketAddr::from)
}

/// The frames of a stream that arrives in pieces.
fn frames<'a>(max: usize, pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<Vec<u8>>, bool, usize) {
    let framer = Framer::new(max);
    let (mut buffer, mut found) = (Vec::new(), Vec::new());
    for piece in pieces {
        buffer.extend_from_slice(piece);
        loop {
            match framer.step(&buffer) {
                Ok(Step::Need(need)) => {
                    assert!(need > 0 && buffer.len() + need <= max.max(4));
                    break;
                }
                Ok(Step::Frame { frame, consumed }) => {
                    found.push(match frame {
                        Frame::Stun(bytes) => bytes.to_vec(),
                        Frame::ChannelData(ChannelData { number, data }) => {
                            [&number.to_be_bytes(), data].concat()
                        }
                    });
                    buffer.drain(..consumed);
                }
                Err(error) => {
                    assert_eq!(framer.step(&buffer), Err(error));
                    return (found, true, 0);
                }
            }
        }
    }
    (found, false, buffer.len())
}

fn frame() -> impl Strategy<Value = Vec<u8>> {
    let channel_data = (0x4000u16..0x5000, vec(any::<u8>(), 0..50)).prop_map(|(number, data)| {
        let mut bytes = ChannelData::header(number, data.len() as u16).to_vec();
        bytes.extend(data);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    });
    let garbage = vec(any::<u8>(), 1..8);
    prop_oneof![8 => channel_data, 8 => nearly_a_message(), 1 => garbage]
}

proptest! {
    #[test]
    fn s10_parse_takes_any_bytes(bytes in vec(any::<u8>(), 0..200)) {
        if let Ok(message) = Message::parse(&bytes) {
            check_all(&message);
        }
        let _ = (ChannelData::parse_datagram(&bytes), SecurityFeatures::decode(&bytes));
    }

    #[test]
    fn s10_attributes_take_any_bytes(bytes in nearly_a_message(), key in vec(any::<u8>(), 0..80)) {
        if let Ok(message) = Message::parse(&bytes) {
            check_all(&message);
            prop_assert!(!message.verify_sha1(&Sha1Key::new(&key)));
            prop_assert!(!message.verify_sha256_truncated(&Sha256Key::new(&key)));
            let counted = message.attributes().map(|(_, value)| 4 + value.len()).sum::<usize>();
            prop_assert!(20 + counted <= bytes.len());
            let required = message.unknown_required(&[]).count();
            prop_assert!(required <= message.attributes().count());
        }
    }

    #[test]
    fn what_is_written_is_read(
        ty in message_type(),
        id in any::<[u8; 12]>(),
        user in "\\PC{0,100}",
        data in vec(any::<u8>(), 0..300),
        peers in vec(address(), 0..5),
        code in 300u16..700,
        key in vec(any::<u8>(), 0..100),
    ) {
        let id = TransactionId(id);
        let (sha1, sha256) = (Sha1Key::new(&key), Sha256Key::new(&key));
        let mut buffer = vec![0xaa; 2000];
        let mut writer = Writer::new(&mut buffer, ty, id).expect("room");
        writer.push(&Username(&user)).expect("room").push(&Data(&data)).expect("room");
        for &peer in &peers {
            writer.push(&XorPeerAddress(peer)).expect("room");
        }
        let error = ErrorCode { code, reason: &user };
        writer.push(&error).expect("room");
        writer.integrity_sha1(&sha1).expect("room").integrity_sha256(&sha256).expect("room");
        writer.fingerprint().expect("room");
        let bytes = writer.finish();

        let message = Message::parse(bytes).expect("a message");
        prop_assert_eq!(message.message_type(), ty);
        prop_assert_eq!(message.transaction_id(), id);
        prop_assert_eq!(message.get(), Some(Ok(Username(&user))));
        prop_assert_eq!(message.get(), Some(Ok(Data(&data))));
        prop_assert_eq!(message.get(), Some(Ok(error)));
        let read: Vec<_> = message.all::<XorPeerAddress>().map(|peer| peer.unwrap().0).collect();
        prop_assert_eq!(read, peers);
        prop_assert!(message.verify_sha1(&sha1) && message.verify_sha256(&sha256));
        prop_assert_eq!(message.fingerprint(), Fingerprint::Valid);
    }

    #[test]
    fn s14_frames_do_not_depend_on_the_pieces(
        stream in vec(frame(), 0..8),
        max in 20usize..600,
        cuts in vec(any::<prop::sample::Index>(), 0..20),
    ) {
        let stream = stream.concat();
        let whole = frames(max, std::iter::once(&stream[..]));
        prop_assert_eq!(&frames(max, stream.chunks(1)), &whole);
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
        cuts.extend([0, stream.len()]);
        cuts.sort_unstable();
        let pieces = cuts.windows(2).map(|cut| &stream[cut[0]..cut[1]]);
        prop_assert_eq!(&frames(max, pieces), &whole);
    }
}

#[test]
fn the_properties_reach_messages_and_errors() {
    let good = [
        0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12,
    ];
    let message = Message::parse(&good).expect("a message");
    assert_eq!(
        (message.method(), message.class()),
        (Method::BINDING, Class::Request)
    );
    assert!(!message.has(AttributeType::USERNAME));
    let stream = [&good[..], &[0xff]].concat();
    assert_eq!(frames(20, stream.chunks(3)), (vec![good.to_vec()], true, 0));
}
