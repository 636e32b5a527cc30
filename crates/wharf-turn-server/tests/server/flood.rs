//! A flood of datagrams that prove nothing, from as many sources.

use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::time::Duration;

use wharf_stun::attribute::{Nonce, Realm, RequestedTransport, Username};
use wharf_stun::{Class, MessageType, Method, Sha1Key, Writer};
use wharf_turn_server::{Config, CoreConfig, Counter, PrefixLimits};
use wharf_udp::{ReceiveBatch, SendBatch, Socket, SocketOptions};

use crate::client::{Client, channel_data, send_indication, transaction_id};
use crate::support::{REALM, all_drops, all_replies, alone, config, peer_v4, start, wait_until};

const DATAGRAMS: u32 = 200_000;
/// Datagrams between two signs of life of the legitimate client.
const ROUND: u32 = 2_000;
/// How much the process may grow: pages of the tables that are touched late, not state per source.
const GROWTH: usize = 4 << 20;

/// Resident memory in bytes.
pub(crate) fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4_096
}

/// What somebody without credentials can send, one of each kind.
fn kinds() -> Vec<Vec<u8>> {
    let request = |method, fill: &dyn Fn(&mut Writer<'_>)| {
        let mut buffer = vec![0; 500];
        let class = Class::Request;
        let ty = MessageType { method, class };
        let mut writer = Writer::new(&mut buffer, ty, transaction_id()).unwrap();
        fill(&mut writer);
        let length = writer.len();
        buffer.truncate(length);
        buffer
    };
    let forged = |writer: &mut Writer<'_>, name: &str| {
        writer.push(&RequestedTransport(17)).unwrap();
        writer.push(&Username(name)).unwrap();
        writer.push(&Realm(REALM)).unwrap();
        writer.push(&Nonce(b"obMatJos2AAAAforged")).unwrap();
        writer.integrity_sha1(&Sha1Key::new(b"guess")).unwrap();
    };
    vec![
        request(Method::BINDING, &|_| {}),
        request(Method::ALLOCATE, &crate::client::udp),
        request(Method::ALLOCATE, &|writer| forged(writer, "alice")),
        request(Method::ALLOCATE, &|writer| forged(writer, "mallory")),
        request(Method::REFRESH, &|_| {}),
        request(Method::CONNECT, &|_| {}),
        send_indication("192.0.2.1:9".parse().unwrap(), b"data", &|_| {}),
        channel_data(0x4000, b"data"),
        Vec::new(),
        vec![0xFF; 100],
        vec![0; 28],
    ]
}

/// Sends until a datagram is relayed, as the flood may take the room in the listener's buffer. How many
/// it took.
fn get_through(client: &Client, peer: &UdpSocket) -> u64 {
    peer.set_read_timeout(Some(Duration::from_millis(20)))
        .unwrap();
    for sent in 1..=1_000 {
        client.send_to(peer.local_addr().unwrap(), b"legitimate");
        let mut buffer = [0; 64];
        if let Ok(length) = peer.recv(&mut buffer) {
            assert_eq!(&buffer[..length], b"legitimate");
            return sent;
        }
    }
    panic!("nothing gets through");
}

#[test]
fn memory_stays_flat_and_a_legitimate_client_is_served() {
    let test = "flood::memory_stays_flat_and_a_legitimate_client_is_served";
    if !alone(test, &[], "true") {
        return;
    }
    let server = start(Config {
        core: CoreConfig {
            unauthenticated: PrefixLimits {
                per_second: 10,
                burst: 10,
                ..PrefixLimits::default()
            },
            ..CoreConfig::default()
        },
        ..config()
    });
    let handle = server.handle();
    let listener = server.local_addrs()[0];
    let (mut client, peer) = (Client::new(&server), peer_v4());
    client.allocate();
    assert_eq!(client.permit(peer.local_addr().unwrap()), 0);
    let before_flood = handle.counters();

    // One wildcard socket has all of 127.0.0.0/8 for its source.
    let any = (Ipv4Addr::UNSPECIFIED, 0).into();
    let source = Socket::bind(any, &SocketOptions::default()).unwrap();
    let (mut batch, none) = (SendBatch::new(64, 64), ReceiveBatch::new(0));
    let kinds = kinds();
    let (mut resident_before, mut own) = (0, 0);
    for number in 0..DATAGRAMS {
        let [_, high, middle, low] = number.to_be_bytes();
        let from = IpAddr::from([127, 64 | high, middle, low]);
        let kind = &kinds[number as usize % kinds.len()];
        batch.push_bytes(listener, Some(from), 0, kind).unwrap();
        if number % 64 == 63 || number + 1 == DATAGRAMS {
            let report = batch.flush(&source, &none);
            assert_eq!((report.failed, report.would_block), (0, 0), "{report:?}");
        }
        if number % ROUND == ROUND - 1 {
            own += get_through(&client, &peer);
        }
        if number == DATAGRAMS / 10 {
            resident_before = resident();
        }
    }
    let grown = resident().saturating_sub(resident_before);
    assert!(
        grown < GROWTH,
        "{grown} bytes more for {DATAGRAMS} datagrams"
    );

    // Each datagram is one that was received or that the kernel dropped …
    let count = |counter| handle.counters().get(counter) - before_flood.get(counter);
    wait_until("every datagram is accounted for", || {
        count(Counter::ClientPackets) + count(Counter::KernelDrops) == u64::from(DATAGRAMS) + own
    });
    // … and each one received was answered, relayed or dropped for a reason.
    wait_until("every datagram has an end", || {
        let now = handle.counters();
        let ends = all_replies(&now) + all_drops(&now) + now.get(Counter::ToPeerPackets);
        let begun = all_replies(&before_flood) + all_drops(&before_flood);
        ends - begun == count(Counter::ClientPackets)
    });
    assert_eq!(handle.allocations(), 1);
    assert_eq!(handle.counters().get(Counter::Panics), 0);
}
