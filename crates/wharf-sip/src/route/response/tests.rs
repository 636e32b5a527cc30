use super::*;

/// The attempts for a response with this Via, as text.
fn attempts_with(via: &str, rules: ResponseRules) -> Vec<String> {
    let value = format!("SIP/2.0/{via}");
    let via = Via::parse(value.as_bytes()).unwrap();
    let transport = via.transport().unwrap_or(Transport::Udp);
    let show = |step| match step {
        ResponseStep::Connection => "connection".to_owned(),
        ResponseStep::Connect { transport, address } => format!("connect {transport} {address}"),
        ResponseStep::Datagram { address, ttl: None } => format!("datagram {address}"),
        ResponseStep::Datagram {
            address,
            ttl: Some(ttl),
        } => format!("datagram {address} ttl {ttl}"),
        ResponseStep::Locate(target) => {
            let host = target.host.as_host();
            let port = target.port.map_or(String::new(), |port| format!(":{port}"));
            assert!(!target.secure);
            format!("locate {} {host}{port}", target.transport.unwrap())
        }
    };
    ResponseRoute::new(transport, via, rules)
        .map(show)
        .collect()
}

fn attempts(via: &str) -> Vec<String> {
    attempts_with(via, ResponseRules::default())
}

#[test]
fn s5_s6_s7_a_reliable_transport() {
    let cases: [(&str, &[&str]); 6] = [
        (
            "TCP a.example:5070;branch=1;received=192.0.2.1",
            &[
                "connection",
                "connect TCP 192.0.2.1:5070",
                "locate TCP a.example:5070",
            ],
        ),
        (
            "TLS a.example;branch=1;received=192.0.2.1",
            &[
                "connection",
                "connect TLS 192.0.2.1:5061",
                "locate TLS a.example",
            ],
        ),
        // The port that the connection came from is nobody's to connect to.
        (
            "TCP a.example;branch=1;received=192.0.2.1;rport=40000",
            &[
                "connection",
                "connect TCP 192.0.2.1:5060",
                "locate TCP a.example",
            ],
        ),
        // Without `received` the request came from the address in sent-by.
        (
            "TCP 192.0.2.9;branch=1",
            &["connection", "connect TCP 192.0.2.9:5060"],
        ),
        (
            "TCP 10.0.0.1:5070;branch=1;received=192.0.2.1",
            &[
                "connection",
                "connect TCP 192.0.2.1:5070",
                "locate TCP 10.0.0.1:5070",
            ],
        ),
        // §18.2.2: `maddr` is for unreliable transports.
        (
            "TCP 192.0.2.9;branch=1;maddr=198.51.100.1",
            &["connection", "connect TCP 192.0.2.9:5060"],
        ),
    ];
    for (via, expected) in cases {
        assert_eq!(attempts(via), expected, "{via}");
    }
}

#[test]
fn s5_a_websocket_has_its_connection_and_nothing_else() {
    for transport in ["WS", "WSS"] {
        let via = format!("{transport} df7jal23ls0d.invalid;branch=1;received=192.0.2.1;rport=4");
        assert_eq!(attempts(&via), ["connection"]);
        let via = format!("{transport} a.example:8080;branch=1;received=192.0.2.1");
        assert_eq!(attempts(&via), ["connection"]);
    }
}

#[test]
fn s8_maddr() {
    let cases: [(&str, &[&str]); 5] = [
        (
            "UDP a.example;maddr=224.0.1.75;branch=1;received=192.0.2.1;rport=4",
            &["datagram 224.0.1.75:5060 ttl 1"],
        ),
        (
            "UDP a.example:5070;maddr=224.0.1.75;ttl=16;branch=1",
            &["datagram 224.0.1.75:5070 ttl 16"],
        ),
        (
            "UDP a.example;maddr=198.51.100.1;ttl=16;branch=1",
            &["datagram 198.51.100.1:5060"],
        ),
        (
            "UDP a.example;maddr=[ff02::1];branch=1",
            &["datagram [ff02::1]:5060 ttl 1"],
        ),
        (
            "UDP a.example;maddr=b.example;branch=1",
            &["locate UDP b.example:5060"],
        ),
    ];
    for (via, expected) in cases {
        assert_eq!(attempts(via), expected, "{via}");
    }
    let rules = ResponseRules {
        follow_maddr: false,
        ..ResponseRules::default()
    };
    let via = "UDP a.example;maddr=224.0.1.75;branch=1;received=192.0.2.1";
    assert_eq!(attempts_with(via, rules)[0], "datagram 192.0.2.1:5060");
}

#[test]
fn s9_s10_received_and_rport() {
    let cases: [(&str, &[&str]); 7] = [
        (
            "UDP a.example;branch=1;received=192.0.2.1",
            &["datagram 192.0.2.1:5060", "locate UDP a.example"],
        ),
        (
            "UDP a.example:5070;branch=1;received=192.0.2.1",
            &["datagram 192.0.2.1:5070", "locate UDP a.example:5070"],
        ),
        (
            "UDP a.example:5070;branch=1;received=192.0.2.1;rport=40000",
            &["datagram 192.0.2.1:40000", "locate UDP a.example:5070"],
        ),
        (
            "UDP 10.1.1.1:4540;rport=9988;received=192.0.2.1;branch=1",
            &["datagram 192.0.2.1:9988", "locate UDP 10.1.1.1:4540"],
        ),
        // RFC 3581 §4 asks for both.
        (
            "UDP 192.0.2.1:5070;branch=1;rport=40000",
            &["datagram 192.0.2.1:5070"],
        ),
        // The same address a second time would be no other attempt.
        (
            "UDP 192.0.2.1;branch=1;received=192.0.2.1;rport",
            &["datagram 192.0.2.1:5060"],
        ),
        (
            "UDP [2001:db8::9]:5070;branch=1;received=2001:db8::1",
            &[
                "datagram [2001:db8::1]:5070",
                "locate UDP [2001:db8::9]:5070",
            ],
        ),
    ];
    for (via, expected) in cases {
        assert_eq!(attempts(via), expected, "{via}");
    }
}

#[test]
fn s11_without_received_sent_by_decides() {
    assert_eq!(attempts("UDP a.example;branch=1"), ["locate UDP a.example"]);
    assert_eq!(
        attempts("UDP a.example:5070;branch=1"),
        ["locate UDP a.example:5070"]
    );
    assert_eq!(
        attempts("UDP 192.0.2.1;branch=1"),
        ["datagram 192.0.2.1:5060"]
    );
    assert!(attempts("UDP df7jal23ls0d.invalid;branch=1").is_empty());
}

#[test]
fn an_unknown_transport_answers_the_way_it_was_asked() {
    assert_eq!(
        attempts("UNKNOWN 192.0.2.1;branch=1"),
        ["datagram 192.0.2.1:5060"]
    );
}

#[test]
fn a_response_can_be_kept_from_going_elsewhere() {
    let rules = ResponseRules {
        try_elsewhere: false,
        ..ResponseRules::default()
    };
    let cases: [(&str, &[&str]); 4] = [
        (
            "TCP a.example:5070;branch=1;received=192.0.2.1",
            &["connection"],
        ),
        ("WS a.invalid;branch=1;received=192.0.2.1", &["connection"]),
        (
            "UDP a.example;branch=1;received=192.0.2.1",
            &["datagram 192.0.2.1:5060"],
        ),
        // There is no other way that this one would be besides.
        ("UDP a.example;branch=1", &["locate UDP a.example"]),
    ];
    for (via, expected) in cases {
        assert_eq!(attempts_with(via, rules), expected, "{via}");
    }
}
