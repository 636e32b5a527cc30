//! The event hook: told everything, and no danger to the server.

use std::sync::mpsc;

use wharf_stun::attribute::Lifetime;
use wharf_turn_server::{Config, CoreConfig, Counter, Event, EventHook, FreedBy};

use crate::client::{Client, Login, relayed, with};
use crate::support::{PATIENCE, config, peer_v4, start, wait_for};

#[test]
fn an_allocation_is_told_from_its_beginning_to_its_end() {
    let (sender, events) = mpsc::channel();
    let server = start(Config {
        events: Some(EventHook::new(move |event| {
            // The test may be over.
            let _ = sender.send(event.clone());
        })),
        core: CoreConfig {
            default_lifetime: std::time::Duration::from_secs(1),
            ..CoreConfig::default()
        },
        ..config()
    });
    let next = || events.recv_timeout(PATIENCE).unwrap();
    let mut client = Client::new(&server);
    for by in [FreedBy::Client, FreedBy::Expiry] {
        let seconds = if by == FreedBy::Client { 600 } else { 1 };
        let address = relayed(&client.try_allocate(&with(Lifetime(seconds))));
        match next() {
            Event::Allocated {
                path,
                user,
                relayed,
            } => {
                assert_eq!((path.client, &*user), (client.address(), "alice"));
                assert_eq!(relayed, [Some(address), None]);
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(client.bind(0x4000, server.local_addrs()[0]), 403);
        match next() {
            Event::PeerRefused { path, peer, .. } => {
                assert_eq!(
                    (path.client, peer),
                    (client.address(), server.local_addrs()[0])
                );
            }
            other => panic!("{other:?}"),
        }
        if by == FreedBy::Client {
            client.release();
        }
        match next() {
            Event::Freed {
                path,
                user,
                by: told,
            } => {
                assert_eq!((path.client, &*user), (client.address(), "alice"));
                assert_eq!(told, by);
            }
            other => panic!("{other:?}"),
        }
    }
    let handle = server.handle();
    for (counter, value) in [
        (Counter::Allocated, 2),
        (Counter::Released, 1),
        (Counter::Expired, 1),
        (Counter::PeerRefused, 2),
        (Counter::Panics, 0),
        (Counter::Allocations, 0),
    ] {
        wait_for(&handle, counter, value);
    }
}

#[test]
fn a_hook_that_panics_is_counted_and_costs_nothing_else() {
    let server = start(Config {
        events: Some(EventHook::new(|event| {
            panic!("a defect of the hook: {event:?}")
        })),
        workers: 2,
        ..config()
    });
    let handle = server.handle();
    let (mut client, peer) = (Client::new(&server), peer_v4());
    let relayed = client.allocate();
    wait_for(&handle, Counter::Panics, 1);
    assert_eq!(client.permit(peer.local_addr().unwrap()), 0);
    client.round_trip(&peer, relayed);
    let mut guess = Client::at(server.local_addrs()[0], Login::new("alice", "guess"));
    assert_eq!(guess.try_allocate(&|_| {}).code(), 401);
    wait_for(&handle, Counter::Panics, 2);
    assert_eq!(handle.counters().get(Counter::WrongPassword), 1);
    // The end of the last allocation is noticed although its hook panics.
    handle.drain();
    client.release();
    assert!(server.wait_drained(PATIENCE));
    wait_for(&handle, Counter::Panics, 3);
    server.stop();
}
