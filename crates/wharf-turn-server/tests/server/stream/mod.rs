//! Clients over TCP and TLS: frames as they come and go. How streams end is in `ends`, and what they may
//! take up in `bounds`.

mod bounds;
mod client;
mod ends;

use std::net::{Ipv4Addr, SocketAddr};

use wharf_stun::Method;
use wharf_stun::attribute::{EvenPort, ReservationToken, XorMappedAddress};
use wharf_turn_server::{Config, CoreConfig, Counter, StreamPath, StreamTransport, TurnServer};

use self::client::{
    Io, StreamClient, fresh_path, in_memory, on_path, over_tcp, padded, peer, read, until,
};
use crate::client::{Client, relayed, with};
use crate::support::{config, fresh_ip, start};

async fn relays_all_lengths<S: Io>(mut client: StreamClient<S>) {
    let peer = peer().await;
    client.allocate().await;
    assert_eq!(client.bind(0x4000, peer.local_addr().unwrap()).await, 0);
    for length in 0..=9 {
        let data: Vec<u8> = (1..=length).collect();
        client.round_trip(0x4000, &peer, &data).await;
    }
    client.round_trip(0x4000, &peer, &vec![7; 60_001]).await;
}

#[tokio::test]
async fn t67_channel_data_of_all_lengths() {
    let server = start(config());
    relays_all_lengths(in_memory(&server).0).await;
    relays_all_lengths(over_tcp(&server).await.0).await;
    let counters = server.handle().counters();
    // A request without credentials, one with, a binding and eleven data.
    assert_eq!(counters.get(Counter::StreamFrames), 2 * (3 + 11));
    assert_eq!(counters.get(Counter::ToStreamFrames), 2 * (3 + 11));
    assert_eq!(counters.get(Counter::ClientPackets), 0);
}

#[tokio::test]
async fn s14_one_byte_at_a_time_and_many_messages_at_once() {
    let server = start(config());
    let (mut client, _) = over_tcp(&server).await;
    client.io.set_nodelay(true).unwrap();
    client.challenge().await;
    let (id, request) = client.write(Method::ALLOCATE, &crate::client::udp);
    for byte in request {
        client.send(&[byte]).await;
        tokio::task::yield_now().await;
    }
    relayed(&client.answer(id).await);

    let peer = peer().await;
    assert_eq!(client.bind(0x4000, peer.local_addr().unwrap()).await, 0);
    let mut burst = Vec::new();
    let mut ids = Vec::new();
    for number in 0..100_u8 {
        let (id, request) = client.write(Method::BINDING, &|_| {});
        ids.push(id);
        burst.extend(request);
        burst.extend(padded(0x4000, &[number; 5]));
    }
    client.send(&burst).await;
    for id in ids {
        assert_eq!(client.answer(id).await.code(), 0);
    }
    for number in 0..100 {
        assert_eq!(read(&peer).await.0, [number; 5]);
    }
}

#[tokio::test]
async fn s3_the_mapped_address_is_the_connections() {
    let server = start(config());
    let mapped = std::net::Ipv4Addr::new(198, 51, 100, 7);
    for client in [mapped.into(), mapped.to_ipv6_mapped().into()] {
        let path = StreamPath {
            client: SocketAddr::new(client, 7),
            ..fresh_path(&server)
        };
        let (mut client, _) = on_path(&server.handle(), path, 1_000);
        let answer = client.ask(Method::BINDING, &|_| {}).await;
        let address = SocketAddr::from((mapped, 7));
        assert_eq!(answer.get(), Some(XorMappedAddress(address)));
    }
}

#[tokio::test]
async fn from_a_stream_to_udp_and_to_another_stream() {
    // One worker: what goes from client to client does not leave it.
    let server = start(config());
    let (mut first, _) = in_memory(&server);
    let (mut second, _) = in_memory(&server);
    let relays = [first.allocate().await, second.allocate().await];
    assert_eq!(first.bind(0x4000, relays[1]).await, 0);
    assert_eq!(second.bind(0x4001, relays[0]).await, 0);
    first.send(&padded(0x4000, b"12345")).await;
    assert_eq!(second.data_on().await, (0x4001, b"12345".to_vec()));

    // The client over UDP waits in a thread of its own: the streams go on meanwhile.
    let address = relays[0];
    let listener = server.local_addrs()[0];
    let datagrams = tokio::task::spawn_blocking(move || {
        let mut client = Client::at(listener, crate::client::Login::bob());
        let relay = client.allocate();
        assert_eq!(client.bind(0x4002, address), 0);
        (client, relay)
    });
    let (mut udp, of_udp) = datagrams.await.unwrap();
    assert_eq!(first.bind(0x4003, of_udp).await, 0);
    first.send(&padded(0x4003, b"abc")).await;
    let udp = tokio::task::spawn_blocking(move || {
        assert_eq!(udp.data_on(), (0x4002, b"abc".to_vec()));
        udp.send_on(0x4002, b"defgh");
    });
    assert_eq!(first.data_on().await, (0x4003, b"defgh".to_vec()));
    udp.await.unwrap();
    assert_eq!(server.handle().counters().get(Counter::HandedAcross), 3);
}

