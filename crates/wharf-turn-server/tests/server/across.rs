//! Two clients of one server who are each other's peers.

use wharf_stun::Method;
use wharf_turn_server::{Config, Counter, DropReason};

use crate::client::{Client, Login};
use crate::support::{config, start, wait_until};

#[test]
fn within_a_worker_data_goes_straight_across() {
    let server = start(config());
    let (mut alice, mut bob) = (Client::new(&server), Client::new(&server));
    let (of_alice, of_bob) = (alice.allocate(), bob.allocate());
    assert_eq!(alice.permit(of_bob), 0);
    assert_eq!(bob.permit(of_alice), 0);
    alice.send_to(of_bob, b"by indication");
    assert_eq!(bob.data(), (of_alice, b"by indication".to_vec()));
    assert_eq!(alice.bind(0x4000, of_bob), 0);
    assert_eq!(bob.bind(0x4fff, of_alice), 0);
    for size in [0, 1, 172, 1_500, 60_000] {
        let data = vec![size as u8; size];
        alice.send_on(0x4000, &data);
        assert_eq!(bob.data_on(), (0x4fff, data.clone()));
        bob.send_on(0x4fff, &data);
        assert_eq!(alice.data_on(), (0x4000, data));
    }
    let counters = server.handle().counters();
    assert_eq!(counters.get(Counter::HandedAcross), 11);
    assert_eq!(counters.get(Counter::ToPeerPackets), 0);
    assert_eq!(counters.get(Counter::PeerPackets), 0);
}

/// T48: each side's permission is its own, also when the network is not between them.
#[test]
fn both_sides_must_permit() {
    let server = start(config());
    let handle = server.handle();
    let (mut alice, mut bob) = (Client::new(&server), Client::new(&server));
    let (of_alice, of_bob) = (alice.allocate(), bob.allocate());
    let refused = |count| {
        wait_until("a datagram without permission is dropped", || {
            handle.counters().drops(DropReason::NoPermission) == count
        });
    };
    alice.send_to(of_bob, b"nobody permits");
    refused(1);
    assert_eq!(alice.permit(of_bob), 0);
    alice.send_to(of_bob, b"bob does not permit alice");
    refused(2);
    bob.send_to(of_alice, b"bob may not send either");
    refused(3);
    assert_eq!(bob.permit(of_alice), 0);
    alice.send_to(of_bob, b"now");
    assert_eq!(bob.data(), (of_alice, b"now".to_vec()));
    bob.send_to(of_alice, b"and back");
    assert_eq!(alice.data(), (of_bob, b"and back".to_vec()));
    assert_eq!(handle.counters().get(Counter::HandedAcross), 2);
}

/// With several workers some pairs share one and the others meet through the kernel.
#[test]
fn between_workers_data_takes_the_kernels_way() {
    let server = start(Config {
        workers: 2,
        ..config()
    });
    let handle = server.handle();
    let mut seen = [false; 2];
    let mut pairs = 0;
    while seen != [true; 2] {
        pairs += 1;
        assert!(pairs < 64, "the kernel keeps all clients at one worker");
        let (mut alice, mut bob) = (Client::new(&server), Client::new(&server));
        let (of_alice, of_bob) = (alice.allocate(), bob.allocate());
        assert_eq!(alice.bind(0x4000, of_bob), 0);
        assert_eq!(bob.permit(of_alice), 0);
        let before = handle.counters().get(Counter::HandedAcross);
        alice.send_on(0x4000, b"there");
        assert_eq!(bob.data(), (of_alice, b"there".to_vec()));
        bob.send_to(of_alice, b"back");
        assert_eq!(alice.data_on(), (0x4000, b"back".to_vec()));
        let across = handle.counters().get(Counter::HandedAcross) - before;
        assert!(
            across == 0 || across == 2,
            "one way straight, the other not"
        );
        seen[usize::from(across == 2)] = true;
    }
}

/// X9: a listener of the server is no peer, whatever the rules say of its address.
#[test]
fn the_servers_own_listener_is_refused() {
    let server = start(config());
    let handle = server.handle();
    let listener = server.local_addrs()[0];
    let mut client = Client::new(&server);
    client.allocate();
    assert_eq!(client.bind(0x4000, listener), 403);
    // A permission knows no port; the datagram does.
    assert_eq!(client.permit(listener), 0);
    client.send_to(listener, b"a request to oneself");
    wait_until("the datagram is refused", || {
        handle.counters().drops(DropReason::PeerRefused) == 1
    });
    assert_eq!(handle.counters().get(Counter::PeerRefused), 1);
    assert_eq!(handle.counters().get(Counter::ToPeerPackets), 0);
    // The server goes on.
    let mut other = Client::at(listener, Login::bob());
    assert_eq!(other.request(Method::BINDING, &|_| {}).code(), 0);
}
