//! How much larger than the question an answer to somebody unknown can be.

use proptest::collection::vec;
use proptest::prelude::*;
use wharf_stun::attribute::RequestedTransport;
use wharf_stun::{AttributeType, Class, Method};

use crate::support::{Client, Host, Reaction, addr, config};

/// With the default realm the largest answer to who has no allocation is a 401 of 88 bytes, and the
/// shortest request that gets it is an Allocate of 28: as a ratio, 22 to 7.
const RATIO: (usize, usize) = (22, 7);

fn assert_within_ratio(host: &mut Host, client: &Client, bytes: &[u8]) {
    if let Reaction::Reply(answer) = host.client(&client.path, bytes) {
        let (most, least) = RATIO;
        assert!(
            answer.bytes.len() * least <= bytes.len() * most,
            "{bytes:02x?}"
        );
    }
    host.forget();
}

#[test]
fn x2_the_largest_answer_is_to_the_shortest_allocate() {
    let mut host = Host::default();
    let mut client = Client::new(&mut host, "alice", 1);
    let request = client.message(Method::ALLOCATE, Class::Request, |w| {
        w.push(&RequestedTransport::UDP).map(drop)
    });
    let answer = host.client(&client.path, &request).reply();
    assert_eq!((request.len(), answer.bytes.len()), (28, 88));
    let (most, least) = RATIO;
    assert_eq!(answer.bytes.len() * least, request.len() * most);
}

const METHODS: &[u16] = &[1, 3, 4, 6, 7, 8, 9, 10];
const TYPES: &[u16] = &[
    0x0006, 0x0008, 0x0014, 0x0015, 0x0019, 0x0017, 0x0018, 0x0022, 0x000d, 0x0012, 0x001c, 0x001d,
    0x001e, 0x8000, 0x8002, 0x0003, 0x7001, 0x7002, 0x7003, 0x7004,
];

/// A message with attributes of any kind, well-formed as a whole.
fn message() -> impl Strategy<Value = Vec<u8>> {
    let value = prop_oneof![Just(0), Just(4), Just(8), Just(20), Just(32), 0..40_usize];
    let attribute = (prop::sample::select(TYPES), value);
    let attributes = vec(attribute, 0..8);
    (prop::sample::select(METHODS), 0..4_u16, attributes).prop_map(|(method, class, all)| {
        let ty: u16 = method | (class & 1) << 4 | (class & 2) << 7;
        let mut bytes = ty.to_be_bytes().to_vec();
        bytes.extend([0, 0, 0x21, 0x12, 0xA4, 0x42]);
        bytes.extend([7; 12]);
        for (ty, len) in all {
            bytes.extend(u16::to_be_bytes(ty));
            bytes.extend((len as u16).to_be_bytes());
            bytes.extend(vec![17; len]);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
        }
        let body = (bytes.len() - 20) as u16;
        bytes[2..4].copy_from_slice(&body.to_be_bytes());
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn x2_no_answer_to_the_unknown_is_larger_than_the_ratio(
        messages in vec(message(), 1..200),
        noise in vec(vec(any::<u8>(), 0..80), 1..50),
    ) {
        let mut host = Host::new(wharf_turn::Config {
            username_anonymity: true,
            ..config()
        });
        let mut client = Client::new(&mut host, "alice", 1);
        for bytes in messages.iter().chain(&noise) {
            for from in ["198.51.100.9:9", "[2a00::9]:9"] {
                client.path.client = addr(from);
                assert_within_ratio(&mut host, &client, bytes);
            }
        }
        host.assert_initial();
    }
}

#[test]
fn s10_binding_with_every_attribute_is_answered_within_the_ratio() {
    let mut host = Host::default();
    let client = Client::new(&mut host, "alice", 1);
    for ty in 0..=u16::MAX {
        let mut bytes = [0, 1, 0, 4, 0x21, 0x12, 0xA4, 0x42].to_vec();
        bytes.extend([7; 12]);
        bytes.extend(AttributeType(ty).0.to_be_bytes());
        bytes.extend([0, 0]);
        assert_within_ratio(&mut host, &client, &bytes);
    }
}
