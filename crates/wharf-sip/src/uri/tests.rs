use super::*;

fn parse(text: &str) -> Result<Uri<'_>, UriError> {
    Uri::parse(text.as_bytes())
}

#[test]
fn a_uri_is_taken_apart() {
    let text = "SIPS:bob:secret@[2001:db8::10]:5071;maddr=239.255.255.1;ttl=15;lr=on?Subject=x%20y";
    let uri = parse(text).unwrap();
    assert_eq!(uri.scheme, Scheme::Sips);
    assert_eq!(uri.user, Some(&b"bob:secret"[..]));
    assert_eq!(uri.host.to_string(), "[2001:db8::10]");
    assert_eq!(uri.port, Some(5071));
    assert_eq!(uri.maddr(), Ok(Some(Host::Ip([239, 255, 255, 1].into()))));
    assert_eq!(uri.ttl(), Some(15));
    assert!(uri.is_loose_route());
    assert!(!uri.is_outbound());
    assert_eq!(uri.transport(), Ok(None));
    assert_eq!(uri.headers, Some(&b"Subject=x%20y"[..]));
}

#[test]
fn a_host_alone_is_enough() {
    let uri = parse("sip:example.com").unwrap();
    assert_eq!((uri.user, uri.port, uri.headers), (None, None, None));
    assert!(uri.parameters.as_bytes().is_empty());
}

#[test]
fn rfc4475_3_1_1_9_a_user_part_holds_semicolons() {
    let uri = parse("sip:user;par=u%40example.net@example.com").unwrap();
    assert_eq!(uri.user, Some(&b"user;par=u%40example.net"[..]));
    assert_eq!(uri.host, Host::Name("example.com"));
}

#[test]
fn rfc4475_3_1_1_3_an_escaped_parameter_is_the_same_parameter() {
    let uri = parse("sip:cal%6Cer@host5.example.net;%6C%72;n%61me=v%61lue%25%34%31").unwrap();
    assert!(uri.is_loose_route());
    assert_eq!(
        uri.parameter("name").unwrap().value,
        Some(&b"v%61lue%25%34%31"[..])
    );
    let uri = parse("sip:a@b.c;tr%61nsport=t%63p;%6;%zz").unwrap();
    assert_eq!(uri.transport(), Ok(Some(Transport::Tcp)));
}

#[test]
fn every_transport_is_known_and_no_other() {
    for transport in Transport::ALL {
        let text = format!("sip:a.b;transport={}", transport.name().to_lowercase());
        assert_eq!(parse(&text).unwrap().transport(), Ok(Some(transport)));
    }
    assert_eq!(
        parse("sip:a.b;transport=x").unwrap().transport(),
        Err(UriError::Transport)
    );
    assert_eq!(
        parse("sip:a.b;transport").unwrap().transport(),
        Err(UriError::Transport)
    );
}

#[test]
fn what_is_no_uri_is_refused() {
    let cases = [
        ("", UriError::Scheme),
        ("sip", UriError::Scheme),
        ("tel:+15551234", UriError::Scheme),
        ("nobodyKnowsThisScheme:x", UriError::Scheme),
        ("sip:", UriError::Host(HostError::Empty)),
        ("sip:user@", UriError::Host(HostError::Empty)),
        ("sip:@example.com", UriError::Character),
        ("sip:a@b@example.com", UriError::Character),
        ("sip:user@example.com; lr", UriError::Character),
        ("sip:a\r\nb@example.com", UriError::Character),
        ("<sip:user@example.com>", UriError::Scheme),
        ("sip:user@exa\"mple.com", UriError::Character),
        ("sip:user@example.com:port", UriError::Host(HostError::Port)),
        ("sip:user@-", UriError::Host(HostError::Malformed)),
        // RFC 5118 §4.2: without brackets the address ends at its first colon.
        ("sip:2001:db8::10", UriError::Host(HostError::Malformed)),
    ];
    for (text, error) in cases {
        assert_eq!(parse(text), Err(error), "{text}");
    }
    assert_eq!(
        parse("sip:a.b;maddr=").unwrap().maddr(),
        Err(UriError::Maddr)
    );
    assert_eq!(parse("sip:a.b;ttl=256").unwrap().ttl(), None);
}

#[test]
fn the_uri_of_a_route_stands_in_angle_brackets() {
    let host = |text: &'static str| Uri::parse_name_addr(text.as_bytes()).map(|uri| uri.host);
    assert_eq!(
        host("<sip:p1.example.com;lr>;x=y"),
        Ok(Host::Name("p1.example.com"))
    );
    assert_eq!(
        host(r#""a <b> \" " <sip:p2.example.com;lr>"#),
        Ok(Host::Name("p2.example.com"))
    );
    assert_eq!(host("sip:p1.example.com;lr"), Err(UriError::Brackets));
    assert_eq!(host("<sip:p1.example.com"), Err(UriError::Brackets));
}
