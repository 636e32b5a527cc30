//! The way of one request to one server.

use wharf_sip::route::{Cause, SentBy};
use wharf_sip::{Host, OwnedHost};

use super::*;

fn sent_by(host: &str, port: Option<u16>) -> SentBy {
    let host = Host::parse(host.as_bytes()).unwrap();
    SentBy::new(OwnedHost::new(host).unwrap(), port).unwrap()
}

/// The top Via of what was sent last.
fn via(net: &Net) -> String {
    let text = net.text();
    let via = text.lines().find_map(|line| line.strip_prefix("Via: "));
    via.unwrap().to_owned()
}

#[tokio::test(start_paused = true)]
async fn c1_1300_bytes_stay_and_1301_go_over_tcp_for_all_to_see() {
    let desk = Desk::new(|_| {});
    let mut events = desk.manager.events();
    let mut sending = desk.to("sip:192.0.2.1");
    let sent = sending.next(message(1300)).await.unwrap();
    assert_eq!((sent.number, sent.cause), (1, Cause::Asked));
    assert_eq!(
        via(&desk.net),
        "SIP/2.0/UDP host.example;branch=z9hG4bK1;rport"
    );
    assert_eq!(desk.net.text().len(), 1300);

    let mut sending = desk.to("sip:192.0.2.1");
    let sent = sending.next(message(1301)).await.unwrap();
    assert_eq!((sent.number, sent.cause), (1, Cause::Size));
    assert_eq!(
        via(&desk.net),
        "SIP/2.0/TCP host.example;branch=z9hG4bK1;rport"
    );
    assert_eq!(desk.net.text().len(), 1301);
    assert_eq!(
        desk.net.sent(),
        ["UDP 192.0.2.1:5060", "TCP 192.0.2.1:5060"]
    );
    assert_eq!(desk.manager.stats().switched, 1);
    let event = events.recv().await.unwrap();
    assert!(
        matches!(event, ManagerEvent::SwitchedToTcp { bytes: 1301, .. }),
        "{event:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn c1_icmp_tells_the_mtu_of_a_path() {
    let desk = Desk::new(|_| {});
    let mut sending = desk.to("sip:192.0.2.1");
    let sent = sending.next(message(1200)).await.unwrap();
    desk.hear(Event::Unreachable {
        flow: sent.flow,
        failure: SendFailure::TooBig,
        mtu: Some(1300),
    });
    // This one did not arrive: the same server, over TCP.
    let lost = sending.lost().await;
    sending.failed(lost);
    let sent = sending.next(message(1200)).await.unwrap();
    assert_eq!((sent.number, sent.cause), (2, Cause::Size));
    // And the next one is not sent in vain.
    desk.to("sip:192.0.2.1").next(message(1100)).await.unwrap();
    desk.to("sip:192.0.2.1").next(message(1101)).await.unwrap();
    let expected = ["UDP", "TCP", "UDP", "TCP"].map(|one| format!("{one} 192.0.2.1:5060"));
    assert_eq!(desk.net.sent(), expected);
}

#[tokio::test(start_paused = true)]
async fn c1_what_is_too_long_is_a_matter_of_the_rules() {
    let desk = Desk::new(|options| {
        options.switch.longest = 600;
        options.switch.reserve = 100;
    });
    let send = async |bytes| {
        let mut sending = desk.to("sip:192.0.2.1");
        sending.next(message(bytes)).await.unwrap().flow
    };
    let flow = send(600).await;
    send(601).await;
    desk.hear(Event::Unreachable {
        flow,
        failure: SendFailure::TooBig,
        mtu: Some(1400),
    });
    send(1300).await;
    send(1301).await;
    let expected = ["UDP", "TCP", "UDP", "TCP"].map(|one| format!("{one} 192.0.2.1:5060"));
    assert_eq!(desk.net.sent(), expected);
}

#[tokio::test(start_paused = true)]
async fn c2_a_server_without_tcp_gets_it_over_udp_after_all() {
    let desk = Desk::new(|_| {});
    desk.net.door("192.0.2.1:5060", Door::Refuses);
    let mut events = desk.manager.events();
    let sent = desk.to("sip:192.0.2.1").next(message(2000)).await.unwrap();
    assert_eq!((sent.number, sent.cause), (2, Cause::TcpRefused));
    assert_eq!(
        via(&desk.net),
        "SIP/2.0/UDP host.example;branch=z9hG4bK1;rport"
    );
    assert_eq!(desk.net.sent(), ["UDP 192.0.2.1:5060"]);
    let stats = desk.manager.stats();
    assert_eq!(
        (
            stats.switched,
            stats.back_to_udp,
            desk.manager.unwell().len()
        ),
        (1, 1, 0)
    );
    let mut back = false;
    while let Ok(event) = events.try_recv() {
        back |= matches!(event, ManagerEvent::BackToUdp { bytes: 2000, .. });
    }
    assert!(back);
    // One that is silent is another matter: it may have got it.
    desk.net.door("192.0.2.1:5060", Door::Silent);
    let error = desk
        .to("sip:192.0.2.1")
        .next(message(2000))
        .await
        .unwrap_err();
    assert!(error.is_timeout(), "{error}");
    assert_eq!(desk.net.sent(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn c3_the_via_has_the_sent_by_of_its_transport() {
    let desk = Desk::new(|options| {
        let own = [
            (Transport::Tcp, sent_by("edge.example", Some(5070))),
            (Transport::Tls, sent_by("edge.example", None)),
        ];
        options.sent_by.extend(own);
    });
    for (uri, expected) in [
        (
            "sip:192.0.2.1",
            "SIP/2.0/UDP host.example;branch=z9hG4bK1;rport",
        ),
        (
            "sip:192.0.2.1;transport=tcp",
            "SIP/2.0/TCP edge.example:5070;branch=z9hG4bK1;rport",
        ),
        (
            "sips:192.0.2.1",
            "SIP/2.0/TLS edge.example;branch=z9hG4bK1;rport",
        ),
    ] {
        desk.send(uri).await.unwrap();
        assert_eq!(via(&desk.net), expected, "{uri}");
    }
}

#[tokio::test(start_paused = true)]
async fn c4_a_multicast_destination_stands_in_the_via() {
    let desk = Desk::new(|_| {});
    desk.send("sip:224.0.1.75").await.unwrap();
    let expected = "SIP/2.0/UDP host.example;branch=z9hG4bK1;rport;maddr=224.0.1.75;ttl=1";
    assert_eq!(via(&desk.net), expected);
}

#[tokio::test(start_paused = true)]
async fn rfc5923_8_an_alias_is_offered_over_tls_when_that_is_asked_for() {
    let desk = Desk::new(|options| options.offer_alias = true);
    for (uri, expected) in [
        (
            "sips:192.0.2.1",
            "SIP/2.0/TLS host.example;branch=z9hG4bK1;rport;alias",
        ),
        (
            "sip:192.0.2.1;transport=tcp",
            "SIP/2.0/TCP host.example;branch=z9hG4bK1;rport",
        ),
    ] {
        desk.send(uri).await.unwrap();
        assert_eq!(via(&desk.net), expected, "{uri}");
    }
    let own = "OPTIONS sip:a SIP/2.0\r\nVia: SIP/2.0/TLS h;alias\r\nContent-Length: 0\r\n\r\n";
    desk.to("sips:192.0.2.1").next(own.into()).await.unwrap();
    assert_eq!(desk.net.text(), own);
}

#[tokio::test(start_paused = true)]
async fn f1_a_stream_gets_the_length_that_a_datagram_has_no_need_of() {
    let desk = Desk::new(|_| {});
    let bare = "OPTIONS sip:a SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\n\r\nbody";
    let mut sending = desk.to("sip:192.0.2.1;transport=tcp");
    sending.next(bare.into()).await.unwrap();
    assert!(desk.net.text().contains("Content-Length: 4\r\n"));
    desk.to("sip:192.0.2.1").next(bare.into()).await.unwrap();
    assert_eq!(desk.net.text(), bare);
}

#[tokio::test(start_paused = true)]
async fn k6_a_flow_that_is_given_is_the_one_that_is_used() {
    let desk = Desk::new(|_| {});
    let flow = desk
        .net
        .connection(Transport::Ws, address("192.0.2.9:50000"));
    let mut sending = desk.manager.request(Request::over(flow));
    let sent = sending.next(message(5000)).await.unwrap();
    assert_eq!((sent.flow, sent.candidate), (flow, None));
    assert_eq!(
        via(&desk.net),
        "SIP/2.0/WS host.example;branch=z9hG4bK1;rport"
    );
    desk.net.cut(&flow);
    let error = sending.next(message(5000)).await.unwrap_err();
    assert!(error.is_connection_closed(), "{error}");
    assert_eq!(desk.net.dialled(), 0);
}

#[tokio::test(start_paused = true)]
async fn retransmissions_stay_with_the_server_of_the_attempt() {
    let desk = Desk::with(example(), |_| {});
    let mut sending = desk.to("sip:example.com");
    assert!(sending.again(&message(500)).is_err());
    sending.next(message(500)).await.unwrap();
    sending.again(&message(500)).unwrap();
    sending.answered();
    sending.again(&message(500)).unwrap();
    assert_eq!(desk.net.sent(), ["UDP 192.0.2.1:5061"; 3]);
}

#[tokio::test(start_paused = true)]
async fn what_goes_first_is_told_to_the_flow() {
    let desk = Desk::new(|_| {});
    desk.send("sip:192.0.2.1").await.unwrap();
    let bye = "BYE sip:a SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\n\r\n";
    desk.to("sip:192.0.2.1").next(bye.into()).await.unwrap();
    let world = desk.net.world();
    let priorities: Vec<_> = world.sent.iter().map(|(.., priority)| *priority).collect();
    assert_eq!(priorities, [Priority::Normal, Priority::High]);
}

#[tokio::test(start_paused = true)]
async fn rfc5922_a_connection_is_opened_for_the_domain_as_it_was_asked_for() {
    let table = srv(
        TableResolver::default(),
        "_sips._tcp.example.com",
        &[(1, 1, "s1.example.com", 5061)],
    );
    let desk = Desk::with(host(table, "s1.example.com", &["192.0.2.1"]), |_| {});
    let uri = Uri::parse(b"sips:example.com").unwrap();
    let own = domain("edge.example");
    let request = Request::to_uri(&uri).unwrap().on_behalf_of(own.clone());
    desk.manager
        .request(request)
        .next(message(500))
        .await
        .unwrap();
    let key = PoolKey {
        transport: Transport::Tls,
        address: address("192.0.2.1:5061"),
        domain: Some(domain("example.com")),
        local: Some(own),
    };
    assert_eq!(desk.net.world().dialled, [key]);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_sent_is_told_to_the_caller() {
    let desk = Desk::new(|options| options.switch.enabled = false);
    let unreadable = desk.to("sip:192.0.2.1").next("nothing".into()).await;
    assert!(matches!(unreadable, Err(SipError::Unreadable(_))));
    let bare = "OPTIONS sip:a SIP/2.0\r\nTo: b\r\n\r\n";
    let no_via = desk.to("sip:192.0.2.1").next(bare.into()).await;
    assert!(matches!(no_via, Err(SipError::Message(_))));
    let long = desk.to("sip:192.0.2.1").next(message(65_508)).await;
    assert!(matches!(
        long,
        Err(SipError::Send(SendError::TooLarge(65_508)))
    ));
    let nowhere = desk.send("sip:[2001:db8::1]").await;
    assert!(matches!(nowhere, Err(SipError::Send(SendError::NoSocket))));
    let invalid = desk.send("sip:abc.invalid").await.unwrap_err();
    assert!(matches!(invalid, SipError::Target(_)) && !invalid.is_recoverable());
    let idle = Manager::new(ManagerOptions::default(), TableResolver::default());
    let uri = Uri::parse(b"sip:192.0.2.1").unwrap();
    let mut sending = idle.request(Request::to_uri(&uri).unwrap());
    let early = sending.next(message(500)).await;
    assert!(matches!(early, Err(SipError::NotBegun)), "{early:?}");
}
