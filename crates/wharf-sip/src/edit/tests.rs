use super::*;
use crate::limits::Limits;
use crate::route::SentBy;
use crate::transport::Transport;

fn edited(
    message: &str,
    change: impl FnOnce(&mut Edit<'_>) -> Result<(), EditError>,
) -> Result<String, EditError> {
    let scan = Scan::of(message.as_bytes(), &Limits::default()).expect("a head");
    let mut editor = Editor::default();
    let mut edit = editor.edit(message.as_bytes(), &scan);
    change(&mut edit)?;
    let mut out = Vec::new();
    edit.write(&mut out)?;
    Ok(String::from_utf8(out).expect("UTF-8"))
}

/// The Via value `via` after a request with it came from `source`.
fn stamped(via: &str, source: &str) -> Result<String, EditError> {
    let message = |via: &str| {
        format!(
            "BYE sip:a SIP/2.0\r\nv: {via}, SIP/2.0/UDP low;rport\r\nVia: SIP/2.0/UDP q\r\n\r\n"
        )
    };
    let source = source.parse().expect("an address");
    let out = edited(&message(via), |edit| edit.stamp_via(source).map(|_| ()))?;
    let [before, after] = [
        "BYE sip:a SIP/2.0\r\nv: ",
        ", SIP/2.0/UDP low;rport\r\nVia: SIP/2.0/UDP q\r\n\r\n",
    ];
    let value = out
        .strip_prefix(before)
        .and_then(|out| out.strip_suffix(after));
    Ok(value.expect("lower Vias stay as they are").to_owned())
}

#[test]
fn s3_received_tells_a_name_or_another_address() {
    let cases = [
        ("SIP/2.0/UDP a.invalid;branch=1", ";received=192.0.2.1"),
        ("SIP/2.0/UDP 192.0.2.2:5060", ";received=192.0.2.1"),
        ("SIP/2.0/UDP 192.0.2.1:9", ""),
        ("SIP/2.0/UDP [::ffff:192.0.2.1]", ""),
        ("SIP/2.0/UDP [2001:db8::1]", ";received=192.0.2.1"),
    ];
    for (via, added) in cases {
        for source in ["192.0.2.1:5060", "[::ffff:192.0.2.1]:5060"] {
            assert_eq!(stamped(via, source), Ok(format!("{via}{added}")));
        }
    }
    let same = "SIP/2.0/UDP [2001:db8:0::1]";
    assert_eq!(stamped(same, "[2001:db8::1]:5060").as_deref(), Ok(same));
    let other = stamped(same, "[2001:db8::2]:5060");
    assert_eq!(other, Ok(format!("{same};received=2001:db8::2")));
}

#[test]
fn rfc3581_4_rport_is_filled_and_received_added_even_when_equal() {
    let cases = [
        (
            "SIP/2.0/UDP 192.0.2.1;rport",
            "SIP/2.0/UDP 192.0.2.1;rport=4000;received=192.0.2.1",
        ),
        (
            "SIP/2.0/UDP a ;\r\n RPORT ;b=c",
            "SIP/2.0/UDP a ;\r\n RPORT=4000 ;b=c;received=192.0.2.1",
        ),
        (
            "SIP/2.0/UDP 192.0.2.1;rport=",
            "SIP/2.0/UDP 192.0.2.1;rport=4000;received=192.0.2.1",
        ),
    ];
    for (via, expected) in cases {
        assert_eq!(stamped(via, "192.0.2.1:4000").as_deref(), Ok(expected));
    }
}

#[test]
fn what_the_sender_claims_to_be_received_is_replaced() {
    let via = "SIP/2.0/UDP 192.0.2.1;received=203.0.113.9;rport=53;received=::1";
    let expected = "SIP/2.0/UDP 192.0.2.1;received=192.0.2.1;rport=4000;received=192.0.2.1";
    assert_eq!(stamped(via, "192.0.2.1:4000").as_deref(), Ok(expected));
}

#[test]
fn s4_a_response_is_never_marked() {
    let response = "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP a;rport\r\n\r\n";
    let source = "192.0.2.1:4000".parse().expect("an address");
    let error = edited(response, |edit| edit.stamp_via(source).map(|_| ()));
    assert_eq!(error, Err(EditError::NotARequest));
}

#[test]
fn c1_and_c2_the_transport_of_the_top_via_changes_and_changes_back() {
    let udp = "A b SIP/2.0\r\nVia: SIP / 2.0 /\r\n UDP x;y, SIP/2.0/UDP z\r\n\r\n";
    let tcp = "A b SIP/2.0\r\nVia: SIP / 2.0 /\r\n TCP x;y, SIP/2.0/UDP z\r\n\r\n";
    let set = |message, transport| {
        edited(message, |edit| {
            edit.set_via_transport(transport).map(|_| ())
        })
    };
    assert_eq!(set(udp, Transport::Tcp).as_deref(), Ok(tcp));
    assert_eq!(set(tcp, Transport::Udp).as_deref(), Ok(udp));
}

#[test]
fn c3_the_sent_by_of_the_top_via_changes_and_nothing_else() {
    let sent_by = |host: &str, port| {
        let host = crate::Host::parse(host.as_bytes()).unwrap();
        SentBy::new(crate::OwnedHost::new(host).unwrap(), port).unwrap()
    };
    let set = |via: &str, sent_by: &SentBy| {
        edited(&format!("A b SIP/2.0\r\nVia: {via}\r\n\r\n"), |edit| {
            edit.set_via_sent_by(sent_by)?
                .set_via_transport(Transport::Tls)?;
            Ok(())
        })
    };
    let out = |via: &str| Ok(format!("A b SIP/2.0\r\nVia: {via}\r\n\r\n"));
    let edge = sent_by("edge.example", None);
    for (via, expected) in [
        (
            "SIP/2.0/UDP a:5060;rport;branch=1",
            "SIP/2.0/TLS edge.example;rport;branch=1",
        ),
        ("SIP/2.0/UDP a", "SIP/2.0/TLS edge.example"),
        (
            "SIP / 2.0 / UDP \t[::1] : 5070 ;b",
            "SIP / 2.0 / TLS \tedge.example ;b",
        ),
        (
            "SIP/2.0/UDP a;b, SIP/2.0/UDP c",
            "SIP/2.0/TLS edge.example;b, SIP/2.0/UDP c",
        ),
    ] {
        assert_eq!(set(via, &edge), out(expected), "{via}");
    }
    let v6 = sent_by("[2001:db8::1]", Some(5062));
    let expected = out("SIP/2.0/TLS [2001:db8::1]:5062;b");
    assert_eq!(set("SIP/2.0/UDP a;b", &v6), expected);
}

#[test]
fn c4_maddr_and_ttl_are_added_beside_another_transport() {
    let message = "A b SIP/2.0\r\nVia: SIP/2.0/UDP x;y , SIP/2.0/UDP z\r\n\r\n";
    let out = edited(message, |edit| {
        edit.add_via_parameters("maddr=239.255.255.1;ttl=1")?
            .set_via_transport(Transport::Tcp)?;
        Ok(())
    });
    let expected =
        "A b SIP/2.0\r\nVia: SIP/2.0/TCP x;y;maddr=239.255.255.1;ttl=1 , SIP/2.0/UDP z\r\n\r\n";
    assert_eq!(out.as_deref(), Ok(expected));
}

#[test]
fn a_proxy_changes_its_hop_and_nothing_else() {
    let message = "BYE sip:a SIP/2.0\r\nMax-Forwards:  10 \r\nROUTE: <sip:me;lr>, <sip:next;lr>\r\n\
                   v: SIP/2.0/UDP b\r\nX:  odd \r\nl: 2\r\n\r\n\0\u{e4}";
    let out = edited(message, |edit| {
        edit.pop_route()?
            .decrement_max_forwards()?
            .set_target("sip:c@d")?;
        edit.push_record_route("<sip:one;lr>")?
            .push_record_route("<sip:two;lr>")?;
        edit.push_via("SIP/2.0/TCP e")?
            .push_route("<sip:f;lr>")?
            .ensure_content_length()?;
        Ok(())
    });
    let expected = "BYE sip:c@d SIP/2.0\r\nRoute: <sip:f;lr>\r\nVia: SIP/2.0/TCP e\r\n\
                    Record-Route: <sip:two;lr>\r\nRecord-Route: <sip:one;lr>\r\nMax-Forwards:  9 \r\n\
                    ROUTE: <sip:next;lr>\r\nv: SIP/2.0/UDP b\r\nX:  odd \r\nl: 2\r\n\r\n\0\u{e4}";
    assert_eq!(out.as_deref(), Ok(expected));
}

#[test]
fn the_last_value_of_a_line_goes_with_its_line() {
    let message = "SIP/2.0 200 OK\r\nVia: a,\r\n b\r\nVia: c\r\n\r\n";
    let pop = |message: &str| edited(message, |edit| edit.pop_via().map(|_| ()));
    let one = "SIP/2.0 200 OK\r\nVia: b\r\nVia: c\r\n\r\n";
    let two = "SIP/2.0 200 OK\r\nVia: c\r\n\r\n";
    let three = "SIP/2.0 200 OK\r\n\r\n";
    assert_eq!(pop(message).as_deref(), Ok(one));
    assert_eq!(pop(one).as_deref(), Ok(two));
    assert_eq!(pop(two).as_deref(), Ok(three));
    assert_eq!(pop(three), Err(EditError::NoVia));
}

#[test]
fn max_forwards_counts_down_and_is_given_when_absent() {
    let hops = |field: &str| {
        let message = format!("A b SIP/2.0\r\n{field}\r\n");
        edited(&message, |edit| edit.decrement_max_forwards().map(|_| ()))
    };
    assert_eq!(
        hops("Max-Forwards: 255\r\n").as_deref(),
        Ok("A b SIP/2.0\r\nMax-Forwards: 254\r\n\r\n")
    );
    assert_eq!(hops("Max-Forwards: 0\r\n"), Err(EditError::NoHopLeft));
    assert_eq!(
        hops("").as_deref(),
        Ok("A b SIP/2.0\r\nMax-Forwards: 70\r\n\r\n")
    );
    for value in ["256", "-1", "", "1 2"] {
        assert_eq!(
            hops(&format!("Max-Forwards: {value}\r\n")),
            Err(EditError::MaxForwards)
        );
    }
    assert_eq!(
        EditError::NoHopLeft.status().map(|(code, _)| code),
        Some(483)
    );
    assert_eq!(
        EditError::MaxForwards.status().map(|(code, _)| code),
        Some(400)
    );
}

#[test]
fn a_body_without_a_length_gets_one_for_a_stream() {
    let message = "A b SIP/2.0\r\nv: c\r\n\r\nbody";
    let out = edited(message, |edit| edit.ensure_content_length().map(|_| ()));
    assert_eq!(
        out.as_deref(),
        Ok("A b SIP/2.0\r\nContent-Length: 4\r\nv: c\r\n\r\nbody")
    );
}

#[test]
fn text_of_the_caller_stays_one_field() {
    let message = "A b SIP/2.0\r\nv: SIP/2.0/UDP c\r\n\r\n";
    let error =
        |change: fn(&mut Edit<'_>) -> Result<(), EditError>| edited(message, change).unwrap_err();
    assert_eq!(
        error(|edit| edit.push_via("x\r\nEvil: 1").map(|_| ())),
        EditError::Text
    );
    assert_eq!(
        error(|edit| edit.push_field("a b", "c").map(|_| ())),
        EditError::Text
    );
    assert_eq!(
        error(|edit| edit.set_target("sip:a\n").map(|_| ())),
        EditError::Text
    );
    assert_eq!(
        error(|edit| edit.add_via_parameters("a\r").map(|_| ())),
        EditError::Text
    );
    assert_eq!(
        error(|edit| edit.pop_route().map(|_| ())),
        EditError::NoRoute
    );
    let twice = error(|edit| {
        edit.set_via_transport(Transport::Tcp)?.pop_via()?;
        Ok(())
    });
    assert_eq!(twice, EditError::Overlap);
}

const REQUEST: &str = "INVITE sip:a SIP/2.0\r\nVia: SIP/2.0/UDP b;rport\r\nX: y\r\nVia: SIP/2.0/UDP c\r\n\
                       Max-Forwards: 1\r\nTo : \"d;tag=x\" <sip:a;tag=z> \r\nf: <sip:e>;tag=2\r\ni: 3\r\n\
                       CSeq: 1 INVITE\r\nContact: <sip:f>\r\nl: 99\r\n\r\nv=0\r\n";

fn answered(request: &str, reply: &Reply<'_>) -> Result<String, EditError> {
    edited(request, |edit| edit.respond(reply).map(|_| ()))
}

const REPLY: Reply<'_> = Reply {
    code: 400,
    reason: "Bad",
    tag: "t1",
    source: None,
    fields: &[],
};

#[test]
fn f3_a_reply_has_the_vias_from_to_call_id_and_cseq_of_its_request() {
    let source = "192.0.2.7:5080".parse().ok();
    let reply = Reply {
        source,
        fields: &[("Server", "s"), ("Retry-After", "9")],
        ..REPLY
    };
    let expected = "SIP/2.0 400 Bad\r\nServer: s\r\nRetry-After: 9\r\n\
                    Via: SIP/2.0/UDP b;rport=5080;received=192.0.2.7\r\nVia: SIP/2.0/UDP c\r\n\
                    To : \"d;tag=x\" <sip:a;tag=z>;tag=t1 \r\nf: <sip:e>;tag=2\r\ni: 3\r\n\
                    CSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(answered(REQUEST, &reply).as_deref(), Ok(expected));
}

#[test]
fn a_tag_that_is_there_stays_and_a_100_gets_none() {
    let tagged = REQUEST.replace("tag=z>", "tag=z>;x;TAG=w");
    assert!(answered(&tagged, &REPLY).is_ok_and(|reply| reply.contains("tag=z>;x;TAG=w \r\n")));
    let plain = REQUEST.replace("\"d;tag=x\" <sip:a;tag=z>", "sip:a;tag=9");
    assert!(answered(&plain, &REPLY).is_ok_and(|reply| reply.contains("sip:a;tag=9 \r\n")));
    let trying = Reply { code: 100, ..REPLY };
    assert!(answered(REQUEST, &trying).is_ok_and(|reply| reply.contains("tag=z> \r\n")));
}

#[test]
fn what_cannot_be_answered_is_told() {
    let ack = REQUEST.replace("INVITE sip", "ACK sip");
    assert_eq!(answered(&ack, &REPLY), Err(EditError::Ack));
    let response = REQUEST.replace("INVITE sip:a SIP/2.0", "SIP/2.0 200 OK");
    assert_eq!(answered(&response, &REPLY), Err(EditError::NotARequest));
    let no_via = REQUEST.replace("Via", "Vie");
    assert_eq!(answered(&no_via, &REPLY), Err(EditError::NoVia));
    for code in [0, 99, 700] {
        assert_eq!(
            answered(REQUEST, &Reply { code, ..REPLY }),
            Err(EditError::Status(code))
        );
    }
    let split = Reply {
        reason: "a\r\nb: c",
        ..REPLY
    };
    assert_eq!(answered(REQUEST, &split), Err(EditError::Text));
}

#[test]
fn rfc5658_all_routes_of_this_element_are_taken_off_wherever_they_stand() {
    let message = |routes: &str| format!("BYE b SIP/2.0\r\nTo: <sip:x>\r\n{routes}\r\nbody");
    let popped = |routes: &str, count| {
        edited(&message(routes), |edit| {
            edit.pop_routes(count)?.push_field("X", "y").map(|_| ())
        })
    };
    let cases = [
        ("Route: <sip:a>\r\n", 0, "Route: <sip:a>\r\n"),
        ("Route: <sip:a>\r\n", 1, ""),
        ("Route: <sip:a,b>,\r\n <sip:c>\r\n", 1, "Route: <sip:c>\r\n"),
        (
            "Route: \"a,\" <sip:a>, <sip:b> ,<sip:c>\r\n",
            2,
            "Route: <sip:c>\r\n",
        ),
        ("Route: <sip:a>,<sip:b>\r\n", 2, ""),
        (
            "Route: <sip:a>\r\nX: 1\r\nroute: , <sip:b>, <sip:c>\r\nRoute: <sip:d>\r\n",
            2,
            "X: 1\r\nroute: <sip:c>\r\nRoute: <sip:d>\r\n",
        ),
        (
            "Route: <sip:a>,\r\nRoute: <sip:b>\r\n",
            1,
            "Route: <sip:b>\r\n",
        ),
    ];
    for (routes, count, left) in cases {
        let expected = message(left).replacen("To:", "X: y\r\nTo:", 1);
        assert_eq!(popped(routes, count), Ok(expected), "{routes}");
    }
    assert_eq!(popped("Route: <sip:a>\r\n", 2), Err(EditError::NoRoute));
    assert_eq!(popped("", 1), Err(EditError::NoRoute));
}
