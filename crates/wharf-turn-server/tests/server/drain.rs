//! The end of a server: no new allocations, the live ones until they end.

use std::net::SocketAddr;
use std::sync::mpsc;
use std::time::Duration;

use wharf_stun::attribute::AlternateServer;
use wharf_turn_server::{Config, CoreConfig, TurnServer};

use crate::client::Client;
use crate::support::{PATIENCE, config, peer_v4, start, wait_until};

/// Until every worker has been told, one of them may still allocate.
fn refusal(server: &TurnServer) -> crate::client::Response {
    loop {
        let mut client = Client::new(server);
        let response = client.try_allocate(&|_| {});
        match response.code() {
            0 => client.release(),
            _ => return response,
        }
    }
}

#[test]
fn live_allocations_go_on_until_they_end() {
    for workers in [1, 3] {
        let server = start(Config {
            workers,
            ..config()
        });
        let handle = server.handle();
        let (mut client, peer) = (Client::new(&server), peer_v4());
        let relayed = client.allocate();
        assert_eq!(client.permit(peer.local_addr().unwrap()), 0);
        handle.drain();
        handle.drain();
        assert_eq!(refusal(&server).code(), 508);
        assert!(!server.wait_drained(Duration::ZERO));
        assert!(!server.wait_drained(Duration::from_millis(20)));
        client.round_trip(&peer, relayed);
        let refreshed = client.request(wharf_stun::Method::REFRESH, &|_| {});
        assert_eq!(refreshed.code(), 0);

        let (done, drained) = mpsc::channel();
        std::thread::scope(|scope| {
            scope.spawn(|| done.send(server.wait_drained(PATIENCE)).unwrap());
            assert!(drained.try_recv().is_err(), "an allocation is left");
            client.release();
            assert_eq!(drained.recv_timeout(PATIENCE), Ok(true));
        });
        assert!(server.wait_drained(Duration::ZERO));
        assert!(server.wait_drained(Duration::MAX));
        server.stop();
    }
}

#[test]
fn a_server_without_allocations_has_drained_at_once() {
    let server = start(Config {
        workers: 2,
        ..config()
    });
    assert!(
        !server.wait_drained(Duration::ZERO),
        "it does not drain yet"
    );
    server.handle().drain();
    assert!(server.wait_drained(PATIENCE));
}

#[test]
fn an_alternate_server_of_the_clients_family_is_named() {
    let alternates: [SocketAddr; 2] = [
        "[2001:db8::1]:3478".parse().unwrap(),
        "192.0.2.7:3478".parse().unwrap(),
    ];
    let mut config = config();
    config.listen.push("[::1]:0".parse().unwrap());
    config.core = CoreConfig {
        alternate_servers: alternates.to_vec(),
        ..CoreConfig::default()
    };
    let server = start(config);
    server.handle().drain();
    assert!(server.wait_drained(PATIENCE));
    for (listener, alternate) in server
        .local_addrs()
        .iter()
        .zip([alternates[1], alternates[0]])
    {
        let mut client = Client::at(*listener, crate::client::Login::alice());
        let response = client.try_allocate(&|_| {});
        assert_eq!(response.code(), 300);
        assert_eq!(response.get(), Some(AlternateServer(alternate)));
    }
}

/// An allocation that runs out ends the drain as well as one that is given up.
#[test]
fn expiry_ends_a_drain() {
    let server = start(Config {
        core: CoreConfig {
            default_lifetime: Duration::from_secs(1),
            max_lifetime: Duration::from_secs(1),
            ..CoreConfig::default()
        },
        ..config()
    });
    let mut client = Client::new(&server);
    client.allocate();
    server.handle().drain();
    assert!(server.wait_drained(PATIENCE));
    let expired = wharf_turn_server::Counter::Expired;
    wait_until("the end is counted", || {
        server.handle().counters().get(expired) == 1
    });
}

#[test]
fn a_stop_ends_everything_whatever_is_live() {
    let server = start(Config {
        workers: 4,
        ..config()
    });
    let mut clients: Vec<_> = (0..20).map(|_| Client::new(&server)).collect();
    for client in &mut clients {
        client.allocate();
    }
    let (done, stopped) = mpsc::channel();
    std::thread::spawn(move || {
        server.stop();
        done.send(()).unwrap();
    });
    assert_eq!(stopped.recv_timeout(PATIENCE), Ok(()));
}

/// A handle that outlives its server does no harm.
#[test]
fn a_handle_after_the_end() {
    let server = start(config());
    let handle = server.handle();
    server.stop();
    handle.drain();
    assert_eq!(handle.allocations(), 0);
}
