//! Which of the sockets that share a port gets what.

use std::net::UdpSocket;

use wharf_udp::{ReceiveBatch, Socket, SocketOptions, Steering, steer};

use crate::common::{V4, V6, bind};

const SOCKETS: usize = 3;

fn group(address: &str) -> Vec<Socket> {
    let shared = SocketOptions {
        reuse_port: true,
        ..SocketOptions::default()
    };
    let first = bind(address, &shared);
    let port = first.local_addr().to_string();
    let mut group = vec![first];
    group.extend((1..SOCKETS).map(|_| bind(&port, &shared)));
    group
}

/// The socket that gets this payload; over loopback it is there when the send returns.
fn receiver(group: &[Socket], client: &UdpSocket, payload: &[u8]) -> usize {
    client.send_to(payload, group[0].local_addr()).unwrap();
    let mut batch = ReceiveBatch::new(1);
    let receivers = group.iter().enumerate();
    let mut receivers = receivers.filter(|(_, socket)| socket.receive(&mut batch, 1).unwrap() == 1);
    let (receiver, _) = receivers.next().unwrap();
    assert_eq!(receivers.count(), 0);
    receiver
}

/// Where each of some clients' datagrams go: `None` if the payload alone decides, else by client.
fn spread(group: &[Socket], payload: &[u8]) -> Vec<usize> {
    let any = if group[0].local_addr().is_ipv4() {
        V4
    } else {
        V6
    };
    let clients = (0..16).map(|_| UdpSocket::bind(any).unwrap());
    let spread = clients.map(|client| {
        let first = receiver(group, &client, payload);
        assert_eq!(receiver(group, &client, payload), first);
        first
    });
    spread.collect()
}

/// All clients' datagrams go to one socket.
fn steered(group: &[Socket], payload: &[u8]) -> usize {
    let spread = spread(group, payload);
    assert!(
        spread.iter().all(|socket| *socket == spread[0]),
        "{payload:?}: {spread:?}"
    );
    spread[0]
}

/// Each client has a socket of its own, whatever the payload says.
fn hashed(group: &[Socket], payload: &[u8]) {
    let spread = spread(group, payload);
    assert!(
        spread.iter().any(|socket| *socket != spread[0]),
        "{payload:?}: {spread:?}"
    );
}

#[test]
fn a_number_in_the_payload_chooses_the_socket() {
    for address in [V4, V6] {
        let group = group(address);
        let number: u32 = 0x8123_4567;
        for length in 1..=4_u8 {
            let steering = Steering::Payload { offset: 2, length };
            steer(&group[1], steering, SOCKETS as u32).unwrap();
            for add in 0..SOCKETS as u32 {
                // The number's last bytes, in a payload that ends with them.
                let bytes = (number + add).to_be_bytes();
                let number = &bytes[4 - usize::from(length)..];
                let payload = [&b"id"[..], number].concat();
                let value = number
                    .iter()
                    .fold(0_u32, |n, byte| n << 8 | u32::from(*byte));
                assert_eq!(steered(&group, &payload), value as usize % SOCKETS);
                hashed(&group, &payload[..payload.len() - 1]);
            }
            hashed(&group, b"");
        }
    }
}

#[test]
fn a_byte_of_the_connection_id_chooses_the_socket() {
    let group = group(V4);
    steer(
        &group[0],
        Steering::QuicConnectionId { byte: 1 },
        SOCKETS as u32,
    )
    .unwrap();
    for id in [5, 6, 7, 255] {
        let long = [0xC3, 0, 0, 0, 1, 2, 0xFF, id, 0, 0];
        assert_eq!(steered(&group, &long), usize::from(id) % SOCKETS);
        let short = [0x43, 0xFF, id];
        assert_eq!(steered(&group, &short), usize::from(id) % SOCKETS);
    }
    // An id of one byte, of more than there are, and what is cut off before it.
    hashed(&group, &[0xC3, 0, 0, 0, 1, 1, 0xFF, 5, 0, 0]);
    hashed(&group, &[0xC3, 0, 0, 0, 1, 21, 0xFF, 5, 0, 0]);
    hashed(&group, &[0xC3, 0, 0, 0, 1, 2, 0xFF]);
    hashed(&group, &[0x43, 0xFF]);
    hashed(&group, b"");
}

#[test]
fn steering_by_flow_forgets_the_payload() {
    let group = group(V4);
    let by_byte = Steering::Payload {
        offset: 0,
        length: 1,
    };
    steer(&group[0], by_byte, SOCKETS as u32).unwrap();
    assert_eq!(steered(&group, &[1]), 1);
    steer(&group[2], Steering::Flow, SOCKETS as u32).unwrap();
    hashed(&group, &[1]);
}

#[test]
fn what_cannot_be_is_refused() {
    let group = group(V4);
    for (steering, sockets) in [
        (
            Steering::Payload {
                offset: 0,
                length: 0,
            },
            2,
        ),
        (
            Steering::Payload {
                offset: 0,
                length: 5,
            },
            2,
        ),
        (Steering::QuicConnectionId { byte: 20 }, 2),
        (Steering::Flow, 0),
    ] {
        let error = steer(&group[0], steering, sockets).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
    }
    let last = Steering::Payload {
        offset: u16::MAX,
        length: 4,
    };
    steer(&group[0], last, 2).unwrap();
    hashed(&group, &[1; 100]);
}
