//! What must hold for any bytes: the fuzz targets for SIP, over their corpora, over the messages of
//! RFC 4475 and over messages put together at random.

use std::fs;
use std::path::Path;

use proptest::prelude::*;

#[path = "../../../fuzz/src/sip.rs"]
mod sip;

fn files(folder: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let files = fs::read_dir(folder).expect("a folder");
    files
        .map(|file| fs::read(file.expect("a file").path()).expect("readable"))
        .collect()
}

#[test]
fn every_input_of_the_corpora_passes() {
    for (name, target) in sip::ALL {
        let inputs = files(&format!("../../fuzz/corpus/{name}"));
        assert!(!inputs.is_empty(), "{name} has no input");
        for input in inputs {
            target(&input);
        }
    }
}

#[test]
fn the_messages_of_rfc4475_pass() {
    let messages = files("tests/rfc4475");
    assert_eq!(messages.len(), 49);
    for message in messages {
        all(&message, *b"\x02\x01\x02\x03\x04\x13\xc4");
    }
}

/// Gives a message to each target, behind the bytes that steer it.
fn all(message: &[u8], steer: [u8; 7]) {
    for (name, target) in sip::ALL {
        let steer: &[u8] = match *name {
            "sip_scan" => &[],
            "sip_frame" => &steer[..2],
            _ => &steer,
        };
        target(&[steer, message].concat());
    }
}

/// A header field of a message on its way, legal or nearly so.
fn field() -> impl Strategy<Value = String> {
    let sent_by = prop::sample::select(vec![
        "192.0.2.1",
        "a.invalid:5070",
        "[2001:db8::1]",
        "1.2.3.4 : 5",
        "-",
    ]);
    let parameter = prop::sample::select(vec![
        "rport",
        "rport=1",
        "received=192.0.2.9",
        "RECEIVED = ::1",
        "branch=z9hG4bK1",
        "x=\"a,;b\"",
        "x=\"",
        "maddr=<",
        "\r\n y",
        "",
        "x=\\\"",
    ]);
    let via =
        (sent_by, prop::collection::vec(parameter, 0..5)).prop_map(|(sent_by, parameters)| {
            parameters
                .iter()
                .fold(format!("SIP/2.0/UDP {sent_by}"), |via, one| {
                    format!("{via};{one}")
                })
        });
    let vias = (
        prop::sample::select(vec!["Via:", "v :", "VIA: ,", "V:\r\n "]),
        prop::collection::vec(via, 1..4),
    )
        .prop_map(|(name, vias)| format!("{name}{}\r\n", vias.join(",\r\n ")));
    let other = prop::sample::select(vec![
        "Route: <sip:a,b@c;lr>, <sip:d>\r\n",
        "Route: \"x <\" <sip:e>\r\n",
        "Max-Forwards: 70\r\n",
        "Max-Forwards: 0\r\n",
        "max-forwards: 256\r\n",
        "f: <sip:a>;tag=1\r\n",
        "To: <sip:b>\r\n",
        "t: sip:b;tag=2\r\n",
        "To: \"b <sip:b>\r\n \r\n",
        "Call-ID: 1\r\n",
        "CSeq: 1 INVITE\r\n",
        "l: 3\r\n",
        "Content-Length: 1\r\n",
        "X: y\r\n",
        "\u{e4}: y\r\n",
        "x\r\n",
    ])
    .prop_map(str::to_owned);
    prop_oneof![vias, other]
}

fn message() -> impl Strategy<Value = String> {
    let start = prop::sample::select(vec![
        "INVITE sip:a SIP/2.0\r\n",
        "ACK sip:a SIP/2.0\r\n",
        "SIP/2.0 200 OK\r\n",
        "\r\nX y SIP/2.0\r\n",
    ]);
    let end = prop::sample::select(vec!["\r\n", "\r\nabc", "\r\nabcdef", "", "\r\n\r\n\r\n"]);
    (start, prop::collection::vec(field(), 0..9), end)
        .prop_map(|(start, fields, end)| format!("{start}{}{end}", fields.concat()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn messages_put_together_at_random_pass(
        messages in prop::collection::vec(message(), 1..3),
        steer in any::<[u8; 7]>(),
    ) {
        all(messages.concat().as_bytes(), steer);
    }
}
