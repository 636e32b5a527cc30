//! Against listeners of ours on loopback.

mod alias;
mod tls;

use std::net::SocketAddr;

use tokio::sync::mpsc;
use wharf::testkit::{Authority, Leaf};
use wharf::tls::Fingerprint;
use wharf::{ConnectError, Handle, Listen, Messages, Server, Tcp, Tls, Ws, Wss};
use wharf_sip::Priority;
use wharf_sip::identity::Identities;
use wharf_sip::route::SendFailure;

use super::*;
use crate::{Event, Incoming, Outgoing, SipOptions, Taken, Upper};

const REQUEST: &[u8] = b"OPTIONS sip:a.example SIP/2.0\r\n\
    Via: SIP/2.0/TCP 192.0.2.1;branch=z9hG4bK1\r\nContent-Length: 0\r\n\r\n";

/// A message that a layer has received, with what is known of its sender.
#[derive(Debug)]
struct Heard {
    flow: FlowRef,
    bytes: Vec<u8>,
    /// The name that was asked for by SNI.
    name: Option<String>,
    key: Option<Fingerprint>,
    identities: Option<Identities>,
}

/// What a layer tells.
#[derive(Debug)]
enum Told {
    Message(Heard),
    Closed(FlowRef),
}

struct Ear(mpsc::UnboundedSender<Told>);

impl Upper for Ear {
    fn message(&self, incoming: &Incoming<'_>, out: &mut Outgoing<'_>) -> Taken {
        let tls = incoming.connection.and_then(Connection::tls);
        let name = tls.and_then(|tls| tls.server_name.as_deref());
        let peer = tls.and_then(|tls| tls.peer.as_ref());
        let told = Told::Message(Heard {
            flow: incoming.flow,
            bytes: incoming.message.to_vec(),
            name: name.map(str::to_owned),
            key: peer.map(|peer| peer.fingerprint),
            identities: incoming.identities.cloned(),
        });
        let _ = self.0.send(told);
        if matches!(incoming.scan.start, wharf_sip::StartLine::Request { .. }) {
            out.send(b"SIP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n");
        }
        Taken::Yes
    }

    fn event(&self, event: Event) {
        if let Event::Closed(flow, _) = event {
            let _ = self.0.send(Told::Closed(flow));
        }
    }
}

/// A layer, and what it tells.
fn layer() -> (Sip, mpsc::UnboundedReceiver<Told>) {
    let (tell, told) = mpsc::unbounded_channel();
    (Sip::new(SipOptions::default(), Ear(tell)), told)
}

/// A server with one listener.
fn serve(listen: Listen, handlers: wharf::Handlers) -> (Handle, SocketAddr) {
    let server = Server::builder()
        .listen_with("sip", listen, handlers)
        .build()
        .unwrap();
    let handle = server.handle();
    tokio::spawn(server.run());
    let address = handle.address("sip").unwrap().ip().unwrap();
    (handle, address)
}

fn key(transport: Transport, address: SocketAddr, domain: Option<&str>) -> PoolKey {
    PoolKey {
        transport,
        address,
        domain: domain.map(|domain| domain.parse().unwrap()),
        local: None,
    }
}

fn trusting(ca: &Authority) -> DialOptions {
    let mut options = DialOptions::default();
    options.client.tls.ca = vec![ca.pem()];
    options
}

fn secure(ca: &Authority, leaf: &Leaf) -> Listen {
    let certificate = ca.issue(leaf).certificate();
    Tls::bind("127.0.0.1:0").with(|config| config.tls.certificates.push(certificate))
}

async fn heard(told: &mut mpsc::UnboundedReceiver<Told>) -> Heard {
    match told.recv().await {
        Some(Told::Message(heard)) => heard,
        other => panic!("{other:?}"),
    }
}

/// Sends a request and awaits its answer; what the server has heard.
async fn ask(
    near: (&Sip, &mut mpsc::UnboundedReceiver<Told>),
    far: &mut mpsc::UnboundedReceiver<Told>,
    flow: FlowRef,
    request: &[u8],
) -> Heard {
    let (sip, told) = near;
    let request = bytes::Bytes::copy_from_slice(request);
    sip.send(&flow, request, Priority::Normal).unwrap();
    let request = heard(far).await;
    assert_eq!(heard(told).await.flow, flow);
    request
}

