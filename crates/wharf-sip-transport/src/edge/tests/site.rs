//! An edge with its listeners, an upstream and clients, all on loopback.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use wharf::{Client, Handle, Message, Messages, Server, Tcp, Udp, Ws};
use wharf_sip::locate::Target;
use wharf_sip::{Host, Limits, OwnedHost, Scan, Uri};

use crate::edge::{Edge, EdgeOptions, EdgeSecret, EdgeStats};
use crate::{DialOptions, Dialer, Manager, ManagerOptions, Resolver, Sip, SipOptions};

const SOON: Duration = Duration::from_secs(10);
const LOOPBACK: &str = "127.0.0.1:0";

/// A server that has the edge before it.
pub(super) struct Site {
    pub(super) edge: Edge,
    pub(super) sip: Sip,
    handle: Handle,
    pub(super) upstream: UdpSocket,
}

/// Somebody with a UDP socket.
pub(super) struct Phone(pub(super) UdpSocket);

/// Somebody with a WebSocket.
pub(super) struct Browser(Messages);

pub(in crate::edge) fn host(text: &str) -> OwnedHost {
    OwnedHost::new(Host::parse(text.as_bytes()).unwrap()).unwrap()
}

pub(in crate::edge) fn target(uri: &str) -> Target {
    Target::of(&Uri::parse(uri.as_bytes()).unwrap()).unwrap()
}

impl Site {
    pub(super) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub(super) async fn with(change: impl FnOnce(&mut EdgeOptions)) -> Self {
        let upstream = UdpSocket::bind(LOOPBACK).await.unwrap();
        let uri = format!("sip:{}", upstream.local_addr().unwrap());
        let mut options = EdgeOptions::new(host("edge.example"), target(&uri));
        change(&mut options);
        let edge = Edge::new(options).unwrap();
        let sip = Sip::new(SipOptions::default(), edge.clone());
        Self::serve(edge, sip, upstream)
    }

    /// An edge with a manager that asks `resolver`, before `uri`: `upstream` has nothing to do with it.
    pub(super) async fn managed(uri: &str, resolver: impl Resolver) -> Self {
        Self::managed_by(ManagerOptions::default(), uri, resolver).await
    }

    pub(super) async fn managed_by(
        manager: ManagerOptions,
        uri: &str,
        resolver: impl Resolver,
    ) -> Self {
        let upstream = UdpSocket::bind(LOOPBACK).await.unwrap();
        let options = EdgeOptions::new(host("edge.example"), target(uri));
        let manager = Manager::new(manager, resolver);
        let edge = Edge::with_manager(options, manager.clone()).unwrap();
        let sip = Sip::new(SipOptions::default(), manager.watch(edge.clone()));
        let dialer = Dialer::new(sip.clone(), DialOptions::default()).unwrap();
        manager.begin(sip.clone(), dialer);
        Self::serve(edge, sip, upstream)
    }

    fn serve(edge: Edge, sip: Sip, upstream: UdpSocket) -> Self {
        let ws = Ws::bind(LOOPBACK).with(|ws| ws.websocket.subprotocols = vec!["sip".into()]);
        let server = Server::builder()
            .listen_with("udp", Udp::bind(LOOPBACK), sip.datagrams())
            .listen_with("tcp", Tcp::bind(LOOPBACK), sip.streams())
            .listen_with("ws", ws, sip.websockets())
            .build()
            .unwrap();
        let handle = server.handle();
        tokio::spawn(server.run());
        Self {
            edge,
            sip,
            handle,
            upstream,
        }
    }

    pub(super) fn address(&self, listener: &str) -> SocketAddr {
        self.handle.address(listener).unwrap().ip().unwrap()
    }

    /// The URI of the upstream's side of the edge, with this user.
    pub(super) fn udp_uri(&self, user: &str) -> String {
        format!(
            "<sip:{user}@edge.example:{};lr>",
            self.address("udp").port()
        )
    }

    pub(super) async fn browser(&self) -> Browser {
        let client = Client::builder().with(|options| {
            options.websocket.subprotocols = vec!["sip".into()];
        });
        let client = client.build().unwrap();
        let url = format!("ws://{}/", self.address("ws"));
        Browser(client.connect_messages(&url).await.unwrap())
    }

    pub(super) async fn tcp(&self) -> TcpStream {
        TcpStream::connect(self.address("tcp")).await.unwrap()
    }

    /// Datagrams that have come to the edge.
    pub(super) fn delivered(&self) -> u64 {
        let stats = self.handle.stats();
        stats.iter().map(|(_, one)| one.datagrams_delivered).sum()
    }

