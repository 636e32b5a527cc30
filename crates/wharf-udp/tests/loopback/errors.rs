//! What goes wrong on the network: ICMP errors and full buffers.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use crate::common::{V4, V6, bind, plain, receive, send, wait};
use wharf_udp::{IcmpError, ReceiveBatch, Socket, SocketOptions};

/// An address where nothing listens.
fn closed(address: &str) -> std::net::SocketAddr {
    UdpSocket::bind(address).unwrap().local_addr().unwrap()
}

fn next_error(socket: &Socket) -> IcmpError {
    assert!(wait(socket).error);
    socket.receive_error().unwrap().unwrap()
}

#[test]
fn port_unreachable_comes_through_the_error_queue() {
    let options = SocketOptions {
        errors: true,
        ..plain()
    };
    for (address, icmp_type, code) in [(V4, 3, 3), (V6, 1, 4)] {
        let (socket, nobody) = (bind(address, &options), closed(address));
        assert_eq!(send(&socket, nobody, &[b"anyone?"]).sent, 1);
        let error = next_error(&socket);
        assert_eq!(
            (error.destination, error.icmp_type, error.code),
            (nobody, icmp_type, code)
        );
        assert_eq!((error.mtu, error.offender), (0, Some(nobody.ip())));
        assert_eq!(socket.receive_error().unwrap(), None);
    }
}

#[test]
fn a_pending_error_costs_neither_the_next_send_nor_the_next_receive() {
    let options = SocketOptions {
        errors: true,
        ..plain()
    };
    let (socket, server, nobody) = (bind(V4, &options), bind(V4, &plain()), closed(V4));

    send(&socket, nobody, &[b"anyone?"]);
    assert!(wait(&socket).error);
    // The error is pending now: this send meets it, and is repeated.
    let report = send(&socket, server.local_addr(), &[b"still here"]);
    assert_eq!((report.sent, report.failed), (1, 0));
    assert_eq!(receive(&server, 1).0[0].bytes, b"still here");
    assert!(socket.receive_error().unwrap().is_some());

    // So does a burst, which is one message of several datagrams.
    send(&socket, nobody, &[b"anyone?"]);
    assert!(wait(&socket).error);
    let report = send(&socket, server.local_addr(), &[b"a", b"b", b"c", b"longer"]);
    assert_eq!((report.sent, report.failed), (4, 0));
    assert_eq!(receive(&server, 4).0.len(), 4);
    assert!(socket.receive_error().unwrap().is_some());

    send(&socket, nobody, &[b"anyone?"]);
    assert!(wait(&socket).error);
    let mut batch = ReceiveBatch::new(1);
    assert_eq!(socket.receive(&mut batch, 1).unwrap(), 0);
    assert_eq!(next_error(&socket).destination, nobody);
}

#[test]
fn what_the_kernel_discards_is_counted() {
    let server = bind(
        V4,
        &SocketOptions {
            receive_buffer: Some(4096),
            ..plain()
        },
    );
    let client = bind(V4, &plain());
    assert_eq!(server.drops().unwrap(), 0);
    let deadline = Instant::now() + Duration::from_secs(10);
    while server.drops().unwrap() == 0 {
        assert!(Instant::now() < deadline, "the buffer never overflowed");
        assert_eq!(
            send(&client, server.local_addr(), &[&[0; 1400][..]; 8]).failed,
            0
        );
    }
}

#[test]
fn binding_reports_what_is_wrong() {
    let taken = bind(V4, &plain());
    let error = Socket::bind(taken.local_addr(), &plain()).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
    // TEST-NET-1 (RFC 5737) is on no interface.
    let foreign = "192.0.2.1:0".parse().unwrap();
    let error = Socket::bind(foreign, &plain()).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::AddrNotAvailable);
    let free = SocketOptions {
        freebind: true,
        ..plain()
    };
    assert_eq!(
        Socket::bind(foreign, &free).unwrap().local_addr().ip(),
        foreign.ip()
    );
    let absurd = SocketOptions {
        send_buffer: Some(usize::MAX),
        ..plain()
    };
    let error = Socket::bind(V4.parse().unwrap(), &absurd).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
}

#[test]
fn a_port_can_be_shared_when_asked_for() {
    let shared = SocketOptions {
        reuse_port: true,
        ..plain()
    };
    let first = bind(V4, &shared);
    let second = Socket::bind(first.local_addr(), &shared).unwrap();
    assert_eq!(first.local_addr(), second.local_addr());
}
