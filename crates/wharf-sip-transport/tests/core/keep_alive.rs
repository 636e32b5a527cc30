//! Keep-alives of a client (RFC 5626 §4.4): in virtual time, over connections and over UDP.

use std::net::{SocketAddr, UdpSocket};
use std::sync::mpsc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, advance};
use wharf::{Message, Messages, Server, Tcp, Udp, Ws};
use wharf_sip::keep_alive::KeepAliveRules;
use wharf_sip::pool::PoolKey;
use wharf_sip::{PING, PONG, Transport};
use wharf_sip_transport::{DialOptions, Dialer, FlowRef, KeepAliveError, SipOptions};
use wharf_stun::attribute::{ErrorCode, XorMappedAddress};
use wharf_stun::{Class, MessageType, Method, Writer};

use crate::support::{Seen, Site, run};

const SECOND: Duration = Duration::from_secs(1);

/// Rules whose interval is no matter of chance.
fn every(seconds: u64, rules: KeepAliveRules) -> KeepAliveRules {
    let interval = SECOND * seconds as u32;
    KeepAliveRules {
        least: interval,
        most: interval,
        ..rules
    }
}

async fn dial(site: &mut Site, transport: Transport, address: SocketAddr) -> FlowRef {
    let dialer = Dialer::new(site.sip.clone(), DialOptions::default()).unwrap();
    let key = PoolKey {
        transport,
        address,
        domain: None,
        local: None,
    };
    let flow = dialer.dial(&key).await.unwrap();
    assert_eq!(site.next().await, Seen::Opened(flow));
    flow
}

/// A server that the test itself plays, and a flow to it.
async fn peer(site: &mut Site) -> (TcpStream, FlowRef) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let flow = dial(site, Transport::Tcp, address).await;
    (listener.accept().await.unwrap().0, flow)
}

async fn expect_ping(stream: &mut TcpStream) -> Instant {
    let mut ping = [0; 4];
    stream.read_exact(&mut ping).await.unwrap();
    assert_eq!(ping, PING);
    Instant::now()
}

fn told(what: &str, flow: FlowRef) -> Seen {
    Seen::Other(format!("{what}({flow:?})"))
}

#[tokio::test(start_paused = true)]
async fn k4_pings_that_are_answered_keep_the_flow() {
    let mut far = Site::new(SipOptions::default());
    let server = Server::builder()
        .listen_with("sip", Tcp::bind("127.0.0.1:0"), far.sip.streams())
        .build()
        .unwrap();
    let (handle, _) = run(server);
    let address = handle.address("sip").unwrap().ip().unwrap();
    let mut site = Site::new(SipOptions::default());
    let flow = dial(&mut site, Transport::Tcp, address).await;
    assert!(matches!(far.next().await, Seen::Opened(_)));
    // Of a connection without a message the server would think that nobody is there.
    crate::support::send(&site.sip, &flow, &crate::support::options(1, "TCP a"));
    far.message().await;
    site.message().await;

    let began = Instant::now();
    let rules = KeepAliveRules::connection();
    site.sip.keep_alive(&flow, rules).unwrap();
    for count in 1..=5 {
        let before = Instant::now();
        assert_eq!(site.next().await, told("Pong", flow));
        let interval = before.elapsed();
        assert!(
            interval >= rules.least && interval < rules.most + SECOND,
            "{interval:?}"
        );
        assert_eq!(far.sip.stats().pings, count);
        assert_eq!(site.sip.stats().pongs, count);
    }
    assert!(began.elapsed() >= 5 * rules.least);
}

#[tokio::test(start_paused = true)]
async fn k4_a_flow_whose_ping_is_not_answered_in_ten_seconds_is_closed() {
    let mut site = Site::new(SipOptions::default());
    let (mut stream, flow) = peer(&mut site).await;
    let began = Instant::now();
    let rules = every(100, KeepAliveRules::connection());
    site.sip.keep_alive(&flow, rules).unwrap();
    assert_eq!(expect_ping(&mut stream).await, began + 100 * SECOND);
    stream.write_all(PONG).await.unwrap();
    assert_eq!(site.next().await, told("Pong", flow));
    assert_eq!(expect_ping(&mut stream).await, began + 200 * SECOND);
    // Half of a pong is none.
    stream.write_all(b"\r").await.unwrap();
    let failed = Seen::Other(format!("FlowFailed({flow:?}, Unanswered)"));
    assert_eq!(site.next().await, failed);
    assert_eq!(Instant::now(), began + 210 * SECOND);
    site.closed().await;
    assert_eq!(site.sip.stats().flows_failed, 1);
    assert_eq!(stream.read(&mut [0]).await.unwrap_or(0), 0);
    let again = site.sip.keep_alive(&flow, rules);
    assert_eq!(again, Err(KeepAliveError::FlowGone));
}

