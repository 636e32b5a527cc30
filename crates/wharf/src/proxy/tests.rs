//! Vectors laid out by hand from the specification, and every error.

mod properties;

use super::*;

const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

fn done(bytes: &[u8]) -> Header {
    match parse(bytes, MAX_BYTES) {
        Ok(Step::Done { header, consumed }) if consumed == bytes.len() => header,
        other => panic!("{other:?}"),
    }
}

fn error(bytes: &[u8]) -> Error {
    parse(bytes, MAX_BYTES).expect_err("malformed")
}

/// A header of version 2 with this command, family and block.
fn v2(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
    let len = u16::try_from(block.len()).unwrap().to_be_bytes();
    [V2, &[command, family], &len, block].concat()
}

/// A header over TCP/IPv4 with these TLVs.
fn with_tlvs(tlvs: &[u8]) -> Vec<u8> {
    v2(
        0x21,
        0x11,
        &[&[192, 0, 2, 1, 192, 0, 2, 9, 0xDC, 0x04, 0x01, 0xBB], tlvs].concat(),
    )
}

fn ip(source: &str, destination: &str) -> Addresses {
    Addresses::Ip {
        source: source.parse().unwrap(),
        destination: destination.parse().unwrap(),
    }
}

fn header(transport: Transport, addresses: Addresses) -> Header {
    let (version, command, tlvs) = (Version::V2, Command::Proxy, Vec::new());
    Header {
        version,
        command,
        transport,
        addresses,
        tlvs,
    }
}

#[test]
fn lines_of_version_1() {
    let tcp4 = done(b"PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n");
    assert_eq!(tcp4.addresses, ip("192.168.0.1:56324", "192.168.0.11:443"));
    assert_eq!((tcp4.version, tcp4.command), (Version::V1, Command::Proxy));
    assert_eq!(tcp4.transport, Transport::Stream);
    let tcp6 = done(b"PROXY TCP6 2001:DB8::1 ::ffff:192.0.2.1 0 65535\r\n");
    assert_eq!(
        tcp6.addresses,
        ip("[2001:db8::1]:0", "[::ffff:192.0.2.1]:65535")
    );
    assert_eq!(
        tcp6.encode_v1(),
        b"PROXY TCP6 2001:db8::1 ::ffff:c000:201 0 65535\r\n"
    );
    for line in [
        &b"PROXY UNKNOWN\r\n"[..],
        b"PROXY UNKNOWN \r any \n\xFF thing\r\n",
    ] {
        let unknown = done(line);
        assert_eq!(unknown.addresses, Addresses::Unspecified);
        assert_eq!(unknown.transport, Transport::Unspecified);
        assert_eq!(unknown.encode_v1(), b"PROXY UNKNOWN\r\n");
    }
}

#[test]
fn a_line_has_at_most_107_bytes() {
    let line = |len: usize| {
        let filler = "x".repeat(len - "PROXY UNKNOWN \r\n".len());
        format!("PROXY UNKNOWN {filler}\r\n").into_bytes()
    };
    done(&line(107));
    assert_eq!(error(&line(108)), Error::LineTooLong);
}

#[test]
fn malformed_lines() {
    let cases: &[(&str, Error)] = &[
        ("PROXYTCP4", Error::Protocol),
        ("PROXY  TCP4", Error::Protocol),
        ("PROXY TCP5", Error::Protocol),
        ("PROXY UDP4", Error::Protocol),
        ("PROXY UNKNOWNS", Error::Protocol),
        ("PROXY TCP4 1.1.1.1 2.2.2.2 1 2\n", Error::LineEnd),
        ("PROXY TCP4 1.1.1.1 2.2.2.2 1 2\n\r\n", Error::LineEnd),
        ("PROXY TCP4 1.1.1.1 2.2.2.2 1\r\n", Error::Fields),
        ("PROXY TCP4 1.1.1.1 2.2.2.2 1 2 3\r\n", Error::Fields),
        ("PROXY TCP4 1.1.1.1 2.2.2.2 1 2 \r\n", Error::Fields),
        ("PROXY TCP4 1.1.1.01 2.2.2.2 1 2\r\n", Error::Address),
        ("PROXY TCP4 1.1.1 2.2.2.2 1 2\r\n", Error::Address),
        ("PROXY TCP4 1.1.1.256 2.2.2.2 1 2\r\n", Error::Address),
        ("PROXY TCP4 ::1 ::2 1 2\r\n", Error::Address),
        ("PROXY TCP6 1.1.1.1 2.2.2.2 1 2\r\n", Error::Address),
        ("PROXY TCP6 ::1%1 ::2 1 2\r\n", Error::Address),
        ("PROXY TCP4 1.1.1.1 2.2.2.2 01 2\r\n", Error::Port),
        ("PROXY TCP4 1.1.1.1 2.2.2.2 +1 2\r\n", Error::Port),
        ("PROXY TCP4 1.1.1.1 2.2.2.2 1 65536\r\n", Error::Port),
        ("PROXY TCP4 1.1.1.1 2.2.2.2 1 2\r\r\n", Error::Port),
    ];
    for (line, expected) in cases {
        assert_eq!(error(line.as_bytes()), *expected, "{line}");
    }
}

