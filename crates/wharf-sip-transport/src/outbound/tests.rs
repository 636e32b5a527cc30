//! In virtual time, against listeners that the test itself plays.

use std::net::SocketAddr;
use std::ops::RangeInclusive;

use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use wharf::{Server, Udp};

use super::*;
use crate::{DialOptions, Incoming, Outgoing, Sip, SipOptions, Taken, Upper};

struct Nobody;

impl Upper for Nobody {
    fn message(&self, _: &Incoming<'_>, _: &mut Outgoing<'_>) -> Taken {
        Taken::Yes
    }
}

fn dialer() -> Dialer {
    let sip = Sip::new(SipOptions::default(), Nobody);
    Dialer::new(sip, DialOptions::default()).unwrap()
}

fn to(transport: Transport, address: SocketAddr) -> PoolKey {
    PoolKey {
        transport,
        address,
        domain: None,
        local: None,
    }
}

async fn proxy() -> (TcpListener, PoolKey) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, to(Transport::Tcp, address))
}

/// A socket that is bound and does not listen: it refuses, and nobody else takes its port.
fn nobody() -> (socket2::Socket, PoolKey) {
    let bound = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    bound
        .bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())
        .unwrap();
    let address = bound.local_addr().unwrap().as_socket().unwrap();
    (bound, to(Transport::Tcp, address))
}

async fn opened(outbound: &mut Outbound) -> (usize, FlowRef) {
    match outbound.next().await {
        Some(OutboundEvent::Opened { place, flow }) => (place, flow),
        other => panic!("{other:?}"),
    }
}

