//! Sockets that were bound elsewhere, single sends, and what the kernel tells beside the payload.

use std::net::UdpSocket;
use std::os::fd::OwnedFd;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::common::{V4, V6, bind, plain, receive, wait};
use wharf_udp::{ReceiveBatch, Socket, SocketOptions};

/// Everything that is told about a datagram.
const TELLING: SocketOptions = SocketOptions {
    reuse_port: false,
    packet_info: true,
    gro: true,
    receive_tos: true,
    receive_ttl: true,
    timestamps: true,
    receive_drops: true,
    errors: true,
    freebind: false,
    receive_buffer: None,
    send_buffer: None,
};

fn both_families() -> Socket {
    let socket = socket2::Socket::new(socket2::Domain::IPV6, socket2::Type::DGRAM, None).unwrap();
    socket.set_only_v6(false).unwrap();
    let any: std::net::SocketAddr = "[::]:0".parse().unwrap();
    socket.bind(&any.into()).unwrap();
    Socket::adopt(socket.into(), &TELLING).unwrap()
}

#[test]
fn a_socket_of_both_families_speaks_to_each_in_its_own_addresses() {
    let server = both_families();
    for address in [V4, V6] {
        let client = UdpSocket::bind(address).unwrap();
        let mut to = client.local_addr().unwrap();
        to.set_port(server.local_addr().port());
        client.set_ttl(33).unwrap();
        let before = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        client.send_to(b"ping", to).unwrap();
        wait(&server);
        let mut batch = ReceiveBatch::new(2);
        server.receive(&mut batch, 2).unwrap();
        let got = batch.get(0);
        assert_eq!(got.data, b"ping");
        assert_eq!(got.from, client.local_addr().unwrap());
        assert_eq!(got.local, Some(to.ip()));
        assert!(!got.truncated);
        let ttl = if address == V4 { Some(33) } else { Some(64) };
        assert_eq!(got.ttl, ttl);
        let at = got.timestamp.unwrap();
        assert!(at + Duration::from_secs(1) > before && at < before + Duration::from_mins(1));

        server
            .send(got.from, got.local, 0xB8, None, b"pong")
            .unwrap();
        let mut answer = [0; 16];
        let (length, from) = client.recv_from(&mut answer).unwrap();
        assert_eq!((&answer[..length], from), (&b"pong"[..], to));
    }
}

#[test]
fn one_send_can_be_many_datagrams() {
    let (server, client) = (bind(V4, &plain()), bind(V4, &plain()));
    let bytes: Vec<u8> = (0..25).collect();
    client
        .send(server.local_addr(), None, 0, Some(10), &bytes)
        .unwrap();
    client
        .send(server.local_addr(), None, 0, None, b"")
        .unwrap();
    let got = receive(&server, 4).0;
    let lengths: Vec<usize> = got.iter().map(|one| one.bytes.len()).collect();
    assert_eq!(lengths, [10, 10, 5, 0]);
    let nowhere = client.send(server.local_addr(), None, 0, None, &vec![0; 65_508]);
    assert_eq!(nowhere.unwrap_err().raw_os_error(), Some(libc::EMSGSIZE));
}

#[test]
fn what_the_kernel_discarded_is_told_with_what_it_kept() {
    let options = SocketOptions {
        receive_buffer: Some(4096),
        ..TELLING
    };
    let server = bind(V4, &options);
    let client = UdpSocket::bind(V4).unwrap();
    let burst = |datagrams| {
        for _ in 0..datagrams {
            client.send_to(&[7; 1000], server.local_addr()).unwrap();
        }
    };
    burst(64);
    let mut batch = ReceiveBatch::new(64);
    server.receive(&mut batch, 64).unwrap();
    assert!(batch.len() < 64 && batch.get(0).drops.is_none());
    let discarded = server.drops().unwrap();
    assert!(discarded > 0);
    batch.clear();
    burst(1);
    wait(&server);
    server.receive(&mut batch, 64).unwrap();
    assert_eq!(batch.get(0).drops, Some(discarded));
}

#[test]
fn only_bound_udp_sockets_are_adopted() {
    let tcp = std::net::TcpListener::bind(V4).unwrap();
    let (unix, _other) = std::os::unix::net::UnixDatagram::pair().unwrap();
    let unbound = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None).unwrap();
    for fd in [OwnedFd::from(tcp), unix.into(), unbound.into()] {
        let error = Socket::adopt(fd, &plain()).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
    }
}
