//! The bodies of the targets for SIP, which the tests of `wharf-sip` replay and feed with messages of
//! their own making: each takes any bytes and panics when something is wrong.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Instant;

use wharf_sip::{
    Boundary, ContentLength, EditError, Editor, FrameError, FrameKind, Framer, Limits, Parameter,
    Reply, Rport, Scan, StartLine, Transport, Uri, Via, packet,
};

/// A target: it takes any bytes.
type Target = fn(&[u8]);

pub(crate) const ALL: &[(&str, Target)] = &[
    ("sip_scan", sip_scan),
    ("sip_frame", sip_frame),
    ("sip_edit", sip_edit),
];

/// Room for what an edit adds.
const WIDE: Limits = Limits {
    head: 1 << 24,
    line: 1 << 24,
    fields: u16::MAX,
    body: 1 << 24,
    head_time: std::time::Duration::from_secs(1),
    body_time: std::time::Duration::from_secs(1),
    first_message_time: None,
};

fn sip_scan(data: &[u8]) {
    let _ = (Uri::parse(data), Uri::parse_name_addr(data));
    if let Ok(via) = Via::parse(data) {
        let _ = (
            via.branch(),
            via.received(),
            via.rport(),
            via.maddr(),
            via.ttl(),
            via.keep(),
        );
    }
    let limits = Limits {
        head: 1000,
        line: 200,
        fields: 20,
        ..Limits::default()
    };
    let Ok(scan) = Scan::of(data, &limits) else {
        return;
    };
    let head = &data[..scan.head as usize];
    assert!(
        head.len() <= 1000 && head.ends_with(b"\r\n"),
        "the head has its end"
    );
    assert_eq!(
        Scan::of(head, &limits),
        Ok(scan),
        "what follows the head means nothing"
    );
    let fields: Vec<_> = scan.fields(head).collect();
    assert!(fields.len() <= 20, "a limit of fields");
    let has = |long, compact| fields.iter().any(|field| field.is(long, compact));
    assert_eq!(
        has("Content-Length", Some(b'l')),
        scan.content_length != ContentLength::Absent
    );
    assert_eq!(has("Max-Forwards", None), scan.max_forwards.is_some());
    assert_eq!(has("Call-ID", Some(b'i')), scan.call_id.is_some());
    assert_eq!(has("CSeq", None), scan.cseq.is_some());
    for (stack, long, compact) in [(scan.via, "Via", Some(b'v')), (scan.route, "Route", None)] {
        let Some(stack) = stack else { continue };
        assert!(has(long, compact));
        let (line, top) = (stack.line.range(), stack.top.range());
        assert!(line.start < top.start && top.end <= line.end - 2 && line.end < head.len());
        assert!(
            stack
                .next
                .is_none_or(|next| next.start > stack.top.end && !next.of(head).is_empty())
        );
    }
}

/// What came out of a stream.
#[derive(Debug, PartialEq)]
struct Outcome {
    frames: Vec<(Vec<u8>, FrameKind)>,
    end: Result<usize, FrameError>,
}

/// However the bytes are cut, the frames are the same; and a datagram of one message is that message.
fn sip_frame(data: &[u8]) {
    let [step, pings, bytes @ ..] = data else {
        return;
    };
    let limits = Limits {
        head: 300,
        line: 120,
        fields: 9,
        body: 50,
        ..WIDE
    };
    let whole = feed(bytes, bytes.len().max(1), *pings, &limits);
    assert_eq!(feed(bytes, 1, *pings, &limits), whole);
    assert_eq!(
        feed(bytes, usize::from(*step).max(1), *pings, &limits),
        whole
    );
    for (message, kind) in &whole.frames {
        if let FrameKind::Message(scan) = kind {
            let frame = packet(message, Boundary::Datagram, &limits).expect("a whole message");
            assert_eq!((frame.start, frame.end), (0, message.len()));
            assert_eq!(frame.kind, FrameKind::Message(*scan));
        }
    }
    for boundary in [Boundary::Datagram, Boundary::WebSocket] {
        if let Ok(frame) = packet(bytes, boundary, &limits) {
            assert!(frame.start <= frame.end && frame.end <= bytes.len());
        }
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "the time it begins at may be any"
)]
fn feed(bytes: &[u8], step: usize, pings: u8, limits: &Limits) -> Outcome {
    let now = Instant::now();
    let mut framer = Framer::new(*limits, now);
    (0..pings % 4).for_each(|_| framer.ping_sent());
    let (mut start, mut frames) = (0, Vec::new());
    for end in (step..bytes.len()).step_by(step).chain([bytes.len()]) {
        loop {
            match framer.advance(&bytes[start..end], now) {
                Ok(Some(frame)) => {
                    assert!(frame.end > 0, "no step forward");
                    frames.push((bytes[start..start + frame.end].to_vec(), frame.kind));
                    start += frame.end;
                }
                Ok(None) => break,
                Err(error) => {
                    return Outcome {
                        frames,
                        end: Err(error),
                    };
                }
            }
        }
    }
    Outcome {
        frames,
        end: Ok(bytes.len() - start),
    }
}

