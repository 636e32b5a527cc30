//! The rules for single datagrams: access, PROXY headers, what the kernel has discarded.

use std::time::Duration;

use tokio::net::UdpSocket;
use wharf::config::ProxyMode;
use wharf::proxy::{Addresses, Command, EncodeOptions, Header, Transport, Version};
use wharf::{Datagrams, Dropped, Endpoint, Messages, Refusal, Server, Udp};

use crate::support::{address, check_sums, client, echo, receive, run, until};

/// A datagram behind a header that names `client`.
fn behind(client: &str, payload: &[u8]) -> Vec<u8> {
    let header = Header {
        version: Version::V2,
        command: Command::Proxy,
        transport: Transport::Datagram,
        addresses: Addresses::Ip {
            source: client.parse().unwrap(),
            destination: "192.0.2.1:53".parse().unwrap(),
        },
        tlvs: Vec::new(),
    };
    let mut bytes = header.encode_v2(&EncodeOptions { crc32c: true }).unwrap();
    bytes.extend_from_slice(payload);
    bytes
}

#[tokio::test]
async fn access_is_checked_on_each_datagram() {
    let listen = Udp::bind("127.0.0.1:0").access("deny 127.0.0.7/32");
    let server = Server::builder()
        .listen_messages("echo", listen, echo)
        .build()
        .unwrap();
    let handle = run(server);
    let to = address(&handle, "echo");
    let denied = UdpSocket::bind("127.0.0.7:0").await.unwrap();
    denied.send_to(b"let me in", to).await.unwrap();
    let allowed = client(to, b"hello").await;
    assert_eq!(receive(&allowed).await.0, b"hello");
    let stats = until(&handle, "echo", |stats| stats.datagrams_received == 2).await;
    assert_eq!((stats.dropped(Dropped::Access), stats.arrived), (1, 1));
    // A flow that is there obeys a new rule at once.
    handle
        .set_access("echo", vec!["deny all".parse().unwrap()])
        .unwrap();
    allowed.send_to(b"again", to).await.unwrap();
    let stats = until(&handle, "echo", |stats| stats.datagrams_received == 3).await;
    assert_eq!(stats.dropped(Dropped::Access), 2);
    check_sums(&stats);
}

#[tokio::test]
async fn the_first_datagram_of_a_flow_says_who_is_behind_the_proxy() {
    let handler = |mut messages: Messages| async move {
        while let Some(Ok(message)) = messages.recv().await {
            let peer = messages.path().peer;
            let told = format!("{peer} {}", message.payload().escape_ascii());
            let answer = wharf::Message::binary(told.into_bytes());
            messages.send(answer).await.unwrap();
        }
    };
    let listen = Udp::bind("127.0.0.1:0")
        .proxy(ProxyMode::Required, ["127.0.0.1/32"])
        .access("deny 203.0.113.0/24");
    let server = Server::builder()
        .listen_messages("it", listen, handler)
        .build()
        .unwrap();
    let handle = run(server);
    let to = address(&handle, "it");
    let proxy = client(to, &behind("198.51.100.7:4000", b"one")).await;
    assert_eq!(receive(&proxy).await.0, b"198.51.100.7:4000 one");
    // With the same header again, or without one.
    for (datagram, answer) in [
        (behind("198.51.100.7:4000", b"two"), "198.51.100.7:4000 two"),
        (b"three".to_vec(), "198.51.100.7:4000 three"),
    ] {
        proxy.send_to(&datagram, to).await.unwrap();
        assert_eq!(receive(&proxy).await.0, answer.as_bytes());
    }
    // Another client's datagram is not this flow's; a cut header is none; nor is it from a stranger.
    let another = behind("198.51.100.8:4000", b"four");
    proxy.send_to(&another, to).await.unwrap();
    let _cut = client(to, &another[..20]).await;
    let _bare = client(to, b"no header").await;
    let stranger = UdpSocket::bind("127.0.0.2:0").await.unwrap();
    stranger.send_to(&another, to).await.unwrap();
    let _denied = client(to, &behind("203.0.113.1:1", b"five")).await;
    let stats = until(&handle, "it", |stats| stats.datagrams_received == 8).await;
    assert_eq!(stats.dropped(Dropped::Proxy), 4);
    assert_eq!(stats.dropped(Dropped::Access), 1);
    assert_eq!(stats.refused(Refusal::ProxyUntrusted), 0);
    check_sums(&stats);
}

#[tokio::test]
async fn each_single_datagram_has_a_header() {
    let handler = |mut datagrams: Datagrams| async move {
        while let Some(datagram) = datagrams.recv().await {
            let told = format!("{} {}", datagram.peer(), datagram.payload().escape_ascii());
            datagrams.reply(&datagram, told.as_bytes()).await.unwrap();
        }
    };
    let listen = Udp::bind("127.0.0.1:0").proxy(ProxyMode::Required, ["127.0.0.1/32"]);
    let server = Server::builder()
        .listen_datagrams("it", listen, handler)
        .build()
        .unwrap();
    let handle = run(server);
    let to = address(&handle, "it");
    let proxy = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    for client in ["198.51.100.7:1", "198.51.100.8:2"] {
        proxy.send_to(&behind(client, b"x"), to).await.unwrap();
        assert_eq!(receive(&proxy).await.0, format!("{client} x").as_bytes());
    }
    proxy.send_to(b"bare", to).await.unwrap();
    let stats = until(&handle, "it", |stats| stats.datagrams_received == 3).await;
    assert_eq!(stats.dropped(Dropped::Proxy), 1);
}

#[tokio::test]
async fn what_the_kernel_discards_is_counted() {
    let listen = Udp::bind("127.0.0.1:0").with(|config| {
        config.socket.receive_buffer = Some(4096);
    });
    let server = Server::builder()
        .listen_messages("echo", listen, echo)
        .build()
        .unwrap();
    let handle = server.handle();
    let to = address(&handle, "echo");
    // Nobody receives yet.
    let flood = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    for _ in 0..64 {
        flood.send_to(&[7; 1000], to).await.unwrap();
    }
    tokio::spawn(server.run());
    until(&handle, "echo", |stats| stats.datagrams_received > 0).await;
    // The next one that is queued brings the news.
    let late = client(to, b"late").await;
    assert_eq!(receive(&late).await.0, b"late");
    let stats = until(&handle, "echo", |stats| stats.kernel_drops > 0).await;
    assert_eq!(stats.kernel_drops + stats.datagrams_received, 65);
}

#[tokio::test]
async fn a_listener_is_bound_anew_beside_its_flows() {
    let server = Server::builder()
        .listen_messages("echo", Udp::bind("127.0.0.1:0"), echo)
        .build()
        .unwrap();
    let handle = run(server);
    let old = address(&handle, "echo");
    let client = client(old, b"1").await;
    receive(&client).await;
    let mut config = handle.config();
    let echo = config.listeners.get_mut("echo").unwrap();
    echo.bind = vec!["127.0.0.2:0".parse().unwrap()];
    handle.apply(config, Duration::from_secs(5)).unwrap();
    let new = address(&handle, "echo");
    assert_ne!(old, new);
    client.send_to(b"2", old).await.unwrap();
    assert_eq!(
        receive(&client).await,
        (b"2".to_vec(), old),
        "the flow goes on"
    );
    let other = crate::support::client(new, b"3").await;
    assert_eq!(receive(&other).await, (b"3".to_vec(), new));
    assert_eq!(handle.address("echo").unwrap(), Endpoint::Ip(new));
}