/// A failure, with its wait within these seconds.
async fn failed(
    outbound: &mut Outbound,
    within: RangeInclusive<u64>,
) -> (OutboundFailure, Duration) {
    match outbound.next().await {
        Some(OutboundEvent::Failed { why, wait, .. }) => {
            let seconds = Duration::from_secs(*within.start())..=Duration::from_secs(*within.end());
            assert!(seconds.contains(&wait), "{wait:?} is not in {within:?}");
            (why, wait)
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn k7_attempts_that_fail_wait_longer_and_longer() {
    let (_bound, key) = nobody();
    let mut outbound = Outbound::start(&dialer(), vec![key], OutboundRules::default());
    let mut at = Instant::now();
    for within in [
        30..=60,
        60..=120,
        120..=240,
        240..=480,
        480..=960,
        900..=1800,
        900..=1800,
    ] {
        let (why, wait) = failed(&mut outbound, within).await;
        assert!(matches!(why, OutboundFailure::Dial(_)), "{why}");
        assert_eq!(Instant::now(), at);
        at += wait;
    }
    assert!(!outbound.abandon(0), "there is nothing to give up");
}

#[tokio::test(start_paused = true)]
async fn k7_a_flow_that_was_registered_comes_back_sooner() {
    let (listener, key) = proxy().await;
    let mut outbound = Outbound::start(&dialer(), vec![key], OutboundRules::default());
    for (register, within) in [
        (false, 30..=60),
        (false, 60..=120),
        (true, 15..=30),
        (true, 15..=30),
    ] {
        let (place, flow) = opened(&mut outbound).await;
        assert_eq!((place, outbound.flow(0)), (0, Some(flow)));
        if register {
            outbound.registered(0);
        }
        let (stream, _) = listener.accept().await.unwrap();
        drop(stream);
        let (why, wait) = failed(&mut outbound, within).await;
        assert!(matches!(why, OutboundFailure::Ended), "{why}");
        assert_eq!(outbound.flow(0), None);
        let began = Instant::now();
        tokio::time::sleep(wait).await;
        assert_eq!(began.elapsed(), wait);
    }
}

#[tokio::test(start_paused = true)]
async fn k7_while_another_flow_is_left_there_is_more_time() {
    let ((one, first), (_other, second)) = (proxy().await, proxy().await);
    let dialer = dialer();
    let mut outbound = Outbound::start(&dialer, vec![first, second], OutboundRules::default());
    let (a, b) = (opened(&mut outbound).await, opened(&mut outbound).await);
    assert_eq!(a.0 + b.0, 1, "one of each");
    outbound.registered(0);
    outbound.registered(1);
    let _stream = one.accept().await.unwrap();
    assert!(outbound.abandon(0));
    let (why, _) = failed(&mut outbound, 45..=90).await;
    assert!(matches!(why, OutboundFailure::Ended), "{why}");
    assert_eq!(opened(&mut outbound).await.0, 0);
    assert_eq!(dialer.sip().connections(), 2);
    drop(outbound);
    while dialer.sip().connections() > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn k4_a_flow_that_is_not_alive_is_opened_again() {
    let (listener, key) = proxy().await;
    let rules = OutboundRules {
        connection: KeepAliveRules::connection().every(20),
        ..OutboundRules::default()
    };
    let mut outbound = Outbound::start(&dialer(), vec![key], rules);
    let began = Instant::now();
    opened(&mut outbound).await;
    let _silent: (TcpStream, _) = listener.accept().await.unwrap();
    let (why, _) = failed(&mut outbound, 30..=60).await;
    assert!(
        matches!(why, OutboundFailure::Flow(FlowFailure::Unanswered)),
        "{why}"
    );
    let took = began.elapsed();
    assert!(
        took >= Duration::from_secs(26) && took < Duration::from_secs(31),
        "{took:?}"
    );
    opened(&mut outbound).await;
}

#[tokio::test(start_paused = true)]
async fn a_flow_that_cannot_be_kept_alive_is_closed() {
    let options = SipOptions {
        max_connections: 1,
        ..SipOptions::default()
    };
    let sip = Sip::new(options, Nobody);
    let server = Server::builder()
        .listen_with("sip", Udp::bind("127.0.0.1:0"), sip.datagrams())
        .build()
        .unwrap();
    tokio::spawn(server.run());
    let remote = "127.0.0.1:9".parse().unwrap();
    let other = loop {
        match sip.datagrams_to(remote) {
            Some(flow) => break flow,
            None => tokio::task::yield_now().await,
        }
    };
    // There is room for one, and it is taken.
    sip.keep_alive(&other, KeepAliveRules::datagrams()).unwrap();
    let (_listener, key) = proxy().await;
    let dialer = Dialer::new(sip.clone(), DialOptions::default()).unwrap();
    let mut outbound = Outbound::start(&dialer, vec![key], OutboundRules::default());
    let (why, _) = failed(&mut outbound, 30..=60).await;
    assert!(
        matches!(why, OutboundFailure::KeepAlive(KeepAliveError::Full)),
        "{why}"
    );
    while sip.connections() > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn over_udp_it_needs_a_socket() {
    let dialer = dialer();
    let key = to(Transport::Udp, "127.0.0.1:9".parse().unwrap());
    let mut outbound = Outbound::start(&dialer, vec![key.clone()], OutboundRules::default());
    let (why, _) = failed(&mut outbound, 30..=60).await;
    assert!(matches!(why, OutboundFailure::NoSocket), "{why}");
    let server = Server::builder()
        .listen_with("sip", Udp::bind("127.0.0.1:0"), dialer.sip().datagrams())
        .build()
        .unwrap();
    tokio::spawn(server.run());
    // The worker thread takes its socket when it starts.
    while dialer.sip().datagrams_to(key.address).is_none() {
        tokio::task::yield_now().await;
    }
    let mut events = Vec::new();
    let (_, flow) = loop {
        match outbound.next().await {
            Some(OutboundEvent::Opened { place, flow }) => break (place, flow),
            other => events.push(other),
        }
    };
    assert_eq!(flow.flow.remote, key.address);
    assert!(outbound.abandon(0));
    assert!(!dialer.sip().stop_keep_alive(&flow));
}
