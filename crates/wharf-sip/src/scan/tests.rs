use super::*;

fn scan(message: &str) -> Result<Scan, ScanError> {
    Scan::of(message.as_bytes(), &Limits::default())
}

fn with_fields(fields: &str) -> (String, Scan) {
    let message = format!("OPTIONS sip:example.com SIP/2.0\r\n{fields}\r\n");
    let scan = scan(&message).unwrap();
    (message, scan)
}

fn text(span: Span, message: &str) -> &str {
    str::from_utf8(span.of(message.as_bytes())).unwrap()
}

#[test]
fn each_part_is_found_under_its_long_and_its_compact_name() {
    let long = "Via: SIP/2.0/UDP a\r\nRoute: <sip:r>\r\nMax-Forwards: 70\r\nCall-ID: x@y\r\n\
                CSeq: 1  OPTIONS\r\nContent-Length: 4\r\n";
    let compact = "v:SIP/2.0/UDP a\r\nrOUTE :<sip:r>\r\nMAX-FORWARDS\t:  70 \r\ni: x@y\r\n\
                   cseq:\r\n 1\t OPTIONS\r\nL:4\r\n";
    for fields in [long, compact] {
        let (message, scan) = with_fields(fields);
        assert_eq!(text(scan.via.unwrap().top, &message), "SIP/2.0/UDP a");
        assert_eq!(text(scan.route.unwrap().top, &message), "<sip:r>");
        assert_eq!(text(scan.max_forwards.unwrap(), &message), "70");
        assert_eq!(text(scan.call_id.unwrap(), &message), "x@y");
        assert_eq!(scan.cseq_method(message.as_bytes()), Some(&b"OPTIONS"[..]));
        assert!(matches!(scan.content_length, ContentLength::Bytes(4, _)));
        assert_eq!(
            &message[..scan.fields as usize],
            "OPTIONS sip:example.com SIP/2.0\r\n"
        );
        assert_eq!(scan.head as usize, message.len());
        assert_eq!(scan.fields(message.as_bytes()).count(), 6);
    }
}

#[test]
fn a_message_without_fields_has_nothing_to_find() {
    let (_, scan) = with_fields("");
    assert_eq!(
        (scan.via, scan.route, scan.max_forwards),
        (None, None, None)
    );
    assert_eq!((scan.call_id, scan.cseq), (None, None));
    assert_eq!(scan.content_length, ContentLength::Absent);
}

#[test]
fn the_two_upper_values_of_a_stack_are_found_across_commas_and_fields() {
    let cases = [
        ("v: a\r\n", "v: a\r\n", "a", None),
        ("v: a, b, c\r\n", "v: a, b, c\r\n", "a", Some("b")),
        ("v: a\r\nX: y\r\nVia: b, c\r\n", "v: a\r\n", "a", Some("b")),
        ("v:\r\nv: ,, a ,\r\n\r\n", "v: ,, a ,\r\n", "a", None),
        (
            "v: a;x=\"b,c\" , d\r\n",
            "v: a;x=\"b,c\" , d\r\n",
            "a;x=\"b,c\"",
            Some("d"),
        ),
        (
            "v: a\r\n ;b\r\n\t, c\r\n",
            "v: a\r\n ;b\r\n\t, c\r\n",
            "a\r\n ;b",
            Some("c"),
        ),
    ];
    for (fields, line, top, next) in cases {
        let (message, scan) = with_fields(fields);
        let stack = scan.via.unwrap();
        let next_found = stack.next.map(|next| text(next, &message));
        assert_eq!(
            (text(stack.line, &message), text(stack.top, &message)),
            (line, top)
        );
        assert_eq!(next_found, next);
    }
    let (message, scan) = with_fields("Route: \"a, <b\" <sip:a,b@c;lr>;d=\"e,\", <sip:f>\r\n");
    let route = scan.route.unwrap();
    assert_eq!(
        text(route.top, &message),
        "\"a, <b\" <sip:a,b@c;lr>;d=\"e,\""
    );
    assert_eq!(text(route.next.unwrap(), &message), "<sip:f>");
}

#[test]
fn the_first_of_several_counts_but_for_content_length() {
    let fields = "Max-Forwards: 1\r\nMax-Forwards: 2\r\ni: a\r\ni: b\r\nCSeq: 1 A\r\nCSeq: 2 B\r\n";
    let (message, scan) = with_fields(fields);
    assert_eq!(text(scan.max_forwards.unwrap(), &message), "1");
    assert_eq!(text(scan.call_id.unwrap(), &message), "a");
    assert_eq!(text(scan.cseq.unwrap(), &message), "1 A");
}

