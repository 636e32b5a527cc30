//! What a stream may take up, whatever its client does.

use std::sync::{Mutex, mpsc};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use wharf_stun::Method;
use wharf_turn_server::{
    Config, CoreConfig, Counter, EventHook, PrefixLimits, StreamOptions, TurnServer,
};

use super::client::{StreamClient, fresh_path, on_path, peer, until};
use crate::support::{config, start};

const QUEUE: usize = 16 << 10;
const PIPE: usize = 1 << 10;

fn server() -> TurnServer {
    server_with(None)
}

fn server_with(events: Option<EventHook>) -> TurnServer {
    start(Config {
        events,
        streams: StreamOptions {
            queue: QUEUE,
            ..StreamOptions::default()
        },
        core: CoreConfig {
            unauthenticated: PrefixLimits {
                per_second: 0,
                ..PrefixLimits::default()
            },
            ..CoreConfig::default()
        },
        ..config()
    })
}

fn client(server: &TurnServer) -> StreamClient<DuplexStream> {
    on_path(&server.handle(), fresh_path(server), PIPE).0
}

#[tokio::test]
async fn x4_data_for_a_slow_reader_is_dropped_and_counted() {
    const SENT: u64 = 200;
    let server = server();
    let handle = server.handle();
    let mut slow = client(&server);
    let peer = peer().await;
    let relay = slow.allocate().await;
    assert_eq!(slow.bind(0x4000, peer.local_addr().unwrap()).await, 0);
    for number in 1..=SENT {
        peer.send_to(&[7; 996], relay).await.unwrap();
        until("the datagram is read", || {
            handle.counters().get(Counter::PeerPackets) == number
        })
        .await;
    }
    // Others are not affected.
    let mut other = client(&server);
    other.allocate().await;
    // A request is answered, though it has to wait for its turn.
    let (id, request) = slow.write(Method::BINDING, &|_| {});
    slow.send(&request).await;
    let mut delivered = 0;
    let answer = loop {
        let frame = slow.frame().await;
        if frame[0] < 4 {
            break frame;
        }
        assert_eq!(frame.len(), 1_000);
        delivered += 1;
    };
    let answer = crate::client::Response(answer);
    assert_eq!(answer.message().transaction_id(), id);
    let dropped = handle.counters().get(Counter::StreamDropped);
    assert_eq!(delivered + dropped, SENT);
    let held = (QUEUE + PIPE) as u64 / 1_000;
    assert!((held - 2..=held + 2).contains(&delivered), "{delivered}");
    // There is room again.
    peer.send_to(b"hello", relay).await.unwrap();
    assert_eq!(slow.data_on().await, (0x4000, b"hello".to_vec()));
}

#[tokio::test]
async fn who_does_not_read_is_not_read() {
    const REQUESTS: usize = 50_000;
    /// What the worker may be given before the task stops reading, and as much again on its way.
    const INBOUND: u64 = 2 * (48 << 10);
    let server = server();
    let handle = server.handle();
    let mut client = client(&server);
    let (_, request) = client.write(Method::BINDING, &|_| {});
    let all = request.repeat(REQUESTS);
    // All replies are as long as this one.
    let reply = client.ask(Method::BINDING, &|_| {}).await.0.len();
    let (mut reader, mut writer) = tokio::io::split(client.io);
    let writing = tokio::spawn(async move { writer.write_all(&all).await });
    until("the queue is full", || {
        handle.counters().get(Counter::ToStreamBytes) >= QUEUE as u64
    })
    .await;
    let queued = handle.counters().get(Counter::ToStreamBytes);
    let due = INBOUND / request.len() as u64 * reply as u64;
    assert!(queued <= QUEUE as u64 + due, "{queued}");
    assert!(!writing.is_finished());

    // The replies are all there for one who reads after all.
    let mut bytes = vec![0; REQUESTS * reply];
    reader.read_exact(&mut bytes).await.unwrap();
    writing.await.unwrap().unwrap();
    assert!(bytes.chunks(reply).all(|one| one[..2] == [1, 1]));
    assert_eq!(handle.counters().get(Counter::StreamDropped), 0);
}

#[tokio::test]
async fn what_a_turn_cannot_handle_is_not_forgotten() {
    /// More than the worker handles in one turn, 256 KiB.
    const STREAMS: usize = 20;
    /// What a task reads while the worker does nothing: 32 KiB.
    const REQUESTS: usize = (32 << 10) / 20;
    let (release, released) = mpsc::channel();
    let released = Mutex::new(released);
    let server = server_with(Some(EventHook::new(move |_| {
        // The worker waits here until the streams have brought all that they may.
        let _ = released.lock().unwrap().recv();
    })));
    let mut first = client(&server);
    first.challenge().await;
    let (id, request) = first.write(Method::ALLOCATE, &crate::client::udp);
    first.send(&request).await;
    until("the request is taken", || {
        server.handle().counters().replies(Method::ALLOCATE, 0) == 1
    })
    .await;

    let mut clients: Vec<_> = (0..STREAMS).map(|_| client(&server)).collect();
    for client in &mut clients {
        let (_, request) = client.write(Method::BINDING, &|_| {});
        assert_eq!(request.len(), 20);
        client.send(&request.repeat(REQUESTS)).await;
    }
    release.send(()).unwrap();
    assert_eq!(first.answer(id).await.code(), 0);
    for client in &mut clients {
        for _ in 0..REQUESTS {
            assert_eq!(client.frame().await.len(), 32);
        }
    }
    drop(release);
}
