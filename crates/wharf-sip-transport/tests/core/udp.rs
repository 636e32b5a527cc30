//! UDP: real sockets on loopback.

use std::net::SocketAddr;
use std::sync::{Mutex, mpsc};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::sync::mpsc as unbounded;
use wharf::config::DualStack;
use wharf::{Handle, Server, Udp};
use wharf_sip::Priority;
use wharf_sip::flow::{FlowError, FlowId, FlowTokens};
use wharf_sip::route::SentBy;
use wharf_sip::{Host, OwnedHost};
use wharf_sip_transport::{FlowRef, Incoming, Outgoing, SendError, Sip, SipOptions, Taken, Upper};

use crate::support::{Seen, Site, options, run, send};

struct Udps {
    site: Site,
    handle: Handle,
    server: SocketAddr,
    client: UdpSocket,
}

async fn start(bind: &str, sip: SipOptions) -> Udps {
    let site = Site::new(sip);
    let server = Server::builder()
        .listen_with("sip", Udp::bind(bind), site.sip.datagrams())
        .build()
        .unwrap();
    let (handle, _) = run(server);
    let bound: SocketAddr = handle.address("sip").unwrap().to_string().parse().unwrap();
    let server = SocketAddr::new([127, 0, 0, 1].into(), bound.port());
    let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    Udps {
        site,
        handle,
        server,
        client,
    }
}

impl Udps {
    async fn send(&self, bytes: &[u8]) {
        self.client.send_to(bytes, self.server).await.unwrap();
    }

    async fn receive(&self) -> String {
        let mut buffer = vec![0; 70_000];
        let receive = self.client.recv_from(&mut buffer);
        let received = tokio::time::timeout(Duration::from_secs(30), receive).await;
        let (length, from) = received.expect("an answer").unwrap();
        assert_eq!(from, self.server, "from the address that was asked");
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    }

    fn source(&self) -> SocketAddr {
        self.client.local_addr().unwrap()
    }
}

/// The topmost Via of an answer.
fn via(message: &str) -> &str {
    let line = message.lines().find(|line| line.starts_with("Via:"));
    line.unwrap()
}

#[tokio::test]
async fn s3_the_source_is_written_where_it_differs_from_sent_by() {
    let mut udp = start("127.0.0.1:0", SipOptions::default()).await;
    let port = udp.source().port();
    let by_name = format!("UDP phone.invalid:{port}");
    udp.send(options(1, &by_name).as_bytes()).await;
    let answer = udp.receive().await;
    assert!(answer.starts_with("SIP/2.0 200 OK\r\n"), "{answer}");
    assert!(via(&answer).ends_with(";received=127.0.0.1"), "{answer}");
    // The same address: nothing is written (S3), but both are where rport asks for it (RFC 3581 §4).
    let by_address = format!("UDP 127.0.0.1:{port}");
    udp.send(options(2, &by_address).as_bytes()).await;
    assert!(via(&udp.receive().await).ends_with("z9hG4bK2"));
    udp.send(options(3, "UDP 127.0.0.1:5060;rport").as_bytes())
        .await;
    let answer = udp.receive().await;
    let expected = format!(";rport={port};");
    assert!(via(&answer).contains(&expected), "{answer}");
    assert!(via(&answer).ends_with(";received=127.0.0.1"), "{answer}");
    let (_, flow) = udp.site.message().await;
    assert_eq!(flow, FlowRef::datagrams(udp.server, udp.source()));
}

/// RFC 3261 §18.2.2: a phone may send from one port and listen at another.
#[tokio::test]
async fn s9_without_rport_an_answer_goes_to_the_port_of_sent_by() {
    let mut udp = start("127.0.0.1:0", SipOptions::default()).await;
    let ear = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let via = format!("UDP phone.invalid:{}", ear.local_addr().unwrap().port());
    let whole = options(1, &via);
    // What is answered by the layer itself goes there too.
    let short = whole.replace("Content-Length: 0", "Content-Length: 9");
    for (request, status) in [(&whole, "SIP/2.0 200 "), (&short, "SIP/2.0 400 ")] {
        udp.send(request.as_bytes()).await;
        let mut buffer = [0; 2000];
        let receive = ear.recv_from(&mut buffer);
        let received = tokio::time::timeout(Duration::from_secs(30), receive).await;
        let (length, from) = received.expect("an answer").unwrap();
        assert!(buffer[..length].starts_with(status.as_bytes()));
        assert_eq!(from, udp.server, "from the address that was asked");
    }
    // The flow is that of the request.
    assert_eq!(udp.site.message().await.1.flow.remote, udp.source());
}

