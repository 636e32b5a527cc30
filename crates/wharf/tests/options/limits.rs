//! `limits.*` of a listener.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wharf::config::{OnFull, ProxyMode, ServerLimits, Transport};
use wharf::events::Event;
use wharf::{ChangeError, Refusal, Server, Stream, testkit};

use super::{
    Answer, IT, arrive, connect, echo, knock, rebind, refused, serve, set_limits, set_rates,
    settle, start, tcp,
};

const UPGRADE: &[u8] =
    b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

#[tokio::test(start_paused = true)]
async fn max_connections() {
    let (handle, connector) = tcp(|it| it.limits.max_connections = 2);
    let (first, mut there) = arrive(&connector, "192.0.2.1").await;
    let (second, _second) = arrive(&connector, "192.0.2.2").await;
    let (third, _) = arrive(&connector, "192.0.2.3").await;
    assert_eq!(
        (first, second, third),
        (Answer::Served, Answer::Served, Answer::Closed)
    );
    assert_eq!(refused(&handle, Refusal::ListenerFull), 1);
    set_limits(&handle, |limits| limits.max_connections = 3);
    let (third, _third) = arrive(&connector, "192.0.2.3").await;
    assert_eq!(third, Answer::Served);
    // Who is there stays when there are too many.
    set_limits(&handle, |limits| limits.max_connections = 1);
    assert_eq!(knock(&mut there).await, Answer::Served);
    assert_eq!(arrive(&connector, "192.0.2.4").await.0, Answer::Closed);
    set_limits(&handle, |limits| limits.max_connections = 0);
    assert_eq!(arrive(&connector, "192.0.2.4").await.0, Answer::Served);
}

#[tokio::test(start_paused = true)]
async fn an_exempt_connection_takes_no_place() {
    let (listen, connector) = testkit::memory(Transport::Tcp);
    let listen = listen.with(|it| {
        it.limits.max_connections = 1;
        it.limits.per_prefix = 1;
    });
    let handler = async |stream: Stream| {
        stream.connection().exempt();
        echo(stream).await
    };
    let builder = Server::builder().limits(ServerLimits {
        max_connections: 1,
        ..ServerLimits::default()
    });
    let handle = start(builder.listen(IT, listen, handler));
    let (first, mut there) = arrive(&connector, "192.0.2.1").await;
    let (second, _second) = arrive(&connector, "192.0.2.1").await;
    assert_eq!((first, second), (Answer::Served, Answer::Served));
    assert_eq!(handle.inspect(IT).unwrap().stats.live, 2);
    assert_eq!(knock(&mut there).await, Answer::Served);
}

#[tokio::test(start_paused = true)]
async fn max_handshakes() {
    let (handle, connector) = tcp(|it| {
        it.limits.max_handshakes = 1;
        it.proxy.mode = ProxyMode::Required;
        it.proxy.trusted = vec!["192.0.2.0/24".parse().unwrap()];
    });
    let header = b"PROXY TCP4 198.51.100.1 198.51.100.2 1 2\r\n";
    let mut silent = connect(&connector, "192.0.2.1").await;
    let (second, _) = arrive(&connector, "192.0.2.2").await;
    assert_eq!(second, Answer::Closed);
    assert_eq!(refused(&handle, Refusal::HandshakesFull), 1);
    // Complete, it no longer counts.
    silent.write_all(header).await.unwrap();
    assert_eq!(knock(&mut silent).await, Answer::Served);
    let mut third = connect(&connector, "192.0.2.3").await;
    settle().await;
    set_limits(&handle, |limits| limits.max_handshakes = 2);
    let mut fourth = connect(&connector, "192.0.2.4").await;
    for client in [&mut third, &mut fourth] {
        client.write_all(header).await.unwrap();
        assert_eq!(knock(client).await, Answer::Served);
    }
    assert_eq!(refused(&handle, Refusal::HandshakesFull), 1);
}

