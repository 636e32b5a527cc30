//! A flood of hellos from as many addresses, none of which comes back with its cookie.

use std::net::{IpAddr, Ipv4Addr};

use wharf_turn_server::Counter;
use wharf_udp::{ReceiveBatch, SendBatch, Socket, SocketOptions};

use super::client::{Certificate, DtlsClient};
use crate::flood::resident;
use crate::support::{alone, peer_v4, wait_until};

const HELLOS: u32 = 100_000;
/// How much the process may grow: far less than a state for each would take.
const GROWTH: usize = 1 << 20;

#[test]
fn d1_hellos_without_a_cookie_take_no_memory() {
    let test = "dtls::flood::d1_hellos_without_a_cookie_take_no_memory";
    if !alone(test, &[], "true") {
        return;
    }
    let certificate = Certificate::new();
    let server = certificate.start(|_| {});
    let handle = server.handle();
    let mut client = certificate.connect(&server);
    let peer = peer_v4();
    client.allocate();
    assert_eq!(client.bind(0x4000, peer.local_addr().unwrap()), 0);
    let before = handle.counters();

    let address = server.local_addrs()[1];
    let hello = DtlsClient::new(address, &certificate.client())
        .written()
        .concat();
    // One wildcard socket has all of 127.0.0.0/8 for its source.
    let any = (Ipv4Addr::UNSPECIFIED, 0).into();
    let source = Socket::bind(any, &SocketOptions::default()).unwrap();
    let (mut batch, none) = (SendBatch::new(64, 64), ReceiveBatch::new(0));
    let mut resident_before = 0;
    for number in 0..HELLOS {
        let [_, high, middle, low] = number.to_be_bytes();
        let from = IpAddr::from([127, 64 | high, middle, low]);
        batch.push_bytes(address, Some(from), 0, &hello).unwrap();
        if number % 64 == 63 || number + 1 == HELLOS {
            let report = batch.flush(&source, &none);
            assert_eq!((report.failed, report.would_block), (0, 0), "{report:?}");
        }
        if number == HELLOS / 10 {
            resident_before = resident();
        }
    }
    let count = |counter| handle.counters().get(counter) - before.get(counter);
    wait_until("each is challenged, or the kernel has dropped it", || {
        count(Counter::DtlsChallenged) + count(Counter::KernelDrops) == u64::from(HELLOS)
    });
    // A server that does not keep up would leave the most of them to the kernel.
    assert!(count(Counter::DtlsChallenged) >= u64::from(HELLOS / 2));
    let grown = resident().saturating_sub(resident_before);
    assert!(grown < GROWTH, "{grown} bytes more for {HELLOS} hellos");
    assert_eq!(handle.counters().get(Counter::DtlsHandshakes), 0);
    assert_eq!(handle.counters().get(Counter::DtlsSessions), 1);
    client.round_trip(0x4000, &peer, b"a session goes on");
}