#[tokio::test]
async fn a_wildcard_socket_answers_from_the_address_that_was_asked() {
    for bind in ["0.0.0.0:0", "[::]:0"] {
        let mut udp = start(bind, SipOptions::default()).await;
        for host in [1, 2] {
            udp.server.set_ip([127, 0, 0, host].into());
            udp.send(options(1, "UDP phone.invalid;rport").as_bytes())
                .await;
            let answer = udp.receive().await;
            assert!(answer.contains(";received=127.0.0.1"), "{bind}: {answer}");
            let (_, flow) = udp.site.message().await;
            assert_eq!(flow.flow.local, udp.server, "{bind}");
            // What is sent later leaves from there, too.
            send(&udp.site.sip, &flow, "SIP/2.0 180 Ringing\r\n\r\n");
            assert!(udp.receive().await.starts_with("SIP/2.0 180"));
        }
    }
}

#[tokio::test]
async fn s2_the_longest_datagram_comes_whole_and_leaves_whole() {
    let mut udp = start("127.0.0.1:0", SipOptions::default()).await;
    let head = options(1, "UDP 127.0.0.1;rport").replace("Content-Length: 0\r\n", "");
    let whole = head.clone() + &"x".repeat(65_507 - head.len());
    udp.send(whole.as_bytes()).await;
    let (message, flow) = udp.site.message().await;
    assert_eq!(message.len(), 65_507);
    assert!(udp.receive().await.starts_with("SIP/2.0 200"));
    send(&udp.site.sip, &flow, &whole);
    assert_eq!(udp.receive().await.len(), 65_507);
    let long = vec![b'x'; 65_508].into();
    let refused = udp.site.sip.send(&flow, long, Priority::Critical);
    assert_eq!(refused, Err(SendError::TooLarge(65_508)));
}

#[tokio::test]
async fn f2_f3_f4_a_datagram_is_one_message() {
    let mut udp = start("127.0.0.1:0", SipOptions::default()).await;
    let two = options(1, "UDP 127.0.0.1;rport") + &options(2, "UDP 127.0.0.1;rport");
    udp.send(two.as_bytes()).await;
    let (message, _) = udp.site.message().await;
    assert_eq!(message, options(1, "UDP 127.0.0.1;rport"), "F2");
    udp.receive().await;

    let open = options(3, "UDP 127.0.0.1;rport").replace("Content-Length: 0\r\n", "") + "body";
    udp.send(open.as_bytes()).await;
    assert_eq!(udp.site.message().await.0, open, "F4");
    udp.receive().await;

    let short = options(4, "UDP phone.invalid;rport").replace("Length: 0", "Length: 5");
    udp.send(short.as_bytes()).await;
    let answer = udp.receive().await;
    assert!(answer.starts_with("SIP/2.0 400 "), "F3: {answer}");
    assert!(answer.contains(";received=127.0.0.1"), "{answer}");
    udp.send(b"SIP/2.0 200 OK\r\nContent-Length: 5\r\n\r\n")
        .await;
    udp.send(options(5, "UDP 127.0.0.1;rport").as_bytes()).await;
    assert!(udp.receive().await.contains("CSeq: 5"), "F3: no answer");
    assert_eq!(udp.site.sip.stats().refused_length, 2);
}

#[tokio::test]
async fn k1_crlf_on_udp_is_ignored_and_k5_stun_is_answered() {
    let udp = start("127.0.0.1:0", SipOptions::default()).await;
    udp.send(b"\r\n\r\n").await;
    let mut binding = [0; 20];
    binding[1] = 1;
    binding[4..8].copy_from_slice(&wharf_stun::MAGIC_COOKIE.to_be_bytes());
    binding[8..].copy_from_slice(&[5; 12]);
    udp.send(&binding).await;
    let mut answer = [0; 128];
    let (length, _) = udp.client.recv_from(&mut answer).await.unwrap();
    let answer = wharf_stun::Message::parse(&answer[..length]).unwrap();
    assert_eq!(answer.class(), wharf_stun::Class::Success);
    let mapped = answer.get::<wharf_stun::attribute::XorMappedAddress>();
    assert_eq!(mapped.unwrap().unwrap().0, udp.source());
    // A response that nobody has asked for is none of ours.
    binding[..2].copy_from_slice(&[1, 1]);
    udp.send(&binding).await;
    udp.send(options(1, "UDP 127.0.0.1;rport").as_bytes()).await;
    assert!(udp.receive().await.starts_with("SIP/2.0 200"));
    let stats = udp.site.sip.stats();
    assert_eq!((stats.stun, stats.stun_refused, stats.pings), (1, 1, 0));
}

