//! The host's own addresses are no peers, whenever and under whatever name they come. In networks of
//! the tests' own.

use std::net::SocketAddr;
use std::process::Command;

use wharf_turn_server::{Config, PeerRules, RelayAddress};

use crate::client::Client;
use crate::support::{alone, config, start};

const NETWORK: [&str; 3] = ["unshare", "--map-root-user", "--net"];

fn socket(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

#[test]
fn an_address_that_comes_later_is_refused() {
    let test = "own_addresses::an_address_that_comes_later_is_refused";
    let prepare = "ip link set lo up && ip addr add 20.1.1.1/32 dev lo";
    if !alone(test, &NETWORK, prepare) {
        return;
    }
    let server = start(Config {
        listen: vec![socket("20.1.1.1:0")],
        relays: vec![RelayAddress::new(
            "20.1.1.1".parse().unwrap(),
            49_152..=65_535,
        )],
        peers: PeerRules::default(),
        ..config()
    });
    let handle = server.handle();
    let mut client = Client::new(&server);
    client.allocate();
    assert_eq!(client.bind(0x4000, socket("20.1.1.1:999")), 403);
    assert_eq!(client.bind(0x4000, socket("20.1.1.2:999")), 0, "not ours");
    assert!(!handle.rescan_addresses().unwrap(), "nothing has changed");

    let mut ip = Command::new("ip");
    let added = ip
        .args(["addr", "add", "20.1.1.2/32", "dev", "lo"])
        .status();
    assert!(added.unwrap().success());
    assert!(handle.rescan_addresses().unwrap());
    assert_eq!(client.bind(0x4001, socket("20.1.1.2:998")), 403);
    assert_eq!(client.permit(socket("20.1.1.2:0")), 403);
    let counter = wharf_turn_server::Counter::Channels;
    assert_eq!(handle.counters().get(counter), 0, "live ones end too");
}

#[test]
fn a_listener_behind_a_nat_is_refused_by_its_other_name() {
    let test = "own_addresses::a_listener_behind_a_nat_is_refused_by_its_other_name";
    let prepare = "ip link set lo up && ip addr add 10.9.9.9/32 dev lo";
    if !alone(test, &NETWORK, prepare) {
        return;
    }
    for listen in ["10.9.9.9:50000", "0.0.0.0:50000"] {
        let server = start(Config {
            listen: vec![socket(listen)],
            relays: vec![RelayAddress {
                bind: "10.9.9.9".parse().unwrap(),
                advertised: "20.1.1.1".parse().unwrap(),
                ports: 49_152..=65_535,
            }],
            peers: PeerRules::default(),
            ..config()
        });
        let mut client = Client::new(&server);
        client.turn_to(socket("10.9.9.9:50000"));
        client.challenge();
        client.allocate();
        assert_eq!(client.bind(0x4000, socket("10.9.9.9:50000")), 403);
        assert_eq!(client.bind(0x4000, socket("20.1.1.1:50000")), 403);
        assert_eq!(client.bind(0x4000, socket("20.1.1.1:50002")), 0, "a relay");
    }
}
