//! Every kind of event occurs, where it should.

use std::collections::BTreeSet;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{Event, State};
use crate::config::{HealthOptions, Limits, Rate, Rates, Transport};
use crate::testkit::{Authority, Connector, Leaf, memory};
use crate::{BoxError, Filter, Handle, Messages, Server, Stream};

/// A name for each kind; whoever adds one adds it to `ALL`, and to the scenario below.
fn kind(event: &Event) -> &'static str {
    match event {
        Event::ListenerStarted { .. } => "listener started",
        Event::ListenerStopped { .. } => "listener stopped",
        Event::ListenerSuspended { .. } => "listener suspended",
        Event::ListenerError { .. } => "listener error",
        Event::AcceptPaused { .. } => "accept paused",
        Event::Connection { state, .. } => match state {
            State::Dial => "dial",
            State::New => "new",
            State::Handler => "handler",
            State::Read => "read",
            State::CloseRead => "close read",
            State::Write => "write",
            State::CloseWrite => "close write",
            State::Closed(_) => "closed",
            State::Failed(_) => "failed",
        },
        Event::Refused { .. } => "refused",
        Event::Handshake { .. } => "handshake",
        Event::RateLimited { .. } => "rate limited",
        Event::BadMessage { .. } => "bad message",
        Event::ConnectionsClosed { .. } => "connections closed",
        Event::Certificates { .. } => "certificates",
        Event::Changed { .. } => "changed",
        Event::Health { .. } => "health",
        Event::Alarm { .. } => "alarm",
        // `tests/datagrams` and the tests of the handover make these happen.
        Event::Icmp { .. } => "icmp",
        Event::HandedOver { .. } => "handed over",
        Event::TookOver { .. } => "took over",
        Event::HandoverFailed { .. } => "handover failed",
        // A client's, as `dial`.
        Event::Reconnect { .. } => "reconnect",
        Event::Draining => "draining",
        Event::Drained { .. } => "drained",
    }
}

/// Those of a server over streams; `dial` and `reconnect` are a client's, and datagrams and handovers
/// have tests of their own.
const ALL: [&str; 23] = [
    "listener started",
    "listener stopped",
    "listener suspended",
    "listener error",
    "accept paused",
    "new",
    "handler",
    "read",
    "close read",
    "write",
    "close write",
    "closed",
    "refused",
    "handshake",
    "rate limited",
    "bad message",
    "connections closed",
    "certificates",
    "changed",
    "health",
    "alarm",
    "draining",
    "drained",
];

async fn echo(mut stream: Stream) -> Result<(), BoxError> {
    let mut buffer = [0; 64];
    loop {
        match stream.read(&mut buffer).await? {
            0 => break,
            n => stream.write_all(&buffer[..n]).await?,
        }
    }
    Ok(stream.shutdown().await?)
}

async fn receive(mut messages: Messages) -> Result<(), BoxError> {
    while let Some(message) = messages.recv().await {
        message?;
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn every_kind_of_event_occurs() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (tcp, to_tcp) = memory(Transport::Tcp);
    let (ws, to_ws) = memory(Transport::Ws);
    let (tls, _to_tls) = memory(Transport::Tls);
    let certificate = Authority::new("CA").issue(&Leaf::named("a", &["a.example"]));
    let limits = Limits {
        max_connections: 1,
        ..Limits::default()
    };
    let health = HealthOptions {
        min_samples: 1,
        ..HealthOptions::default()
    };
    let noted = seen.clone();
    let server = Server::builder()
        .listen("tcp", tcp.limits(limits), echo)
        .listen_messages("ws", ws, receive)
        .listen(
            "tls",
            tls.with(|config| config.tls.certificates.push(certificate.certificate())),
            echo,
        )
        .health(health)
        .on_event(move |event| noted.lock().unwrap().push(kind(event)))
        .build()
        .unwrap();
    let handle = server.handle();
    let running = tokio::spawn(server.run());
    bytes(&handle, &to_tcp).await;
    messages(&to_ws).await;
    handle.reload_certificates("tls").unwrap();
    // The socket itself fails; a second later it is tried again.
    let broken = io::Error::from_raw_os_error(libc::EBADF);
    to_tcp.fail_accept(broken).await.unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    handle.drain(Duration::from_secs(1)).await;
    running.await.unwrap();
    let seen: BTreeSet<&str> = seen.lock().unwrap().iter().copied().collect();
    assert_eq!(seen, BTreeSet::from(ALL));
}

/// A connection to its end, one that is refused, one that is slowed down, one that is closed.
async fn bytes(handle: &Handle, connector: &Connector) {
    let mut only = connector.connect_from("192.0.2.1:1").await.unwrap();
    only.write_all(b"hello").await.unwrap();
    only.read_exact(&mut [0; 5]).await.unwrap();
    handle.suspend("tcp").unwrap();
    handle.resume("tcp").unwrap();
    let mut refused = connector.connect_from("192.0.2.1:2").await.unwrap();
    assert_eq!(refused.read(&mut [0; 1]).await.unwrap(), 0);
    // Long enough for health and alarms to be judged.
    tokio::time::sleep(Duration::from_secs(2)).await;
    only.shutdown().await.unwrap();
    assert_eq!(only.read(&mut [0; 1]).await.unwrap(), 0);

    let rates = Rates {
        bytes: Some(Rate {
            per_second: 1,
            burst: 1,
        }),
        ..Rates::default()
    };
    handle.set_rates("tcp", rates).unwrap();
    let mut slow = connector.connect_from("192.0.2.1:3").await.unwrap();
    slow.write_all(b"12").await.unwrap();
    slow.read_exact(&mut [0; 2]).await.unwrap();
    slow.write_all(b"3").await.unwrap();
    slow.read_exact(&mut [0; 1]).await.unwrap();
    assert_eq!(handle.close(&Filter::default().listener("tcp")), 1);
}

/// A WebSocket that breaks the protocol: a client's frames are masked.
async fn messages(connector: &Connector) {
    let mut client = connector.connect_from("192.0.2.1:4").await.unwrap();
    let request = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
    client.write_all(request.as_bytes()).await.unwrap();
    client.write_all(&[0x81, 1, b'a']).await.unwrap();
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 101"));
}