#[tokio::test]
async fn c8_a_response_to_somebody_else_is_dropped_and_counted() {
    let own = OwnedHost::new(Host::Name("edge.example")).unwrap();
    let mut udp = start(
        "127.0.0.1:0",
        SipOptions {
            sent_by: vec![SentBy::new(own, None).unwrap()],
            ..SipOptions::default()
        },
    )
    .await;
    let response = |by: &str| format!("SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP {by}\r\n\r\n");
    for by in ["255.255.255.255", "edge.example:5070"] {
        udp.send(response(by).as_bytes()).await;
    }
    udp.send(b"SIP/2.0 200 OK\r\nTo: <sip:a>\r\n\r\n").await;
    udp.send(response("EDGE.example:5060").as_bytes()).await;
    assert_eq!(udp.site.message().await.0, response("EDGE.example:5060"));
    assert_eq!(udp.site.sip.stats().strays, 3);
    // Requests have another's Via.
    udp.send(options(1, "UDP 127.0.0.1;rport").as_bytes()).await;
    assert!(udp.receive().await.starts_with("SIP/2.0 200"));
}

#[tokio::test]
async fn e1_what_icmp_says_is_told() {
    let mut udp = start("127.0.0.1:0", SipOptions::default()).await;
    udp.send(options(1, "UDP 127.0.0.1;rport").as_bytes()).await;
    udp.receive().await;
    udp.site.message().await;
    let dead = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let remote = dead.local_addr().unwrap();
    drop(dead);
    let flow = udp.site.sip.datagrams_to(remote).unwrap();
    assert_eq!(flow, FlowRef::datagrams(udp.server, remote));
    send(&udp.site.sip, &flow, "SIP/2.0 200 OK\r\n\r\n");
    let Seen::Other(event) = udp.site.next().await else {
        panic!("an event");
    };
    assert!(event.starts_with("Unreachable"), "{event}");
    assert!(event.contains("PortUnreachable"), "{event}");
    assert!(event.contains(&remote.to_string()), "{event}");
    assert_eq!(udp.site.sip.stats().unreachable, 1);
}

#[tokio::test]
async fn a_socket_is_told_when_it_opens_and_closes_and_not_for_each_worker() {
    let mut site = Site::new(SipOptions::default());
    let listen = Udp::bind("127.0.0.1:0").with(|config| config.datagrams.workers = 3);
    let server = Server::builder()
        .listen_with("sip", listen, site.sip.datagrams())
        .build()
        .unwrap();
    let (handle, _) = run(server);
    let address = handle.address("sip").unwrap();
    let told = |what: &str| Seen::Other(format!("{what}({address})"));
    assert_eq!(site.next().await, told("Listening"));
    handle.drain(Duration::from_secs(5)).await;
    assert_eq!(site.next().await, told("Stopped"));
    assert!(site.is_silent(), "once each");
}

#[tokio::test]
async fn a_full_layer_drops_datagrams_and_counts_them() {
    let mut udp = start("127.0.0.1:0", SipOptions::default()).await;
    udp.site.set_full(true);
    udp.send(options(1, "UDP 127.0.0.1;rport").as_bytes()).await;
    while udp.site.sip.stats().full == 0 {
        tokio::task::yield_now().await;
    }
    udp.site.set_full(false);
    udp.send(options(2, "UDP 127.0.0.1;rport").as_bytes()).await;
    assert!(udp.site.message().await.0.contains("CSeq: 2"));
}

#[tokio::test]
async fn k6_a_flow_of_udp_is_found_as_long_as_its_socket_is_there() {
    let mut udp = start("127.0.0.1:0", SipOptions::default()).await;
    udp.send(options(1, "UDP 127.0.0.1;rport").as_bytes()).await;
    let (_, flow) = udp.site.message().await;
    let tokens = FlowTokens::new(&[3; 32]);
    let sealed = tokens.open(&tokens.seal(flow.id, &flow.flow)).unwrap();
    assert_eq!(udp.site.sip.find(&sealed), Ok(flow));
    udp.handle.drain(Duration::from_secs(5)).await;
    assert_eq!(udp.site.sip.find(&sealed), Err(FlowError::Gone));
    let late = udp.site.sip.send(&flow, "x".into(), Priority::High);
    assert_eq!(late, Err(SendError::NoSocket));
    assert_eq!(flow.id, FlowId::default());
}

