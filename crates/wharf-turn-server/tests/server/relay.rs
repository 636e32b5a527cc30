//! Relaying both ways, of every size and in bursts.

use std::net::{SocketAddr, UdpSocket};

use wharf_turn_server::{Counter, Handle};
use wharf_udp::{ReceiveBatch, SendBatch, Socket};

use crate::client::{Client, channel_data};
use crate::support::{config, fresh_ip, peer_v4, read, start, wait_for};

const CHANNEL: u16 = 0x4001;

/// A payload that tells its length and its place.
fn payload(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i * 7 + length) as u8).collect()
}

fn by_indication(client: &mut Client, peer: &UdpSocket, relayed: SocketAddr, data: &[u8]) {
    let address = peer.local_addr().unwrap();
    client.send_to(address, data);
    assert_eq!(read(peer), (data.to_vec(), relayed));
    peer.send_to(data, relayed).unwrap();
    assert_eq!(client.data(), (address, data.to_vec()));
}

fn by_channel(client: &mut Client, peer: &UdpSocket, relayed: SocketAddr, data: &[u8]) {
    client.send_on(CHANNEL, data);
    assert_eq!(read(peer), (data.to_vec(), relayed));
    peer.send_to(data, relayed).unwrap();
    assert_eq!(client.data_on(), (CHANNEL, data.to_vec()));
}

/// What went through, in packets and bytes.
fn totals(handle: &Handle) -> [u64; 4] {
    let counters = handle.counters();
    [
        Counter::ToPeerPackets,
        Counter::ToPeerBytes,
        Counter::PeerPackets,
        Counter::PeerBytes,
    ]
    .map(|counter| counters.get(counter))
}

#[test]
fn every_size_goes_through_both_ways() {
    let server = start(config());
    let (mut client, peer) = (Client::new(&server), peer_v4());
    let (mut channels, other) = (Client::new(&server), peer_v4());
    let relayed = client.allocate();
    assert_eq!(client.permit(peer.local_addr().unwrap()), 0);
    let bound = channels.allocate();
    assert_eq!(channels.bind(CHANNEL, other.local_addr().unwrap()), 0);
    // Empty datagrams are datagrams too; the largest is far beyond any MTU.
    let sizes: Vec<usize> = (0..=1_500).chain([9_000, 60_000]).collect();
    for &size in &sizes {
        let data = payload(size);
        by_indication(&mut client, &peer, relayed, &data);
        by_channel(&mut channels, &other, bound, &data);
    }
    let (packets, bytes) = (sizes.len() as u64, sizes.iter().sum::<usize>() as u64);
    let handle = server.handle();
    wait_for(&handle, Counter::ToPeerPackets, 2 * packets);
    let expected = [2 * packets, 2 * bytes, 2 * packets, 2 * bytes];
    assert_eq!(totals(&handle), expected);
    let counters = handle.counters();
    assert_eq!(counters.get(Counter::SendFailed), 0);
    assert_eq!(counters.get(Counter::SendBlocked), 0);
    assert_eq!(counters.get(Counter::Truncated), 0);
    assert_eq!(counters.get(Counter::KernelDrops), 0);
}

/// T65: the length in the header counts, not that of the datagram; a shorter datagram is dropped.
#[test]
fn channel_data_may_be_padded_but_not_cut() {
    let server = start(config());
    let (mut client, peer) = (Client::new(&server), peer_v4());
    client.allocate();
    client.bind(CHANNEL, peer.local_addr().unwrap());
    let whole = channel_data(CHANNEL, b"seven..");
    client.send(&whole[..whole.len() - 1]);
    client.send(&[&whole[..], b"\0"].concat());
    assert_eq!(read(&peer).0, b"seven..");
    let dropped = wharf_turn_server::DropReason::BadChannelData;
    assert_eq!(server.handle().counters().drops(dropped), 1);
}

/// A burst that the kernel takes as one message (GSO) and hands over as one (GRO).
fn burst(socket: &Socket, to: SocketAddr, datagrams: &[Vec<u8>]) {
    let mut batch = SendBatch::new(1, datagrams.len());
    for datagram in datagrams {
        batch.push_bytes(to, None, 0, datagram).unwrap();
    }
    let report = batch.flush(socket, &ReceiveBatch::new(0));
    assert_eq!(report.sent, datagrams.len() as u64);
}

#[test]
fn bursts_arrive_complete_and_in_order() {
    let server = start(config());
    let listener = server.local_addrs()[0];
    let mut client = Client::new(&server);
    let relayed = client.allocate();
    // The peer's socket for sending is another than the one it reads from.
    let any = SocketAddr::new(fresh_ip(), 0);
    let sender = Socket::bind(any, &wharf_udp::SocketOptions::default()).unwrap();
    let peer = UdpSocket::from(
        std::os::fd::AsFd::as_fd(&sender)
            .try_clone_to_owned()
            .unwrap(),
    );
    peer.set_nonblocking(false).unwrap();
    let address = peer.local_addr().unwrap();
    peer.set_read_timeout(Some(crate::support::PATIENCE))
        .unwrap();
    assert_eq!(client.bind(CHANNEL, address), 0);
    for round in 0..50_u8 {
        // All of one length but the last, which is how a burst is cut.
        let data: Vec<Vec<u8>> = (0..16)
            .map(|i| vec![round ^ i; if i == 15 { 100 } else { 172 }])
            .collect();
        let framed: Vec<_> = data
            .iter()
            .map(|data| channel_data(CHANNEL, data))
            .collect();
        burst(&client.batched, listener, &framed);
        for data in &data {
            assert_eq!(read(&peer), (data.clone(), relayed));
        }
        burst(&sender, relayed, &data);
        for data in &data {
            assert_eq!(client.data_on(), (CHANNEL, data.clone()));
        }
    }
    wait_for(&server.handle(), Counter::ToPeerPackets, 50 * 16);
}

/// Datagrams of several clients to several peers in one turn leave to whom they are for.
#[test]
fn interleaved_flows_do_not_mix() {
    let server = start(config());
    let mut flows: Vec<_> = (0..8)
        .map(|_| {
            let (mut client, peer) = (Client::new(&server), peer_v4());
            let relayed = client.allocate();
            assert_eq!(client.bind(CHANNEL, peer.local_addr().unwrap()), 0);
            (client, peer, relayed)
        })
        .collect();
    for round in 0..50_u8 {
        for (index, (client, ..)) in flows.iter().enumerate() {
            client.send_on(CHANNEL, &[index as u8, round]);
        }
        for (index, (_, peer, relayed)) in flows.iter().enumerate() {
            assert_eq!(read(peer), (vec![index as u8, round], *relayed));
            peer.send_to(&[round, index as u8], relayed).unwrap();
        }
        for (index, (client, ..)) in flows.iter_mut().enumerate() {
            assert_eq!(client.data_on(), (CHANNEL, vec![round, index as u8]));
        }
    }
}
