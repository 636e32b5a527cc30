//! Moving packets allocates nothing.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use crate::common::{V4, bind, plain, wait};
use wharf_udp::{ReceiveBatch, SendBatch, SocketOptions};

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: all work is the system allocator's; counting touches only a constant-initialised cell.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller keeps the contract of `alloc`, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the pointer came from `System.alloc` with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

#[test]
fn a_cycle_of_receive_push_and_flush_allocates_nothing() {
    let options = SocketOptions {
        gro: true,
        errors: true,
        receive_tos: true,
        ..plain()
    };
    let (relay, client, peer) = (bind(V4, &options), bind(V4, &plain()), bind(V4, &options));
    let mut source = SendBatch::new(64, 64);
    let mut received = ReceiveBatch::new(32);
    let mut forward = SendBatch::new(32, 256);
    let none = ReceiveBatch::new(0);
    let mut forwarded = 0;
    for cycle in 0..20 {
        for size in [172, 172, 172, 40, 900] {
            source
                .push_bytes(relay.local_addr(), None, 0xB8, &[7; 1024][..size])
                .unwrap();
        }
        assert_eq!(source.flush(&client, &none).sent, 5);
        wait(&relay);

        let before = ALLOCATIONS.get();
        relay.receive(&mut received, 32).unwrap();
        for slot in 0..received.len() {
            let datagrams = received.get(slot);
            for range in datagrams.segments() {
                let payload = Some((slot, range));
                forward
                    .push(peer.local_addr(), None, datagrams.tos, b"head", payload, 2)
                    .unwrap();
            }
        }
        forwarded += forward.flush(&relay, &received).sent;
        received.clear();
        assert!(relay.receive_error().unwrap().is_none());
        // Nothing reads at the peer: a full receive buffer there is no concern of this test.
        assert_eq!(ALLOCATIONS.get() - before, 0, "in cycle {cycle}");
    }
    assert!(forwarded >= 60);

    let before = ALLOCATIONS.get();
    drop(ReceiveBatch::new(1));
    assert!(ALLOCATIONS.get() > before, "the counter does not count");
}