    /// Waits until so many datagrams have come to the edge.
    pub(super) async fn takes(&self, datagrams: u64) {
        let taken = async {
            while self.delivered() < datagrams {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(SOON, taken).await.unwrap();
    }

    /// What the handlers of the listeners have done wrong.
    pub(super) fn panics(&self) -> u64 {
        let stats = self.handle.stats();
        let panics = stats.iter().map(|(_, one)| one.worker_panics);
        panics.sum()
    }

    /// A phone, which is not where the upstream is.
    pub(super) async fn phone(&self) -> Phone {
        let socket = UdpSocket::bind("127.0.0.2:0").await.unwrap();
        socket.connect(self.address("udp")).await.unwrap();
        Phone(socket)
    }

    /// Waits until the edge has counted so.
    pub(super) async fn counts(&self, is: impl Fn(&EdgeStats) -> bool) {
        let counted = async {
            while !is(&self.edge.stats()) {
                tokio::task::yield_now().await;
            }
        };
        let counted = tokio::time::timeout(SOON, counted).await;
        assert!(counted.is_ok(), "{:?}", self.edge.stats());
    }

    /// Waits until no connection is open.
    pub(super) async fn all_have_left(&self) {
        let left = async {
            while self.sip.connections() > 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(SOON, left).await.unwrap();
    }

    /// What came to the upstream.
    pub(super) async fn upstream_gets(&self) -> String {
        receive(&self.upstream).await
    }

    pub(super) async fn upstream_sends(&self, message: &str) {
        let edge = self.address("udp");
        let sent = self.upstream.send_to(message.as_bytes(), edge).await;
        assert_eq!(sent.unwrap(), message.len());
    }

    /// The answer to a request of the upstream, which the edge gives itself.
    pub(super) async fn upstream_asks(&self, message: &str) -> String {
        self.upstream_sends(message).await;
        self.upstream_gets().await
    }

    /// A browser that has sent a REGISTER, and the Path that the upstream got of it.
    pub(super) async fn registered(&self) -> (Browser, String) {
        let mut browser = self.browser().await;
        browser
            .says(&request("REGISTER", "sip:example.com", ""))
            .await;
        let path = field(&self.upstream_gets().await, "Path");
        (browser, path)
    }
}

impl Phone {
    pub(super) async fn says(&self, message: &str) {
        assert_eq!(
            self.0.send(message.as_bytes()).await.unwrap(),
            message.len()
        );
    }

    pub(super) async fn hears(&self) -> String {
        receive(&self.0).await
    }
}

impl Browser {
    pub(super) async fn says(&mut self, message: &str) {
        self.0.send(Message::text(message)).await.unwrap();
    }

    pub(super) async fn hears(&mut self) -> String {
        let received = tokio::time::timeout(SOON, self.0.recv()).await;
        let message = received.expect("no message").expect("closed").unwrap();
        String::from_utf8(message.payload().to_vec()).unwrap()
    }

    pub(super) async fn leaves(mut self) {
        self.0.close(1000, "").await.unwrap();
    }
}

pub(super) async fn receive(socket: &UdpSocket) -> String {
    let mut bytes = vec![0; 65_536];
    let received = tokio::time::timeout(SOON, socket.recv(&mut bytes)).await;
    bytes.truncate(received.expect("no datagram").unwrap());
    String::from_utf8(bytes).unwrap()
}

pub(super) async fn send_over_tcp(stream: &mut TcpStream, message: &str) {
    stream.write_all(message.as_bytes()).await.unwrap();
}

/// One message with an empty body.
pub(super) async fn hear_over_tcp(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        let byte = tokio::time::timeout(SOON, stream.read_u8()).await;
        bytes.push(byte.expect("no byte").unwrap());
    }
    String::from_utf8(bytes).unwrap()
}

/// A request with these further lines.
pub(super) fn request(method: &str, target: &str, lines: &str) -> String {
    format!(
        "{method} {target} SIP/2.0\r\nVia: SIP/2.0/WS df7jal23ls0d.invalid;branch=z9hG4bK56sdasks\r\n\
         Max-Forwards: 70\r\n{lines}From: <sip:alice@example.com>;tag=1\r\nTo: <sip:bob@example.com>\r\n\
         Call-ID: c1\r\nCSeq: 1 {method}\r\n\r\n"
    )
}

/// The same of a peer of UDP.
pub(super) fn datagram(method: &str, target: &str, lines: &str) -> String {
    let via = "SIP/2.0/UDP 127.0.0.1:9;rport;branch=z9hG4bKup";
    request(method, target, lines).replace(
        "SIP/2.0/WS df7jal23ls0d.invalid;branch=z9hG4bK56sdasks",
        via,
    )
}

/// The 200 of whoever is asked: it copies the Vias and the Record-Route.
pub(super) fn ok(request: &str) -> String {
    let kept = request.lines().filter(|line| {
        ["Via", "Record-Route", "From", "To", "Call-ID", "CSeq"]
            .iter()
            .any(|name| line.starts_with(&format!("{name}:")))
    });
    let kept = kept.collect::<Vec<_>>().join("\r\n");
    format!("SIP/2.0 200 OK\r\n{kept}\r\n\r\n")
}

/// The values of all fields of this name, from the top.
pub(super) fn fields(message: &str, name: &str) -> Vec<String> {
    let scan = Scan::of(message.as_bytes(), &Limits::default()).unwrap();
    let fields = scan.fields(message.as_bytes());
    let values = fields.filter(|field| field.is(name, None));
    values
        .map(|field| String::from_utf8(field.value.to_vec()).unwrap())
        .collect()
}

#[track_caller]
pub(super) fn field(message: &str, name: &str) -> String {
    let values = fields(message, name);
    values
        .into_iter()
        .next()
        .unwrap_or_else(|| panic!("no {name}: {message}"))
}

/// The user part of a URI in angle brackets.
pub(super) fn user(uri: &str) -> String {
    let (_, rest) = uri.split_once(':').unwrap();
    rest.split_once('@').unwrap().0.to_owned()
}

pub(super) fn branch(message: &str) -> String {
    let via = field(message, "Via");
    let (_, branch) = via.split_once("branch=").unwrap();
    branch.split(';').next().unwrap().to_owned()
}

#[track_caller]
pub(super) fn assert_status(response: &str, status: &str) {
    assert!(
        response.starts_with(&format!("SIP/2.0 {status}\r\n")),
        "{response}"
    );
}

pub(super) const SECRET: EdgeSecret = EdgeSecret([7; 32]);
