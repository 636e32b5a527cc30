//! A wildcard listener answers from the address that was asked (S3).

use wharf_stun::Method;
use wharf_stun::attribute::XorMappedAddress;
use wharf_turn_server::Config;

use crate::client::{Client, Login};
use crate::support::{config, fresh_ip, peer_v4, read, start};

#[test]
fn replies_and_data_leave_from_the_address_that_was_asked() {
    for workers in [1, 2] {
        let server = start(Config {
            listen: vec!["0.0.0.0:0".parse().unwrap()],
            workers,
            ..config()
        });
        let port = server.local_addrs()[0].port();
        for ip in [[127, 0, 0, 1].into(), [127, 0, 0, 2].into(), fresh_ip()] {
            // The client checks the source of all that it receives.
            let mut client = Client::at((ip, port).into(), Login::alice());
            let response = client.request(Method::BINDING, &|_| {});
            let mapped = response.get::<XorMappedAddress>().unwrap().0;
            assert_eq!(mapped, client.address());
            let (relayed, peer) = (client.allocate(), peer_v4());
            assert_eq!(client.permit(peer.local_addr().unwrap()), 0);
            client.round_trip(&peer, relayed);
            assert_eq!(client.bind(0x4000, peer.local_addr().unwrap()), 0);
            client.send_on(0x4000, b"there");
            assert_eq!(read(&peer).0, b"there");
            peer.send_to(b"back", relayed).unwrap();
            assert_eq!(client.data_on().1, b"back");
        }
    }
}

/// One client port is two five-tuples at two addresses of a wildcard listener.
#[test]
fn the_server_address_is_part_of_the_five_tuple() {
    let server = start(Config {
        listen: vec!["0.0.0.0:0".parse().unwrap()],
        ..config()
    });
    let port = server.local_addrs()[0].port();
    let mut client = Client::at(([127, 0, 0, 1], port).into(), Login::alice());
    let (first, peer) = (client.allocate(), peer_v4());
    assert_eq!(client.permit(peer.local_addr().unwrap()), 0);
    client.turn_to(([127, 0, 0, 2], port).into());
    let second = client.allocate();
    assert_ne!(first, second);
    // Data for the first allocation leaves from the first address.
    peer.send_to(b"first", first).unwrap();
    client.turn_to(([127, 0, 0, 1], port).into());
    assert_eq!(client.data().1, b"first");
}

#[test]
fn both_wildcards_share_a_port_number() {
    let first = start(Config {
        listen: vec!["[::]:0".parse().unwrap()],
        ..config()
    });
    let port = first.local_addrs()[0].port();
    // The IPv6 listener leaves IPv4 alone.
    let second = start(Config {
        listen: vec![([0, 0, 0, 0], port).into()],
        ..config()
    });
    for (server, ip) in [(&first, "::1"), (&second, "127.0.0.1")] {
        assert_eq!(server.local_addrs()[0].port(), port);
        let mut client = Client::at(
            (ip.parse::<std::net::IpAddr>().unwrap(), port).into(),
            Login::alice(),
        );
        client.allocate();
    }
}