#[tokio::test(start_paused = true)]
async fn per_prefix() {
    let (handle, connector) = tcp(|it| it.limits.per_prefix = 1);
    let (first, there) = arrive(&connector, "192.0.2.1").await;
    let (second, _) = arrive(&connector, "192.0.2.1").await;
    let (other, _other) = arrive(&connector, "192.0.2.2").await;
    assert_eq!(
        (first, second, other),
        (Answer::Served, Answer::Closed, Answer::Served)
    );
    assert_eq!(refused(&handle, Refusal::PrefixFull), 1);
    set_limits(&handle, |limits| limits.per_prefix = 2);
    let (second, _second) = arrive(&connector, "192.0.2.1").await;
    let (third, _) = arrive(&connector, "192.0.2.1").await;
    assert_eq!((second, third), (Answer::Served, Answer::Closed));
    drop(there);
    settle().await;
    let (third, _third) = arrive(&connector, "192.0.2.1").await;
    assert_eq!(third, Answer::Served);
    set_limits(&handle, |limits| limits.per_prefix = 0);
    assert_eq!(arrive(&connector, "192.0.2.1").await.0, Answer::Served);
}

#[tokio::test(start_paused = true)]
async fn handshakes_per_prefix() {
    let (handle, connector) = serve(Transport::Ws, |it| it.limits.handshakes_per_prefix = 1);
    let upgrade = async |from: &str| {
        let mut client = connect(&connector, from).await;
        let _ = client.write_all(UPGRADE).await;
        let mut status = [0; 12];
        let read = client.read_exact(&mut status).await;
        (read.is_ok() && status == *b"HTTP/1.1 101", client)
    };
    let mut silent = connect(&connector, "192.0.2.1").await;
    settle().await;
    assert!(!upgrade("192.0.2.1").await.0);
    assert_eq!(refused(&handle, Refusal::PrefixHandshakesFull), 1);
    assert!(upgrade("192.0.2.2").await.0, "another prefix");
    set_limits(&handle, |limits| limits.handshakes_per_prefix = 2);
    assert!(upgrade("192.0.2.1").await.0);
    set_limits(&handle, |limits| limits.handshakes_per_prefix = 1);
    // Complete, it no longer counts.
    silent.write_all(UPGRADE).await.unwrap();
    silent.read_exact(&mut [0; 12]).await.unwrap();
    assert!(upgrade("192.0.2.1").await.0);
}

#[tokio::test(start_paused = true)]
async fn ipv4_prefix() {
    let (handle, connector) = tcp(|it| {
        it.limits.per_prefix = 1;
        it.limits.ipv4_prefix = 24;
    });
    let (first, _first) = arrive(&connector, "192.0.2.1").await;
    let (neighbour, _) = arrive(&connector, "192.0.2.2").await;
    let (other, _other) = arrive(&connector, "192.0.3.1").await;
    assert_eq!(
        (first, neighbour, other),
        (Answer::Served, Answer::Closed, Answer::Served)
    );
    let mut limits = handle.inspect(IT).unwrap().config.limits;
    limits.ipv4_prefix = 32;
    let error = handle.set_listener_limits(IT, limits).unwrap_err();
    assert!(matches!(error, ChangeError::Configuration(_)), "{error}");
    rebind(&handle, |it| it.limits.ipv4_prefix = 32);
    assert_eq!(arrive(&connector, "192.0.2.2").await.0, Answer::Served);
}

#[tokio::test(start_paused = true)]
async fn ipv6_prefix() {
    let (handle, connector) = tcp(|it| it.limits.per_prefix = 1);
    let (first, _first) = arrive(&connector, "2001:db8::1").await;
    let (neighbour, _) = arrive(&connector, "2001:db8::2").await;
    let (other, _other) = arrive(&connector, "2001:db8:0:1::1").await;
    assert_eq!(
        (first, neighbour, other),
        (Answer::Served, Answer::Closed, Answer::Served)
    );
    rebind(&handle, |it| it.limits.ipv6_prefix = 128);
    assert_eq!(arrive(&connector, "2001:db8::2").await.0, Answer::Served);
}

