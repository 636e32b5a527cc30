//! The bodies of the targets for the socket library, which the tests of `wharf` replay: each takes any
//! bytes and panics when something is wrong.

#[path = "admission.rs"]
mod admission;
#[path = "config.rs"]
mod config;
#[path = "websocket.rs"]
mod websocket;

use wharf::proxy::{EncodeOptions, MAX_BYTES, Step, Version, parse};

/// A target: it takes any bytes.
type Target = fn(&[u8]);

pub(crate) const ALL: &[(&str, Target)] = &[
    ("proxy_v1", proxy_v1),
    ("proxy_v2", proxy_v2),
    ("ws_upgrade", websocket::ws_upgrade),
    ("ws_frames", websocket::ws_frames),
    ("config_toml", config::config_toml),
    ("config_url", config::config_url),
    ("first_bytes", admission::first_bytes),
];

/// What follows the signature of version 1.
fn proxy_v1(data: &[u8]) {
    proxy(&[b"PROXY ", data].concat());
}

/// What follows the signature of version 2.
fn proxy_v2(data: &[u8]) {
    proxy(&[b"\r\n\r\n\0\r\nQUIT\n", data].concat());
}

/// The answer is the same however the bytes are cut, and what is read is sent as it was.
fn proxy(bytes: &[u8]) {
    let whole = parse(bytes, MAX_BYTES);
    let mut have = 0;
    let (first, wanted) = loop {
        match parse(&bytes[..have], MAX_BYTES) {
            Ok(Step::NeedMore { at_least }) if have + at_least > bytes.len() => return,
            Ok(Step::NeedMore { at_least }) => {
                assert!(at_least > 0);
                have += at_least;
            }
            other => break (other, have),
        }
    };
    assert_eq!(first, whole);
    for cut in 0..wanted {
        match parse(&bytes[..cut], MAX_BYTES) {
            Ok(Step::NeedMore { .. }) => {}
            // What is malformed may be seen before all that was asked for has come.
            early => {
                assert!(early.is_err(), "{early:?} before {first:?}");
                return assert_eq!(early, whole);
            }
        }
    }
    let Ok(Step::Done { header, consumed }) = whole else {
        return;
    };
    assert_eq!(
        consumed, wanted,
        "reading what is asked for takes no byte of the application"
    );
    let sent = match header.version {
        Version::V1 => header.encode_v1(),
        Version::V2 => header
            .encode_v2(&EncodeOptions { crc32c: true })
            .expect("it was read"),
    };
    let Ok(Step::Done {
        header: again,
        consumed,
    }) = parse(&sent, usize::MAX)
    else {
        panic!("what is sent is not read: {sent:?}");
    };
    assert_eq!((again, consumed), (header, sent.len()));
}
