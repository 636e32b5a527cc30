//! A server takes another's place: allocations live on, new clients are the successor's, nothing is lost.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use wharf_stun::Method;
use wharf_turn_server::{Config, Counter, DropReason, Legacy, TurnServer};

use crate::client::Client;
use crate::support::{PATIENCE, config, peer_v4, start, wait_for, wait_until};

/// The successor of `server`, which reads nothing yet; of a port it is asked for many, and has what there are.
fn successor(server: &TurnServer, config: Config) -> TurnServer {
    let descriptors = server.legacy().unwrap().into_descriptors();
    let legacy = Legacy::from_descriptors(descriptors).unwrap();
    assert!(legacy.is_some());
    TurnServer::bind(Config { legacy, ..config }).unwrap()
}

/// What both are started with, but for the address that the first one gets.
fn like(server: &TurnServer, of: &Config) -> Config {
    Config {
        listen: server.local_addrs().to_vec(),
        relays: of.relays.clone(),
        ..config()
    }
}

/// Round trips until the successor has read some of them.
fn through(client: &mut Client, server: &TurnServer, mut trip: impl FnMut(&mut Client)) {
    let handle = server.handle();
    let read = || handle.counters().get(Counter::ClientPackets);
    let before = read();
    wait_until("the successor reads", || {
        trip(client);
        read() >= before + 10
    });
}

#[test]
fn allocations_live_on_until_they_end_and_new_ones_are_the_successors() {
    for workers in [1, 3] {
        let config = Config {
            workers,
            ..config()
        };
        let relays = like_relays(&config);
        let first = start(config);
        let (mut old, peer) = (Client::new(&first), peer_v4());
        let relayed = old.allocate();
        assert_eq!(old.permit(peer.local_addr().unwrap()), 0);
        let mut second = successor(&first, like(&first, &relays));
        assert_eq!(second.local_addrs(), first.local_addrs());
        // It reads nothing yet.
        old.round_trip(&peer, relayed);
        assert_eq!(second.handle().counters().get(Counter::ClientPackets), 0);
        second.begin().unwrap();
        first.handle().leave();
        through(&mut old, &second, |old| old.round_trip(&peer, relayed));
        // Everything that an allocation can be asked, and a channel, go on where it is.
        assert_eq!(old.request(Method::REFRESH, &|_| {}).code(), 0);
        assert_eq!(old.bind(0x4000, peer.local_addr().unwrap()), 0);
        old.send_on(0x4000, b"there");
        assert_eq!(crate::support::read(&peer), (b"there".to_vec(), relayed));
        peer.send_to(b"back", relayed).unwrap();
        assert_eq!(old.data_on(), (0x4000, b"back".to_vec()));
        // Who comes now is the successor's.
        wait_until("the first makes none", || {
            let mut new = Client::new(&second);
            new.allocate();
            let allocations = second.handle().allocations();
            new.release();
            allocations == 1
        });
        assert_eq!(first.handle().allocations(), 1);
        assert!(!first.wait_drained(Duration::ZERO));
        old.release();
        assert!(first.wait_drained(PATIENCE));
        first.stop();
        // Nobody knows it any more, and it may begin anew.
        wait_until("the passage is closed", || {
            old.send_to(peer.local_addr().unwrap(), b"lost");
            let counters = second.handle().counters();
            counters.drops(DropReason::NoAllocation) > 0
        });
        assert_eq!(old.request(Method::REFRESH, &|_| {}).code(), 437);
        let relayed = old.allocate();
        assert_eq!(old.permit(peer.local_addr().unwrap()), 0);
        old.round_trip(&peer, relayed);
        assert_eq!(second.handle().allocations(), 1);
    }
}

fn like_relays(config: &Config) -> Config {
    Config {
        relays: config.relays.clone(),
        ..Config::default()
    }
}

#[test]
fn no_datagram_is_lost_while_clients_send() {
    let config = Config {
        workers: 2,
        ..config()
    };
    let relays = like_relays(&config);
    let first = start(config);
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let traffic = |server: &TurnServer| {
            let (mut client, peer) = (Client::new(server), peer_v4());
            let relayed = client.allocate();
            assert_eq!(client.permit(peer.local_addr().unwrap()), 0);
            let stop = &stop;
            scope.spawn(move || {
                let mut trips = 0;
                while !stop.load(Relaxed) {
                    // One that is lost does not come within the patience of a test.
                    client.round_trip(&peer, relayed);
                    trips += 1;
                }
                client.release();
                trips
            })
        };
        let mut clients: Vec<_> = (0..4).map(|_| traffic(&first)).collect();
        let mut second = successor(&first, like(&first, &relays));
        second.begin().unwrap();
        first.handle().leave();
        clients.extend((0..4).map(|_| traffic(&second)));
        let handle = second.handle();
        wait_until("both have traffic", || {
            let count = handle.counters().get(Counter::ClientPackets);
            count >= 1000 && first.handle().allocations() > 0
        });
        stop.store(true, Relaxed);
        for client in clients {
            assert!(client.join().unwrap() > 0);
        }
        assert!(first.wait_drained(PATIENCE));
        wait_for(&handle, Counter::Allocations, 0);
    });
}

#[test]
fn a_third_server_hands_back_through_the_second() {
    let config = config();
    let relays = like_relays(&config);
    let first = start(config);
    let (mut old, peer) = (Client::new(&first), peer_v4());
    let relayed = old.allocate();
    assert_eq!(old.permit(peer.local_addr().unwrap()), 0);
    let mut second = successor(&first, like(&first, &relays));
    second.begin().unwrap();
    first.handle().leave();
    through(&mut old, &second, |old| old.round_trip(&peer, relayed));
    let mut third = successor(&second, like(&second, &relays));
    third.begin().unwrap();
    second.handle().leave();
    through(&mut old, &third, |old| old.round_trip(&peer, relayed));
    assert_eq!(second.handle().allocations(), 0);
    old.release();
    assert!(first.wait_drained(PATIENCE) && second.wait_drained(PATIENCE));
}

#[test]
fn a_successor_that_never_begins_changes_nothing() {
    let config = config();
    let relays = like_relays(&config);
    let first = start(config);
    let (mut client, peer) = (Client::new(&first), peer_v4());
    let relayed = client.allocate();
    assert_eq!(client.permit(peer.local_addr().unwrap()), 0);
    drop(successor(&first, like(&first, &relays)));
    client.round_trip(&peer, relayed);
    // And the next one has it all.
    let mut second = successor(&first, like(&first, &relays));
    second.begin().unwrap();
    first.handle().leave();
    through(&mut client, &second, |client| {
        client.round_trip(&peer, relayed);
    });
}

#[test]
fn what_is_no_legacy_is_none_or_an_error() {
    let fd = || std::os::fd::OwnedFd::from(std::net::UdpSocket::bind("127.0.0.1:0").unwrap());
    let read = |names: &[&str]| {
        let all = names.iter().map(|name| ((*name).to_owned(), fd()));
        Legacy::from_descriptors(all)
    };
    assert!(read(&[]).unwrap().is_none());
    assert!(read(&["other", "turn"]).unwrap().is_none());
    assert!(
        read(&["turn 0 listener", "turn 0 passage", "other"])
            .unwrap()
            .is_some()
    );
    for wrong in [
        &["turn 0 listener"][..],
        &["turn 0 passage"],
        &["turn 1 listener", "turn 1 passage"],
        &["turn 255 listener", "turn 255 passage"],
        &["turn x listener", "turn x passage"],
    ] {
        assert!(read(wrong).is_err(), "{wrong:?}");
    }
}
