//! Names, several addresses and several hosts: which is tried when, and what is told of it.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::time::Instant;
use wharf::client::ClientBuilder;
use wharf::config::Transport;
use wharf::message::Message;
use wharf::testkit::{Connector, MemoryStream};
use wharf::{Client, ConnectError, Endpoint, Refusal, Socket};

use crate::support::{ask, in_memory, is_conserved};

fn v4(last: u8) -> SocketAddr {
    ([192, 0, 2, last], 1).into()
}

fn v6(last: u16) -> SocketAddr {
    ([0x2001, 0xdb8, 0, 0, 0, 0, 0, last], 1).into()
}

/// Reaches a listener in memory at the addresses that end in 1, a peer that hangs up at those in 2;
/// those in 3 refuse, and all others are silent.
async fn reach(address: SocketAddr, server: Connector) -> io::Result<Socket> {
    let last = match address.ip() {
        IpAddr::V4(ip) => ip.octets()[3],
        IpAddr::V6(ip) => ip.octets()[15],
    };
    match last {
        1 => Ok(server.connect_from("192.0.2.99:1").await?.into()),
        2 => {
            let end = Endpoint::Ip(address);
            Ok(MemoryStream::pair(&end, &end).0.into())
        }
        3 => Err(io::ErrorKind::ConnectionRefused.into()),
        _ => std::future::pending().await,
    }
}

/// A client for which the name `h` has these addresses; any other name there is not.
fn client(found: Vec<SocketAddr>, server: &Connector) -> ClientBuilder {
    let server = server.clone();
    Client::builder()
        .resolver(move |host, _| {
            let found = found.clone();
            async move {
                if host == "h" {
                    Ok(found)
                } else {
                    Err(io::ErrorKind::NotFound.into())
                }
            }
        })
        .connector(move |address| reach(address, server.clone()))
}

