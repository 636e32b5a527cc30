//! What is encoded is read again, however it is cut or changed.

use proptest::prelude::*;

use super::*;

fn addresses() -> impl Strategy<Value = (Transport, Addresses)> {
    let transport = prop_oneof![Just(Transport::Stream), Just(Transport::Datagram)];
    let name = prop_oneof![Just(String::new()), "\0?[a-z/]{1,107}"].prop_map(String::into_bytes);
    let addresses = prop_oneof![
        any::<([u8; 4], [u8; 4], u16, u16)>().prop_map(|(a, b, p, q)| Addresses::Ip {
            source: (a, p).into(),
            destination: (b, q).into()
        }),
        any::<([u8; 16], [u8; 16], u16, u16)>().prop_map(|(a, b, p, q)| Addresses::Ip {
            source: (a, p).into(),
            destination: (b, q).into()
        }),
        (name.clone(), name).prop_map(|(source, destination)| Addresses::Unix {
            source,
            destination
        }),
    ];
    prop_oneof![
        1 => Just((Transport::Unspecified, Addresses::Unspecified)),
        4 => (transport, addresses),
    ]
}

fn tlvs() -> impl Strategy<Value = Vec<Tlv>> {
    let bytes = || prop::collection::vec(any::<u8>(), 0..40);
    let name = || prop::option::of("[ -~]{0,20}");
    let raw = |kind| (kind, bytes()).prop_map(|(kind, value)| RawTlv { kind, value });
    let ssl = (
        any::<(u8, u32)>(),
        (name(), prop::option::of(".{0,20}"), name(), name(), name()),
        prop::collection::vec(raw(0x26..=0xFFu8), 0..3),
    )
        .prop_map(
            |((client, verify), (version, cn, cipher, sig_alg, key_alg), others)| {
                Tlv::Ssl(Box::new(Ssl {
                    client,
                    verify,
                    version,
                    cn,
                    cipher,
                    sig_alg,
                    key_alg,
                    others,
                }))
            },
        );
    let tlv = prop_oneof![
        bytes().prop_map(Tlv::Alpn),
        ".{0,20}".prop_map(Tlv::Authority),
        bytes().prop_map(Tlv::UniqueId),
        "[ -~]{0,20}".prop_map(Tlv::Netns),
        raw(0x31..=0xFFu8).prop_map(Tlv::Raw),
        ssl,
    ];
    prop::collection::vec(tlv, 0..5)
}

/// All that is wrong with any cut of `bytes`, the whole of which is a header.
fn assert_cuts(bytes: &[u8]) {
    for cut in 0..bytes.len() {
        match parse(&bytes[..cut], MAX_BYTES) {
            Ok(Step::NeedMore { at_least }) => assert!((1..=bytes.len() - cut).contains(&at_least)),
            other => panic!("{cut} of {}: {other:?}", bytes.len()),
        }
    }
}

proptest! {
    #[test]
    fn what_is_sent_is_read((transport, addresses) in addresses(), tlvs in tlvs(), crc32c: bool) {
        let sent = Header { tlvs, ..header(transport, addresses) };
        let bytes = sent.encode_v2(&EncodeOptions { crc32c }).unwrap();
        prop_assert_eq!(&done(&bytes), &sent);
        assert_cuts(&bytes);
        let line = sent.encode_v1();
        let read = done(&line);
        if line.starts_with(b"PROXY TCP") {
            prop_assert_eq!(read.addresses, sent.addresses);
        } else {
            prop_assert_eq!(read.addresses, Addresses::Unspecified);
        }
        assert_cuts(&line);
    }

    #[test]
    fn mutations_are_answered(
        (transport, addresses) in addresses(),
        tlvs in tlvs(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let sent = Header { tlvs, ..header(transport, addresses) };
        for mut bytes in [sent.encode_v1(), sent.encode_v2(&EncodeOptions::default()).unwrap()] {
            for (at, byte) in &changes {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
            match parse(&bytes, MAX_BYTES) {
                Ok(Step::Done { consumed, .. }) => prop_assert!(consumed <= bytes.len()),
                Ok(Step::NeedMore { at_least }) => prop_assert!(at_least > 0),
                Ok(Step::NotProxy) => prop_assert!(!bytes.starts_with(b"PROXY") && !bytes.starts_with(V2)),
                Err(error) => prop_assert!(!error.label().is_empty()),
            }
        }
    }
}
