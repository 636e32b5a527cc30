//! From one server to the next (RFC 3263 §4.3), and which is the first.

use wharf_sip::balance::Balance;
use wharf_sip::locate::Target;

use super::*;

fn target(uri: &str) -> Target {
    Target::of(&Uri::parse(uri.as_bytes()).unwrap()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn rfc3263_4_3_the_next_server_gets_what_the_first_does_not_answer() {
    let desk = Desk::with(example(), |_| {});
    let mut sending = desk.to("sip:example.com");
    let first = sending.next(message(500)).await.unwrap();
    assert_eq!(first.number, 1);
    sending.failed(SendFailure::TimedOut);
    assert_eq!(sending.next(message(500)).await.unwrap().number, 2);
    // A 503 is a reason to go on as well, also to the next transport of NAPTR.
    sending.refused(Some(Duration::from_mins(2)));
    let third = sending.next(message(500)).await.unwrap();
    assert_eq!(third.candidate.unwrap().transport, Transport::Tcp);
    sending.answered();
    let expected = [
        "UDP 192.0.2.1:5061",
        "UDP 192.0.2.2:5062",
        "TCP 192.0.2.3:5063",
    ];
    assert_eq!(desk.net.sent(), expected);

    // They are left alone now, and tried when their time is over.
    let unwell = desk.manager.unwell();
    assert_eq!(unwell.len(), 2);
    assert_eq!(desk.manager.stats().failed, 2);
    desk.send("sip:example.com").await.unwrap();
    assert_eq!(desk.net.sent(), ["TCP 192.0.2.3:5063"]);
    tokio::time::advance(Duration::from_secs(121)).await;
    desk.send("sip:example.com").await.unwrap();
    assert_eq!(desk.net.sent(), ["UDP 192.0.2.1:5061"]);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_has_failed_is_left_alone_for_as_long_as_the_rules_say() {
    let wait = Duration::from_secs(2);
    let desk = Desk::with(example(), |options| {
        options.destinations.backoff.min = wait;
        options.destinations.backoff.max = wait;
    });
    let mut sending = desk.to("sip:example.com");
    sending.next(message(500)).await.unwrap();
    sending.failed(SendFailure::TimedOut);
    desk.send("sip:example.com").await.unwrap();
    tokio::time::advance(wait).await;
    desk.send("sip:example.com").await.unwrap();
    let expected = [
        "UDP 192.0.2.1:5061",
        "UDP 192.0.2.2:5062",
        "UDP 192.0.2.1:5061",
    ];
    assert_eq!(desk.net.sent(), expected);
}

#[tokio::test(start_paused = true)]
async fn rfc3263_4_3_a_server_that_is_not_reached_is_passed_at_once() {
    let desk = Desk::with(
        srv(
            host(
                host(
                    TableResolver::default(),
                    "dead.example.com",
                    &["192.0.2.1", "192.0.2.2"],
                ),
                "live.example.com",
                &["192.0.2.3"],
            ),
            "_sip._tcp.example.com",
            &[
                (1, 1, "dead.example.com", 5060),
                (2, 1, "live.example.com", 5060),
            ],
        ),
        |_| {},
    );
    desk.net.door("192.0.2.1:5060", Door::Refuses);
    desk.net.door("192.0.2.2:5060", Door::Silent);
    let sent = desk.send("sip:example.com;transport=tcp").await.unwrap();
    // All addresses of one SRV target are tried before the next.
    let dialled: Vec<_> = desk
        .net
        .world()
        .dialled
        .iter()
        .map(|key| key.address)
        .collect();
    assert_eq!(
        dialled,
        ["192.0.2.1:5060", "192.0.2.2:5060", "192.0.2.3:5060"].map(address)
    );
    assert_eq!(sent.number, 3);
    let stats = desk.manager.stats();
    assert_eq!(
        (stats.not_connected, stats.connected, stats.failed),
        (2, 1, 2)
    );
}

#[tokio::test(start_paused = true)]
async fn rfc3263_the_end_says_why_the_last_server_failed() {
    let desk = Desk::with(example(), |_| {});
    desk.net.door("192.0.2.3:5063", Door::Forged);
    let mut sending = desk.to("sip:example.com");
    for failure in [SendFailure::TimedOut, SendFailure::PortUnreachable] {
        sending.next(message(500)).await.unwrap();
        sending.failed(failure);
    }
    let error = sending.next(message(500)).await.unwrap_err();
    assert!(error.is_tls() && !error.is_recoverable(), "{error}");

    let mut sending = desk.to("sip:192.0.2.7");
    sending.next(message(500)).await.unwrap();
    sending.refused(None);
    let error = sending.next(message(500)).await.unwrap_err();
    assert!(matches!(error, SipError::Unavailable { .. }), "{error}");
}

#[tokio::test(start_paused = true)]
async fn rfc3263_servfail_does_not_fall_through_to_the_domain_itself() {
    let table = host(TableResolver::default(), "example.com", &["192.0.2.1"]);
    let broken = table.with(&Query::Naptr(domain("example.com")), Err(Failure::ServFail));
    let error = Desk::with(broken, |_| {})
        .send("sip:example.com")
        .await
        .unwrap_err();
    assert!(error.is_dns() && error.is_recoverable(), "{error}");

    let table = host(TableResolver::default(), "example.com", &["192.0.2.1"]);
    let desk = Desk::with(table, |_| {});
    desk.send("sip:example.com").await.unwrap();
    assert_eq!(desk.net.sent(), ["UDP 192.0.2.1:5060"]);
    let error = desk.send("sip:example.org").await.unwrap_err();
    assert!(error.is_dns() && !error.is_recoverable(), "{error}");
}

#[tokio::test(start_paused = true)]
async fn e1_icmp_ends_an_attempt_and_nobody_elses() {
    let desk = Desk::with(example(), |_| {});
    let mut sending = desk.to("sip:example.com");
    let mut other = desk.to("sip:192.0.2.9");
    let sent = sending.next(message(500)).await.unwrap();
    other.next(message(500)).await.unwrap();
    desk.hear(Event::Unreachable {
        // The address that the socket is bound to.
        flow: FlowRef::datagrams(address("0.0.0.0:5060"), sent.flow.flow.remote),
        failure: SendFailure::PortUnreachable,
        mtu: None,
    });
    let lost = sending.lost().await;
    assert_eq!(lost, SendFailure::PortUnreachable);
    // It may be asked again.
    assert_eq!(sending.lost().await, lost);
    let wait = tokio::time::timeout(TTL, other.lost()).await;
    assert!(wait.is_err());
    sending.failed(lost);
    sending.next(message(500)).await.unwrap();
    let expected = [
        "UDP 192.0.2.1:5061",
        "UDP 192.0.2.9:5060",
        "UDP 192.0.2.2:5062",
    ];
    assert_eq!(desk.net.sent(), expected);
}

#[tokio::test(start_paused = true)]
async fn e3_a_connection_that_closes_ends_the_attempts_over_it() {
    let desk = Desk::new(|_| {});
    let mut sending = desk.to("sip:192.0.2.1;transport=tcp");
    let mut other = desk.to("sip:192.0.2.2;transport=tcp");
    let sent = sending.next(message(500)).await.unwrap();
    let kept = other.next(message(500)).await.unwrap();
    let to = (&kept.candidate.clone().unwrap()).into();
    assert_eq!(desk.manager.busy(to), 1);
    desk.close(sent.flow);
    assert_eq!(sending.lost().await, SendFailure::Reset);
    assert!(tokio::time::timeout(TTL, other.lost()).await.is_err());
    drop(other);
    assert_eq!(desk.manager.busy(to), 0);
}

#[tokio::test(start_paused = true)]
async fn load_is_spread_over_targets_that_are_equals() {
    let targets = ["sip:192.0.2.1", "sip:192.0.2.2", "sip:192.0.2.3"].map(target);
    let firsts = async |balance| {
        let desk = Desk::new(|options| options.balance = balance);
        let mut kept = Vec::new();
        for seed in [1, 2, 3, 1, 2, 3] {
            let request = Request::to_any(targets.to_vec()).seed(seed);
            let mut sending = desk.manager.request(request);
            sending.next(message(500)).await.unwrap();
            kept.push(sending);
        }
        let sent = desk.net.sent();
        let last = |sent: &String| sent.as_bytes()["UDP 192.0.2.".len()] - b'0';
        sent.iter().map(last).collect::<Vec<_>>()
    };
    assert_eq!(firsts(Balance::AsListed).await, [1; 6]);
    assert_eq!(firsts(Balance::RoundRobin).await, [1, 2, 3, 1, 2, 3]);
    assert_eq!(firsts(Balance::LeastBusy).await, [1, 2, 3, 1, 2, 3]);
    let by_key = firsts(Balance::ByKey).await;
    assert_eq!(by_key[..3], by_key[3..]);
}

#[tokio::test(start_paused = true)]
async fn a_target_that_cannot_be_located_leaves_the_others() {
    let table = host(TableResolver::default(), "live.example.com", &["192.0.2.5"]);
    let desk = Desk::with(table, |options| options.balance = Balance::RoundRobin);
    let targets = ["sip:gone.example.com", "sip:live.example.com"].map(target);
    let mut sending = desk.manager.request(Request::to_any(targets.to_vec()));
    sending.next(message(500)).await.unwrap();
    assert_eq!(desk.net.sent(), ["UDP 192.0.2.5:5060"]);
    let gone = Request::to(target("sip:gone.example.com"));
    let error = desk
        .manager
        .request(gone)
        .next(message(500))
        .await
        .unwrap_err();
    assert!(error.is_dns(), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_destination_that_gets_as_much_as_it_may_is_passed_over() {
    let desk = Desk::with(example(), |options| {
        options.throttle = Some(Throttle {
            per_second: 1,
            burst: 2,
        });
    });
    let mut events = desk.manager.events();
    for _ in 0..3 {
        desk.send("sip:example.com").await.unwrap();
    }
    let sent = desk.net.sent();
    assert_eq!(
        sent,
        [
            "UDP 192.0.2.1:5061",
            "UDP 192.0.2.1:5061",
            "UDP 192.0.2.2:5062"
        ]
    );
    let event = events.recv().await.unwrap();
    assert!(matches!(event, ManagerEvent::Throttled(_)), "{event:?}");
    // That is no failure of its own.
    assert_eq!(
        (desk.manager.stats().throttled, desk.manager.unwell().len()),
        (1, 0)
    );
    desk.send("sip:192.0.2.7").await.unwrap();
    desk.send("sip:192.0.2.7").await.unwrap();
    let error = desk.send("sip:192.0.2.7").await.unwrap_err();
    assert!(matches!(error, SipError::Throttled(_)) && error.is_recoverable());
    tokio::time::advance(Duration::from_secs(1)).await;
    desk.send("sip:192.0.2.7").await.unwrap();
}
