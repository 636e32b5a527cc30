//! The manager over real sockets on loopback.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpSocket;
use tokio::time::Instant;
use wharf::{Handle, Server, Udp};
use wharf_sip::Transport;
use wharf_sip::locate::Target;
use wharf_sip::route::{Cause, SendFailure};
use wharf_sip_transport::{
    DialOptions, Dialer, Manager, ManagerEvent, ManagerOptions, Request, Sip, SipOptions,
    TableResolver, factory,
};

use crate::support::{Site, options, run};

/// An element that sends through a manager, with a UDP socket.
struct Element {
    site: Site,
    manager: Manager,
    _handle: Handle,
}

async fn element() -> Element {
    element_with(ManagerOptions::default()).await
}

async fn element_with(options: ManagerOptions) -> Element {
    let manager = Manager::new(options, TableResolver::default());
    let site = Site::with(|above| Sip::new(SipOptions::default(), manager.watch(above)));
    let dialer = Dialer::new(site.sip.clone(), DialOptions::default()).unwrap();
    manager.begin(site.sip.clone(), dialer);
    let server = Server::builder()
        .listen_with("udp", Udp::bind("127.0.0.1:0"), site.sip.datagrams())
        .build()
        .unwrap();
    let (handle, _) = run(server);
    // The worker's thread has begun.
    let begun = Instant::now();
    while site.sip.datagrams_to(([127, 0, 0, 1], 9).into()).is_none() {
        assert!(begun.elapsed() < Duration::from_secs(30));
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Element {
        site,
        manager,
        _handle: handle,
    }
}

impl Element {
    /// Sends a request with this number, and waits for the response.
    async fn call(&mut self, uri: &str, number: u32) -> Cause {
        let mut sending = self.manager.request(to(uri));
        let message = options(number, "UDP client.invalid;rport");
        let sent = sending.next(message.into()).await.unwrap();
        let (response, _) = self.site.message().await;
        assert!(response.starts_with("SIP/2.0 200"), "{response}");
        assert!(
            response.contains(&format!("branch=z9hG4bK{number}")),
            "{response}"
        );
        sending.answered();
        sent.cause
    }
}

fn to(uri: &str) -> Request {
    Request::to(target(uri))
}

fn target(uri: &str) -> Target {
    factory::target(uri).unwrap()
}

/// An address of loopback for one test, with all its ports.
fn own_address() -> Ipv4Addr {
    Ipv4Addr::new(
        127,
        fastrand::u8(1..),
        fastrand::u8(..),
        fastrand::u8(1..255),
    )
}

/// A responder that listens as these URIs say.
fn serve<'a>(uris: impl IntoIterator<Item = &'a str>) -> (Site, Handle) {
    let site = Site::new(SipOptions::default());
    let config = factory::listeners(uris).unwrap();
    let (handle, _) = run(site.sip.server(config).unwrap().build().unwrap());
    (site, handle)
}

#[tokio::test]
async fn s1_what_listens_over_udp_listens_over_tcp_on_the_same_port() {
    let uri = format!("sip:{}", own_address());
    let (server, _handle) = serve([uri.as_str()]);
    let mut client = element().await;
    assert_eq!(client.call(&uri, 1).await, Cause::Asked);
    assert_eq!(server.sip.connections(), 0);
    client.call(&format!("{uri};transport=tcp"), 2).await;
    assert_eq!(server.sip.connections(), 1);
}

#[tokio::test]
async fn c1_a_long_request_is_answered_over_tcp() {
    let uri = format!("sip:{}", own_address());
    let (mut server, _handle) = serve([uri.as_str()]);
    let mut client = element().await;
    let long = options(1, "UDP client.invalid");
    let long = long.replace(
        "Max-Forwards",
        &format!("X: {}\r\nMax-Forwards", "x".repeat(1300)),
    );
    let mut sending = client.manager.request(to(&uri));
    assert_eq!(sending.next(long.into()).await.unwrap().cause, Cause::Size);
    let (request, flow) = server.message().await;
    assert!(request.contains("\r\nVia: SIP/2.0/TCP client.invalid;"));
    assert_eq!(flow.flow.transport, Transport::Tcp);
    assert!(client.site.message().await.0.starts_with("SIP/2.0 200"));
}

#[tokio::test]
async fn c2_a_server_that_refuses_tcp_gets_a_long_request_over_udp() {
    let mut site = Site::new(SipOptions::default());
    let at = own_address();
    let listen = Udp::bind(format!("{at}:5060"));
    let udp = Server::builder().listen_with("udp", listen, site.sip.datagrams());
    let _running = run(udp.build().unwrap());
    let client = element().await;
    let mut events = client.manager.events();
    let long = options(1, "UDP client.invalid");
    let long = long.replace(
        "Max-Forwards",
        &format!("X: {}\r\nMax-Forwards", "x".repeat(1300)),
    );
    let mut sending = client.manager.request(to(&format!("sip:{at}")));
    let sent = sending.next(long.into()).await.unwrap();
    assert_eq!((sent.cause, sent.number), (Cause::TcpRefused, 2));
    let (request, _) = site.message().await;
    assert!(request.contains("\r\nVia: SIP/2.0/UDP client.invalid;"));
    let mut told = Vec::new();
    while let Ok(event) = events.try_recv() {
        told.push(event);
    }
    assert!(
        matches!(told[0], ManagerEvent::SwitchedToTcp { .. }),
        "{told:?}"
    );
    let last = told.last().unwrap();
    assert!(matches!(last, ManagerEvent::BackToUdp { .. }), "{told:?}");
}

