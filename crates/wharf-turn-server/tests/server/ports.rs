//! Relay ports that somebody else holds, and ranges that are used up.

use std::net::UdpSocket;

use wharf_turn_server::{Config, Counter, RelayAddress, TurnServer};

use crate::client::Client;
use crate::support::{config, fresh_ip, start, wait_for};

/// A server of eight ports, of which the first `held` are held by the sockets returned.
fn contested(held: u16) -> (TurnServer, Vec<UdpSocket>) {
    let ip = fresh_ip();
    let holders = (20_000..20_000 + held).map(|port| UdpSocket::bind((ip, port)).unwrap());
    let holders = holders.collect();
    let server = start(Config {
        relays: vec![RelayAddress::new(ip, 20_000..=20_007)],
        ..config()
    });
    (server, holders)
}

#[test]
fn another_port_is_taken_when_one_is_held() {
    let (server, _holders) = contested(7);
    let handle = server.handle();
    let mut client = Client::new(&server);
    assert_eq!(client.allocate().port(), 20_007);
    // The held ones are left alone for a while, each after it was tried once.
    assert_eq!(Client::new(&server).try_allocate(&|_| {}).code(), 508);
    assert_eq!(handle.counters().get(Counter::PortInUse), 7);
    assert_eq!(handle.counters().get(Counter::NoRelay), 1);
    assert_eq!(handle.counters().get(Counter::BindFailed), 0);
    client.release();
    wait_for(&handle, Counter::FreePorts, 1);
    assert_eq!(Client::new(&server).allocate().port(), 20_007);
}

#[test]
fn nothing_is_left_when_all_are_held() {
    let (server, _holders) = contested(8);
    let handle = server.handle();
    for _ in 0..2 {
        assert_eq!(Client::new(&server).try_allocate(&|_| {}).code(), 508);
    }
    assert_eq!(handle.counters().get(Counter::PortInUse), 8);
    assert_eq!(handle.counters().get(Counter::NoRelay), 2);
    assert_eq!(handle.allocations(), 0);
}

/// X3: each port can be had, once at a time, and comes back.
#[test]
fn every_port_of_the_range_is_used_and_comes_back() {
    for workers in [1, 4] {
        let server = start(Config {
            relays: vec![RelayAddress::new(fresh_ip(), 20_000..=20_031)],
            workers,
            ..config()
        });
        let handle = server.handle();
        for _ in 0..3 {
            let mut live = Vec::new();
            let mut ports = std::collections::BTreeSet::new();
            // A worker that has no port left refuses; the kernel leads clients to the others too.
            for _ in 0..2_000 {
                let mut client = Client::new(&server);
                let response = client.try_allocate(&|_| {});
                if response.code() == 508 {
                    continue;
                }
                assert!(ports.insert(crate::client::relayed(&response).port()));
                live.push(client);
                if ports.len() == 32 {
                    break;
                }
            }
            assert!(ports.into_iter().eq(20_000..=20_031));
            assert_eq!(handle.counters().get(Counter::FreePorts), 0);
            live.iter_mut().for_each(Client::release);
            wait_for(&handle, Counter::FreePorts, 32);
        }
    }
}