#[tokio::test]
async fn t18_a_reserved_port_reaches_any_stream() {
    let server = start(Config {
        workers: 4,
        ..config()
    });
    for _ in 0..16 {
        let (mut first, _) = in_memory(&server);
        let (mut second, _) = in_memory(&server);
        let even = first
            .try_allocate(&with(EvenPort { reserve_next: true }))
            .await;
        let token = even.get::<ReservationToken>().expect("a token");
        let odd = relayed(&second.try_allocate(&with(token)).await);
        assert_eq!(odd.port(), relayed(&even).port() + 1);
        let peer = peer().await;
        assert_eq!(second.bind(0x4000, peer.local_addr().unwrap()).await, 0);
        second
            .round_trip(0x4000, &peer, b"through the other's port")
            .await;
    }
}

#[tokio::test]
async fn t60_old_channel_numbers_if_they_are_wanted() {
    let server = start(Config {
        core: CoreConfig {
            rfc5766_channels: true,
            ..CoreConfig::default()
        },
        ..config()
    });
    let (mut client, _) = in_memory(&server);
    let peer = peer().await;
    client.allocate().await;
    assert_eq!(client.bind(0x7FFE, peer.local_addr().unwrap()).await, 0);
    client.round_trip(0x7FFE, &peer, b"old").await;
}

/// Clients with an allocation and a channel each.
async fn many<S: Io>(
    server: &TurnServer,
    mut clients: Vec<StreamClient<S>>,
) -> Vec<StreamClient<S>> {
    let handle = server.handle();
    let peer = peer().await;
    for client in &mut clients {
        client.allocate().await;
        assert_eq!(client.bind(0x4000, peer.local_addr().unwrap()).await, 0);
    }
    // As many at a time as the peer's buffer surely holds.
    for clients in clients.chunks_mut(100) {
        for client in &mut *clients {
            client.send(&padded(0x4000, b"hello")).await;
        }
        for _ in &*clients {
            let (data, relay) = read(&peer).await;
            peer.send_to(&data, relay).await.unwrap();
        }
        for client in clients {
            assert_eq!(client.data_on().await, (0x4000, b"hello".to_vec()));
        }
    }
    assert_eq!(
        handle.counters().get(Counter::Streams),
        clients.len() as u64
    );
    clients
}

#[tokio::test]
async fn a_thousand_streams() {
    let ports = 20_000..=22_399;
    let server = start(Config {
        relays: vec![wharf_turn_server::RelayAddress::new(fresh_ip(), ports)],
        workers: 2,
        ..config()
    });
    let handle = server.handle();
    let clients = (0..1_000).map(|_| in_memory(&server).0).collect();
    drop(many(&server, clients).await);
    until("all is free", || {
        let counters = handle.counters();
        counters.get(Counter::FreePorts) == 2_400 && counters.get(Counter::Streams) == 0
    })
    .await;
    let counters = handle.counters();
    assert_eq!(counters.get(Counter::Disconnected), 1_000);
    assert_eq!(counters.get(Counter::StreamsOpened), 1_000);
    assert_eq!(counters.get(Counter::StreamsClosed), 1_000);
}

#[tokio::test]
async fn a_hundred_connections() {
    let server = start(config());
    let mut clients = Vec::new();
    for _ in 0..100 {
        clients.push(over_tcp(&server).await.0);
    }
    drop(many(&server, clients).await);
    let handle = server.handle();
    until("all have ended", || {
        handle.counters().get(Counter::Streams) == 0
    })
    .await;
    assert_eq!(handle.counters().get(Counter::Disconnected), 100);
}

#[tokio::test]
async fn transports_are_told_apart_in_a_path() {
    let server = start(config());
    let client = SocketAddr::from((Ipv4Addr::new(198, 51, 100, 8), 8));
    let mut clients = Vec::new();
    for transport in [StreamTransport::Tcp, StreamTransport::Tls] {
        let path = StreamPath {
            transport,
            client,
            ..fresh_path(&server)
        };
        let mut client = on_path(&server.handle(), path, 1_000).0;
        client.allocate().await;
        clients.push(client);
    }
    assert_eq!(server.handle().counters().get(Counter::Streams), 2);
}