/// An edit does what it says, and changes nothing else.
fn sip_edit(data: &[u8]) {
    let [kind, a, b, c, d, high, low, message @ ..] = data else {
        return;
    };
    let Ok(scan) = Scan::of(message, &Limits::default()) else {
        return;
    };
    let v4 = Ipv4Addr::new(*a, *b, *c, *d);
    let ip = match kind % 3 {
        0 => IpAddr::V4(v4),
        1 => v4.to_ipv6_mapped().into(),
        _ => Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, (*a).into(), (*b).into()).into(),
    };
    let source = SocketAddr::new(ip, u16::from_be_bytes([*high, *low]).max(1));
    let mut editor = Editor::default();
    push_and_pop(&mut editor, message, &scan);
    hops(&mut editor, message, &scan);
    if let Some(via) = scan.via {
        stamp(&mut editor, message, &scan, source);
        let top = Via::parse(via.top.of(message));
        let mut out = Vec::new();
        let mut edit = editor.edit(message, &scan);
        match edit.set_via_transport(Transport::Sctp) {
            Ok(edit) => edit.write(&mut out).expect("one change"),
            Err(error) => return assert_eq!(Err(error), top.map_err(EditError::Via).map(|_| ())),
        }
        let (before, changed) = (top.expect("a Via"), rescan(&out).via.expect("a Via"));
        let after = Via::parse(changed.top.of(&out)).expect("a Via");
        assert_eq!(
            after,
            Via {
                transport_name: b"SCTP",
                ..before
            }
        );
        let width = before.transport_name.len();
        assert_eq!(out.len() + width, message.len() + b"SCTP".len());
    }
    respond(&mut editor, message, &scan, source);
}

fn rescan(message: &[u8]) -> Scan {
    Scan::of(message, &WIDE).expect("an edit leaves a message")
}

fn push_and_pop(editor: &mut Editor, message: &[u8], scan: &Scan) {
    let value = "SIP/2.0/TLS edge.example.com:5061;branch=z9hG4bK1";
    let mut pushed = Vec::new();
    editor
        .edit(message, scan)
        .push_via(value)
        .expect("a Via")
        .write(&mut pushed)
        .expect("one");
    let after = rescan(&pushed);
    let via = after.via.expect("it was pushed");
    assert_eq!(via.top.of(&pushed), value.as_bytes());
    let below = via.next.map(|next| next.of(&pushed));
    assert_eq!(below, scan.via.map(|via| via.top.of(message)));
    let mut popped = Vec::new();
    editor
        .edit(&pushed, &after)
        .pop_via()
        .expect("one")
        .write(&mut popped)
        .expect("one");
    assert_eq!(popped, message, "a push and a pop leave the message");
    for (stack, route) in [(scan.via, false), (scan.route, true)] {
        let mut out = Vec::new();
        let mut edit = editor.edit(message, scan);
        let popped = if route {
            edit.pop_route()
        } else {
            edit.pop_via()
        };
        let Some(stack) = stack else {
            assert!(popped.is_err());
            continue;
        };
        popped.expect("one").write(&mut out).expect("one change");
        let after = rescan(&out);
        let after = if route { after.route } else { after.via };
        let (line, cut) = (stack.line.range(), message.len() - out.len());
        assert_eq!(
            after.map(|one| one.top.of(&out)),
            stack.next.map(|next| next.of(message))
        );
        assert!(cut <= line.len() && out[..line.start] == message[..line.start]);
        assert_eq!(out[line.end - cut..], message[line.end..]);
    }
}