#[tokio::test]
async fn c5_requests_at_once_share_a_connection() {
    let uri = format!("sip:{};transport=tcp", own_address());
    let (server, _handle) = serve([uri.as_str()]);
    let mut client = element().await;
    let sends = (0..20).map(|number| {
        let mut sending = client.manager.request(to(&uri));
        let message = options(number, "TCP client.invalid");
        tokio::spawn(async move { sending.next(message.into()).await.unwrap() })
    });
    for send in sends.collect::<Vec<_>>() {
        send.await.unwrap();
    }
    for _ in 0..20 {
        assert!(client.site.message().await.0.starts_with("SIP/2.0 200"));
    }
    assert_eq!(server.sip.connections(), 1);
    assert_eq!(client.manager.stats().connected, 1);
}

#[tokio::test]
async fn e1_icmp_sends_a_request_to_the_next_server() {
    let (dead, live) = (own_address(), own_address());
    let uri = format!("sip:{live}");
    let (_server, _handle) = serve([uri.as_str()]);
    let client = element().await;
    let targets = vec![target(&format!("sip:{dead}")), target(&uri)];
    let mut sending = client.manager.request(Request::to_any(targets));
    let message = || options(1, "UDP client.invalid").into();
    sending.next(message()).await.unwrap();
    let lost = tokio::time::timeout(Duration::from_secs(30), sending.lost()).await;
    assert_eq!(lost, Ok(SendFailure::PortUnreachable));
    sending.failed(SendFailure::PortUnreachable);
    let sent = sending.next(message()).await.unwrap();
    assert_eq!(sent.flow.flow.remote, SocketAddr::from((live, 5060)));
    assert_eq!(client.manager.unwell().len(), 1);
}

#[tokio::test]
async fn e3_a_connection_that_the_server_has_closed_costs_no_request() {
    let uri = format!("sip:{};transport=tcp", own_address());
    let (mut server, _handle) = serve([uri.as_str()]);
    let mut client = element().await;
    for number in 1..=3 {
        client.call(&uri, number).await;
        let (_, flow) = server.message().await;
        server.sip.close(&flow);
        server.closed().await;
        client.site.closed().await;
    }
    assert_eq!(client.manager.stats().connected, 3);
}

#[tokio::test]
async fn rfc7118_a_websocket_server_is_reached_by_its_url() {
    let uri = format!("ws://{}:8080", own_address());
    let (_server, _handle) = serve([uri.as_str()]);
    let mut options = ManagerOptions::default();
    // Not among those in use unless that is said.
    options.locate.transports.push(Transport::Ws);
    let mut client = element_with(options).await;
    client.call(&uri, 1).await;
}

#[tokio::test]
async fn s6_a_response_finds_the_listener_of_a_client_whose_connection_has_closed() {
    let (phone_at, server_at) = (own_address(), own_address());
    let phone_uri = format!("sip:{phone_at};transport=tcp");
    let (mut phone, _phone) = serve([phone_uri.as_str()]);

    let mut server = element().await;
    let config = factory::listeners([format!("sip:{server_at}").as_str()]).unwrap();
    let _running = run(server.site.sip.server(config).unwrap().build().unwrap());

    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((phone_at, 0).into()).unwrap();
    let mut stream = socket.connect((server_at, 5060).into()).await.unwrap();
    let invite = options(1, &format!("TCP {phone_at}")).replace("OPTIONS", "INVITE");
    stream.write_all(invite.as_bytes()).await.unwrap();
    let (request, flow) = server.site.message().await;
    drop(stream);
    server.site.closed().await;

    let via = request
        .lines()
        .find(|line| line.starts_with("Via:"))
        .unwrap();
    let response = format!("SIP/2.0 200 OK\r\n{via}\r\nContent-Length: 0\r\n\r\n");
    let sent = server
        .manager
        .respond(&flow, response.into())
        .await
        .unwrap();
    assert_eq!(sent.flow.remote, SocketAddr::from((phone_at, 5060)));
    assert_ne!(flow.flow.remote.port(), 5060);
    assert!(phone.message().await.0.starts_with("SIP/2.0 200"));
}

#[tokio::test]
async fn an_element_that_is_gone_leaves_nothing_behind() {
    let uri = format!("sip:{};transport=tcp", own_address());
    let (mut server, _handle) = serve([uri.as_str()]);
    let mut client = element().await;
    client.call(&uri, 1).await;
    let Element {
        mut site, manager, ..
    } = client;
    drop(manager);
    // Its connection closes, as both sides see.
    server.closed().await;
    site.closed().await;
}
