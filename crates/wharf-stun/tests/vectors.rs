//! The sample messages of RFC 5769 and of RFC 8489 appendix B.1, to the bit.

use std::net::SocketAddr;

use wharf_stun::attribute::{
    Nonce, PasswordAlgorithm, Realm, Software, UserHash, Username, XorMappedAddress,
};
use wharf_stun::{
    Class, Fingerprint, Message, MessageType, Method, Sha1Key, Sha256Key, TransactionId, Writer,
    credential,
};

const SHORT_TERM: &[u8] = b"VOkJxbRl1RmTxUk/WvJxBt";
const ID: TransactionId = TransactionId(*b"\xb7\xe7\xa7\x01\xbc\x34\xd6\x86\xfa\x87\xdf\xae");
const LONG_TERM_ID: TransactionId =
    TransactionId(*b"\x78\xad\x34\x33\xc6\xad\x72\xc0\x29\xda\x41\x2e");
const USER: &str = "\u{30de}\u{30c8}\u{30ea}\u{30c3}\u{30af}\u{30b9}";

/// RFC 5769 §2.1. The padding is 0x20.
const REQUEST: &[u8] = b"\
    \x00\x01\x00\x58\x21\x12\xa4\x42\xb7\xe7\xa7\x01\xbc\x34\xd6\x86\xfa\x87\xdf\xae\
    \x80\x22\x00\x10STUN test client\
    \x00\x24\x00\x04\x6e\x00\x01\xff\
    \x80\x29\x00\x08\x93\x2f\xf9\xb1\x51\x26\x3b\x36\
    \x00\x06\x00\x09evtj:h6vY\x20\x20\x20\
    \x00\x08\x00\x14\x9a\xea\xa7\x0c\xbf\xd8\xcb\x56\x78\x1e\xf2\xb5\xb2\xd3\xf2\x49\xc1\xb5\x71\xa2\
    \x80\x28\x00\x04\xe5\x7a\x3b\xcf";

/// RFC 5769 §2.2. The padding is 0x20.
const IPV4_RESPONSE: &[u8] = b"\
    \x01\x01\x00\x3c\x21\x12\xa4\x42\xb7\xe7\xa7\x01\xbc\x34\xd6\x86\xfa\x87\xdf\xae\
    \x80\x22\x00\x0btest vector\x20\
    \x00\x20\x00\x08\x00\x01\xa1\x47\xe1\x12\xa6\x43\
    \x00\x08\x00\x14\x2b\x91\xf5\x99\xfd\x9e\x90\xc3\x8c\x74\x89\xf9\x2a\xf9\xba\x53\xf0\x6b\xe7\xd7\
    \x80\x28\x00\x04\xc0\x7d\x4c\x96";

/// RFC 5769 §2.3. The padding is 0x20.
const IPV6_RESPONSE: &[u8] = b"\
    \x01\x01\x00\x48\x21\x12\xa4\x42\xb7\xe7\xa7\x01\xbc\x34\xd6\x86\xfa\x87\xdf\xae\
    \x80\x22\x00\x0btest vector\x20\
    \x00\x20\x00\x14\x00\x02\xa1\x47\x01\x13\xa9\xfa\xa5\xd3\xf1\x79\xbc\x25\xf4\xb5\xbe\xd2\xb9\xd9\
    \x00\x08\x00\x14\xa3\x82\x95\x4e\x4b\xe6\x7b\xf1\x17\x84\xc9\x7c\x82\x92\xc2\x75\xbf\xe3\xed\x41\
    \x80\x28\x00\x04\xc8\xfb\x0b\x4c";

/// RFC 5769 §2.4.
const LONG_TERM_REQUEST: &[u8] = b"\
    \x00\x01\x00\x60\x21\x12\xa4\x42\x78\xad\x34\x33\xc6\xad\x72\xc0\x29\xda\x41\x2e\
    \x00\x06\x00\x12\xe3\x83\x9e\xe3\x83\x88\xe3\x83\xaa\xe3\x83\x83\xe3\x82\xaf\xe3\x82\xb9\0\0\
    \x00\x15\x00\x1cf//499k954d6OL34oL9FSTvy64sA\
    \x00\x14\x00\x0bexample.org\0\
    \x00\x08\x00\x14\xf6\x70\x24\x65\x6d\xd6\x4a\x3e\x02\xb8\xe0\x71\x2e\x85\xc9\xa2\x8c\xa8\x96\x66";

/// RFC 8489 appendix B.1 as erratum 6268 corrects it.
const SHA256_REQUEST: &[u8] = b"\
    \x00\x01\x00\x90\x21\x12\xa4\x42\x78\xad\x34\x33\xc6\xad\x72\xc0\x29\xda\x41\x2e\
    \x00\x1e\x00\x20\
    \x4a\x3c\xf3\x8f\xef\x69\x92\xbd\xa9\x52\xc6\x78\x04\x17\xda\x0f\
    \x24\x81\x94\x15\x56\x9e\x60\xb2\x05\xc4\x6e\x41\x40\x7f\x17\x04\
    \x00\x15\x00\x29obMatJos2AAACf//499k954d6OL34oL9FSTvy64sA\0\0\0\
    \x00\x14\x00\x0bexample.org\0\
    \x00\x1d\x00\x04\x00\x02\x00\x00\
    \x00\x1c\x00\x20\
    \xb5\xc7\xbf\x00\x5b\x6c\x52\xa2\x1c\x51\xc5\xe8\x92\xf8\x19\x24\
    \x13\x62\x96\xcb\x92\x7c\x43\x14\x93\x09\x27\x8c\xc6\x51\x8e\x65";