#[test]
fn a_content_length_is_one_number_or_an_error() {
    let cases = [
        ("l: 0012\r\n", Some(12)),
        ("l:\r\n 7\r\n \r\n", Some(7)),
        ("Content-Length: 18446744073709551615\r\n", Some(u64::MAX)),
    ];
    for (fields, expected) in cases {
        let ContentLength::Bytes(bytes, span) = with_fields(fields).1.content_length else {
            panic!("{fields}")
        };
        assert_eq!(Some(bytes), expected);
        assert_eq!(
            text::number(span.of(with_fields(fields).0.as_bytes())),
            expected
        );
    }
    for fields in [
        "l:\r\n",
        "l: -1\r\n",
        "l: +1\r\n",
        "l: 1 2\r\n",
        "l: 18446744073709551616\r\n",
    ] {
        assert_eq!(
            with_fields(fields).1.content_length,
            ContentLength::Malformed,
            "{fields}"
        );
    }
    for fields in ["l: 1\r\nContent-Length: 1\r\n", "l: x\r\nl: 1\r\n"] {
        assert_eq!(
            with_fields(fields).1.content_length,
            ContentLength::Repeated
        );
    }
}

#[test]
fn start_lines() {
    let start = |line: &str| scan(&format!("{line}\r\n\r\n")).map(|scan| scan.start);
    for line in [
        "",
        " ",
        "INVITE",
        "INVITE sip:a",
        "INVITE  SIP/2.0",
        "INVITE sip:a HTTP/1.1",
        "SIP/2.0",
        "INVITE sip:a SIP/2",
        "INVITE sip:a SIP/2.x",
        "IN,VITE sip:a SIP/2.0",
        "INVITE\tsip:a SIP/2.0",
        " INVITE sip:a SIP/2.0",
        "SIP/2 200 OK",
        "HTTP/1.1 200 OK",
        "\u{16}\u{3}\u{1}",
        "A/B c SIP/2.0",
        "INVITE sip:a SIP/2.0\r\n folded",
    ] {
        assert_eq!(start(line), Err(ScanError::StartLine), "{line:?}");
    }
    for line in [
        "SIP/2.0 20 OK",
        "SIP/2.0 2000 OK",
        "SIP/2.0 2x0 OK",
        "SIP/2.0  200 OK",
    ] {
        assert_eq!(start(line), Err(ScanError::StatusCode), "{line:?}");
    }
    assert!(matches!(
        start("sip/2.0 200"),
        Ok(StartLine::Response { code: 200, .. })
    ));
    assert!(matches!(
        start("x sip:a sIP/3.14"),
        Ok(StartLine::Request { .. })
    ));
}

#[test]
fn a_line_ends_with_both_characters_and_a_field_has_a_name() {
    let error = |fields: &str| scan(&format!("A b SIP/2.0\r\n{fields}\r\n\r\n")).unwrap_err();
    for fields in [
        "a: b\nc: d",
        "a: b\rc: d",
        "a: b\r\r\nc: d",
        "\n",
        "\r",
        "a: b\n\r\n",
    ] {
        assert_eq!(error(fields), ScanError::LoneLineEnd, "{fields:?}");
    }
    for fields in ["no colon", ": x", "a b: c", "\u{e4}: b", "a: b\r\n\u{0}: c"] {
        assert_eq!(error(fields), ScanError::FieldName, "{fields:?}");
    }
    assert_eq!(
        scan("A b SIP/2.0\r\n folded: b\r\n\r\n"),
        Err(ScanError::StartLine)
    );
    assert_eq!(scan("A b SIP/2.0\r\na: b\r\n"), Err(ScanError::Truncated));
}

#[test]
fn f7_head_line_and_field_limits_have_an_error_each() {
    let message = b"A b SIP/2.0\r\nname: value\r\nname: value\r\n\r\n";
    let limits = |head, line, fields| Limits {
        head,
        line,
        fields,
        ..Limits::default()
    };
    let scan = |limits| Scan::of(message, &limits).map(|scan| scan.head);
    assert_eq!(scan(limits(41, 13, 2)), Ok(41));
    assert_eq!(scan(limits(40, 13, 2)), Err(ScanError::HeadTooLong(40)));
    assert_eq!(scan(limits(41, 12, 2)), Err(ScanError::LineTooLong(12)));
    assert_eq!(scan(limits(41, 13, 1)), Err(ScanError::TooManyFields(1)));
    assert_eq!(scan(limits(0, 0, 0)), Err(ScanError::HeadTooLong(0)));
    // A folded line counts with its folds.
    let folded = b"A b SIP/2.0\r\na: b\r\n c\r\n d\r\n\r\n";
    let scan = |line| Scan::of(folded, &limits(99, line, 1)).map(|scan| scan.head);
    assert_eq!(scan(14), Ok(29));
    assert_eq!(scan(13), Err(ScanError::LineTooLong(13)));
}