#[tokio::test(start_paused = true)]
async fn prefix_slots() {
    let (handle, connector) = tcp(|it| {
        it.limits.per_prefix = 1;
        it.limits.prefix_slots = 16;
    });
    let mut there = Vec::new();
    for n in 1..=40 {
        there.push(arrive(&connector, &format!("192.0.2.{n}")).await);
    }
    let served = there.iter().filter(|(answer, _)| *answer == Answer::Served);
    assert_eq!(served.count(), 16);
    assert_eq!(refused(&handle, Refusal::PrefixTableFull), 24);
    there.clear();
    rebind(&handle, |it| it.limits.prefix_slots = 65_536);
    for n in 1..=40 {
        there.push(arrive(&connector, &format!("192.0.2.{n}")).await);
    }
    assert!(there.iter().all(|(answer, _)| *answer == Answer::Served));
}

#[tokio::test(start_paused = true)]
async fn on_full() {
    let (handle, connector) = tcp(|it| it.limits.max_connections = 1);
    let (first, there) = arrive(&connector, "192.0.2.1").await;
    assert_eq!(first, Answer::Served);
    // Closed, which is what is done when nothing is said.
    assert_eq!(arrive(&connector, "192.0.2.2").await.0, Answer::Closed);
    set_limits(&handle, |limits| limits.on_full = OnFull::Reset);
    assert_eq!(arrive(&connector, "192.0.2.2").await.0, Answer::Reset);
    set_limits(&handle, |limits| {
        limits.on_full = OnFull::Reply("busy".into());
    });
    let mut said = String::new();
    let mut client = connect(&connector, "192.0.2.2").await;
    client.read_to_string(&mut said).await.unwrap();
    assert_eq!(said, "busy");
    assert_eq!(refused(&handle, Refusal::ListenerFull), 3);
    // Left in the backlog, where nobody counts it, until there is room.
    set_limits(&handle, |limits| limits.on_full = OnFull::Wait);
    let (answer, mut waiting) = arrive(&connector, "192.0.2.2").await;
    assert_eq!(answer, Answer::Waits);
    assert_eq!(handle.inspect(IT).unwrap().stats.arrived, 4);
    drop(there);
    assert_eq!(waiting.read_u8().await.unwrap(), b'?');
    // Who waits is judged anew when the limits change.
    let (answer, mut next) = arrive(&connector, "192.0.2.3").await;
    assert_eq!(answer, Answer::Waits);
    set_limits(&handle, |limits| limits.on_full = OnFull::Close);
    assert_eq!(next.read(&mut [0; 1]).await.unwrap(), 0);
    // Only for want of room: who is not welcome is not answered.
    set_limits(&handle, |limits| {
        limits.on_full = OnFull::Reply("busy".into());
    });
    handle
        .prepend_access(IT, "deny all".parse().unwrap())
        .unwrap();
    said.clear();
    let mut client = connect(&connector, "192.0.2.2").await;
    client.read_to_string(&mut said).await.unwrap();
    assert_eq!(said, "");
}

#[tokio::test(start_paused = true)]
async fn who_waits_enters_when_the_limit_is_raised() {
    let (handle, connector) = tcp(|it| {
        it.limits.max_connections = 1;
        it.limits.per_prefix = 1;
        it.limits.on_full = OnFull::Wait;
    });
    let (_, _first) = arrive(&connector, "192.0.2.1").await;
    let (answer, mut second) = arrive(&connector, "192.0.2.2").await;
    assert_eq!(answer, Answer::Waits);
    set_limits(&handle, |limits| limits.max_connections = 0);
    assert_eq!(second.read_u8().await.unwrap(), b'?');
    // What is seen only after the accept cannot wait.
    assert_eq!(arrive(&connector, "192.0.2.2").await.0, Answer::Closed);
    assert_eq!(refused(&handle, Refusal::PrefixFull), 1);
}