#[tokio::test(start_paused = true)]
async fn a_silent_address_costs_the_attempt_delay() {
    let (_handle, server) = in_memory(Transport::Tcp);
    for (delay, expected) in [(250, 250), (40, 40)] {
        let client = client(vec![v6(9), v4(1)], &server)
            .with(|options| options.timeouts.attempt_delay = Some(Duration::from_millis(delay)))
            .build()
            .unwrap();
        let began = Instant::now();
        let mut stream = client.connect("tcp://h:1").await.unwrap();
        assert_eq!(began.elapsed(), Duration::from_millis(expected));
        assert_eq!(*stream.connection().socket_peer(), Endpoint::Ip(v4(1)));
        ask(&mut stream).await;
        let told = client.attempts();
        assert_eq!((told.begun, told.reached, told.abandoned), (2, 1, 1));
        assert_eq!(client.stats().arrived, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_delay_a_silent_address_costs_its_whole_time() {
    let (_handle, server) = in_memory(Transport::Tcp);
    let client = client(vec![v6(9), v4(1)], &server)
        .with(|options| options.timeouts.attempt_delay = None)
        .build()
        .unwrap();
    let began = Instant::now();
    ask(&mut client.connect("tcp://h:1").await.unwrap()).await;
    assert_eq!(began.elapsed(), Duration::from_secs(10));
    let told = client.attempts();
    assert_eq!((told.begun, told.reached, told.failed), (2, 1, 1));
}

#[tokio::test(start_paused = true)]
async fn families_are_tried_in_turn() {
    let (_handle, server) = in_memory(Transport::Tcp);
    let client = client(vec![v6(3), v6(9), v4(3)], &server).build().unwrap();
    let error = client.connect("tcp://h:1").await.unwrap_err();
    let ConnectError::Unreachable { attempts, .. } = &error else {
        panic!("{error}");
    };
    let tried: Vec<_> = attempts.iter().map(|one| one.address.clone()).collect();
    assert_eq!(tried, [v6(3), v4(3), v6(9)].map(Endpoint::Ip));
}

#[tokio::test(start_paused = true)]
async fn no_more_addresses_are_tried_than_allowed() {
    let (_handle, server) = in_memory(Transport::Tcp);
    let client = client(vec![v4(3), v6(3), v4(1)], &server)
        .with(|options| options.max_addresses = 2)
        .build()
        .unwrap();
    assert!(client.connect("tcp://h:1").await.is_err());
    assert_eq!(client.attempts().begun, 2);
    client.change(|options| options.max_addresses = 3).unwrap();
    client.connect("tcp://h:1").await.unwrap();
    assert_eq!(client.attempts().begun, 5);
}

#[tokio::test(start_paused = true)]
async fn a_resolver_has_the_time_of_a_connection() {
    let client = Client::builder()
        .resolver(async |_, _| std::future::pending().await)
        .with(|options| options.timeouts.connect = Some(Duration::from_secs(3)))
        .build()
        .unwrap();
    let began = Instant::now();
    let error = client.connect("tcp://h:1").await.unwrap_err();
    assert_eq!(began.elapsed(), Duration::from_secs(3));
    let ConnectError::Resolve { host, source } = &error else {
        panic!("{error}");
    };
    assert_eq!((&**host, source.kind()), ("h", io::ErrorKind::TimedOut));
}

#[tokio::test(start_paused = true)]
async fn the_next_host_is_tried_when_one_fails() {
    let (_handle, server) = in_memory(Transport::Ws);
    // The name is not there, an address refuses, a peer hangs up in the handshake.
    let url = "ws://unknown,192.0.2.3,192.0.2.2:1,h:1/chat,192.0.2.2:1";
    let client = client(vec![v4(1)], &server).build().unwrap();
    let mut stream = client.connect(url).await.unwrap();
    ask(&mut stream).await;
    drop(stream);
    let stats = client.stats();
    assert_eq!((stats.arrived, stats.accepted), (4, 1));
    assert_eq!(stats.refused(Refusal::Unreachable), 2);
    assert_eq!(stats.refused(Refusal::Upgrade), 1);
    is_conserved(&stats);
}

#[tokio::test(start_paused = true)]
async fn when_no_host_is_left_each_is_told() {
    let (_handle, server) = in_memory(Transport::Ws);
    let client = client(vec![v4(3), v6(3)], &server).build().unwrap();
    let error = client.connect_messages("ws://h:1,192.0.2.2:1").await;
    let error = error.unwrap_err();
    let ConnectError::Everywhere(errors) = &error else {
        panic!("{error}");
    };
    assert!(
        matches!(&errors[0], ConnectError::Unreachable { attempts, .. } if attempts.len() == 2)
    );
    assert!(matches!(errors[1], ConnectError::Upgrade(_)));
    assert_eq!(error.reason(), Some(Refusal::Upgrade));
    assert!(error.to_string().contains("h:1"), "{error}");
    is_conserved(&client.stats());
}

#[tokio::test(start_paused = true)]
async fn a_socket_that_is_connected_has_one_host() {
    let client = Client::builder().build().unwrap();
    let end = Endpoint::Ip(v4(1));
    let (socket, _other) = MemoryStream::pair(&end, &end);
    let error = client.connect_over(socket, "tcp://a:1,b:1").await;
    let error = error.unwrap_err();
    assert!(matches!(error, ConnectError::Url(_)), "{error}");
    assert_eq!(client.stats().arrived, 0);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_nobody_waits_for_is_abandoned() {
    let (_handle, server) = in_memory(Transport::Tcp);
    let client = client(vec![v4(9), v6(9)], &server).build().unwrap();
    let second = Duration::from_secs(1);
    assert!(
        tokio::time::timeout(second, client.connect("tcp://h:1"))
            .await
            .is_err()
    );
    let told = client.attempts();
    assert_eq!((told.begun, told.abandoned), (2, 2));
    assert_eq!(client.stats().refused(Refusal::Stopped), 1);
}

#[tokio::test]
async fn an_address_that_is_given_is_not_looked_up() {
    let (_handle, server) = in_memory(Transport::Ws);
    let client = client(Vec::new(), &server).build().unwrap();
    let mut messages = client.connect_messages_at(v4(1), "ws://h").await.unwrap();
    assert_eq!(*messages.connection().socket_peer(), Endpoint::Ip(v4(1)));
    messages.send(Message::text("hello")).await.unwrap();
    assert_eq!(
        messages.recv().await.unwrap().unwrap().payload()[..],
        b"hello"[..]
    );
    let error = client.connect_at(v4(3), "tcp://h:1").await.unwrap_err();
    let ConnectError::Unreachable { attempts, .. } = &error else {
        panic!("{error}");
    };
    assert_eq!(attempts[0].address, Endpoint::Ip(v4(3)));
    for url in ["tcp://a:1,b:1", "unix:/run/app.sock"] {
        let error = client.connect_at(v4(1), url).await.unwrap_err();
        assert!(matches!(error, ConnectError::Url(_)), "{error}");
    }
}
