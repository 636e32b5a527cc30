//! ICMP errors about relayed datagrams (T55, RFC 8656 §11.5).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use wharf_stun::attribute::{AddressFamily, Data, Icmp, RequestedAddressFamily, XorPeerAddress};
use wharf_turn_server::{Counter, DropReason, RelayAddress};

use crate::client::{Client, relayed, with};
use crate::support::{config, peer, read, start, wait_until};

/// An address where nothing listens.
fn closed(ip: IpAddr) -> SocketAddr {
    UdpSocket::bind((ip, 0)).unwrap().local_addr().unwrap()
}

fn told(client: &mut Client) -> (SocketAddr, Icmp) {
    let indication = client.indication();
    assert_eq!(
        indication.get::<Data<'_>>(),
        None,
        "an error or data, not both"
    );
    let peer = indication.get::<XorPeerAddress>().unwrap().0;
    (peer, indication.get::<Icmp>().unwrap())
}

#[test]
fn a_closed_port_is_told_and_costs_the_next_datagram_nothing() {
    let v4 = (IpAddr::V4(Ipv4Addr::LOCALHOST), AddressFamily::V4, (3, 3));
    let v6 = (IpAddr::V6(Ipv6Addr::LOCALHOST), AddressFamily::V6, (1, 4));
    for (ip, family, expected) in [v4, v6] {
        let mut config = config();
        config.relays.push(RelayAddress::new(
            Ipv6Addr::LOCALHOST.into(),
            21_000..=29_999,
        ));
        let server = start(config);
        let mut client = Client::new(&server);
        let relayed = relayed(&client.try_allocate(&with(RequestedAddressFamily(family))));
        let somebody = peer(ip);
        let address = somebody.local_addr().unwrap();
        let nobody = closed(address.ip());
        assert_eq!(client.permit(address), 0);
        for round in 0..5_u8 {
            client.send_to(nobody, b"anybody?");
            client.send_to(address, &[round]);
            assert_eq!(read(&somebody), (vec![round], relayed));
            let (peer, error) = told(&mut client);
            assert_eq!(peer, nobody);
            assert_eq!(
                (error.icmp_type, error.code, error.data),
                (expected.0, expected.1, [0; 4])
            );
            // What comes in is not lost either.
            client.send_to(nobody, b"anybody?");
            somebody.send_to(&[round], relayed).unwrap();
            let first = client.indication();
            let second = client.indication();
            let both = [&first, &second].map(|i| (i.get::<Icmp>().is_some(), i.get::<Data<'_>>()));
            assert!(both.contains(&(true, None)), "{both:?}");
            assert!(both.contains(&(false, Some(Data(&[round])))), "{both:?}");
        }
        assert_eq!(server.handle().counters().get(Counter::IcmpErrors), 10);
    }
}

/// A channel does not change how an error is told (RFC 8656 §11.5).
#[test]
fn an_error_on_a_channel_comes_as_an_indication() {
    let server = start(config());
    let mut client = Client::new(&server);
    client.allocate();
    let nobody = closed(Ipv4Addr::LOCALHOST.into());
    assert_eq!(client.bind(0x4000, nobody), 0);
    client.send_on(0x4000, b"anybody?");
    let (peer, error) = told(&mut client);
    assert_eq!((peer, error.icmp_type, error.code), (nobody, 3, 3));
}

/// Errors are passed on at a rate that cannot drown a client.
#[test]
fn a_storm_of_errors_is_limited_but_counted() {
    let server = start(config());
    let handle = server.handle();
    let mut client = Client::new(&server);
    let relayed = client.allocate();
    let somebody = crate::support::peer_v4();
    assert_eq!(client.permit(somebody.local_addr().unwrap()), 0);
    let nobody = closed(somebody.local_addr().unwrap().ip());
    let mut sent = 0;
    wait_until("errors are withheld", || {
        client.send_to(nobody, b"anybody?");
        sent += 1;
        // One at a time: the kernel itself joins errors that nobody has read yet.
        wait_until("the error is counted", || {
            handle.counters().get(Counter::IcmpErrors) == sent
        });
        handle.counters().drops(DropReason::IcmpLimited) > 0
    });
    assert!(sent > 10, "ten are passed on at once");
    client.round_trip_past_errors(&somebody, relayed);
}
