//! What becomes of the IP header: DSCP and ECN (T70), and the DF bit (T52).

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use wharf_stun::attribute::{AddressFamily, DontFragment, RequestedAddressFamily};
use wharf_turn_server::{Config, Counter, RelayAddress, Tos};
use wharf_udp::{Events, Poller, ReceiveBatch, SendBatch, Socket, SocketOptions};

use crate::client::{Client, channel_data, send_indication, with};
use crate::support::{PATIENCE, alone, config, fresh_ip, peer_v4, read, start, wait_for};

/// DSCP EF and ECN ECT(0), and another such pair for the way back.
const THERE: u8 = 0xB8 | 2;
const BACK: u8 = 0x28 | 1;

fn bind_with_tos(ip: IpAddr) -> Socket {
    let options = SocketOptions {
        receive_tos: true,
        ..SocketOptions::default()
    };
    Socket::bind(SocketAddr::new(ip, 0), &options).unwrap()
}

fn send_with_tos(socket: &Socket, to: SocketAddr, tos: u8, datagram: &[u8]) {
    let mut batch = SendBatch::new(1, 1);
    batch.push_bytes(to, None, tos, datagram).unwrap();
    assert_eq!(batch.flush(socket, &ReceiveBatch::new(0)).sent, 1);
}

/// The TOS octet of the next datagram.
fn read_tos(socket: &Socket) -> u8 {
    let poller = Poller::new().unwrap();
    poller.add(socket, 0).unwrap();
    let mut events = Events::new(1);
    let mut batch = ReceiveBatch::new(1);
    let deadline = Instant::now() + PATIENCE;
    while socket.receive(&mut batch, 1).unwrap() == 0 {
        assert!(Instant::now() < deadline, "nothing arrived");
        poller.wait(&mut events, Some(PATIENCE)).unwrap();
    }
    batch.get(0).tos
}

#[test]
fn the_tos_octet_is_copied_or_cleared_both_ways() {
    for ip in [fresh_ip(), "::1".parse().unwrap()] {
        for (tos, expected) in [(Tos::Copy, [THERE, BACK]), (Tos::Clear, [0, 0])] {
            let mut config = Config { tos, ..config() };
            let relay = RelayAddress::new("::1".parse().unwrap(), 21_000..=29_999);
            config.relays.push(relay);
            config.listen = vec![SocketAddr::new(ip, 0)];
            let server = start(config);
            let listener = server.local_addrs()[0];
            let mut client = Client::new(&server);
            let family = match ip {
                IpAddr::V4(_) => AddressFamily::V4,
                IpAddr::V6(_) => AddressFamily::V6,
            };
            let family = with(RequestedAddressFamily(family));
            let relayed = crate::client::relayed(&client.try_allocate(&family));
            let loopback = crate::support::peer(ip).local_addr().unwrap().ip();
            let peer = bind_with_tos(loopback);
            let address = peer.local_addr();
            assert_eq!(client.permit(address), 0);
            let seen = |client: &Client, datagram: &[u8]| {
                send_with_tos(&client.batched, listener, THERE, datagram);
                let there = read_tos(&peer);
                send_with_tos(&peer, relayed, BACK, b"back");
                [there, read_tos(&client.batched)]
            };
            let indication = send_indication(address, b"there", &|_| {});
            assert_eq!(seen(&client, &indication), expected, "{ip} {tos:?}");
            assert_eq!(client.bind(0x4000, address), 0);
            assert_eq!(seen(&client, &channel_data(0x4000, b"there")), expected);
            // Across, from one client to another, it is the same.
            let mut other = Client::new(&server);
            let across = crate::client::relayed(&other.try_allocate(&family));
            assert_eq!(client.permit(across), 0);
            assert_eq!(other.permit(relayed), 0);
            let indication = send_indication(across, b"across", &|_| {});
            send_with_tos(&client.batched, listener, THERE, &indication);
            assert_eq!(read_tos(&other.batched), expected[0]);
        }
    }
}

/// A reply has a class of its own: what a client asks with does not choose how it is answered.
#[test]
fn replies_carry_no_tos() {
    let server = start(config());
    let client = Client::new(&server);
    let id = crate::client::transaction_id();
    let request = client
        .account
        .write(wharf_stun::Method::BINDING, id, &|_| {});
    send_with_tos(&client.batched, server.local_addrs()[0], THERE, &request);
    assert_eq!(read_tos(&client.batched), 0);
}

/// In a network whose loopback has an MTU of 1,280 bytes.
#[test]
fn dont_fragment_is_kept_or_nothing_is_sent() {
    let network = ["unshare", "--map-root-user", "--net"];
    let narrow = "ip link set lo mtu 1280 up";
    if !alone(
        "path::dont_fragment_is_kept_or_nothing_is_sent",
        &network,
        narrow,
    ) {
        return;
    }
    let server = start(config());
    let handle = server.handle();
    let (mut client, peer) = (Client::new(&server), peer_v4());
    let relayed = client.allocate();
    let address = peer.local_addr().unwrap();
    assert_eq!(client.permit(address), 0);
    let whole = |data: &[u8]| send_indication(address, data, &with(DontFragment));
    for round in 1..=3 {
        client.send(&whole(&[1; 2_000]));
        wait_for(&handle, Counter::SendFailed, round);
        client.send(&whole(b"fits"));
        assert_eq!(read(&peer), (b"fits".to_vec(), relayed));
        // Without the attribute the same socket lets the network cut it.
        client.send_to(address, &[2; 2_000]);
        assert_eq!(read(&peer), (vec![2; 2_000], relayed));
    }
    // RFC 8656 §12.6: data on a channel goes without DF.
    assert_eq!(client.bind(0x4000, address), 0);
    client.send_on(0x4000, &[3; 2_000]);
    assert_eq!(read(&peer), (vec![3; 2_000], relayed));
    assert_eq!(handle.counters().get(Counter::SendFailed), 3);
}
