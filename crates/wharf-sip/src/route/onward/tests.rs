use super::*;
use crate::route::SentBy;
use crate::{Host, Limits, OwnedHost};

/// The next hop of a request with this target and these lines, for an element with two sides.
fn onward(target: &str, lines: &str) -> Result<String, OnwardError> {
    let message = format!("INVITE {target} SIP/2.0\r\nTo: <sip:x>\r\n{lines}\r\n");
    let scan = Scan::of(message.as_bytes(), &Limits::default()).unwrap();
    let sides = [("edge.example", Some(5060)), ("edge.example", Some(8080))]
        .map(|(name, port)| SentBy::new(OwnedHost::new(Host::Name(name)).unwrap(), port).unwrap());
    let is_own = |uri: &Uri<'_>| sides.iter().any(|side| side.is_in(uri));
    Onward::of(message.as_bytes(), &scan, is_own).map(|onward| {
        let strict = if onward.strict { " strict" } else { "" };
        let token = onward.token.unwrap_or("-");
        format!("{} {token} {}{strict}", onward.own, onward.next.host)
    })
}

#[test]
fn rfc3261_16_6_the_next_hop() {
    let cases = [
        ("", "0 - b.example"),
        ("Route: <sip:p1.example;lr>\r\n", "0 - p1.example"),
        (
            "Route: <sip:p1.example;lr>,<sip:p2.example;lr>\r\n",
            "0 - p1.example",
        ),
        // §16.4: what names this element is taken off.
        ("Route: <sip:edge.example;lr>\r\n", "1 - b.example"),
        (
            "Route: <sip:EDGE.example:5060;lr>\r\nroute: <sip:p1.example;lr>\r\n",
            "1 - p1.example",
        ),
        ("Route: <sip:edge.example:5070;lr>\r\n", "0 - edge.example"),
        // RFC 5658: both sides of it; RFC 5626 §5.3: the token of either.
        (
            "Route: <sip:edge.example:8080;transport=ws;lr> , \"a, b\" <sip:t0k-_n@edge.example;lr>\r\n",
            "2 t0k-_n b.example",
        ),
        (
            "Route: <sip:one@edge.example;lr>,<sip:two@edge.example;lr>\r\n",
            "2 one b.example",
        ),
        // Only from the top.
        (
            "Route: <sip:p1.example;lr>,<sip:edge.example;lr>\r\n",
            "0 - p1.example",
        ),
        ("Route: <sip:p1.example>\r\n", "0 - p1.example strict"),
        (
            "Route: <sip:a,b@p1.example;lr>,\r\n ,<sip:p2.example>\r\n",
            "0 - p1.example",
        ),
        ("Route: \r\n", "0 - b.example"),
        // Another field in between.
        (
            "Route: <sip:edge.example;lr>\r\nX: <sip:no>\r\nRoute: <sip:p1.example;lr>\r\n",
            "1 - p1.example",
        ),
    ];
    for (lines, expected) in cases {
        assert_eq!(
            onward("sip:bob@b.example", lines).unwrap(),
            expected,
            "{lines}"
        );
    }
}

#[test]
fn what_cannot_be_followed_says_why() {
    let scheme = OnwardError::Target(UriError::Scheme);
    assert_eq!(onward("tel:+1234", ""), Err(scheme));
    // A Route comes before the target, which is not looked at then.
    assert_eq!(
        onward("tel:+1234", "Route: <sip:p1.example;lr>\r\n").unwrap(),
        "0 - p1.example"
    );
    assert_eq!(
        onward("tel:+1234", "Route: <sip:edge.example;lr>\r\n"),
        Err(scheme)
    );
    let broken = onward("sip:b.example", "Route: sip:p1.example;lr\r\n");
    assert_eq!(broken, Err(OnwardError::Route(UriError::Brackets)));
    let response = b"SIP/2.0 200 OK\r\nTo: <sip:x>\r\n\r\n";
    let scan = Scan::of(response, &Limits::default()).unwrap();
    assert_eq!(
        Onward::of(response, &scan, |_| false),
        Err(OnwardError::Response)
    );
}
