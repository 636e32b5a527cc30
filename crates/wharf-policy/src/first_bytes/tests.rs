use proptest::prelude::*;

use super::*;

const STREAMS: [Protocol; 4] = [Protocol::Tls, Protocol::Http, Protocol::Sip, Protocol::Stun];

fn all() -> Protocols {
    Protocol::ALL.into_iter().collect()
}

/// What begins each protocol on a stream, no byte more than it takes.
const BEGINNINGS: [(&[u8], Protocol); 18] = [
    (b"\x16\x03\x01\x02\x00\x01", Protocol::Tls),
    (b"\x16\x03\x03\x00\xf4\x01", Protocol::Tls),
    (b"GET /", Protocol::Http),
    (b"POST http:", Protocol::Http),
    (b"GET HTTPS:", Protocol::Http),
    (b"OPTIONS *", Protocol::Http),
    (b"CONNECT ", Protocol::Http),
    (b"PRI *", Protocol::Http),
    (b"INVITE sip:", Protocol::Sip),
    (b"REGISTER SIPS:", Protocol::Sip),
    (b"INVITE tel:", Protocol::Sip),
    (b"INVITE urn:", Protocol::Sip),
    (b"SIP/2.0 ", Protocol::Sip),
    (b"\r\n\r\n", Protocol::Sip),
    (b"\r\nACK sip:", Protocol::Sip),
    (b"\r\nSIP/2.0 ", Protocol::Sip),
    (b"\x00\x01\x00\x08\x21\x12\xa4\x42", Protocol::Stun),
    (b"\x0d\x0a\x00\x00\x21\x12\xa4\x42", Protocol::Stun),
];

#[test]
fn a_stream_is_known_as_soon_as_it_can_be() {
    for (bytes, protocol) in BEGINNINGS {
        assert_eq!(of_stream(bytes, all()), Guess::Is(protocol), "{bytes:?}");
        let shorter = &bytes[..bytes.len() - 1];
        assert_eq!(of_stream(shorter, all()), Guess::Undecided, "{shorter:?}");
        let others = all().without(protocol);
        assert_eq!(of_stream(bytes, others), Guess::Other, "{bytes:?}");
    }
}

#[test]
fn what_is_nobodys_is_known_at_once() {
    for bytes in [
        &b"\x80"[..],
        b"@",
        b"\x7f",
        b"\x16\x03\x05\x01",
        b"\x16\x03\x01\x02\x00\x02",
        b"\x00\x01\x00\x03",
        b"\x00\x01\x00\x04\x21\x13",
        b"EHLO m",
        b"SSH-2.0-client_1\r",
        b"INVITE m",
        b"HTTP/",
        b"\r\r\n\n",
        b"\r\nGET /",
        b"A_METHOD_OF_THIRTY_THREE_LETTERS_",
    ] {
        assert_eq!(of_stream(bytes, all()), Guess::Other, "{bytes:?}");
        let shorter = &bytes[..bytes.len() - 1];
        assert_eq!(of_stream(shorter, all()), Guess::Undecided, "{shorter:?}");
    }
    let stun = Protocols::from_iter([Protocol::Stun]);
    assert_eq!(of_stream(b"G", stun), Guess::Other, "nobody waits for HTTP");
    assert_eq!(of_stream(b"", Protocols::default()), Guess::Other);
}

#[test]
fn a_datagram_is_known_by_its_first_byte_unless_it_is_text() {
    let table: [(&[u8], Option<Protocol>); 17] = [
        (b"", None),
        (b"\x00", Some(Protocol::Stun)),
        (b"\x03\x00", Some(Protocol::Stun)),
        (b"\x04", None),
        (b"\x10", None),
        (b"\x14\xfe\xfd", Some(Protocol::Dtls)),
        (b"\x16\xfe\xff", Some(Protocol::Dtls)),
        (b"\x3f", Some(Protocol::Dtls)),
        (b"\x40\x00\x00\x02hi", Some(Protocol::Stun)),
        (b"\x40\x00\x00\x03hi", None),
        (b"\x40\x00\x00", None),
        (b"\x80\x60", None),
        // Letters of ChannelData's first byte, and others.
        (b"MESSAGE sip:a@b SIP/2.0\r\n", Some(Protocol::Sip)),
        (b"SIP/2.0 200 OK\r\n", Some(Protocol::Sip)),
        (b"\r\n\r\n", Some(Protocol::Sip)),
        (b"\r\n", Some(Protocol::Sip)),
        (b"HELLO", None),
    ];
    for (datagram, protocol) in table {
        assert_eq!(of_datagram(datagram, all()), protocol, "{datagram:?}");
        if let Some(protocol) = protocol {
            let others = all().without(protocol);
            assert_eq!(of_datagram(datagram, others), None, "{datagram:?}");
        }
    }
}

#[test]
fn labels_and_numbers_are_distinct() {
    for (place, protocol) in Protocol::ALL.into_iter().enumerate() {
        assert_eq!(protocol as usize, place);
        let same = |other: &&Protocol| other.label() == protocol.label();
        assert_eq!(Protocol::ALL.iter().filter(same).count(), 1);
    }
}

/// Bytes that begin like a protocol and go wrong somewhere, or nowhere.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let begin = prop::sample::select(BEGINNINGS.to_vec());
    let tail = prop::collection::vec(
        prop_oneof![any::<u8>(), prop::sample::select(b" \r\n/*:AZsip".to_vec())],
        0..64,
    );
    (begin, 0..20_usize, tail).prop_map(|((begin, _), kept, tail)| {
        let mut bytes = begin[..kept.min(begin.len())].to_vec();
        bytes.extend(tail);
        bytes
    })
}

proptest! {
    /// However the bytes are cut, the first decision is the one on all of them; and it is there in
    /// time.
    #[test]
    fn any_split_decides_the_same(bytes in bytes(), set in any::<u8>()) {
        let wanted: Protocols = Protocol::ALL
            .into_iter()
            .filter(|protocol| set & bit(*protocol) != 0)
            .collect();
        let whole = of_stream(&bytes, wanted);
        for cut in 0..=bytes.len() {
            let guess = of_stream(&bytes[..cut], wanted);
            prop_assert!(guess == whole || guess == Guess::Undecided, "{cut}: {guess:?}");
        }
        if bytes.len() >= LONGEST {
            prop_assert_ne!(whole, Guess::Undecided);
        }
    }

    /// No bytes are those of two protocols.
    #[test]
    fn at_most_one_protocol_says_yes(bytes in bytes()) {
        let yes = |protocol: &&Protocol| {
            let alone = Protocols::from_iter([**protocol]);
            of_stream(&bytes, alone) == Guess::Is(**protocol)
        };
        prop_assert!(STREAMS.iter().filter(yes).count() <= 1);
    }
}
