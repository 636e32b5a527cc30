use super::*;
use crate::attribute::{Data, Realm, Username};
use crate::{Class, Message, Method};

const TYPE: MessageType = MessageType {
    method: Method::BINDING,
    class: Class::Request,
};
const ID: TransactionId = TransactionId([9; 12]);

#[test]
fn header_is_complete_from_the_start() {
    let mut buffer = [0xaa; 20];
    let writer = Writer::new(&mut buffer, TYPE, ID).expect("room for a header");
    assert_eq!(writer.len(), 20);
    assert_eq!(
        writer.finish(),
        b"\0\x01\0\0\x21\x12\xa4\x42\x09\x09\x09\x09\x09\x09\x09\x09\x09\x09\x09\x09"
    );
}

#[test]
fn header_needs_20_bytes() {
    for available in 0..20 {
        let mut buffer = [0; 20];
        let error = Writer::new(&mut buffer[..available], TYPE, ID).err();
        assert_eq!(
            error,
            Some(WriteError::Full {
                needed: 20,
                available
            })
        );
    }
}

#[test]
fn cve_2020_4067_padding_is_zero() {
    for len in 0..=9 {
        let mut buffer = [0xaa; 64];
        let mut writer = Writer::new(&mut buffer, TYPE, ID).expect("room");
        writer.push(&Data(&[0xff; 9][..len])).expect("room");
        writer.push(&Username("x")).expect("room");
        let bytes = writer.finish();
        assert_eq!(bytes[24..24 + len], [0xff; 9][..len]);
        assert_eq!(
            bytes[24 + len..24 + padded(len)],
            [0; 3][..padded(len) - len]
        );
        assert_eq!(bytes[bytes.len() - 4..], *b"x\0\0\0");
        assert_eq!(
            usize::from(u16::from_be_bytes([bytes[2], bytes[3]])),
            bytes.len() - 20
        );
    }
}

#[test]
fn what_does_not_fit_changes_nothing() {
    let (sha1, sha256) = (Sha1Key::new(b"key"), Sha256Key::new(b"key"));
    let mut buffer = [0xaa; 30];
    let mut writer = Writer::new(&mut buffer, TYPE, ID).expect("room for a header");
    let full = |needed| {
        Some(WriteError::Full {
            needed,
            available: 10,
        })
    };
    assert_eq!(writer.push(&Realm("1234567")).err(), full(12));
    assert_eq!(writer.integrity_sha1(&sha1).err(), full(24));
    assert_eq!(writer.integrity_sha256(&sha256).err(), full(36));
    assert_eq!(writer.fingerprint().err(), None);
    assert_eq!(
        writer.fingerprint().err(),
        Some(WriteError::Full {
            needed: 8,
            available: 2
        })
    );
    let bytes = writer.finish();
    let message = Message::parse(bytes).expect("a message");
    assert_eq!(message.attributes().count(), 1);
    assert_eq!(message.fingerprint(), crate::Fingerprint::Valid);
    assert_eq!(buffer[28..], [0xaa; 2]);
}

#[test]
fn s7_nothing_is_written_where_receivers_do_not_look() {
    let (sha1, sha256) = (Sha1Key::new(b"key"), Sha256Key::new(b"key"));
    let mut buffer = [0; 256];
    let mut writer = Writer::new(&mut buffer, TYPE, ID).expect("room");
    writer.integrity_sha1(&sha1).expect("first");
    let before = writer.len();
    let order = |ty| Some(WriteError::Order(ty));
    assert_eq!(writer.push(&Realm("r")).err(), order(AttributeType::REALM));
    assert_eq!(
        writer.integrity_sha1(&sha1).err(),
        order(AttributeType::MESSAGE_INTEGRITY)
    );
    writer
        .integrity_sha256(&sha256)
        .expect("it may follow MESSAGE-INTEGRITY");
    assert_eq!(
        writer.integrity_sha1(&sha1).err(),
        order(AttributeType::MESSAGE_INTEGRITY)
    );
    writer.fingerprint().expect("it may follow both");
    assert_eq!(
        writer.fingerprint().err(),
        order(AttributeType::FINGERPRINT)
    );
    assert_eq!(writer.len(), before + 36 + 8);
    let message = Message::parse(writer.finish()).expect("a message");
    assert!(message.verify_sha1(&sha1) && message.verify_sha256(&sha256));
}

#[test]
fn body_ends_where_the_length_field_does() {
    let mut buffer = vec![0; 70_000];
    let data = vec![7; 65_529];
    let mut writer = Writer::new(&mut buffer, TYPE, ID).expect("room");
    let full = WriteError::Full {
        needed: 65_536,
        available: 65_532,
    };
    assert_eq!(writer.push(&Data(&data)).err(), Some(full));
    writer.push(&Data(&data[..65_520])).expect("room");
    writer.fingerprint().expect("exactly the rest");
    let bytes = writer.finish();
    assert_eq!(bytes.len(), 65_552);
    let message = Message::parse(bytes).expect("a message");
    assert_eq!(message.fingerprint(), crate::Fingerprint::Valid);
    assert_eq!(message.get(), Some(Ok(Data(&data[..65_520]))));
}