#[test]
fn addresses_of_version_2() {
    let tcp4 = header(Transport::Stream, ip("192.0.2.1:56324", "192.0.2.9:443"));
    assert_eq!(done(&with_tlvs(&[])), tcp4);
    let mut block = [0; 36];
    (block[15], block[31], block[33], block[35]) = (1, 2, 3, 4);
    let udp6 = header(Transport::Datagram, ip("[::1]:3", "[::2]:4"));
    assert_eq!(done(&v2(0x21, 0x22, &block)), udp6);
    let mut block = [0; 216];
    block[..5].copy_from_slice(b"/a\0bc");
    block[108..112].copy_from_slice(b"\0x\0y");
    let (source, destination) = (b"/a".to_vec(), b"\0x\0y".to_vec());
    let unix = header(
        Transport::Stream,
        Addresses::Unix {
            source,
            destination,
        },
    );
    assert_eq!(done(&v2(0x21, 0x31, &block)), unix);
    assert_eq!(done(&v2(0x21, 0x32, &block)).transport, Transport::Datagram);
    let full = done(&v2(0x21, 0x31, &[b'n'; 216]));
    assert!(matches!(full.addresses, Addresses::Unix { source, .. } if source == [b'n'; 108]));
    let unspecified = header(Transport::Unspecified, Addresses::Unspecified);
    assert_eq!(done(&v2(0x21, 0x00, &[])), unspecified);
    // A LOCAL header's family and block are discarded, whatever they are.
    let local = Header {
        command: Command::Local,
        ..unspecified
    };
    assert_eq!(done(&v2(0x20, 0xFF, b"any bytes")), local);
}

#[test]
fn typed_tlvs() {
    let ssl = b"\x05\0\0\0\0\x21\0\x07TLSv1.3\x22\0\x02\xC3\xA9\x28\0\x01z";
    let bytes = [
        &b"\x01\0\x02h2\x02\0\x07a.b.org\x04\0\x03xxx\x05\0\x01u\x20\0\x18"[..],
        ssl,
        b"\x30\0\x02ns\xE0\0\0",
    ]
    .concat();
    let ssl = Ssl {
        client: Ssl::TLS | Ssl::CERT_SESS,
        version: Some("TLSv1.3".into()),
        cn: Some("é".into()),
        others: vec![RawTlv {
            kind: 0x28,
            value: b"z".to_vec(),
        }],
        ..Ssl::default()
    };
    assert!(ssl.is_verified());
    assert!(
        !Ssl {
            verify: 1,
            ..ssl.clone()
        }
        .is_verified()
    );
    assert!(
        !Ssl {
            client: Ssl::TLS,
            ..ssl.clone()
        }
        .is_verified()
    );
    let expected = [
        Tlv::Alpn(b"h2".to_vec()),
        Tlv::Authority("a.b.org".into()),
        Tlv::UniqueId(b"u".to_vec()),
        Tlv::Ssl(Box::new(ssl)),
        Tlv::Netns("ns".into()),
        Tlv::Raw(RawTlv {
            kind: 0xE0,
            value: Vec::new(),
        }),
    ];
    assert_eq!(done(&with_tlvs(&bytes)).tlvs, expected);
}

#[test]
fn malformed_binary_headers() {
    let long_id = [&[5, 0, 129][..], &[0; 129]].concat();
    let cases: &[(Vec<u8>, Error)] = &[
        ([V2, &[0x11]].concat(), Error::Version(1)),
        ([V2, &[0x22]].concat(), Error::Command(2)),
        ([V2, &[0x21, 0x10]].concat(), Error::Family(0x10)),
        ([V2, &[0x21, 0x13]].concat(), Error::Family(0x13)),
        ([V2, &[0x21, 0x41]].concat(), Error::Family(0x41)),
        (v2(0x21, 0x11, &[0; 11]), Error::ShortAddresses),
        (v2(0x21, 0x21, &[0; 35]), Error::ShortAddresses),
        (v2(0x21, 0x31, &[0; 215]), Error::ShortAddresses),
        (with_tlvs(&[1, 0]), Error::ShortTlv),
        (with_tlvs(&[1, 0, 2, 0]), Error::ShortTlv),
        (with_tlvs(&[2, 0, 1, 0xFF]), Error::TlvValue(2)),
        (with_tlvs(&[3, 0, 3, 0, 0, 0]), Error::TlvValue(3)),
        (with_tlvs(&[3, 0, 4, 0, 0, 0, 0]), Error::Checksum),
        (with_tlvs(&long_id), Error::TlvValue(5)),
        (with_tlvs(&[0x20, 0, 4, 0, 0, 0, 0]), Error::TlvValue(0x20)),
        (
            with_tlvs(b"\x20\0\x09\0\0\0\0\0\x21\0\x01\xFF"),
            Error::TlvValue(0x21),
        ),
        (
            with_tlvs(b"\x20\0\x0B\0\0\0\0\0\x22\0\0\x22\0\0"),
            Error::TlvValue(0x22),
        ),
        (with_tlvs(b"\x20\0\x06\0\0\0\0\0\x22"), Error::ShortTlv),
        (with_tlvs(b"\x30\0\x02\xC3\xA9"), Error::TlvValue(0x30)),
        (
            v2(0x21, 0x00, &[0; 4081]),
            Error::TooLong {
                bytes: 4097,
                max: 4096,
            },
        ),
    ];
    for (bytes, expected) in cases {
        assert_eq!(error(bytes), *expected, "{bytes:?}");
    }
}

