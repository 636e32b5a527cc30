//! The messages of RFC 4475 §3, byte for byte in `rfc4475/` under the names that the RFC gives
//! them, and what a transport makes of each, as a datagram and on a stream.

#![allow(
    clippy::disallowed_methods,
    reason = "the time a test begins at may be any"
)]

use std::fs;
use std::path::Path;
use std::time::Instant;

use wharf_sip::{
    Boundary, FrameError, FrameKind, Framer, Host, Limits, Scan, ScanError, StartLine, Transport,
    Uri, Via, packet,
};

use Datagram::{Cut, Refused, Whole};
use Stream::{Failed, Messages, Unfinished};

/// What becomes of the bytes in one datagram.
enum Datagram {
    /// They are one message.
    Whole,
    /// The message ends after so many bytes; the rest is left out.
    Cut(usize),
    Refused(FrameError),
}

/// What becomes of the bytes on one stream.
enum Stream {
    /// So many messages, and nothing is left.
    Messages(usize),
    /// So many messages, then an error.
    Failed(usize, FrameError),
    /// More is to come.
    Unfinished,
}

const START: FrameError = FrameError::Head(ScanError::StartLine);
const CODE: FrameError = FrameError::Head(ScanError::StatusCode);
const CUT_HEAD: FrameError = FrameError::Head(ScanError::Truncated);
const SHORT: FrameError = FrameError::Short {
    announced: 9999,
    available: 154,
};
const NO_LENGTH: FrameError = FrameError::NoContentLength;
const LENGTH: FrameError = FrameError::ContentLength;
const LENGTHS: FrameError = FrameError::RepeatedContentLength;

/// A message that is delivered whole, as a datagram and on a stream: the file, the section of RFC
/// 4475, the host of the top Via.
const DELIVERED: [(&str, &str, &str); 42] = [
    ("wsinv", "3.1.1.1", "192.0.2.2"),
    ("intmeth", "3.1.1.2", "host1.example.com"),
    ("esc01", "3.1.1.3", "host5.example.net"),
    ("escnull", "3.1.1.4", "host5.example.com"),
    ("esc02", "3.1.1.5", "host.example.com"),
    ("lwsdisp", "3.1.1.6", "funky.example.com"),
    ("longreq", "3.1.1.7", "sip33.example.com"),
    ("semiuri", "3.1.1.9", "192.0.2.1"),
    ("transports", "3.1.1.10", "t1.example.com"),
    ("mpart01", "3.1.1.11", "127.0.0.1"),
    ("unreason", "3.1.1.12", "192.0.2.198"),
    ("noreason", "3.1.1.13", "192.0.2.105"),
    ("badinv01", "3.1.2.1", "192.0.2.15"),
    ("scalar02", "3.1.2.4", "host129.example.com"),
    ("scalarlg", "3.1.2.5", "host129.example.com"),
    ("quotbal", "3.1.2.6", "192.0.2.59"),
    ("ltgtruri", "3.1.2.7", "192.0.2.5"),
    ("lwsruri", "3.1.2.8", "192.0.2.1"),
    ("lwsstart", "3.1.2.9", "host1.example.com"),
    ("trws", "3.1.2.10", "host1.examle.com"),
    ("escruri", "3.1.2.11", "host-of-the-hour.example.com"),
    ("baddate", "3.1.2.12", "host.example.com"),
    ("regbadct", "3.1.2.13", "135.180.130.133"),
    ("badaspec", "3.1.2.14", "host4.example.com"),
    ("badvers", "3.1.2.16", "c.example.com"),
    ("mismatch01", "3.1.2.17", "host.example.com"),
    ("mismatch02", "3.1.2.18", "host.example.net"),
    ("badbranch", "3.2.1", "192.0.2.1"),
    ("insuf", "3.3.1", "192.0.2.95"),
    ("unkscm", "3.3.2", "host9.example.com"),
    ("novelsc", "3.3.3", "host9.example.com"),
    ("unksm2", "3.3.4", "192.0.2.21"),
    ("bext01", "3.3.5", "fold-and-staple.example.com"),
    ("invut", "3.3.6", "somehost.example.com"),
    ("regaut01", "3.3.7", "192.0.2.253"),
    ("multi01", "3.3.8", "192.0.2.25"),
    ("bcast", "3.3.10", "192.0.2.198"),
    ("zeromf", "3.3.11", "host1.example.com"),
    ("cparam01", "3.3.12", "saturn.example.com"),
    ("cparam02", "3.3.13", "saturn.example.com"),
    ("regescrt", "3.3.14", "host5.example.com"),
    ("sdp01", "3.3.15", "192.0.2.15"),
];

