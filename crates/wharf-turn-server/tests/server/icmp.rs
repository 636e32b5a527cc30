//! ICMP errors about relayed datagrams (T55, RFC 8656 §11.5).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use socket2::{Domain, Protocol, Socket, Type};
use wharf_stun::attribute::{
    AddressFamily, Data, DontFragment, Icmp, RequestedAddressFamily, XorPeerAddress,
};
use wharf_turn_server::{Counter, DropReason, RelayAddress};

use crate::client::{Client, relayed, send_indication, with};
use crate::support::{alone, config, peer, read, start, wait_until};

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

/// "Fragmentation needed" about a datagram from `from` to `to`, sent by a router that isn't there.
fn fragmentation_needed(from: SocketAddr, to: SocketAddr, mtu: u16) {
    let (IpAddr::V4(from_ip), IpAddr::V4(to_ip)) = (from.ip(), to.ip()) else {
        panic!("IPv4 only");
    };
    let mut message = vec![3, 4, 0, 0, 0, 0];
    message.extend(mtu.to_be_bytes());
    // The head of the datagram: IPv4 with DF and UDP, 1,400 bytes long.
    message.extend([0x45, 0, 5, 120, 0, 0, 0x40, 0, 64, 17, 0, 0]);
    message.extend(from_ip.octets());
    message.extend(to_ip.octets());
    message.extend(from.port().to_be_bytes());
    message.extend(to.port().to_be_bytes());
    message.extend([5, 100, 0, 0]);
    let words = message.chunks_exact(2);
    let sum: u32 = words.map(|w| u32::from(w[0]) << 8 | u32::from(w[1])).sum();
    let sum = !((sum & 0xFFFF) + (sum >> 16)) as u16;
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    let icmp = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::ICMPV4)).unwrap();
    icmp.send_to(&message, &from.into()).unwrap();
}

/// Probing the path's MTU goes on beside ordinary data, on the same relay.
#[test]
fn a_path_too_narrow_is_told_after_other_data_too() {
    let test = "icmp::a_path_too_narrow_is_told_after_other_data_too";
    let network = ["unshare", "--map-root-user", "--net"];
    if !alone(test, &network, "ip link set lo up") {
        return;
    }
    let server = start(config());
    let (mut client, peer) = (Client::new(&server), peer(IpAddr::V4(Ipv4Addr::LOCALHOST)));
    let relayed = client.allocate();
    let address = peer.local_addr().unwrap();
    assert_eq!(client.permit(address), 0);
    client.send(&send_indication(address, b"probe", &with(DontFragment)));
    assert_eq!(read(&peer), (b"probe".to_vec(), relayed));
    client.send_to(address, b"data");
    assert_eq!(read(&peer), (b"data".to_vec(), relayed));
    fragmentation_needed(relayed, address, 1_100);
    let expected = Icmp {
        icmp_type: 3,
        code: 4,
        data: 1_100_u32.to_be_bytes(),
    };
    assert_eq!(told(&mut client), (address, expected));
}