/// An answer that is not read, since the layer above has no room, does not fail a healthy flow.
#[tokio::test(start_paused = true)]
async fn k4_a_flow_does_not_fail_while_the_layer_is_full() {
    let mut site = Site::new(SipOptions::default());
    let (mut stream, flow) = peer(&mut site).await;
    let rules = every(100, KeepAliveRules::connection());
    site.sip.keep_alive(&flow, rules).unwrap();
    let request = crate::support::options(1, "TCP a");
    expect_ping(&mut stream).await;
    // One ping is under way when there is no room any more, and two are sent then.
    site.set_full(true);
    stream.write_all(request.as_bytes()).await.unwrap();
    stream.write_all(PONG).await.unwrap();
    for _ in 0..2 {
        expect_ping(&mut stream).await;
        stream.write_all(PONG).await.unwrap();
    }
    site.set_full(false);
    assert_eq!(site.message().await, (request, flow));
    for _ in 0..3 {
        assert_eq!(site.next().await, told("Pong", flow));
    }
    assert_eq!(site.sip.stats().flows_failed, 0);
}

#[tokio::test(start_paused = true)]
async fn k4_k8_the_interval_changes_while_the_flow_is_there() {
    let mut site = Site::new(SipOptions::default());
    let (mut stream, flow) = peer(&mut site).await;
    let began = Instant::now();
    let rules = every(100, KeepAliveRules::connection());
    site.sip.keep_alive(&flow, rules).unwrap();
    tokio::time::sleep(50 * SECOND).await;
    // What the server has asked for, in Flow-Timer or `keep`.
    site.sip.keep_alive(&flow, rules.every(20)).unwrap();
    let pinged = expect_ping(&mut stream).await - began;
    assert!(pinged >= 66 * SECOND && pinged <= 71 * SECOND, "{pinged:?}");
    stream.write_all(PONG).await.unwrap();
    assert_eq!(site.next().await, told("Pong", flow));

    assert!(site.sip.stop_keep_alive(&flow));
    assert!(!site.sip.stop_keep_alive(&flow));
    let silent = tokio::time::timeout(1000 * SECOND, stream.read(&mut [0])).await;
    assert!(silent.is_err(), "{silent:?}");
    assert_eq!(site.sip.connections(), 1);
}

#[tokio::test(start_paused = true)]
async fn k1_over_a_websocket_a_ping_is_a_message_of_text() {
    let (tell, mut pings) = tokio::sync::mpsc::unbounded_channel();
    let listen = Ws::bind("127.0.0.1:0").with(|config| {
        config.websocket.subprotocols = vec!["sip".into()];
    });
    let server = Server::builder().listen_messages("ws", listen, move |mut messages: Messages| {
        let tell = tell.clone();
        async move {
            while let Some(Ok(message)) = messages.recv().await {
                let _ = tell.send((message.as_text().map(str::to_owned), Instant::now()));
                let _ = messages.send(Message::text("\r\n")).await;
            }
        }
    });
    let (handle, _) = run(server.build().unwrap());
    let address = handle.address("ws").unwrap().ip().unwrap();
    let mut site = Site::new(SipOptions::default());
    let flow = dial(&mut site, Transport::Ws, address).await;
    let began = Instant::now();
    let rules = every(20, KeepAliveRules::connection());
    site.sip.keep_alive(&flow, rules).unwrap();
    for count in 1..=2 {
        let (text, at) = pings.recv().await.unwrap();
        assert_eq!(text.as_deref(), Some("\r\n\r\n"));
        assert_eq!(at, began + count * rules.least);
        assert_eq!(site.next().await, told("Pong", flow));
    }
}

#[tokio::test]
async fn a_flow_that_is_not_there_is_not_kept_alive() {
    let options = SipOptions {
        max_connections: 1,
        ..SipOptions::default()
    };
    let site = Site::new(options);
    let nobody = FlowRef::datagrams(
        "127.0.0.1:1".parse().unwrap(),
        "127.0.0.1:2".parse().unwrap(),
    );
    let rules = KeepAliveRules::datagrams();
    let gone = Err(KeepAliveError::FlowGone);
    assert_eq!(site.sip.keep_alive(&nobody, rules), gone);

    let server = Server::builder()
        .listen_with("sip", Udp::bind("127.0.0.1:0"), site.sip.datagrams())
        .build()
        .unwrap();
    let _running = run(server);
    let to = async |port| flow_to(&site, ([127, 0, 0, 1], port).into()).await;
    site.sip.keep_alive(&to(1).await, rules).unwrap();
    let full = Err(KeepAliveError::Full);
    assert_eq!(site.sip.keep_alive(&to(2).await, rules), full);
    site.sip.keep_alive(&to(1).await, rules).unwrap();
}

/// A flow from the UDP socket, once its worker thread runs.
async fn flow_to(site: &Site, remote: SocketAddr) -> FlowRef {
    loop {
        match site.sip.datagrams_to(remote) {
            Some(flow) => return flow,
            None => tokio::task::yield_now().await,
        }
    }
}