/// Those with another verdict, as a datagram and on a stream. Without a head there is no Via.
const OTHERS: [(&str, &str, &str, Datagram, Stream); 7] = [
    // Five bytes more than the second Content-Length says: no start line.
    (
        "dblreq",
        "3.1.1.8",
        "192.0.2.125",
        Cut(300),
        Failed(2, START),
    ),
    (
        "clerr",
        "3.1.2.2",
        "host5.example.com",
        Refused(SHORT),
        Unfinished,
    ),
    (
        "ncl",
        "3.1.2.3",
        "192.0.2.53",
        Refused(LENGTH),
        Failed(0, LENGTH),
    ),
    ("baddn", "3.1.2.15", "", Refused(CUT_HEAD), Unfinished),
    ("bigcode", "3.1.2.19", "", Refused(CODE), Failed(0, CODE)),
    (
        "mcl01",
        "3.3.9",
        "host5.example.net",
        Refused(LENGTHS),
        Failed(0, LENGTHS),
    ),
    // RFC 2543 had no need of a Content-Length: over UDP alone.
    (
        "inv2543",
        "3.4.1",
        "iftgw.example.com",
        Whole,
        Failed(0, NO_LENGTH),
    ),
];

fn verdicts() -> impl Iterator<Item = (&'static str, &'static str, &'static str, Datagram, Stream)>
{
    let delivered = DELIVERED.into_iter();
    let delivered =
        delivered.map(|(name, section, host)| (name, section, host, Whole, Messages(1)));
    delivered.chain(OTHERS)
}

fn read(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rfc4475");
    fs::read(folder.join(name).with_extension("dat")).expect("a file for each message")
}

fn scan(name: &str) -> (Vec<u8>, Scan) {
    let bytes = read(name);
    let scan = Scan::of(&bytes, &Limits::default()).expect("a head");
    (bytes, scan)
}

#[test]
fn each_file_has_a_verdict() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rfc4475");
    let files = fs::read_dir(folder).expect("a folder").count();
    assert_eq!((files, verdicts().count()), (49, 49));
}

#[test]
fn each_message_gets_its_verdict_as_a_datagram() {
    for (name, section, _, verdict, _) in verdicts() {
        let bytes = read(name);
        let outcome = packet(&bytes, Boundary::Datagram, &Limits::default());
        match (verdict, outcome) {
            (Whole, Ok(frame)) => assert_eq!(frame.end, bytes.len(), "{section} {name}"),
            (Cut(len), Ok(frame)) => assert_eq!(frame.end, len, "{section} {name}"),
            (Refused(expected), Err(error)) => assert_eq!(error, expected, "{section} {name}"),
            (_, outcome) => panic!("{section} {name}: {outcome:?}"),
        }
    }
}

#[test]
fn each_message_gets_its_verdict_on_a_stream_however_it_is_cut() {
    for (name, section, _, _, verdict) in verdicts() {
        let bytes = read(name);
        for step in [1, 7, bytes.len()] {
            let (messages, end) = stream(&bytes, step);
            match (&verdict, end) {
                (Messages(count), Ok(0)) => assert_eq!(messages, *count, "{section} {name}"),
                (Unfinished, Ok(left)) => assert_eq!((messages, left), (0, bytes.len())),
                (Failed(count, error), Err(end)) => {
                    assert_eq!((messages, end), (*count, *error), "{section} {name}");
                }
                (_, end) => panic!("{section} {name}: {messages} messages, {end:?}"),
            }
        }
    }
}

/// The messages of a stream that comes in by `step` bytes, and the bytes left.
fn stream(bytes: &[u8], step: usize) -> (usize, Result<usize, FrameError>) {
    let now = Instant::now();
    let mut framer = Framer::new(Limits::default(), now);
    let (mut buffer, mut messages) = (Vec::new(), 0);
    for piece in bytes.chunks(step) {
        buffer.extend_from_slice(piece);
        loop {
            match framer.advance(&buffer, now) {
                Ok(Some(frame)) => {
                    messages += usize::from(matches!(frame.kind, FrameKind::Message(_)));
                    buffer.drain(..frame.end);
                }
                Ok(None) => break,
                Err(error) => return (messages, Err(error)),
            }
        }
    }
    (messages, Ok(buffer.len()))
}

#[test]
fn each_top_via_is_read() {
    for (name, section, host, ..) in verdicts() {
        let bytes = read(name);
        let Ok(scan) = Scan::of(&bytes, &Limits::default()) else {
            assert_eq!(host, "", "{section} {name}");
            continue;
        };
        let via = Via::parse(scan.via.expect("a Via").top.of(&bytes)).expect("a Via");
        assert_eq!(via.host.to_string(), host, "{section} {name}");
    }
}

