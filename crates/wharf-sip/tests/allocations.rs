//! What costs no memory: finding the parts of a message and framing it; deciding its way; and, once an
//! editor has its room, changing it.

#![allow(
    clippy::disallowed_methods,
    reason = "the time a test begins at may be any"
)]

use std::alloc::System;
use std::time::Instant;

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use wharf_sip::route::{
    Onward, RequestRoute, ResponseRoute, ResponseRules, ResponseStep, SizeSwitch,
};
use wharf_sip::{
    Boundary, Editor, FrameError, Framer, Limits, Priority, Scan, Transport, Uri, Via, packet,
};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const MESSAGE: &[u8] = include_bytes!("rfc4475/wsinv.dat");

// One test alone: the allocator counts for the whole process.
#[test]
fn f7_scanning_framing_and_editing_allocate_nothing() {
    let limits = Limits::default();
    let now = Instant::now();
    let mut framer = Framer::new(limits, now);
    // What is known of a message that comes bit by bit is kept: of the head, then of the body.
    let region = Region::new(ALLOCATOR);
    for end in 0..=MESSAGE.len() {
        let frame = framer.advance(&MESSAGE[..end], now).expect("no error");
        assert_eq!(frame.is_some(), end == MESSAGE.len());
    }
    let change = region.change();
    assert!(change.allocations <= 2 && change.bytes_allocated < 1000);
    assert_eq!(change.bytes_allocated, change.bytes_deallocated);
    let region = Region::new(ALLOCATOR);
    let scan = Scan::of(MESSAGE, &limits).expect("a head");
    let frame = framer.advance(MESSAGE, now).expect("no error");
    assert_eq!(frame.expect("a message").end, MESSAGE.len());
    assert!(packet(MESSAGE, Boundary::Datagram, &limits).is_ok());
    let via = Via::parse(scan.via.expect("a Via").top.of(MESSAGE)).expect("a Via");
    assert_eq!(via.branch(), Some(&b"390skdjuw"[..]));
    let route = Uri::parse_name_addr(scan.route.expect("a Route").top.of(MESSAGE));
    assert!(route.expect("a URI").is_loose_route());
    assert_eq!(scan.fields(MESSAGE).count(), 14);
    // 4,000,000,000 bytes announced are not 4,000,000,000 bytes kept.
    let endless = b"BYE sip:a SIP/2.0\r\nl: 4000000000\r\n\r\n";
    let refused = framer.advance(endless, now);
    assert!(matches!(refused, Err(FrameError::BodyTooLong { .. })));
    let to = "192.0.2.1:5060".parse().expect("an address");
    let request = RequestRoute::new(Transport::Udp, to, 1301, None, SizeSwitch::default());
    assert_eq!(request.expect("it fits").first().transport, Transport::Tcp);
    let onward = Onward::of(MESSAGE, &scan, |_| false).expect("a Route");
    assert_eq!(
        (onward.own, Priority::of(MESSAGE, &scan)),
        (0, Priority::Normal)
    );
    let seen = Via::parse(b"SIP/2.0/UDP a;rport=9;received=192.0.2.1").expect("a Via");
    let step = ResponseRoute::new(Transport::Udp, seen, ResponseRules::default()).next();
    assert!(matches!(step, Some(ResponseStep::Datagram { .. })));
    let change = region.change();
    assert_eq!((change.allocations, change.reallocations), (0, 0));

    let (mut editor, mut out) = (Editor::default(), Vec::new());
    let mut edit = || {
        out.clear();
        let mut edit = editor.edit(MESSAGE, &scan);
        edit.push_via("SIP/2.0/UDP edge")
            .and_then(|edit| edit.pop_route())
            .expect("a Route");
        edit.set_via_transport(Transport::Tcp)
            .expect("a Via")
            .write(&mut out)
            .expect("three parts");
        out.len()
    };
    let first = edit();
    let region = Region::new(ALLOCATOR);
    assert_eq!(edit(), first);
    assert_eq!(region.change().allocations, 0);
}