#[tokio::test]
async fn every_transport_is_dialled_and_brings_its_answers() {
    let ca = Authority::new("ca");
    let leaf = Leaf::named("server", &["a.example", "127.0.0.1"]);
    let own = ca.issue(&leaf).certificate();
    let sip_only = |config: &mut wharf::ListenerConfig| {
        config.websocket.subprotocols = vec!["sip".into()];
    };
    for (transport, listen) in [
        (Transport::Tcp, Tcp::bind("127.0.0.1:0")),
        (Transport::Tls, secure(&ca, &leaf)),
        (Transport::Ws, Ws::bind("127.0.0.1:0").with(sip_only)),
        (
            Transport::Wss,
            Wss::bind("127.0.0.1:0").with(|config| {
                sip_only(config);
                config.tls.certificates.push(own.clone());
            }),
        ),
    ] {
        let (server, mut far) = layer();
        let handlers = if transport.is_websocket() {
            server.websockets()
        } else {
            server.streams()
        };
        let (_handle, address) = serve(listen, handlers);
        let (sip, mut told) = layer();
        let dialer = Dialer::new(sip.clone(), trusting(&ca)).unwrap();
        let domain = transport.is_secure().then_some("a.example");
        let key = key(transport, address, domain);
        let flow = dialer.dial(&key).await.unwrap();
        assert_eq!(
            (flow.flow.transport, flow.flow.remote),
            (transport, address)
        );
        assert_eq!(sip.to(transport, address), Some(flow));
        let name = ask((&sip, &mut told), &mut far, flow, REQUEST).await.name;
        // RFC 5922 §7.3: the domain of before NAPTR and SRV is asked for.
        assert_eq!(name.as_deref(), domain, "{transport}");
        let reports = dialer.drain(Duration::ZERO).await;
        assert_eq!(reports.len(), 1);
        assert!(matches!(told.recv().await, Some(Told::Closed(on)) if on == flow));
        assert!(matches!(
            dialer.dial(&key).await,
            Err(DialError::Connect(error)) if matches!(*error, ConnectError::Draining)
        ));
    }
}

#[tokio::test]
async fn rfc7118_a_websocket_asks_for_its_path_and_has_to_agree_on_sip() {
    let asked = |subprotocols: &'static [&'static str]| {
        let (tell, told) = mpsc::unbounded_channel();
        let listen = Ws::bind("127.0.0.1:0").with(|config| {
            config.websocket.subprotocols = subprotocols.iter().map(|&one| one.into()).collect();
        });
        let server = Server::builder().listen_messages("ws", listen, move |messages: Messages| {
            let tell = tell.clone();
            async move {
                let request = messages.connection().upgrade().unwrap();
                let token = request.header("x-token").map(str::to_owned);
                let _ = tell.send((
                    format!("{}?{}", request.path(), request.query().unwrap()),
                    token,
                ));
                messages.connection().draining().await;
            }
        });
        let server = server.build().unwrap();
        let handle = server.handle();
        tokio::spawn(server.run());
        let address = handle.address("ws").unwrap().ip().unwrap();
        (handle, address, told)
    };
    let mut options = DialOptions {
        path: "/ws/sip?x=1".into(),
        ..DialOptions::default()
    };
    options.client.websocket.headers = vec![("X-Token".into(), "secret".into())];
    let (sip, _told) = layer();
    let dialer = Dialer::new(sip.clone(), options).unwrap();

    let (_handle, address, mut told) = asked(&["sip"]);
    dialer
        .dial(&key(Transport::Ws, address, None))
        .await
        .unwrap();
    let (path, token) = told.recv().await.unwrap();
    assert_eq!((&*path, token.as_deref()), ("/ws/sip?x=1", Some("secret")));

    // A server without subprotocols agrees on none.
    let (_handle, address, _told) = asked(&[]);
    let error = dialer
        .dial(&key(Transport::Ws, address, None))
        .await
        .unwrap_err();
    assert!(matches!(error, DialError::NoSubprotocol), "{error}");
    assert!(error.is_websocket() && !error.is_recoverable());
    assert_eq!(sip.connections(), 1);
}