fn parse(bytes: &[u8]) -> Message<'_> {
    Message::parse(bytes).expect("a sample of an RFC")
}

fn write(
    id: TransactionId,
    class: Class,
    content: impl FnOnce(&mut Writer<'_>) -> Result<(), wharf_stun::WriteError>,
) -> Vec<u8> {
    let mut buffer = [0xaa; 256];
    let ty = MessageType {
        method: Method::BINDING,
        class,
    };
    let mut writer = Writer::new(&mut buffer, ty, id).expect("room");
    content(&mut writer).expect("room");
    writer.finish().to_vec()
}

#[test]
fn rfc5769_request() {
    let message = parse(REQUEST);
    assert_eq!(
        (message.method(), message.class()),
        (Method::BINDING, Class::Request)
    );
    assert_eq!(message.transaction_id(), ID);
    assert_eq!(message.get(), Some(Ok(Username("evtj:h6vY"))));
    assert_eq!(message.get(), Some(Ok(Software("STUN test client"))));
    assert!(message.verify_sha1(&Sha1Key::new(SHORT_TERM)));
    assert_eq!(message.fingerprint(), Fingerprint::Valid);
}

#[test]
fn rfc5769_responses() {
    let v6 = "[2001:db8:1234:5678:11:2233:4455:6677]:32853";
    for (bytes, address) in [(IPV4_RESPONSE, "192.0.2.1:32853"), (IPV6_RESPONSE, v6)] {
        let address: SocketAddr = address.parse().expect("an address");
        let message = parse(bytes);
        assert_eq!(
            (message.method(), message.class()),
            (Method::BINDING, Class::Success)
        );
        assert_eq!(message.get(), Some(Ok(Software("test vector"))));
        assert_eq!(message.get(), Some(Ok(XorMappedAddress(address))));
        assert!(message.verify_sha1(&Sha1Key::new(SHORT_TERM)));
        assert_eq!(message.fingerprint(), Fingerprint::Valid);

        // Zeros pad what is written here: all is equal but that byte and what it is hashed into.
        let written = write(ID, Class::Success, |writer| {
            writer
                .push(&Software("test vector"))?
                .push(&XorMappedAddress(address))?;
            writer
                .integrity_sha1(&Sha1Key::new(SHORT_TERM))?
                .fingerprint()
                .map(drop)
        });
        let integrity = bytes.len() - 28;
        assert_eq!(written.len(), bytes.len());
        assert_eq!((written[35], bytes[35]), (0, 0x20));
        assert_eq!(written[..35], bytes[..35]);
        assert_eq!(written[36..integrity], bytes[36..integrity]);
    }
}

#[test]
fn rfc5769_long_term_request() {
    let password = credential::saslprep("The\u{ad}M\u{aa}tr\u{2168}").expect("legal");
    let user = credential::saslprep(USER).expect("legal");
    let key = credential::long_term_md5(&user, "example.org", &password);
    assert_eq!(
        u128::from_be_bytes(key),
        0xe8ca_7ad5_9d5e_b051_8e31_2911_d2da_b2a9
    );
    let key = Sha1Key::new(&key);

    assert!(parse(LONG_TERM_REQUEST).verify_sha1(&key));
    let written = write(LONG_TERM_ID, Class::Request, |writer| {
        writer
            .push(&Username(USER))?
            .push(&Nonce(b"f//499k954d6OL34oL9FSTvy64sA"))?;
        writer
            .push(&Realm("example.org"))?
            .integrity_sha1(&key)
            .map(drop)
    });
    assert_eq!(written, LONG_TERM_REQUEST);
}

#[test]
fn rfc8489_b1_request_with_erratum_6268() {
    let password = credential::opaque_string("TheMatrIX").expect("legal");
    let key = credential::long_term_sha256(USER, "example.org", &password);
    assert_eq!(
        (&key[..4], &key[30..]),
        (&b"\xdd\x29\x5a\x61"[..], &b"\xb4\xa1"[..])
    );
    let key = Sha256Key::new(&key);

    let message = parse(SHA256_REQUEST);
    assert!(message.verify_sha256(&key));
    assert_eq!(message.get(), Some(Ok(PasswordAlgorithm::SHA256)));
    let written = write(LONG_TERM_ID, Class::Request, |writer| {
        writer.push(&UserHash(credential::userhash(USER, "example.org")))?;
        writer.push(&Nonce(b"obMatJos2AAACf//499k954d6OL34oL9FSTvy64sA"))?;
        writer
            .push(&Realm("example.org"))?
            .push(&PasswordAlgorithm::SHA256)?;
        writer.integrity_sha256(&key).map(drop)
    });
    assert_eq!(written, SHA256_REQUEST);
}

#[test]
fn s10_truncated_samples() {
    for sample in [
        REQUEST,
        IPV4_RESPONSE,
        IPV6_RESPONSE,
        LONG_TERM_REQUEST,
        SHA256_REQUEST,
    ] {
        for len in 0..sample.len() {
            assert!(Message::parse(&sample[..len]).is_err(), "{len}");
            // A prefix whose header says so is a message only if it ends with an attribute.
            let mut prefix = sample[..len].to_vec();
            if let Some(stated) = len.checked_sub(20) {
                prefix[2..4].copy_from_slice(&u16::try_from(stated).expect("short").to_be_bytes());
            }
            if let Ok(message) = Message::parse(&prefix) {
                assert!(!message.verify_sha256(&Sha256Key::new(SHORT_TERM)));
                let end: usize = message
                    .attributes()
                    .map(|(_, v)| 4 + v.len().div_ceil(4) * 4)
                    .sum();
                assert_eq!(20 + end, len);
            }
        }
    }
}
