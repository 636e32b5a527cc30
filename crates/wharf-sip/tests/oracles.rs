//! Requests put together at random, read by this crate and by two others: `ezk-sip-types` and
//! `rvoip-sip-core`. All must find in them what was put in.

use bytes::Bytes;
use ezk_sip_types::header::typed::Via as EzkVia;
use ezk_sip_types::msg::{Line, MessageLine, PullParser};
use ezk_sip_types::parse::Parse as _;
use ezk_sip_types::{Headers, Name, host};
use proptest::prelude::*;
use rvoip_sip_core::types::uri::Host as RvoipHost;
use wharf_sip::{Boundary, FrameKind, Limits, Rport, Uri, Via, packet};

/// What a transport needs of a request.
#[derive(Clone, Debug, PartialEq)]
struct Reading {
    method: String,
    target: (String, Option<u16>),
    vias: Vec<ViaReading>,
    body: Vec<u8>,
}

#[derive(Clone, Debug, PartialEq)]
struct ViaReading {
    transport: String,
    sent_by: (String, Option<u16>),
    branch: String,
    /// `rport` is there, and without a value.
    rport: bool,
}

fn ours(message: &[u8]) -> Reading {
    let frame = packet(message, Boundary::Datagram, &Limits::default()).expect("a message");
    let FrameKind::Message(scan) = frame.kind else {
        panic!("a message")
    };
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("UTF-8");
    let target = Uri::parse(scan.target(message).expect("a request")).expect("a URI");
    let stack = scan.via.expect("a Via");
    let vias = [Some(stack.top), stack.next].into_iter().flatten();
    let vias = vias
        .map(|span| Via::parse(span.of(message)).expect("a Via"))
        .map(|via| ViaReading {
            transport: text(via.transport_name),
            sent_by: (via.host.to_string(), via.port),
            branch: text(via.branch().expect("a branch")),
            rport: via.rport() == Some(Rport::Asked),
        });
    Reading {
        method: text(scan.method(message).expect("a request")),
        target: (target.host.to_string(), target.port),
        vias: vias.collect(),
        body: message[scan.head as usize..frame.end].to_vec(),
    }
}

fn ezk(message: &[u8]) -> Reading {
    let bytes = Bytes::copy_from_slice(message);
    let mut parser = PullParser::new(&bytes, 0);
    let mut next = || {
        parser
            .next()
            .map(|line| str::from_utf8(line.expect("a line")).expect("UTF-8"))
    };
    let first = next().expect("a first line");
    let Ok((_, MessageLine::Request(line))) = MessageLine::parse(&bytes)(first) else {
        panic!("a request: {first}")
    };
    let mut headers = Headers::new();
    while let Some(line) = next() {
        let (_, line) = Line::parse(&bytes, line).expect("a field");
        headers.insert(line.name, line.value);
    }
    let host = |at: &host::HostPort| (at.host.to_string(), at.port);
    let vias: Vec<EzkVia> = headers.get(Name::VIA).expect("Vias");
    let vias = vias.iter().take(2).map(|via| ViaReading {
        transport: via.transport.to_string(),
        sent_by: host(&via.sent_by),
        branch: via.params.get_val("branch").expect("a branch").to_string(),
        rport: via
            .params
            .get("rport")
            .is_some_and(|rport| rport.value.is_none()),
    });
    Reading {
        method: line.method.to_string(),
        target: host(&line.uri.host_port),
        vias: vias.collect(),
        body: message[parser.head_end()..].to_vec(),
    }
}

fn rvoip(message: &[u8]) -> Reading {
    let message = rvoip_sip_core::parse_message(message).expect("a message");
    let request = message.as_request().expect("a request");
    let host = |host: &RvoipHost| match host {
        RvoipHost::Domain(name) => name.clone(),
        RvoipHost::Address(std::net::IpAddr::V6(ip)) => format!("[{ip}]"),
        RvoipHost::Address(ip) => ip.to_string(),
    };
    let vias = request
        .via_headers()
        .into_iter()
        .flat_map(|via| via.0)
        .take(2);
    let vias = vias.map(|via| ViaReading {
        transport: via.transport().to_owned(),
        sent_by: (host(via.host()), via.port()),
        branch: via.branch().expect("a branch").to_owned(),
        rport: via.param_value("rport") == Some(None),
    });
    Reading {
        method: request.method().to_string(),
        target: (host(&request.uri().host), request.uri().port),
        vias: vias.collect(),
        body: request.body().to_vec(),
    }
}

fn place() -> impl Strategy<Value = (String, Option<u16>)> {
    let host = prop::sample::select(vec![
        "example.com",
        "a-b.c.invalid",
        "192.0.2.17",
        "[2001:db8::9]",
        "x1",
    ]);
    (host.prop_map(str::to_owned), prop::option::of(1_u16..))
}

fn via() -> impl Strategy<Value = ViaReading> {
    let transport = prop::sample::select(vec!["UDP", "TCP", "TLS", "WS", "SCTP"]);
    (
        transport,
        place(),
        "z9hG4bK[a-zA-Z0-9.-]{1,20}",
        any::<bool>(),
    )
        .prop_map(|(transport, sent_by, branch, rport)| ViaReading {
            transport: transport.to_owned(),
            sent_by,
            branch,
            rport,
        })
}

fn reading() -> impl Strategy<Value = Reading> {
    let method = prop::sample::select(vec!["INVITE", "OPTIONS", "REGISTER", "MESSAGE"]);
    (
        method,
        place(),
        prop::collection::vec(via(), 1..3),
        "[ -~\r\n]{0,30}",
    )
        .prop_map(|(method, target, vias, body)| Reading {
            method: method.to_owned(),
            target,
            vias,
            body: body.into_bytes(),
        })
}

/// The request that says this, with its Vias in one field or in several.
fn write(reading: &Reading, one_field: bool, compact: bool) -> Vec<u8> {
    let place = |(host, port): &(String, Option<u16>)| match port {
        Some(port) => format!("{host}:{port}"),
        None => host.clone(),
    };
    let vias: Vec<_> = reading
        .vias
        .iter()
        .map(|via| {
            let rport = if via.rport { ";rport" } else { "" };
            format!(
                "SIP/2.0/{} {};branch={}{rport}",
                via.transport,
                place(&via.sent_by),
                via.branch
            )
        })
        .collect();
    let (name, length) = if compact {
        ("v", "l")
    } else {
        ("Via", "Content-Length")
    };
    let between = if one_field {
        ", ".to_owned()
    } else {
        format!("\r\n{name}: ")
    };
    let head = format!(
        "{method} sip:u@{target} SIP/2.0\r\n{name}: {vias}\r\nMax-Forwards: 70\r\n\
         From: <sip:a@b.c>;tag=1\r\nTo: <sip:d@e.f>\r\nCall-ID: x@y\r\nCSeq: 1 {method}\r\n\
         {length}: {len}\r\n\r\n",
        method = reading.method,
        target = place(&reading.target),
        vias = vias.join(&between),
        len = reading.body.len(),
    );
    [head.as_bytes(), &reading.body].concat()
}

proptest! {
    #[test]
    fn three_readers_find_what_was_written(
        reading in reading(),
        one_field in any::<bool>(),
        compact in any::<bool>(),
    ) {
        let message = write(&reading, one_field, compact);
        prop_assert_eq!(&ours(&message), &reading);
        prop_assert_eq!(&ezk(&message), &reading, "ezk-sip-types");
        prop_assert_eq!(&rvoip(&message), &reading, "rvoip-sip-core");
    }
}
