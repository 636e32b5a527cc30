use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::*;
use crate::attribute::{Data, ErrorCode, Lifetime, Realm, Username, XorPeerAddress};
use crate::{Writer, padded};

const ID: TransactionId = TransactionId(*b"transactions");
const REQUEST: MessageType = MessageType {
    method: Method::ALLOCATE,
    class: Class::Request,
};

/// A message of attributes as they are given: type and value, in any order.
fn raw(attributes: &[(u16, &[u8])]) -> Vec<u8> {
    let mut bytes = vec![0; HEADER_LEN];
    Writer::new(&mut bytes, REQUEST, ID).expect("room for a header");
    for (ty, value) in attributes {
        bytes.extend(ty.to_be_bytes());
        bytes.extend((value.len() as u16).to_be_bytes());
        bytes.extend(*value);
        bytes.resize(padded(bytes.len()), 0);
    }
    let body = (bytes.len() - HEADER_LEN) as u16;
    bytes[2..4].copy_from_slice(&body.to_be_bytes());
    bytes
}

fn written(write: impl FnOnce(&mut Writer<'_>) -> Result<(), crate::WriteError>) -> Vec<u8> {
    let mut buffer = [0; 512];
    let mut writer = Writer::new(&mut buffer, REQUEST, ID).expect("room");
    write(&mut writer).expect("room");
    writer.finish().to_vec()
}

fn types(message: &Message<'_>) -> Vec<u16> {
    message.attributes().map(|(ty, _)| ty.0).collect()
}

#[test]
fn s2_what_is_not_stun() {
    let good = raw(&[]);
    assert!(Message::parse(&good).is_ok());
    for len in 0..HEADER_LEN {
        assert_eq!(
            Message::parse(&good[..len]).err(),
            Some(ParseError::NotStun)
        );
    }
    for first in 0..=u8::MAX {
        let mut bytes = good.clone();
        bytes[0] = first;
        assert_eq!(Message::parse(&bytes).is_ok(), first < 0x40, "{first:#04x}");
    }
}

#[test]
fn s2_every_length_but_the_right_one() {
    let mut bytes = raw(&[(0x8022, b"abcd")]);
    for stated in 0..=u16::MAX {
        bytes[2..4].copy_from_slice(&stated.to_be_bytes());
        let error = (stated != 8).then_some(ParseError::Length { stated, present: 8 });
        assert_eq!(Message::parse(&bytes).err(), error);
    }
    let mut odd = raw(&[]);
    odd.extend([0, 0]);
    odd[3] = 2;
    let error = ParseError::Length {
        stated: 2,
        present: 2,
    };
    assert_eq!(Message::parse(&odd).err(), Some(error));
}

#[test]
fn s13_no_cookie() {
    let mut bytes = raw(&[]);
    bytes[7] ^= 1;
    assert_eq!(
        Message::parse(&bytes).err(),
        Some(ParseError::NoCookie {
            ty: REQUEST,
            id: ID
        })
    );
}

#[test]
fn s5_unknown_attributes_that_are_required() {
    let bytes = raw(&[
        (0x7f00, b""),
        (0x0006, b"u"),
        (0xff00, b""),
        (0x7f00, b""),
        (0x0024, b""),
    ]);
    let message = Message::parse(&bytes).expect("a message");
    let unknown = |understood| {
        message
            .unknown_required(understood)
            .map(|ty| ty.0)
            .collect()
    };
    let list: Vec<u16> = unknown(&[AttributeType::USERNAME]);
    assert_eq!(list, [0x7f00, 0x0024]);
    let list: Vec<u16> = unknown(&[AttributeType(0x7f00), AttributeType(0x0024)]);
    assert_eq!(list, [0x0006]);
}

#[test]
fn s6_the_first_of_a_type_counts() {
    let bytes = raw(&[
        (0x000d, &[0, 0, 0, 1]),
        (0x0014, b"r"),
        (0x000d, &[0, 0, 0, 2]),
    ]);
    let message = Message::parse(&bytes).expect("a message");
    assert_eq!(message.get(), Some(Ok(Lifetime(1))));
    let all: Vec<_> = message.all().collect();
    assert_eq!(all, [Ok(Lifetime(1)), Ok(Lifetime(2))]);

    let bytes = raw(&[(0x000d, &[0]), (0x000d, &[0, 0, 0, 2])]);
    let message = Message::parse(&bytes).expect("a message");
    let error = AttributeError::Length {
        ty: AttributeType::LIFETIME,
        len: 1,
    };
    assert_eq!(message.get::<Lifetime>(), Some(Err(error)));
}

#[test]
fn s6_peer_addresses_repeat() {
    let peers = [1, 2, 3].map(|last| XorPeerAddress(([192, 0, 2, last], 0).into()));
    let bytes = written(|writer| {
        peers
            .iter()
            .try_for_each(|peer| writer.push(peer).map(drop))
    });
    let message = Message::parse(&bytes).expect("a message");
    let read: Vec<_> = message
        .all::<XorPeerAddress>()
        .map(Result::unwrap)
        .collect();
    assert_eq!(read, peers);
}

#[test]
fn s7_what_stands_behind_integrity_is_ignored() {
    let bytes = raw(&[
        (0x0014, b"r"),
        (0x0008, &[0; 20]),
        (0x0006, b"u"),
        (0x001c, &[0; 32]),
        (0x7f00, b""),
        (0x8028, &[0; 4]),
        (0x8022, b"s"),
    ]);
    let message = Message::parse(&bytes).expect("a message");
    assert_eq!(types(&message), [0x0014, 0x0008, 0x001c, 0x8028]);
    assert!(!message.has(AttributeType::USERNAME));
    assert_eq!(message.get::<Username<'_>>(), None);
    assert_eq!(message.all::<Username<'_>>().count(), 0);
    let integrity = [
        AttributeType::MESSAGE_INTEGRITY,
        AttributeType::MESSAGE_INTEGRITY_SHA256,
    ];
    let understood = [&integrity[..], &[AttributeType::REALM]].concat();
    assert_eq!(message.unknown_required(&understood).count(), 0);
}

#[test]
fn s8_integrity_covers_every_byte_before_it() {
    let (sha1, sha256) = (Sha1Key::new(b"key"), Sha256Key::new(b"key"));
    let bytes = written(|writer| {
        writer.push(&Realm("example.org"))?.push(&Data(b"12345"))?;
        writer
            .integrity_sha1(&sha1)?
            .integrity_sha256(&sha256)?
            .fingerprint()
            .map(drop)
    });
    let sha1_end = 20 + 16 + 12 + 24;
    let sha256_end = sha1_end + 36;
    assert_eq!(bytes.len(), sha256_end + 8);
    for at in 0..bytes.len() {
        let mut bytes = bytes.clone();
        bytes[at] ^= 1;
        // Some flips leave no message at all.
        let Ok(message) = Message::parse(&bytes) else {
            continue;
        };
        assert_eq!(message.verify_sha1(&sha1), at >= sha1_end, "{at}");
        assert_eq!(message.verify_sha256(&sha256), at >= sha256_end, "{at}");
        assert_ne!(message.fingerprint(), Fingerprint::Valid, "{at}");
    }
    let message = Message::parse(&bytes).expect("a message");
    assert!(message.verify_sha1(&sha1) && !message.verify_sha1(&Sha1Key::new(b"yek")));
    assert!(message.verify_sha256(&sha256) && !message.verify_sha256(&Sha256Key::new(b"yek")));
    assert!(message.verify_sha256_truncated(&sha256));
    assert_eq!(message.fingerprint(), Fingerprint::Valid);
}

#[test]
fn s8_absent_integrity_is_not_right() {
    let bytes = raw(&[]);
    let message = Message::parse(&bytes).expect("a message");
    assert!(!message.verify_sha1(&Sha1Key::new(b"")));
    assert!(!message.verify_sha256(&Sha256Key::new(b"")));
    assert!(!message.verify_sha256_truncated(&Sha256Key::new(b"")));
    assert_eq!(message.fingerprint(), Fingerprint::Absent);
}

#[test]
fn s8_truncated_sha256() {
    let key = Sha256Key::new(b"key");
    for len in 0..=40 {
        let mut bytes = raw(&[(0x001c, &vec![0; len])]);
        // The header's length ends with the attribute that follows it, however long that is.
        let mut mac = Hmac::<Sha256>::new_from_slice(b"key").expect("any length");
        mac.update(&bytes[..HEADER_LEN]);
        let mac = mac.finalize().into_bytes();
        let kept = len.min(32);
        bytes[24..24 + kept].copy_from_slice(&mac[..kept]);
        let message = Message::parse(&bytes).expect("a message");
        assert_eq!(message.verify_sha256(&key), len == 32, "{len}");
        let allowed = matches!(len, 16 | 20 | 24 | 28 | 32);
        assert_eq!(message.verify_sha256_truncated(&key), allowed, "{len}");
    }
}

#[test]
fn s9_wrong_fingerprint() {
    let mut bytes = written(|writer| writer.fingerprint().map(drop));
    assert_eq!(
        Message::parse(&bytes).expect("a message").fingerprint(),
        Fingerprint::Valid
    );
    bytes[27] ^= 1;
    assert_eq!(
        Message::parse(&bytes).expect("a message").fingerprint(),
        Fingerprint::Wrong
    );
    for len in [0, 3, 5, 8] {
        let bytes = raw(&[(0x8028, &[0; 8][..len])]);
        let message = Message::parse(&bytes).expect("a message");
        assert_eq!(message.fingerprint(), Fingerprint::Wrong, "{len}");
    }
}

#[test]
fn s10_every_length_of_an_attribute() {
    let mut bytes = raw(&[(0x8022, b"abcd"), (0x0014, b"rrrr")]);
    for len in 0..=u16::MAX {
        bytes[22..24].copy_from_slice(&len.to_be_bytes());
        match Message::parse(&bytes) {
            Ok(message) => {
                let (ty, value) = message.attributes().next().expect("one attribute");
                assert_eq!(
                    (ty, value.len()),
                    (AttributeType::SOFTWARE, usize::from(len))
                );
                assert!(len <= 12, "{len}");
            }
            Err(error) => {
                assert!(
                    matches!(error, ParseError::Truncated { .. }),
                    "{len}: {error}"
                );
            }
        }
    }
}

#[test]
fn s10_last_attribute_without_padding() {
    let mut bytes = raw(&[(0x8022, b"abcd")]);
    bytes.pop();
    bytes[3] = 7;
    bytes[23] = 3;
    let error = ParseError::Length {
        stated: 7,
        present: 7,
    };
    assert_eq!(Message::parse(&bytes).err(), Some(error));
}

#[test]
fn s10_known_attributes_without_a_value() {
    let bytes = raw(&[(0x0009, b""), (0x0006, b""), (0x0012, b"")]);
    let message = Message::parse(&bytes).expect("a message");
    let error = AttributeError::Length {
        ty: AttributeType::ERROR_CODE,
        len: 0,
    };
    assert_eq!(message.get::<ErrorCode<'_>>(), Some(Err(error)));
    assert_eq!(message.get(), Some(Ok(Username(""))));
    let error = AttributeError::Length {
        ty: AttributeType::XOR_PEER_ADDRESS,
        len: 0,
    };
    assert_eq!(message.get::<XorPeerAddress>(), Some(Err(error)));
}

#[test]
fn at_most_32_types() {
    let many = |count: u16| {
        let attributes: Vec<_> = (0..count).map(|n| (0xc000 + n, &b""[..])).collect();
        raw(&attributes)
    };
    assert_eq!(
        types(&Message::parse(&many(32)).expect("32 types")).len(),
        32
    );
    assert_eq!(
        Message::parse(&many(33)).err(),
        Some(ParseError::TooManyAttributes)
    );
    let repeated = raw(&vec![(0x0012, b"".as_slice()); 5000]);
    assert_eq!(
        types(&Message::parse(&repeated).expect("one type")).len(),
        5000
    );
}

#[test]
fn debug_shows_no_value() {
    let bytes = raw(&[(0x0014, b"realm"), (0x001b, b"token")]);
    let shown = format!("{:?}", Message::parse(&bytes).expect("a message"));
    assert!(
        shown.contains("REALM, ACCESS-TOKEN") && shown.contains("Allocate"),
        "{shown}"
    );
    assert!(!shown.contains("token\""), "{shown}");
    assert_eq!(format!("{:?}", Sha1Key::new(b"secret")), "Sha1Key(..)");
    assert_eq!(format!("{:?}", Sha256Key::new(b"secret")), "Sha256Key(..)");
}