#[tokio::test(start_paused = true)]
async fn a_listener_that_waits_for_nobody_takes_no_place() {
    let limits = ServerLimits {
        max_connections: 1,
        ..ServerLimits::default()
    };
    let mut builder = Server::builder().limits(limits);
    let mut connectors = Vec::new();
    for name in ["a", "b"] {
        let (listen, connector) = testkit::memory(Transport::Tcp);
        builder = builder.listen(
            name,
            listen.with(|it| it.limits.on_full = OnFull::Wait),
            echo,
        );
        connectors.push(connector);
    }
    let handle = start(builder);
    settle().await;
    for connector in connectors.iter().chain(&connectors) {
        let (answer, client) = arrive(connector, "192.0.2.1").await;
        assert_eq!(answer, Answer::Served);
        drop(client);
        settle().await;
    }
    assert_eq!(
        handle
            .stats()
            .iter()
            .map(|(_, stats)| stats.accepted)
            .sum::<u64>(),
        4
    );
}

/// Every address of a listener is served, whoever else waits for nobody; none is counted as taken.
#[tokio::test]
async fn an_address_that_waits_for_nobody_takes_no_place() {
    let directory = super::unix::Directory::new("on-full");
    let path = directory.socket();
    let listen = wharf::Ws::bind("127.0.0.1:0")
        .bind("127.0.0.1:0")
        .bind(path.to_str().unwrap())
        .with(|it| {
            it.transport = Transport::Ws;
            it.limits.max_connections = 1;
            it.limits.on_full = OnFull::Wait;
            it.rates.accept = Some(wharf::config::Rate {
                per_second: 1,
                burst: 6,
            });
        });
    let handle = start(Server::builder().listen(IT, listen, echo));
    let addresses = handle.inspect(IT).unwrap().addresses;
    let mut events = handle.events();
    for _ in 0..2 {
        for address in &addresses {
            let mut status = [0; 12];
            if let Some(ip) = address.ip() {
                let mut client = tokio::net::TcpStream::connect(ip).await.unwrap();
                client.write_all(UPGRADE).await.unwrap();
                client.read_exact(&mut status).await.unwrap();
            } else {
                let mut client = tokio::net::UnixStream::connect(&path).await.unwrap();
                client.write_all(UPGRADE).await.unwrap();
                client.read_exact(&mut status).await.unwrap();
            }
            assert_eq!(&status, b"HTTP/1.1 101");
        }
    }
    let stats = handle.inspect(IT).unwrap().stats;
    assert_eq!((stats.accepted, stats.all_refused()), (6, 0));
    while let Ok(event) = events.try_recv() {
        assert!(!matches!(event, Event::RateLimited { .. }), "no token lost");
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_leaves_who_waits_in_the_backlog() {
    let (handle, connector) = tcp(|it| {
        it.limits.max_connections = 1;
        it.limits.on_full = OnFull::Wait;
    });
    let one = ServerLimits {
        max_connections: 1,
        ..ServerLimits::default()
    };
    handle.set_limits(one).unwrap();
    let (_, there) = arrive(&connector, "192.0.2.1").await;
    set_limits(&handle, |limits| limits.max_connections = 0);
    // There is room in the listener, but not in the server.
    let (answer, mut waiting) = arrive(&connector, "192.0.2.2").await;
    assert_eq!(answer, Answer::Waits);
    set_rates(&handle, |rates| {
        rates.accept = Some(wharf::config::Rate {
            per_second: 1,
            burst: 1,
        });
    });
    settle().await;
    drop(there);
    assert_eq!(waiting.read_u8().await.unwrap(), b'?');
    assert_eq!(handle.inspect(IT).unwrap().stats.all_refused(), 0);
}