#[test]
fn rfc4475_3_1_1_1_folds_compact_names_and_commas() {
    let (bytes, scan) = scan("wsinv");
    assert_eq!(scan.max_forwards.expect("one").of(&bytes), b"0068");
    assert_eq!(
        scan.call_id.expect("one").of(&bytes),
        b"wsinv.ndaksdj@192.0.2.1"
    );
    assert_eq!(scan.cseq_method(&bytes), Some(&b"INVITE"[..]));
    let next = Via::parse(
        scan.via
            .and_then(|via| via.next)
            .expect("one below")
            .of(&bytes),
    );
    let next = next.expect("a Via");
    assert_eq!(
        (next.transport(), next.host),
        (Some(Transport::Tcp), Host::Name("spindle.example.com"))
    );
    assert_eq!(next.branch(), Some(&b"z9hG4bK9ikj8"[..]));
    let route = Uri::parse_name_addr(scan.route.expect("a Route").top.of(&bytes)).expect("a URI");
    assert_eq!(route.host, Host::Name("services.example.com"));
    assert!(route.is_loose_route());
}

#[test]
fn rfc4475_3_1_1_2_a_method_is_any_token() {
    let (bytes, scan) = scan("intmeth");
    assert_eq!(
        scan.method(&bytes),
        Some(&b"!interesting-Method0123456789_*+`.%indeed'~"[..])
    );
    let target = Uri::parse(scan.target(&bytes).expect("a request")).expect("a URI");
    assert_eq!(target.host, Host::Name("example.com"));
}

#[test]
fn rfc4475_3_1_1_7_34_vias_are_counted_but_not_kept() {
    let (bytes, scan) = scan("longreq");
    let vias = scan
        .fields(&bytes)
        .filter(|field| field.is("Via", Some(b'v')));
    let values = vias.map(|via| via.value.split(|&byte| byte == b',').count());
    assert_eq!(values.sum::<usize>(), 34);
    assert!(scan.via.is_some_and(|via| via.next.is_some()));
}

#[test]
fn rfc4475_3_1_1_10_a_transport_nobody_knows_passes() {
    let (bytes, scan) = scan("transports");
    let names: Vec<_> = scan
        .fields(&bytes)
        .filter(|field| field.is("Via", Some(b'v')))
        .map(|field| Via::parse(field.value).expect("a Via").transport())
        .collect();
    let known = [Transport::Udp, Transport::Sctp, Transport::Tls].map(Some);
    assert_eq!(
        names,
        [known[0], known[1], known[2], None, Some(Transport::Tcp)]
    );
}

#[test]
fn rfc4475_3_1_1_12_and_13_a_reason_may_be_utf8_or_nothing() {
    let reason = |name| {
        let (bytes, scan) = scan(name);
        let StartLine::Response { code, reason } = scan.start else {
            panic!("a response")
        };
        (
            code,
            String::from_utf8(reason.of(&bytes).to_vec()).expect("UTF-8"),
        )
    };
    let russian = "= 2**3 * 5**2 но сто девяносто девять - простое".to_owned();
    assert_eq!(reason("unreason"), (200, russian));
    assert_eq!(reason("noreason"), (100, String::new()));
}

#[test]
fn rfc4475_3_1_2_targets_that_are_no_uri_are_the_applications_business() {
    for (name, target) in [
        ("ltgtruri", "<sip:user@example.com>"),
        ("lwsruri", "sip:user@example.com; lr"),
        ("unkscm", "nobodyKnowsThisScheme:totallyopaquecontent"),
    ] {
        let (bytes, scan) = scan(name);
        let found = scan.target(&bytes).expect("a request");
        assert_eq!(found, target.as_bytes());
        assert!(Uri::parse(found).is_err());
    }
    let (bytes, scan) = scan("lwsstart");
    assert_eq!(scan.target(&bytes), Some(&b"sip:user@example.com"[..]));
}

#[test]
fn rfc4475_3_1_2_16_another_version_is_told() {
    let (bytes, scan) = scan("badvers");
    assert_eq!(scan.version.of(&bytes), b"SIP/7.0");
}

#[test]
fn rfc4475_3_2_1_a_branch_may_be_the_cookie_alone() {
    let (bytes, scan) = scan("badbranch");
    let via = Via::parse(scan.via.expect("a Via").top.of(&bytes)).expect("a Via");
    assert_eq!(via.branch(), Some(&b"z9hG4bK"[..]));
}
