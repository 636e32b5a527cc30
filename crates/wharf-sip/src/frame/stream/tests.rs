#![allow(
    clippy::disallowed_methods,
    reason = "the time a test begins at may be any"
)]

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::scan::ScanError;

const REQUEST: &str = "OPTIONS sip:a SIP/2.0\r\nVia: SIP/2.0/TCP b,\r\n c\r\nl: 0\r\n\r\n";
const MESSAGE: &str = "MESSAGE sip:a SIP/2.0\r\nContent-Length: 8\r\n\r\n\r\n\r\n\r\n\r\n";

/// What came out of a stream: each message's bytes, `ping`, `pong` or `blank`.
#[derive(Debug, PartialEq)]
struct Outcome {
    frames: Vec<String>,
    end: Result<usize, FrameError>,
}

fn feed<'a>(framer: &mut Framer, pieces: impl IntoIterator<Item = &'a [u8]>) -> Outcome {
    let now = Instant::now();
    let (mut buffer, mut frames) = (Vec::new(), Vec::new());
    for piece in pieces {
        buffer.extend_from_slice(piece);
        loop {
            let frame = match framer.advance(&buffer, now) {
                Ok(Some(frame)) => frame,
                Ok(None) => break,
                Err(error) => {
                    return Outcome {
                        frames,
                        end: Err(error),
                    };
                }
            };
            assert_eq!(frame.start, 0);
            frames.push(match frame.kind {
                FrameKind::Message(scan) => {
                    assert!(scan.head as usize <= frame.end);
                    String::from_utf8_lossy(&buffer[..frame.end]).into_owned()
                }
                FrameKind::Ping => "ping".to_owned(),
                FrameKind::Pong => "pong".to_owned(),
                FrameKind::Blank => "blank".to_owned(),
            });
            buffer.drain(..frame.end);
        }
    }
    Outcome {
        frames,
        end: Ok(buffer.len()),
    }
}

fn framer() -> Framer {
    Framer::new(Limits::default(), Instant::now())
}

fn whole(bytes: &str) -> Outcome {
    feed(&mut framer(), [bytes.as_bytes()])
}

fn frames(expected: &[&str]) -> Outcome {
    Outcome {
        frames: expected.iter().map(|&frame| frame.to_owned()).collect(),
        end: Ok(0),
    }
}

#[test]
fn f1_a_stream_needs_a_content_length_and_ignores_line_ends_before_a_message() {
    let missing = whole("OPTIONS sip:a SIP/2.0\r\n\r\n");
    assert_eq!(missing.end, Err(FrameError::NoContentLength));
    let led = whole(&format!("\r\n{REQUEST}"));
    assert_eq!(led, frames(&["blank", REQUEST]));
}

#[test]
fn f5_every_cut_gives_the_same_and_many_messages_come_in_order() {
    let bytes = [MESSAGE, REQUEST, "\r\n\r\n", MESSAGE, REQUEST].concat();
    let expected = frames(&[MESSAGE, REQUEST, "blank", "ping", MESSAGE, REQUEST]);
    assert_eq!(whole(&bytes), expected);
    for cut in 0..=bytes.len() {
        let (one, two) = bytes.as_bytes().split_at(cut);
        assert_eq!(feed(&mut framer(), [one, two]), expected, "cut at {cut}");
    }
    assert_eq!(feed(&mut framer(), bytes.as_bytes().chunks(1)), expected);
}

#[test]
fn f6_after_an_error_the_stream_stays_dead() {
    let mut framer = framer();
    let broken = "OPTIONS sip:a SIP/2.0\r\nl: x\r\n\r\n";
    let outcome = feed(&mut framer, [broken.as_bytes(), REQUEST.as_bytes()]);
    let error = Err(FrameError::ContentLength);
    assert_eq!((outcome.frames.len(), outcome.end), (0, error));
    assert_eq!(feed(&mut framer, [REQUEST.as_bytes()]).end, error);
    assert_eq!(
        framer.expire(Instant::now()),
        Err(FrameError::ContentLength)
    );
    assert_eq!(framer.deadline(), None);
}

#[test]
fn f7_a_length_that_is_only_announced_costs_nothing() {
    let outcome = whole("OPTIONS sip:a SIP/2.0\r\nl: 4000000000\r\n\r\n");
    let error = FrameError::BodyTooLong {
        announced: 4_000_000_000,
        max: 256 << 10,
    };
    assert_eq!(outcome.end, Err(error));
    assert_eq!(error.status().map(|(code, _)| code), Some(413));
}

#[test]
fn f7_an_endless_head_ends_at_its_limit() {
    let limits = Limits {
        head: 100,
        line: 50,
        ..Limits::default()
    };
    let endless = |bytes: &str| {
        let mut framer = Framer::new(limits, Instant::now());
        feed(&mut framer, bytes.as_bytes().chunks(1)).end
    };
    let line = format!("OPTIONS sip:{}", "a".repeat(50));
    assert_eq!(
        endless(&line),
        Err(FrameError::Head(ScanError::LineTooLong(50)))
    );
    let head = format!("OPTIONS sip:a SIP/2.0\r\n{}", "a: b\r\n".repeat(20));
    assert_eq!(
        endless(&head),
        Err(FrameError::Head(ScanError::HeadTooLong(100)))
    );
    assert_eq!(
        endless("GET / HTTP/1.1\r\n:"),
        Err(FrameError::Head(ScanError::StartLine))
    );
}

