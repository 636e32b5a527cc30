//! IPv4 and IPv6, on either side.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use wharf_stun::attribute::{
    AdditionalAddressFamily, AddressFamily, RequestedAddressFamily, XorRelayedAddress,
};
use wharf_turn_server::{Config, RelayAddress};

use crate::client::{Client, relayed, with};
use crate::support::{config, fresh_ip, peer, read, start};

const V6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

/// ::1 is the only IPv6 address of loopback, so that tests share its ports: the server tries others
/// when it meets a port in use.
fn both_families(listen: IpAddr) -> Config {
    let v4 = RelayAddress::new(fresh_ip(), 20_000..=20_399);
    Config {
        listen: vec![SocketAddr::new(listen, 0)],
        relays: vec![v4, RelayAddress::new(V6, 21_000..=29_999)],
        ..config()
    }
}

#[test]
fn any_client_reaches_any_peer() {
    for listen in [fresh_ip(), V6] {
        let server = start(both_families(listen));
        for wanted in [AddressFamily::V4, AddressFamily::V6] {
            let mut client = Client::new(&server);
            let relayed = relayed(&client.try_allocate(&with(RequestedAddressFamily(wanted))));
            assert_eq!(relayed.is_ipv6(), wanted == AddressFamily::V6);
            let peer = peer(relayed.ip());
            let address = peer.local_addr().unwrap();
            assert_eq!(client.permit(address), 0);
            client.round_trip(&peer, relayed);
            assert_eq!(client.bind(0x4000, address), 0);
            for size in [0, 1, 2, 3, 4, 5, 172, 1_200, 1_500, 60_000] {
                let data = vec![size as u8; size];
                client.send_on(0x4000, &data);
                assert_eq!(read(&peer), (data.clone(), relayed));
                peer.send_to(&data, relayed).unwrap();
                assert_eq!(client.data_on(), (0x4000, data));
            }
        }
    }
}

#[test]
fn one_allocation_of_both_families() {
    let server = start(both_families(fresh_ip()));
    let mut client = Client::new(&server);
    let response = client.try_allocate(&with(AdditionalAddressFamily(AddressFamily::V6)));
    let relays: Vec<_> = response
        .message()
        .all::<XorRelayedAddress>()
        .map(|relay| relay.unwrap().0)
        .collect();
    assert_eq!(relays.len(), 2, "{response:?}");
    for relayed in relays {
        let peer = peer(relayed.ip());
        assert_eq!(client.permit(peer.local_addr().unwrap()), 0);
        client.round_trip(&peer, relayed);
    }
}

/// The other family is refused with 440 where there is none.
#[test]
fn a_family_that_is_not_there() {
    let server = start(config());
    let mut client = Client::new(&server);
    let response = client.try_allocate(&with(RequestedAddressFamily(AddressFamily::V6)));
    assert_eq!(response.code(), 440);
}

/// Behind a 1:1 NAT clients are told another address than the one that is bound.
#[test]
fn the_advertised_address_is_told_and_the_bound_one_used() {
    let (bound, told) = (fresh_ip(), fresh_ip());
    let server = start(Config {
        relays: vec![RelayAddress {
            bind: bound,
            advertised: told,
            ports: 20_000..=20_399,
        }],
        ..config()
    });
    let (mut client, peer) = (Client::new(&server), crate::support::peer_v4());
    let relayed = client.allocate();
    assert_eq!(relayed.ip(), told);
    let address = peer.local_addr().unwrap();
    client.permit(address);
    client.send_to(address, b"from where?");
    let from = SocketAddr::new(bound, relayed.port());
    assert_eq!(read(&peer), (b"from where?".to_vec(), from));
    peer.send_to(b"back", from).unwrap();
    assert_eq!(client.data(), (address, b"back".to_vec()));
}
