//! A relayed packet costs no heap allocation, in any thread.

use std::alloc::System;
use std::net::{SocketAddr, UdpSocket};

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use wharf_turn_server::Counter;

use crate::client::{Client, channel_data, send_indication};
use crate::support::{alone, config, peer_v4, start, wait_for};

#[global_allocator]
static COUNTING: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const BURST: usize = 16;

/// A datagram sent again and again from one socket, and read at another, all in place.
struct Flow<'a> {
    from: &'a UdpSocket,
    datagram: &'a [u8],
    to: SocketAddr,
    read_at: &'a UdpSocket,
}

impl Flow<'_> {
    fn relay(&self, packets: usize) {
        let mut buffer = [0; 2_048];
        for _ in 0..packets / BURST {
            for _ in 0..BURST {
                self.from.send_to(self.datagram, self.to).unwrap();
            }
            for _ in 0..BURST {
                assert!(self.read_at.recv(&mut buffer).unwrap() >= 172);
            }
        }
    }
}

#[test]
fn relaying_allocates_nothing() {
    if !alone("no_allocation::relaying_allocates_nothing", &[], "true") {
        return;
    }
    let server = start(config());
    let listener = server.local_addrs()[0];
    let [mut alice, mut bob] = [Client::new(&server), Client::new(&server)];
    let [of_alice, of_bob] = [alice.allocate(), bob.allocate()];
    let [channel_peer, data_peer] = [peer_v4(), peer_v4()];
    assert_eq!(alice.bind(0x4000, channel_peer.local_addr().unwrap()), 0);
    assert_eq!(alice.permit(data_peer.local_addr().unwrap()), 0);
    assert_eq!(alice.bind(0x4001, of_bob), 0);
    assert_eq!(bob.permit(of_alice), 0);

    let payload = [7; 172];
    let on_channel = channel_data(0x4000, &payload);
    let across = channel_data(0x4001, &payload);
    let indication = send_indication(data_peer.local_addr().unwrap(), &payload, &|_| {});
    let flow = |from, datagram, to, read_at| Flow {
        from,
        datagram,
        to,
        read_at,
    };
    let flows = [
        flow(&alice.socket, &on_channel[..], listener, &channel_peer),
        flow(&alice.socket, &indication, listener, &data_peer),
        flow(&alice.socket, &across, listener, &bob.socket),
        flow(&channel_peer, &payload, of_alice, &alice.socket),
        flow(&data_peer, &payload, of_alice, &alice.socket),
    ];
    for flow in &flows {
        flow.relay(1_600);
    }
    let region = Region::new(COUNTING);
    for flow in &flows {
        flow.relay(10_000);
    }
    let change = region.change();
    assert_eq!(change.allocations + change.reallocations, 0, "{change:?}");
    let handle = server.handle();
    wait_for(&handle, Counter::HandedAcross, 11_600);
    wait_for(&handle, Counter::ToPeerPackets, 2 * 11_600);

    // The worker's allocations are among those counted.
    let region = Region::new(COUNTING);
    bob.release();
    let mut third = Client::new(&server);
    let own = region.change().allocations;
    third.challenge();
    assert!(region.change().allocations > own);
}
