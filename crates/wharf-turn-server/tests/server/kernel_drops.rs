//! What waits while the worker does not read: what the kernel drops is counted, to the last datagram, and
//! what it keeps is handled in order.

use std::sync::Mutex;
use std::sync::mpsc::{self, Receiver, Sender};

use wharf_stun::Method;
use wharf_stun::attribute::Lifetime;
use wharf_turn_server::{Config, Counter, DropReason, Event, EventHook, TurnServer};

use crate::client::{Client, Login, transaction_id, udp, with};
use crate::support::{PATIENCE, config, peer_v4, read, start, wait_until};

const FLOOD: u64 = 2_000;

/// Makes the only worker stand still in its hook while a guess at a password is told.
struct Brake {
    reached: Receiver<()>,
    go_on: Sender<()>,
}

impl Brake {
    fn server(config: Config) -> (TurnServer, Self) {
        let (at, reached) = mpsc::channel();
        let (go_on, told) = mpsc::channel();
        let told = Mutex::new(told);
        let hook = EventHook::new(move |event| {
            if matches!(event, Event::AuthenticationFailed { .. }) {
                at.send(()).unwrap();
                told.lock().unwrap().recv_timeout(PATIENCE).unwrap();
            }
        });
        let events = Some(hook);
        let server = start(Config { events, ..config });
        (server, Self { reached, go_on })
    }

    /// Does `meanwhile` while the worker reads nothing.
    fn hold(&self, server: &TurnServer, meanwhile: impl FnOnce()) {
        let login = Login::new("alice", "guess");
        let mut client = Client::at(server.local_addrs()[0], login);
        client.challenge();
        let id = client.post(Method::ALLOCATE, &udp);
        self.reached.recv_timeout(PATIENCE).unwrap();
        meanwhile();
        self.go_on.send(()).unwrap();
        assert_eq!(client.answer(id).code(), 401);
    }
}

#[test]
fn a_listener_that_overflows_is_counted_exactly() {
    let mut drops = Vec::new();
    for receive_buffer in [8_192, 65_536] {
        let (server, brake) = Brake::server(Config {
            receive_buffer: Some(receive_buffer),
            ..config()
        });
        let handle = server.handle();
        let flood = Client::new(&server);
        brake.hold(&server, || {
            for _ in 0..FLOOD {
                flood.send(
                    &flood
                        .account
                        .write(Method::BINDING, transaction_id(), &|_| {}),
                );
            }
        });
        let answered = || handle.counters().replies(Method::BINDING, 0);
        let dropped = || handle.counters().get(Counter::KernelDrops);
        wait_until("every datagram is accounted for", || {
            answered() + dropped() == FLOOD
        });
        assert!(dropped() > 0 && answered() > 0);
        drops.push(dropped());
    }
    assert!(drops[0] > drops[1], "a larger buffer holds more: {drops:?}");
}

#[test]
fn a_relay_that_overflows_is_counted_exactly() {
    let (server, brake) = Brake::server(config());
    let handle = server.handle();
    let (mut client, peer) = (Client::new(&server), peer_v4());
    let relayed = client.allocate();
    brake.hold(&server, || {
        for _ in 0..FLOOD {
            peer.send_to(&[0; 1_400], relayed).unwrap();
        }
    });
    // The client has not permitted the peer.
    let refused = || handle.counters().drops(DropReason::NoPermission);
    let dropped = || handle.counters().get(Counter::KernelDrops);
    wait_until("every datagram is accounted for", || {
        refused() + dropped() == FLOOD
    });
    assert!(dropped() > 0 && refused() > 0);
}

/// Drops on a relay that ends before they are looked at are not forgotten.
#[test]
fn the_drops_of_a_relay_that_ends_are_counted() {
    let (server, brake) = Brake::server(config());
    let handle = server.handle();
    let (mut client, peer) = (Client::new(&server), peer_v4());
    let relayed = client.allocate();
    let mut ending = None;
    brake.hold(&server, || {
        for _ in 0..FLOOD {
            peer.send_to(&[0; 1_400], relayed).unwrap();
        }
        // The end is read first, as clients come before peers.
        ending = Some(client.post(Method::REFRESH, &with(Lifetime(0))));
    });
    assert_eq!(client.answer(ending.unwrap()).code(), 0);
    wait_until("drops are counted", || {
        handle.counters().get(Counter::KernelDrops) > 0
    });
}

/// Read in one go with the Refresh that ends the allocation, data sent before it still goes out.
#[test]
fn data_before_the_end_of_an_allocation_arrives() {
    let (server, brake) = Brake::server(config());
    let (mut client, peer) = (Client::new(&server), peer_v4());
    let relayed = client.allocate();
    assert_eq!(client.bind(0x4000, peer.local_addr().unwrap()), 0);
    let mut end = None;
    brake.hold(&server, || {
        for number in 0..8 {
            client.send_on(0x4000, &[number]);
        }
        end = Some(client.post(Method::REFRESH, &with(Lifetime(0))));
    });
    assert_eq!(client.answer(end.unwrap()).code(), 0);
    for number in 0..8 {
        assert_eq!(read(&peer), (vec![number], relayed));
    }
}
