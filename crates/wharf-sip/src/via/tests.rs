use super::*;

fn parse(text: &str) -> Result<Via<'_>, ViaError> {
    Via::parse(text.as_bytes())
}

#[test]
fn a_via_is_taken_apart() {
    let text = "SIP/2.0/TLS [2001:db8::9]:5063;branch=z9hG4bKas3;received=192.0.2.3;rport=9000\
                ;maddr=example.com;ttl=16;alias;keep=30";
    let via = parse(text).unwrap();
    assert_eq!((via.protocol, via.version), (&b"SIP"[..], &b"2.0"[..]));
    assert_eq!(via.transport(), Some(Transport::Tls));
    assert_eq!(
        (via.host.to_string().as_str(), via.port),
        ("[2001:db8::9]", Some(5063))
    );
    assert_eq!(via.branch(), Some(&b"z9hG4bKas3"[..]));
    assert_eq!(via.received(), Some([192, 0, 2, 3].into()));
    assert_eq!(via.rport(), Some(Rport::Port(9000)));
    assert_eq!(via.maddr(), Some(Host::Name("example.com")));
    assert_eq!(via.ttl(), Some(16));
    assert!(via.has_alias());
    assert_eq!(via.keep(), Some(Keep::Seconds(30)));
}

#[test]
fn rfc4475_3_1_1_1_white_space_stands_anywhere_between() {
    let via =
        parse("SIP  / 2.0\r\n /UDP\r\n    192.0.2.2 : 5061\r\n ;branch\r\n =   390skdjuw").unwrap();
    assert_eq!(via.transport(), Some(Transport::Udp));
    assert_eq!(
        (via.host, via.port),
        (Host::Ip([192, 0, 2, 2].into()), Some(5061))
    );
    assert_eq!(via.branch(), Some(&b"390skdjuw"[..]));
}

#[test]
fn rfc4475_3_1_1_10_a_transport_may_be_unknown() {
    let via = parse("SIP/2.0/UNKNOWN t5.example.com;branch=z9hG4bKkdjuw").unwrap();
    assert_eq!(
        (via.transport(), via.transport_name),
        (None, &b"UNKNOWN"[..])
    );
    assert_eq!(via.port_or_default(), 5060);
}

#[test]
fn c3_an_absent_port_is_that_of_the_transport() {
    for transport in Transport::ALL {
        let text = format!("SIP/2.0/{transport} host.invalid");
        assert_eq!(
            parse(&text).unwrap().port_or_default(),
            transport.default_port()
        );
    }
    assert_eq!(
        parse("SIP/2.0/TLS host:5070").unwrap().port_or_default(),
        5070
    );
}

#[test]
fn k8_keep_is_told_with_and_without_its_interval() {
    assert_eq!(
        parse("SIP/2.0/UDP a;keep").unwrap().keep(),
        Some(Keep::Asked)
    );
    assert_eq!(
        parse("SIP/2.0/UDP a;keep=0").unwrap().keep(),
        Some(Keep::Seconds(0))
    );
    assert_eq!(parse("SIP/2.0/UDP a").unwrap().keep(), None);
}

#[test]
fn a_parameter_without_a_usable_value_is_as_none() {
    let via = parse("SIP/2.0/UDP a;rport=70000;received=x.y;maddr=;ttl=999;keep=no").unwrap();
    assert_eq!(via.rport(), Some(Rport::Asked));
    assert_eq!((via.received(), via.maddr(), via.ttl()), (None, None, None));
    assert_eq!((via.branch(), via.keep()), (None, Some(Keep::Asked)));
    assert!(!via.has_alias());
}

#[test]
fn what_is_no_via_is_refused() {
    let cases = [
        ("", ViaError::Protocol),
        ("SIP/2.0", ViaError::Protocol),
        ("SIP//UDP a", ViaError::Protocol),
        ("S P/2.0/UDP a", ViaError::Protocol),
        ("SIP/2.0/UDP", ViaError::NoSentBy),
        ("SIP/2.0/UDP;branch=1", ViaError::NoSentBy),
        ("SIP/2.0/UDP ;branch=1", ViaError::NoSentBy),
        ("SIP/2.0/UDP a:b", ViaError::SentBy(HostError::Port)),
        ("SIP/2.0/UDP a;x=\"y", ViaError::Quote),
        ("SIP/2.0/UDP a b", ViaError::SentBy(HostError::Malformed)),
        ("SIP/2.0/UDP ::1", ViaError::SentBy(HostError::Empty)),
    ];
    for (text, error) in cases {
        assert_eq!(parse(text), Err(error), "{text}");
    }
}