#[test]
fn what_is_too_long_is_refused_by_its_first_16_bytes() {
    let bytes = with_tlvs(&[4, 0, 1, 0]);
    let refused = Err(Error::TooLong { bytes: 32, max: 31 });
    assert_eq!(parse(&bytes[..16], 31), refused);
    assert!(matches!(
        parse(&bytes, 32),
        Ok(Step::Done { consumed: 32, .. })
    ));
}

#[test]
fn a_checksum_covers_every_byte() {
    // Computed bit by bit from the polynomial of RFC 4960, appendix B.
    let vector = with_tlvs(&[&[3, 0, 4, 0xFF, 0x31, 0xFC, 0x82][..], b"\x01\0\x02h2"].concat());
    assert_eq!(done(&vector).tlvs, [Tlv::Alpn(b"h2".to_vec())]);
    let tcp = header(Transport::Stream, ip("192.0.2.1:1", "192.0.2.9:2"));
    let bytes = tcp.encode_v2(&EncodeOptions { crc32c: true }).unwrap();
    assert_eq!(done(&bytes), tcp);
    for at in (16..28).chain(31..35) {
        let mut bad = bytes.clone();
        bad[at] ^= 1;
        assert_eq!(error(&bad), Error::Checksum);
    }
}

#[test]
fn the_first_strange_byte_decides() {
    for signature in [&b"PROXY"[..], V2] {
        for at in 0..signature.len() {
            let strange = [&signature[..at], b"!"].concat();
            assert_eq!(parse(&strange, MAX_BYTES), Ok(Step::NotProxy));
        }
    }
    assert_eq!(parse(b"", MAX_BYTES), Ok(Step::NeedMore { at_least: 15 }));
}

#[test]
fn what_version_2_cannot_say() {
    let tlv = |tlv| {
        let mut header = header(Transport::Unspecified, Addresses::Unspecified);
        header.tlvs.push(tlv);
        header
    };
    let raw = |kind, len| RawTlv {
        kind,
        value: vec![0; len],
    };
    let unix = |name: &[u8]| {
        let addresses = Addresses::Unix {
            source: name.to_vec(),
            destination: Vec::new(),
        };
        header(Transport::Stream, addresses)
    };
    let ssl = |ssl| tlv(Tlv::Ssl(Box::new(ssl)));
    let accent = Some("é".to_owned());
    let cases = [
        (
            header(Transport::Stream, ip("1.1.1.1:1", "[::1]:1")),
            EncodeError::MixedFamilies,
        ),
        (
            header(Transport::Unspecified, ip("1.1.1.1:1", "1.1.1.1:1")),
            EncodeError::NoTransport,
        ),
        (unix(&[b'n'; 109]), EncodeError::UnixName),
        (unix(b"a\0b"), EncodeError::UnixName),
        (unix(b"\0a\0"), EncodeError::UnixName),
        (tlv(Tlv::UniqueId(vec![0; 129])), EncodeError::TlvValue(5)),
        (tlv(Tlv::Netns("é".into())), EncodeError::TlvValue(0x30)),
        (tlv(Tlv::Raw(raw(3, 4))), EncodeError::TlvValue(3)),
        (
            ssl(Ssl {
                cipher: accent,
                ..Ssl::default()
            }),
            EncodeError::TlvValue(0x23),
        ),
        (
            ssl(Ssl {
                others: vec![raw(0x22, 0)],
                ..Ssl::default()
            }),
            EncodeError::TlvValue(0x22),
        ),
        (tlv(Tlv::Raw(raw(0xE0, 65_536))), EncodeError::TooLong),
        (tlv(Tlv::Raw(raw(0xE0, 65_535))), EncodeError::TooLong),
    ];
    for (header, expected) in cases {
        assert_eq!(header.encode_v2(&EncodeOptions::default()), Err(expected));
    }
}

#[test]
fn version_1_says_unknown_for_what_it_cannot_say() {
    let tcp = header(Transport::Stream, ip("1.1.1.1:1", "1.1.1.1:1"));
    assert_ne!(tcp.encode_v1(), b"PROXY UNKNOWN\r\n");
    let unknown = [
        header(Transport::Datagram, ip("1.1.1.1:1", "1.1.1.1:1")),
        header(Transport::Stream, ip("1.1.1.1:1", "[::1]:1")),
        Header {
            command: Command::Local,
            ..tcp
        },
    ];
    for header in unknown {
        assert_eq!(header.encode_v1(), b"PROXY UNKNOWN\r\n");
    }
}
