//! The bodies of the fuzz targets: each takes any bytes and panics when something is wrong.

mod attributes;
mod script;
#[path = "../steps.rs"]
mod steps;

use wharf_stun::{
    ChannelData, Frame, Framer, Message, Sha1Key, Sha256Key, Step, credential, security_features,
};

/// A target: it takes any bytes.
type Target = fn(&[u8]);

pub(crate) const ALL: &[(&str, Target)] = &[
    ("message_parse", message_parse),
    ("attribute_parse", attributes::attribute_parse),
    ("channel_data", channel_data),
    ("stream_framing", stream_framing),
    ("core_datagrams", script::core_datagrams),
];

/// Whatever parses can be walked, and says the same each time.
fn message_parse(data: &[u8]) {
    let Ok(message) = Message::parse(data) else {
        return;
    };
    let mut within = 20;
    for (ty, value) in message.attributes() {
        within += 4 + value.len();
        assert!(message.has(ty));
    }
    assert!(within <= data.len());
    assert_eq!(data[8..20], message.transaction_id().0);
    assert_eq!(data[..2], message.message_type().to_bits().to_be_bytes());
    for ty in message.unknown_required(&[]) {
        assert!(ty.is_comprehension_required());
    }
    let _ = message.fingerprint();
    let _ = message.verify_sha1(&Sha1Key::new(b"key"));
    let key = Sha256Key::new(&credential::long_term_sha256("user", "realm", "password"));
    assert!(!message.verify_sha256(&key) || message.verify_sha256_truncated(&key));
    attributes::decode_all(&message);
    let _ = security_features::SecurityFeatures::decode(data);
}

/// What parses is what its header says.
fn channel_data(data: &[u8]) {
    if let Ok(parsed) = ChannelData::parse_datagram(data) {
        let header = ChannelData::header(parsed.number, parsed.data.len() as u16);
        assert_eq!(data[..4], header);
        assert_eq!(&data[4..4 + parsed.data.len()], parsed.data);
    }
}

/// The frames are the same however the stream is cut.
fn stream_framing(data: &[u8]) {
    let Some((&chunk, stream)) = data.split_first() else {
        return;
    };
    let whole = frames(stream, stream.len().max(1));
    assert_eq!(frames(stream, usize::from(chunk).max(1)), whole);
}

/// The payloads of the frames in a stream that arrives in pieces, and whether it ends in an error.
fn frames(stream: &[u8], piece: usize) -> (Vec<Vec<u8>>, bool) {
    let framer = Framer::new(4_096);
    let (mut buffer, mut found) = (Vec::new(), Vec::new());
    for bytes in stream.chunks(piece) {
        buffer.extend_from_slice(bytes);
        loop {
            match framer.step(&buffer) {
                Ok(Step::Frame { frame, consumed }) => {
                    let (Frame::Stun(bytes) | Frame::ChannelData(ChannelData { data: bytes, .. })) =
                        frame;
                    found.push(bytes.to_vec());
                    assert!(consumed >= 4);
                    buffer.drain(..consumed);
                }
                Ok(Step::Need(more)) => {
                    assert!(more > 0 && buffer.len() < 4_096);
                    break;
                }
                Err(_) => return (found, true),
            }
        }
    }
    (found, false)
}
