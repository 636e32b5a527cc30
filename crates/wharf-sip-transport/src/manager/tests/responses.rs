//! The ways of a response (RFC 3261 §18.2.2).

use super::*;

/// A response whose top Via is this, after `SIP/2.0/`.
fn response(via: &str) -> Bytes {
    format!("SIP/2.0 200 OK\r\nVia: SIP/2.0/{via}\r\nContent-Length: 0\r\n\r\n").into()
}

/// The flow that a request came on.
fn udp() -> FlowRef {
    FlowRef::datagrams(address("192.0.2.100:5062"), address("192.0.2.1:40000"))
}

fn client() -> TableResolver {
    let table = host(TableResolver::default(), "ua.example", &["192.0.2.50"]);
    let table = srv(
        table,
        "_sip._udp.lost.example",
        &[(1, 1, "ua.example", 5099)],
    );
    srv(
        table,
        "_sip._tcp.lost.example",
        &[(1, 1, "ua.example", 5098)],
    )
}

#[tokio::test(start_paused = true)]
async fn s5_a_response_goes_over_the_connection_of_its_request() {
    let desk = Desk::new(|_| {});
    let flow = desk
        .net
        .connection(Transport::Tcp, address("192.0.2.1:40000"));
    let message = response("TCP 192.0.2.1:5080;received=192.0.2.1");
    let sent = desk.manager.respond(&flow, message.clone()).await.unwrap();
    assert_eq!(sent, flow);
    assert_eq!(desk.net.text(), str::from_utf8(&message).unwrap());
    assert_eq!((desk.net.dialled(), desk.manager.stats().responses), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn s5_a_via_that_is_wrong_about_its_transport_changes_nothing_of_that() {
    let desk = Desk::new(|_| {});
    let remote = address("192.0.2.1:40000");
    let flow = desk.net.connection(Transport::Tcp, remote);
    for via in ["UDP 192.0.2.1", "UNKNOWN 192.0.2.1", "TLS 192.0.2.1"] {
        let sent = desk.manager.respond(&flow, response(via)).await.unwrap();
        assert_eq!(sent, flow, "{via}");
    }
    let (flow, message) = (udp(), response("TCP 192.0.2.1:5070"));
    let sent = desk.manager.respond(&flow, message).await.unwrap();
    let back = FlowRef::datagrams(flow.flow.local, address("192.0.2.1:5070"));
    assert_eq!(sent, back);
}

#[tokio::test(start_paused = true)]
async fn s6_a_closed_connection_is_made_anew_to_sent_by_and_never_to_its_source_port() {
    for (via, expected) in [
        ("TCP 10.0.0.1:5080;received=192.0.2.1", "TCP 192.0.2.1:5080"),
        ("TCP 192.0.2.1", "TCP 192.0.2.1:5060"),
        (
            "TCP ua.example:5080;received=192.0.2.1;rport=40000",
            "TCP 192.0.2.1:5080",
        ),
        ("TLS ua.example;received=192.0.2.1", "TLS 192.0.2.1:5061"),
    ] {
        let desk = Desk::with(client(), |_| {});
        let flow = desk
            .net
            .connection(Transport::Tcp, address("192.0.2.1:40000"));
        desk.close(flow);
        desk.manager.respond(&flow, response(via)).await.unwrap();
        assert_eq!(desk.net.sent(), [expected], "{via}");
        let key = desk.net.world().dialled[0].clone();
        let name = key.transport.is_secure().then(|| domain("ua.example"));
        assert_eq!(key.domain, name, "{via}");
        // The next response uses the same connection.
        desk.manager.respond(&flow, response(via)).await.unwrap();
        assert_eq!(desk.net.dialled(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn s7_where_that_fails_dns_is_asked_for_sent_by() {
    let desk = Desk::with(client(), |_| {});
    let flow = desk
        .net
        .connection(Transport::Tcp, address("192.0.2.1:40000"));
    desk.net.cut(&flow);
    desk.net.door("192.0.2.1:5060", Door::Refuses);
    let via = "TCP lost.example;received=192.0.2.1";
    desk.manager.respond(&flow, response(via)).await.unwrap();
    assert_eq!(desk.net.sent(), ["TCP 192.0.2.50:5098"]);
    // And when nobody is there either, why is told.
    desk.net.door("192.0.2.1:5060", Door::Refuses);
    let via = "TCP nobody.example;received=192.0.2.1";
    let error = desk
        .manager
        .respond(&flow, response(via))
        .await
        .unwrap_err();
    assert!(error.is_dns(), "{error}");
}

#[tokio::test(start_paused = true)]
async fn s8_maddr_is_followed_unless_that_is_turned_off() {
    let via = "UDP 192.0.2.1:5070;maddr=224.0.1.75;received=192.0.2.1";
    for (follow, expected) in [(true, "UDP 224.0.1.75:5070"), (false, "UDP 192.0.2.1:5070")] {
        let desk = Desk::new(|options| options.responses.follow_maddr = follow);
        desk.manager.respond(&udp(), response(via)).await.unwrap();
        assert_eq!(desk.net.sent(), [expected]);
    }
}

#[tokio::test(start_paused = true)]
async fn s9_received_and_rport_lead_back_from_the_address_that_was_asked() {
    for (via, expected) in [
        ("UDP a.example:5070;received=192.0.2.7", "192.0.2.7:5070"),
        ("UDP a.example;received=192.0.2.7", "192.0.2.7:5060"),
        (
            "UDP a.example;received=192.0.2.7;rport=4444",
            "192.0.2.7:4444",
        ),
        ("UDP 192.0.2.8", "192.0.2.8:5060"),
    ] {
        let desk = Desk::new(|_| {});
        let flow = desk.manager.respond(&udp(), response(via)).await.unwrap();
        let back = FlowRef::datagrams(udp().flow.local, address(expected));
        assert_eq!(flow, back, "{via}");
    }
}

#[tokio::test(start_paused = true)]
async fn s10_what_icmp_sends_back_goes_to_the_servers_of_sent_by() {
    let desk = Desk::with(client(), |_| {});
    let mut events = desk.manager.events();
    let via = "UDP lost.example;received=192.0.2.1;rport=40000";
    let flow = desk.manager.respond(&udp(), response(via)).await.unwrap();
    let unreachable = |flow| Event::Unreachable {
        flow,
        failure: SendFailure::PortUnreachable,
        mtu: None,
    };
    desk.hear(unreachable(flow));
    let event = events.recv().await.unwrap();
    assert!(matches!(event, ManagerEvent::ResponseRerouted { .. }));
    let ways = ["UDP 192.0.2.1:40000", "UDP 192.0.2.50:5099"];
    assert_eq!(desk.net.sent(), ways);
    assert_eq!(desk.manager.stats().rerouted, 1);

    // A second later nobody would know.
    let flow = desk.manager.respond(&udp(), response(via)).await.unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    desk.hear(unreachable(flow));
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(desk.net.sent(), ["UDP 192.0.2.1:40000"]);
}

#[tokio::test(start_paused = true)]
async fn s10_responses_that_are_remembered_are_bounded() {
    let desk = Desk::with(client(), |options| options.remembered = 2);
    let via = |last: u8| response(&format!("UDP lost.example;received=192.0.2.{last}"));
    let mut flows = Vec::new();
    for last in 1..=3 {
        flows.push(desk.manager.respond(&udp(), via(last)).await.unwrap());
    }
    desk.net.sent();
    for flow in flows {
        desk.hear(Event::Unreachable {
            flow,
            failure: SendFailure::PortUnreachable,
            mtu: None,
        });
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(desk.net.sent(), ["UDP 192.0.2.50:5099"; 2]);
    // Their places are free again.
    assert_eq!(desk.manager.0.memory.available_permits(), 2);
}

#[tokio::test(start_paused = true)]
async fn s11_without_received_dns_is_asked_for_sent_by() {
    let desk = Desk::with(client(), |_| {});
    desk.manager
        .respond(&udp(), response("UDP lost.example"))
        .await
        .unwrap();
    desk.manager
        .respond(&udp(), response("UDP ua.example:5066"))
        .await
        .unwrap();
    assert_eq!(
        desk.net.sent(),
        ["UDP 192.0.2.50:5099", "UDP 192.0.2.50:5066"]
    );
}

#[tokio::test(start_paused = true)]
async fn c1_a_response_stays_on_its_transport_whatever_its_size() {
    let desk = Desk::new(|_| {});
    let long = format!(
        "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 192.0.2.1\r\nX: {}\r\n\r\n",
        "x".repeat(9000)
    );
    desk.manager.respond(&udp(), long.into()).await.unwrap();
    assert_eq!(desk.net.sent(), ["UDP 192.0.2.1:5060"]);
}

#[tokio::test(start_paused = true)]
async fn rfc7118_a_websocket_that_has_closed_has_no_other_way() {
    let desk = Desk::with(client(), |_| {});
    let flow = desk
        .net
        .connection(Transport::Ws, address("192.0.2.1:40000"));
    let via = "WS abc.invalid;received=192.0.2.1;rport=40000";
    desk.manager.respond(&flow, response(via)).await.unwrap();
    desk.close(flow);
    let error = desk
        .manager
        .respond(&flow, response(via))
        .await
        .unwrap_err();
    assert!(error.is_connection_closed(), "{error}");
    assert_eq!(desk.net.dialled(), 0);
}

#[tokio::test(start_paused = true)]
async fn each_way_may_be_taken_by_hand() {
    let desk = Desk::with(client(), |_| {});
    let via = "UDP lost.example;received=192.0.2.1";
    let mut answering = desk.manager.response(&udp(), response(via)).unwrap();
    let first = answering.next().await.unwrap();
    assert_eq!(first.flow.remote, address("192.0.2.1:5060"));
    let second = answering.next().await.unwrap();
    assert_eq!(second.flow.remote, address("192.0.2.50:5099"));
    assert!(answering.next().await.is_err());
    let bare = "SIP/2.0 200 OK\r\nTo: a\r\n\r\n";
    let error = desk.manager.response(&udp(), bare.into()).unwrap_err();
    assert!(matches!(error, SipError::Message(_)), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_is_no_reason_for_another_way() {
    let desk = Desk::with(client(), |_| {});
    let flow = desk
        .net
        .connection(Transport::Tcp, address("192.0.2.1:40000"));
    desk.net.world().full = Some(SendError::Full);
    let via = "TCP lost.example;received=192.0.2.1";
    let error = desk
        .manager
        .respond(&flow, response(via))
        .await
        .unwrap_err();
    assert!(matches!(error, SipError::Send(SendError::Full)), "{error}");
    assert_eq!(desk.net.dialled(), 0);
}

#[tokio::test(start_paused = true)]
async fn other_ways_can_be_turned_off() {
    let desk = Desk::with(client(), |options| options.responses.try_elsewhere = false);
    let flow = desk
        .net
        .connection(Transport::Tcp, address("192.0.2.1:40000"));
    desk.close(flow);
    let via = "TCP ua.example:5080;received=192.0.2.1";
    let error = desk
        .manager
        .respond(&flow, response(via))
        .await
        .unwrap_err();
    assert!(error.is_connection_closed(), "{error}");
    assert_eq!(desk.net.dialled(), 0);
}
