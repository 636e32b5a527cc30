use super::*;

fn datagram(bytes: &[u8]) -> Result<Frame, FrameError> {
    packet(bytes, Boundary::Datagram, &Limits::default())
}

fn websocket(bytes: &[u8]) -> Result<Frame, FrameError> {
    packet(bytes, Boundary::WebSocket, &Limits::default())
}

const HEAD: &str = "MESSAGE sip:a SIP/2.0\r\n";

#[test]
fn f2_bytes_behind_the_body_are_left_out() {
    let bytes = format!("{HEAD}l: 3\r\n\r\nabcINVITE sip:a SIP/2.0\r\n\r\n");
    for frame in [datagram(bytes.as_bytes()), websocket(bytes.as_bytes())] {
        let frame = frame.unwrap();
        assert!(bytes[frame.start..frame.end].ends_with("\r\n\r\nabc"));
    }
}

#[test]
fn f3_a_body_shorter_than_announced_is_told_and_a_request_answered_400() {
    let bytes = format!("{HEAD}l: 4\r\n\r\nabc");
    let error = FrameError::Short {
        announced: 4,
        available: 3,
    };
    assert_eq!(datagram(bytes.as_bytes()), Err(error));
    assert_eq!(websocket(bytes.as_bytes()), Err(error));
    assert_eq!(error.status().map(|(code, _)| code), Some(400));
}

#[test]
fn f4_without_a_content_length_the_body_goes_to_the_end() {
    let bytes = format!("{HEAD}\r\nabc");
    for frame in [datagram(bytes.as_bytes()), websocket(bytes.as_bytes())] {
        assert_eq!(frame.unwrap().end, bytes.len());
    }
}

#[test]
fn f7_a_body_beyond_the_limit_is_refused_announced_or_not() {
    let limits = Limits {
        body: 3,
        ..Limits::default()
    };
    let packet = |fields: &str, body: &str| {
        packet(
            format!("{HEAD}{fields}\r\n{body}").as_bytes(),
            Boundary::Datagram,
            &limits,
        )
    };
    let too_long = |announced| Err(FrameError::BodyTooLong { announced, max: 3 });
    assert!(packet("l: 3\r\n", "abcd").is_ok());
    assert!(packet("", "abc").is_ok());
    assert_eq!(packet("", "abcd"), too_long(4));
    assert_eq!(packet("l: 4\r\n", "abcd"), too_long(4));
    assert_eq!(packet("l: 4000000000\r\n", ""), too_long(4_000_000_000));
    assert_eq!(
        packet("l: 18446744073709551615\r\n", ""),
        too_long(u64::MAX)
    );
}

#[test]
fn a_content_length_that_says_nothing_is_an_error() {
    let packet = |fields: &str| datagram(format!("{HEAD}{fields}\r\n").as_bytes());
    assert_eq!(packet("l: x\r\n"), Err(FrameError::ContentLength));
    assert_eq!(
        packet("l: 0\r\nl: 0\r\n"),
        Err(FrameError::RepeatedContentLength)
    );
    assert_eq!(
        datagram(HEAD.as_bytes()),
        Err(FrameError::Head(crate::ScanError::Truncated))
    );
}

#[test]
fn line_ends_before_a_message_are_skipped_and_its_offsets_count_from_it() {
    let bytes = format!("\r\n\r\n{HEAD}l: 1\r\n\r\nab");
    let frame = datagram(bytes.as_bytes()).unwrap();
    assert_eq!((frame.start, frame.end), (4, bytes.len() - 1));
    let FrameKind::Message(scan) = frame.kind else {
        panic!("a message")
    };
    let message = &bytes.as_bytes()[frame.start..frame.end];
    assert_eq!(scan.method(message), Some(&b"MESSAGE"[..]));
}

#[test]
fn k5_line_ends_alone_mean_nothing_in_a_datagram() {
    for bytes in [&b""[..], b"\r\n", b"\r\n\r\n", b"\0\0\0\0", b"\n", b"  "] {
        let frame = Frame {
            start: 0,
            end: bytes.len(),
            kind: FrameKind::Blank,
        };
        assert_eq!(datagram(bytes), Ok(frame));
    }
}

#[test]
fn k2_a_websocket_message_is_a_ping_or_a_pong() {
    let kind = |bytes: &[u8]| websocket(bytes).map(|frame| frame.kind);
    assert_eq!(kind(PING), Ok(FrameKind::Ping));
    assert_eq!(kind(PONG), Ok(FrameKind::Pong));
    for bytes in [&b""[..], b"\r\n\r\n\r\n", b"\n", b"\0"] {
        assert_eq!(kind(bytes), Ok(FrameKind::Blank));
    }
}