fn hops(editor: &mut Editor, message: &[u8], scan: &Scan) {
    let mut out = Vec::new();
    if let Ok(edit) = editor.edit(message, scan).decrement_max_forwards() {
        edit.write(&mut out).expect("one change");
        let number = |bytes: &[u8]| {
            str::from_utf8(bytes)
                .ok()
                .and_then(|text| text.parse().ok())
        };
        let left: Option<u8> = rescan(&out)
            .max_forwards
            .and_then(|span| number(span.of(&out)));
        let had: Option<u8> = scan.max_forwards.and_then(|span| number(span.of(message)));
        assert_eq!(left, Some(had.map_or(70, |had| had - 1)));
    }
}

fn stamp(editor: &mut Editor, message: &[u8], scan: &Scan, source: SocketAddr) {
    let mut out = Vec::new();
    let top = scan.via.expect("asked for one with a Via").top;
    let via = Via::parse(top.of(message));
    match editor.edit(message, scan).stamp_via(source) {
        Ok(edit) => edit.write(&mut out).expect("changes of different parts"),
        Err(EditError::NotARequest) => {
            return assert!(matches!(scan.start, StartLine::Response { .. }));
        }
        Err(error) => return assert_eq!(Err(error), via.map(|_| ()).map_err(EditError::Via)),
    }
    let range = top.range();
    let tail = message.len() - range.end;
    assert_eq!(
        out[..range.start],
        message[..range.start],
        "nothing in front changes"
    );
    assert_eq!(
        out[out.len() - tail..],
        message[range.end..],
        "nothing behind changes"
    );
    let changed = &out[range.start..out.len() - tail];
    assert_eq!(rescan(&out).via.map(|via| via.top.of(&out)), Some(changed));
    let (before, after) = (
        via.expect("it was stamped"),
        Via::parse(changed).expect("a Via"),
    );
    assert_eq!(
        Via {
            parameters: before.parameters,
            ..after
        },
        before
    );
    let seen = |one: &Parameter<'_>| {
        one.name.eq_ignore_ascii_case(b"received") || one.name.eq_ignore_ascii_case(b"rport")
    };
    let others = |via: &Via<'_>| {
        via.parameters
            .iter()
            .filter(|one| !seen(one))
            .map(|one| (one.name.to_vec(), one.value.map(<[u8]>::to_vec)))
            .collect::<Vec<_>>()
    };
    assert_eq!(others(&before), others(&after), "the other parameters stay");
    let ip = source.ip().to_canonical();
    assert_eq!(
        after.rport(),
        before.rport().map(|_| Rport::Port(source.port()))
    );
    let had = before.parameters.get("received").is_some();
    let same = before
        .host
        .ip()
        .is_some_and(|host| host.to_canonical() == ip);
    let wanted = had || before.rport().is_some() || !same;
    assert_eq!(after.received(), wanted.then_some(ip));
    let names = |via: &Via<'_>| via.parameters.iter().count();
    assert_eq!(
        names(&after),
        names(&before) + usize::from(wanted && !had),
        "one is added"
    );
}

fn respond(editor: &mut Editor, message: &[u8], scan: &Scan, source: SocketAddr) {
    let fields = [("Server", "wharf"), ("Retry-After", "5")];
    let reply = Reply {
        code: 503,
        reason: "Service Unavailable",
        tag: "t",
        source: Some(source),
        fields: &fields,
    };
    let mut out = Vec::new();
    let mut edit = editor.edit(message, scan);
    let Ok(edit) = edit.respond(&reply) else {
        return;
    };
    edit.write(&mut out).expect("changes of different parts");
    let after = rescan(&out);
    assert!(matches!(after.start, StartLine::Response { code: 503, .. }));
    assert_eq!(after.head as usize, out.len());
    assert!(matches!(after.content_length, ContentLength::Bytes(0, _)));
    let next = |scan: &Scan, message: &[u8]| {
        scan.via
            .and_then(|via| via.next)
            .map(|via| via.of(message).to_vec())
    };
    assert_eq!(
        next(&after, &out),
        next(scan, message),
        "the lower Vias stay"
    );
    for (long, compact) in [
        ("From", Some(b'f')),
        ("Call-ID", Some(b'i')),
        ("CSeq", None),
    ] {
        let values = |scan: &Scan, message: &[u8]| {
            scan.fields(message)
                .filter(|field| field.is(long, compact))
                .map(|field| field.value.to_vec())
                .collect::<Vec<_>>()
        };
        assert_eq!(values(&after, &out), values(scan, message), "{long} stays");
    }
    let names: Vec<_> = after.fields(&out).take(2).map(|field| field.name).collect();
    assert_eq!(names, [&b"Server"[..], b"Retry-After"]);
}
