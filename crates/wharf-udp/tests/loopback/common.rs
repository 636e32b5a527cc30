//! What the tests share: sockets on loopback, and waiting with a deadline.

use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use wharf_udp::{Events, Poller, ReceiveBatch, SendBatch, SendReport, Socket, SocketOptions};

pub(crate) const V4: &str = "127.0.0.1:0";
pub(crate) const V6: &str = "[::1]:0";

const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) fn plain() -> SocketOptions {
    SocketOptions::default()
}

pub(crate) fn bind(address: &str, options: &SocketOptions) -> Socket {
    Socket::bind(address.parse().unwrap(), options).unwrap()
}

/// Waits until the descriptor is readable or has an error; fails when that takes too long.
pub(crate) fn wait(fd: &impl AsFd) -> wharf_udp::Event {
    let poller = Poller::new().unwrap();
    poller.add(fd, 1).unwrap();
    let mut events = Events::new(1);
    let deadline = Instant::now() + PATIENCE;
    while poller.wait(&mut events, Some(PATIENCE)).unwrap() == 0 {
        assert!(Instant::now() < deadline, "nothing arrived");
    }
    events.iter().next().unwrap()
}

/// A datagram as the receiver saw it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Datagram {
    pub(crate) bytes: Vec<u8>,
    pub(crate) from: SocketAddr,
    pub(crate) local: Option<std::net::IpAddr>,
    pub(crate) tos: u8,
}

/// Receives until this many datagrams are there; also returns the number of slots they took.
pub(crate) fn receive(socket: &Socket, datagrams: usize) -> (Vec<Datagram>, usize) {
    let mut batch = ReceiveBatch::new(16);
    let mut slots = 0;
    let mut all = Vec::new();
    while all.len() < datagrams {
        wait(socket);
        slots += socket.receive(&mut batch, 16).unwrap();
        for index in 0..batch.len() {
            let received = batch.get(index);
            assert!(!received.truncated);
            all.extend(received.segments().map(|range| Datagram {
                bytes: received.data[range].to_vec(),
                from: received.from,
                local: received.local,
                tos: received.tos,
            }));
        }
        batch.clear();
    }
    assert_eq!(all.len(), datagrams);
    (all, slots)
}

/// Sends each payload to the same address with one flush.
pub(crate) fn send(socket: &Socket, to: SocketAddr, payloads: &[&[u8]]) -> SendReport {
    let mut batch = SendBatch::new(64, 64);
    for payload in payloads {
        batch.push_bytes(to, None, 0, payload).unwrap();
    }
    batch.flush(socket, &ReceiveBatch::new(0))
}