/// Tells that a message has come, and keeps its worker from all else while the test holds the other end.
struct Busy {
    tell: unbounded::UnboundedSender<()>,
    until: Mutex<mpsc::Receiver<()>>,
}

impl Upper for Busy {
    fn message(&self, _: &Incoming<'_>, _: &mut Outgoing<'_>) -> Taken {
        let _ = self.tell.send(());
        let _ = self.until.lock().unwrap().recv();
        Taken::Yes
    }
}

#[tokio::test]
async fn a_worker_that_has_no_time_costs_a_bounded_queue() {
    let (busy, until) = mpsc::channel();
    let (tell, mut told) = unbounded::unbounded_channel();
    let until = Mutex::new(until);
    let bounded = SipOptions {
        queue: 8_000,
        ..SipOptions::default()
    };
    let sip = Sip::new(bounded, Busy { tell, until });
    let server = Server::builder()
        .listen_with(
            "sip",
            Udp::bind("127.0.0.1:0").with(|config| config.datagrams.workers = 1),
            sip.datagrams(),
        )
        .build()
        .unwrap();
    let (handle, _) = run(server);
    let address = handle.address("sip").unwrap().ip().unwrap();
    let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let request = options(1, "UDP 127.0.0.1;rport");
    client.send_to(request.as_bytes(), address).await.unwrap();
    let come = tokio::time::timeout(Duration::from_secs(30), told.recv());
    come.await.expect("it has come");
    let flow = sip.datagrams_to(client.local_addr().unwrap()).unwrap();
    let message = bytes::Bytes::from(vec![b'x'; 1000]);
    let send = |priority| sip.send(&flow, message.clone(), priority);
    // Three quarters of the queue are for what is normal, and there is room left for what is urgent.
    for _ in 0..6 {
        assert_eq!(send(Priority::Normal), Ok(()));
    }
    assert_eq!(send(Priority::Normal), Err(SendError::Full));
    assert_eq!(send(Priority::Critical), Ok(()));
    drop(busy);
    for _ in 0..7 {
        let mut buffer = [0; 2000];
        let receive = client.recv(&mut buffer);
        let received = tokio::time::timeout(Duration::from_secs(30), receive).await;
        assert_eq!(received.expect("all that was taken").unwrap(), 1000);
    }
}

#[tokio::test]
async fn a_socket_of_ipv6_alone_is_no_way_to_ipv4() {
    let site = Site::new(SipOptions::default());
    let (ipv4, ipv6) = ("127.0.0.1:9", "[::1]:9");
    let way = |remote: &str| site.sip.datagrams_to(remote.parse().unwrap());
    let opened = async |remote: &str| {
        let there = async {
            while way(remote).is_none() {
                tokio::task::yield_now().await;
            }
        };
        let opened = tokio::time::timeout(Duration::from_secs(30), there).await;
        opened.expect("its worker runs");
    };
    let alone = Udp::bind("[::]:0").with(|udp| udp.socket.dual_stack = DualStack::Ipv6Only);
    let server = Server::builder().listen_with("v6", alone, site.sip.datagrams());
    let (_ipv6, _) = run(server.build().unwrap());
    opened(ipv6).await;
    assert_eq!(way(ipv4), None);
    let server = Server::builder();
    let server = server.listen_with("v4", Udp::bind("0.0.0.0:0"), site.sip.datagrams());
    let (_ipv4, _) = run(server.build().unwrap());
    opened(ipv4).await;
    let peer = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let flow = way(&peer.local_addr().unwrap().to_string()).unwrap();
    assert!(flow.flow.local.is_ipv4());
    assert!(way(ipv6).unwrap().flow.local.is_ipv6());
    send(&site.sip, &flow, "sent");
    let mut buffer = [0; 16];
    let receive = peer.recv_from(&mut buffer);
    let received = tokio::time::timeout(Duration::from_secs(30), receive).await;
    assert_eq!(received.expect("a message").unwrap().0, 4);
}
