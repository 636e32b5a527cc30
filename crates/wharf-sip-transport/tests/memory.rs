//! What an idle connection costs in Rust's heap: the socket's registration, the connection, its task, its flow.

use std::alloc::System;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use wharf::{Handlers, Listen, Server, Tcp, Ws};
use wharf_sip::Reply;
use wharf_sip_transport::{Incoming, Outgoing, Sip, SipOptions, Taken, Upper};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const CONNECTIONS: usize = 500;
/// The first ones warm up what is made once.
const WARM: usize = 100;

const OPTIONS: &str = "OPTIONS sip:a@example.com SIP/2.0\r\nVia: SIP/2.0/TCP a.invalid;branch=z9hG4bK1\r\n\
    Max-Forwards: 70\r\nFrom: <sip:b@example.com>;tag=1\r\nTo: <sip:a@example.com>\r\n\
    Call-ID: c\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n";

struct Responder;

impl Upper for Responder {
    fn message(&self, incoming: &Incoming<'_>, out: &mut Outgoing<'_>) -> Taken {
        let ok = Reply {
            code: 200,
            reason: "OK",
            tag: "t",
            source: None,
            fields: &[],
        };
        out.respond(incoming, &ok).unwrap();
        Taken::Yes
    }
}

fn tcp(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    ask(&mut stream, OPTIONS);
    stream
}

/// A long message, and behind it half a line end, that may stay for as long as the connection does.
fn greedy(address: SocketAddr) -> TcpStream {
    let mut stream = tcp(address);
    let long = OPTIONS.replace("Length: 0", "Length: 200000") + &"x".repeat(200_000) + "\r";
    ask(&mut stream, &long);
    stream
}

fn ask(stream: &mut TcpStream, request: &str) {
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = [0; 500];
    let mut length = 0;
    while !answer[..length].ends_with(b"\r\n\r\n") {
        length += stream.read(&mut answer[length..]).unwrap();
    }
    assert!(answer.starts_with(b"SIP/2.0 200 OK\r\n"));
}

fn websocket(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    let upgrade = b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Protocol: sip\r\n\r\n";
    stream.write_all(upgrade).unwrap();
    let mut answer = [0; 1000];
    let mut length = 0;
    while !answer[..length].ends_with(b"\r\n\r\n") {
        length += stream.read(&mut answer[length..]).unwrap();
    }
    assert!(answer.starts_with(b"HTTP/1.1 101 "));
    // A text frame with a mask of zeros.
    let mut frame = [0; 512];
    frame[..2].copy_from_slice(&[0x81, 0xfe]);
    frame[2..4].copy_from_slice(&(OPTIONS.len() as u16).to_be_bytes());
    frame[8..8 + OPTIONS.len()].copy_from_slice(OPTIONS.as_bytes());
    stream.write_all(&frame[..8 + OPTIONS.len()]).unwrap();
    let mut length = 0;
    while !answer[..length].ends_with(b"\r\n\r\n") {
        length += stream.read(&mut answer[length..]).unwrap();
    }
    assert!(answer[4..].starts_with(b"SIP/2.0 200 OK\r\n"));
    stream
}

/// Bytes of the heap for one connection.
fn cost(
    listen: Listen,
    handlers: fn(&Sip) -> Handlers,
    open: fn(SocketAddr) -> TcpStream,
) -> usize {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let entered = runtime.enter();
    let sip = Sip::new(SipOptions::default(), Responder);
    let handlers = handlers(&sip);
    let server = Server::builder()
        .listen_with("sip", listen, handlers)
        .build()
        .unwrap();
    let address = server.handle().address("sip").unwrap().ip().unwrap();
    runtime.spawn(server.run());
    drop(entered);
    let mut sockets = Vec::with_capacity(WARM + CONNECTIONS);
    sockets.extend((0..WARM).map(|_| open(address)));
    let region = Region::new(ALLOCATOR);
    sockets.extend((0..CONNECTIONS).map(|_| open(address)));
    let change = region.change();
    assert_eq!(sip.connections(), WARM + CONNECTIONS);
    (change.bytes_allocated - change.bytes_deallocated) / CONNECTIONS
}

// One test alone: the allocator counts for the whole process.
#[test]
fn an_idle_connection_costs_what_the_guide_says() {
    let wide = |config: &mut wharf::ListenerConfig| {
        config.limits.max_connections = (WARM + CONNECTIONS) as u64;
        config.limits.on_full = wharf::config::OnFull::Close;
    };
    let tcp = cost(Tcp::bind("127.0.0.1:0").with(wide), Sip::streams, tcp);
    let greedy = cost(Tcp::bind("127.0.0.1:0").with(wide), Sip::streams, greedy);
    let websocket = cost(
        Ws::bind("127.0.0.1:0")
            .with(wide)
            .with(|config| config.websocket.subprotocols = vec!["sip".into()]),
        Sip::websockets,
        websocket,
    );
    println!("an idle connection: TCP {tcp} bytes, WebSocket {websocket}");
    assert!((500..=2048).contains(&tcp), "{tcp}");
    assert!((500..=4096).contains(&websocket), "{websocket}");
    assert!((500..=2560).contains(&greedy), "{greedy}");
}