/// While it is there, time passes only when the test says so: the worker threads of UDP have the real one.
struct Still(#[expect(dead_code)] mpsc::Sender<()>);

impl Still {
    fn new() -> Self {
        let (sender, receiver) = mpsc::channel::<()>();
        tokio::task::spawn_blocking(move || receiver.recv());
        Self(sender)
    }
}

/// A flow over UDP to a socket that the test itself plays.
async fn datagrams() -> (Site, UdpSocket, FlowRef, impl Sized) {
    let still = Still::new();
    let mut site = Site::new(SipOptions::default());
    let server = Server::builder()
        .listen_with("sip", Udp::bind("127.0.0.1:0"), site.sip.datagrams())
        .build()
        .unwrap();
    let running = run(server);
    let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
    peer.set_read_timeout(Some(30 * SECOND)).unwrap();
    let flow = flow_to(&site, peer.local_addr().unwrap()).await;
    let listening = format!("Listening({})", flow.flow.local);
    assert_eq!(site.next().await, Seen::Other(listening));
    let rules = every(25, KeepAliveRules::datagrams());
    site.sip.keep_alive(&flow, rules).unwrap();
    // The task has to be waiting before time passes.
    tokio::task::yield_now().await;
    (site, peer, flow, (still, running))
}

/// The request that the peer receives, and who sent it.
async fn request(peer: &UdpSocket) -> ([u8; 20], SocketAddr) {
    // The task sends when it is polled.
    for _ in 0..8 {
        tokio::task::yield_now().await;
    }
    let mut bytes = [0; 100];
    let (length, from) = peer.recv_from(&mut bytes).expect("a request");
    let message = wharf_stun::Message::parse(&bytes[..length]).unwrap();
    let asked = (message.method(), message.class());
    assert_eq!(asked, (Method::BINDING, Class::Request));
    (bytes[..length].try_into().unwrap(), from)
}

fn answer(request: &[u8], result: Result<SocketAddr, u16>) -> Vec<u8> {
    let id = wharf_stun::Message::parse(request)
        .unwrap()
        .transaction_id();
    let class = if result.is_ok() {
        Class::Success
    } else {
        Class::Error
    };
    let mut buffer = [0; 128];
    let method = Method::BINDING;
    let mut writer = Writer::new(&mut buffer, MessageType { method, class }, id).unwrap();
    match result {
        Ok(mapped) => writer.push(&XorMappedAddress(mapped)),
        Err(code) => writer.push(&ErrorCode { code, reason: "" }),
    }
    .unwrap();
    writer.finish().to_vec()
}

#[tokio::test(start_paused = true)]
async fn k4_k5_a_stun_request_is_repeated_and_then_the_flow_has_failed() {
    let (mut site, peer, flow, _running) = datagrams().await;
    advance(25 * SECOND).await;
    let (first, from) = request(&peer).await;
    assert_eq!(from, flow.flow.local, "from the socket of the flow");
    // RFC 8489 §6.2.1: 0, 500, 1500, 3500, 7500, 15500 and 31500 ms; the end is at 39,500 ms.
    for wait in [500, 1000, 2000, 4000, 8000, 16_000] {
        advance(Duration::from_millis(wait - 1)).await;
        peer.set_nonblocking(true).unwrap();
        assert!(peer.recv(&mut [0]).is_err(), "before {wait} ms");
        peer.set_nonblocking(false).unwrap();
        advance(Duration::from_millis(1)).await;
        let (again, _) = request(&peer).await;
        assert_eq!(again, first, "after {wait} ms");
    }
    advance(8 * SECOND).await;
    let failed = Seen::Other(format!("FlowFailed({flow:?}, Unanswered)"));
    assert_eq!(site.next().await, failed);
    assert!(!site.sip.stop_keep_alive(&flow));
}

#[tokio::test(start_paused = true)]
async fn k5_another_address_is_a_failed_flow() {
    let (mut site, peer, flow, _running) = datagrams().await;
    let (before, after) = (
        "192.0.2.1:40000".parse().unwrap(),
        "192.0.2.1:40001".parse().unwrap(),
    );
    for mapped in [before, before, after] {
        advance(25 * SECOND).await;
        let (bytes, from) = request(&peer).await;
        // What is not asked for, and what comes from elsewhere, is of no account.
        let mut other = bytes;
        other[19] ^= 1;
        peer.send_to(&answer(&other, Ok(after)), from).unwrap();
        let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
        stranger.send_to(&answer(&bytes, Ok(after)), from).unwrap();
        while site.sip.stats().stun_refused < 2 * (1 + site.sip.stats().pongs) {
            tokio::task::yield_now().await;
        }
        peer.send_to(&answer(&bytes, Ok(mapped)), from).unwrap();
        if mapped == before {
            assert_eq!(site.next().await, told("Pong", flow));
        }
    }
    let failed = format!("FlowFailed({flow:?}, Moved {{ from: {before}, to: {after} }})");
    assert_eq!(site.next().await, Seen::Other(failed));
}

#[tokio::test(start_paused = true)]
async fn k5_a_refusal_is_a_failed_flow() {
    let (mut site, peer, flow, _running) = datagrams().await;
    advance(25 * SECOND).await;
    let (bytes, from) = request(&peer).await;
    peer.send_to(&answer(&bytes, Err(420)), from).unwrap();
    let failed = Seen::Other(format!("FlowFailed({flow:?}, Refused(420))"));
    assert_eq!(site.next().await, failed);
}