#[test]
fn f7_head_body_and_first_message_have_a_time_each() {
    let limits = Limits {
        head_time: Duration::from_secs(1),
        body_time: Duration::from_secs(2),
        first_message_time: Some(Duration::from_secs(10)),
        ..Limits::default()
    };
    let start = Instant::now();
    let at = |seconds| start + Duration::from_secs(seconds);
    let new = || Framer::new(limits, start);
    let (head, body) = MESSAGE.as_bytes().split_at(MESSAGE.len() - 8);

    let mut framer = new();
    assert_eq!(framer.deadline(), Some(at(10)));
    assert_eq!(framer.advance(&head[..1], at(3)), Ok(None));
    // One byte more does not buy more time.
    assert_eq!(framer.advance(&head[..2], at(3)), Ok(None));
    assert_eq!(framer.deadline(), Some(at(4)));
    assert_eq!(framer.expire(start + Duration::from_millis(3999)), Ok(()));
    assert_eq!(framer.expire(at(4)), Err(FrameError::HeadTime));
    assert_eq!(framer.advance(head, at(4)), Err(FrameError::HeadTime));

    let mut framer = new();
    assert_eq!(framer.advance(head, at(5)), Ok(None));
    assert_eq!(framer.deadline(), Some(at(7)));
    assert_eq!(framer.expire(at(7)), Err(FrameError::BodyTime));

    let mut framer = new();
    assert!(
        framer
            .advance(b"\r\n", at(9))
            .is_ok_and(|frame| frame.is_some())
    );
    assert_eq!(framer.expire(at(10)), Err(FrameError::FirstMessageTime));

    let mut framer = new();
    assert!(
        framer
            .advance(&[head, body].concat(), at(1))
            .is_ok_and(|frame| frame.is_some())
    );
    assert_eq!(framer.deadline(), None);
    assert_eq!(framer.expire(at(1000)), Ok(()));

    let silent = Framer::new(
        Limits {
            first_message_time: None,
            ..limits
        },
        start,
    );
    assert_eq!(silent.deadline(), None);
    let endless = Limits {
        head_time: Duration::MAX,
        first_message_time: None,
        ..limits
    };
    let mut framer = Framer::new(endless, start);
    assert_eq!(framer.advance(b"A", start), Ok(None));
    assert_eq!(framer.deadline(), None);
}

#[test]
fn k2_pings_are_told_split_back_to_back_and_before_a_request() {
    assert_eq!(whole("\r\n\r\n"), frames(&["blank", "ping"]));
    assert_eq!(
        feed(&mut framer(), b"\r\n\r\n".chunks(1)),
        frames(&["blank", "ping"])
    );
    assert_eq!(
        whole("\r\n\r\n\r\n\r\n"),
        frames(&["blank", "ping", "blank", "ping"])
    );
    let before = whole(&format!("\r\n\r\n{REQUEST}"));
    assert_eq!(before, frames(&["blank", "ping", REQUEST]));
    // Half a ping before a message is forgotten.
    let half = whole(&format!("\r\n{REQUEST}\r\n"));
    assert_eq!(half, frames(&["blank", REQUEST, "blank"]));
}

#[test]
fn k3_line_ends_within_a_message_are_no_ping() {
    assert_eq!(whole(MESSAGE), frames(&[MESSAGE]));
}

#[test]
fn k4_a_line_end_answers_each_ping_of_this_side() {
    let mut framer = framer();
    framer.ping_sent();
    framer.ping_sent();
    let outcome = feed(&mut framer, [&b"\r\n\r\n\r\n\r\n"[..]]);
    assert_eq!(outcome, frames(&["pong", "pong", "blank", "ping"]));
}

#[test]
fn what_begins_no_message_is_an_error_at_once() {
    assert_eq!((whole("\r").frames.len(), whole("\r").end), (0, Ok(1)));
    for bytes in ["\rx", "\n", " ", "\u{16}\u{3}\u{1}", "\0", "OPTIONS\r\n:"] {
        let error = FrameError::Head(ScanError::StartLine);
        assert_eq!(whole(bytes).end, Err(error), "{bytes:?}");
    }
}

/// Bytes like those of SIP: pieces that mean something, in any order.
fn near_sip() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop::sample::select(vec![
        REQUEST,
        MESSAGE,
        "\r\n",
        "\r",
        "\n",
        " ",
        "OPTIONS sip:a SIP/2.0\r\n",
        "SIP/2.0 200 OK\r\n",
        "l: 3\r\n",
        "l: x\r\n",
        "v: a, b\r\n",
        "\r\n\r\n",
        "abc",
        ":",
        "\0",
        "\u{e4}",
        "a: b\r\n c\r\n",
    ]);
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat().into_bytes())
}

proptest! {
    #[test]
    fn f5_any_cuts_of_any_bytes_give_the_same(
        bytes in near_sip(),
        cuts in prop::collection::vec(1_usize..20, 1..8),
        pings in 0..3,
    ) {
        let limits = Limits { head: 90, line: 45, fields: 4, body: 9, ..Limits::default() };
        let framer = || {
            let mut framer = Framer::new(limits, Instant::now());
            (0..pings).for_each(|_| framer.ping_sent());
            framer
        };
        let mut rest = &bytes[..];
        let pieces = cuts.iter().cycle().map_while(|&cut| {
            let (piece, after) = rest.split_at(cut.min(rest.len()));
            rest = after;
            (!piece.is_empty()).then_some(piece)
        });
        let cut = feed(&mut framer(), pieces.collect::<Vec<_>>());
        prop_assert_eq!(cut, feed(&mut framer(), [&bytes[..]]));
    }
}