/// A socket that is bound and does not listen: it refuses, and nobody else takes its port.
fn refusing() -> (socket2::Socket, SocketAddr) {
    let bound = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    bound
        .bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())
        .unwrap();
    let address = bound.local_addr().unwrap().as_socket().unwrap();
    (bound, address)
}

#[tokio::test]
async fn e3_a_refusal_is_told_as_such() {
    let (_bound, address) = refusing();
    let (sip, _told) = layer();
    let dialer = Dialer::new(sip, DialOptions::default()).unwrap();
    let error = dialer
        .dial(&key(Transport::Tcp, address, None))
        .await
        .unwrap_err();
    assert_eq!(error.failure(), SendFailure::Reset);
    assert!(error.is_recoverable());
    for transport in [Transport::Udp, Transport::Sctp, Transport::TlsSctp] {
        let error = dialer
            .dial(&key(transport, address, None))
            .await
            .unwrap_err();
        assert!(matches!(error, DialError::NotSupported(it) if it == transport));
        assert!(!error.is_recoverable());
    }
}

/// One slow connect holds up nobody: neither one that gets no answer at all, nor one whose handshake hangs.
#[tokio::test(start_paused = true)]
async fn a_slow_attempt_has_times_of_its_own() {
    // A backlog that is full drops what comes.
    let full = refusing();
    full.0.listen(0).unwrap();
    let _first = std::net::TcpStream::connect(full.1).unwrap();
    // One that takes connections and says nothing.
    let mute = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mute_at = mute.local_addr().unwrap();

    let (server, _far) = layer();
    let (_handle, address) = serve(Tcp::bind("127.0.0.1:0"), server.streams());
    let (sip, _told) = layer();
    let mut options = DialOptions::default();
    options.client.timeouts.connect = Some(Duration::from_secs(3));
    options.client.timeouts.handshake = Some(Duration::from_secs(5));
    let dialer = Dialer::new(sip.clone(), options).unwrap();
    let began = tokio::time::Instant::now();
    let dial = |key: PoolKey| {
        let dialer = dialer.clone();
        tokio::spawn(async move { (dialer.dial(&key).await, began.elapsed()) })
    };
    let silent = dial(key(Transport::Tcp, full.1, None));
    let hanging = dial(key(Transport::Ws, mute_at, None));
    dialer
        .dial(&key(Transport::Tcp, address, None))
        .await
        .unwrap();
    assert!(
        began.elapsed() < Duration::from_secs(3),
        "{:?}",
        began.elapsed()
    );
    let (error, took) = silent.await.unwrap();
    let error = error.unwrap_err();
    assert!(error.is_timeout() && error.is_recoverable(), "{error}");
    assert_eq!(took, Duration::from_secs(3));
    let (error, took) = hanging.await.unwrap();
    let error = error.unwrap_err();
    assert!(error.is_timeout() && error.is_websocket(), "{error}");
    assert_eq!(took, Duration::from_secs(5));
}

#[tokio::test]
async fn a_layer_that_is_full_refuses_the_connection() {
    let (server, _far) = layer();
    let (_handle, address) = serve(Tcp::bind("127.0.0.1:0"), server.streams());
    let (tell, _told) = mpsc::unbounded_channel();
    let options = SipOptions {
        max_connections: 0,
        ..SipOptions::default()
    };
    let dialer = Dialer::new(Sip::new(options, Ear(tell)), DialOptions::default()).unwrap();
    let error = dialer
        .dial(&key(Transport::Tcp, address, None))
        .await
        .unwrap_err();
    assert!(
        matches!(error, DialError::Attach(crate::AttachError::Crowded)),
        "{error}"
    );
    assert!(error.is_recoverable());
}

#[test]
fn a_connection_whose_server_is_gone_ends_by_default() {
    let socket = DialOptions::default().client.socket;
    assert_eq!(socket.user_timeout, Some(Duration::from_secs(32)));
    let probes = socket.keepalive.unwrap();
    assert!(probes.idle + probes.interval * probes.count <= Duration::from_mins(4));
    DialOptions::default().clients().unwrap();
}
