//! `sctp.*`, over UDP, with a client that drives the engine itself.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use wharf::config::{SctpOptions, SctpVia};
use wharf::{BoxError, Handle, Messages, Sctp, Server};
use wharf_sctp::{Closed, Options};

use super::{IT, start};
use peer::{Peer, message, now};

#[path = "../common/sctp.rs"]
mod peer;

/// The chunk types of RFC 9260 §3.2 that the tests look for, and of I-DATA (RFC 8260 §2.1).
const HEARTBEAT: u8 = 4;
const I_DATA: u8 = 64;

async fn echo(mut messages: Messages) -> Result<(), BoxError> {
    while let Some(message) = messages.recv().await {
        messages.send(message?).await?;
    }
    Ok(())
}

fn listen(set: impl FnOnce(&mut SctpOptions)) -> (Handle, SocketAddr) {
    let listen = Sctp::bind("127.0.0.1:0").with(|config| {
        config.sctp.via = SctpVia::Udp;
        set(&mut config.sctp);
    });
    let handle = start(Server::builder().listen_messages(IT, listen, echo));
    let address = handle.address(IT).unwrap().to_string().parse().unwrap();
    (handle, address)
}

/// A connected client.
async fn client(set: impl FnOnce(&mut SctpOptions)) -> (Handle, Peer) {
    let (handle, address) = listen(set);
    let mut peer = Peer::new(address, &[5000], &Options::default()).await;
    peer.connected().await;
    (handle, peer)
}

async fn closed(peer: &mut Peer) -> Closed {
    peer.until(|all| all[0].closed().is_some()).await;
    peer.associations[0].closed().unwrap().clone()
}

#[tokio::test]
async fn via() {
    // Over UDP the port is taken among those of UDP.
    let (_handle, address) = listen(|_| {});
    assert!(UdpSocket::bind(address).is_err());
    let kernel = Sctp::bind("127.0.0.1:0").with(|config| config.sctp.via = SctpVia::Kernel);
    let built = Server::builder().listen_messages(IT, kernel, echo).build();
    match built {
        Ok(server) => {
            let address = server.handle().address(IT).unwrap().to_string();
            assert!(UdpSocket::bind(address).is_ok());
        }
        Err(error) => assert!(!wharf::sockets::has_kernel_sctp(), "{error}"),
    }
}

#[tokio::test]
async fn streams_in() {
    let (_handle, peer) = client(|sctp| sctp.streams_in = 3).await;
    assert_eq!(peer.associations[0].streams_out(), 3);
}

#[tokio::test]
async fn streams_out() {
    // The handler cannot answer on the stream that it was asked on, and ends.
    let (_handle, mut peer) = client(|sctp| sctp.streams_out = 3).await;
    peer.associations[0].send(now(), message(3, 1, 1)).unwrap();
    assert_eq!(closed(&mut peer).await, Closed::Finished);
    assert_eq!(peer.associations[0].recv(now()), None);
}

#[tokio::test]
async fn autoclose() {
    let (_handle, mut peer) =
        client(|sctp| sctp.autoclose = Some(Duration::from_millis(300))).await;
    assert_eq!(closed(&mut peer).await, Closed::Finished);
}

#[tokio::test]
async fn max_message() {
    let (_handle, mut peer) = client(|sctp| sctp.max_message = 1000).await;
    peer.associations[0]
        .send(now(), message(0, 1, 1000))
        .unwrap();
    peer.until(|all| all[0].recv(now()).is_some()).await;
    peer.associations[0]
        .send(now(), message(0, 1, 1001))
        .unwrap();
    assert!(matches!(closed(&mut peer).await, Closed::ByPeer(_)));
}

#[tokio::test]
async fn max_segment() {
    let (_handle, mut peer) = client(|sctp| sctp.max_segment = Some(500)).await;
    peer.associations[0]
        .send(now(), message(0, 1, 5000))
        .unwrap();
    peer.until(|all| all[0].recv(now()).is_some()).await;
    let longest = peer.seen.iter().map(Vec::len).max().unwrap();
    assert!((500..=532).contains(&longest), "{longest}");
}

/// What the server said first: an INIT ACK.
async fn init_ack(set: impl FnOnce(&mut SctpOptions)) -> Vec<u8> {
    let (_handle, mut peer) = client(set).await;
    peer.seen.swap_remove(0)
}

#[tokio::test]
async fn window() {
    let ack = init_ack(|sctp| sctp.window = 400 << 10).await;
    assert_eq!(ack[20..24], (400_u32 << 10).to_be_bytes());
}

#[tokio::test]
async fn heartbeat() {
    let (_handle, mut peer) = client(|sctp| sctp.heartbeat = Some(Duration::from_secs(1))).await;
    // The client's own come every 30 s.
    while !peer.seen.iter().any(|packet| packet[12] == HEARTBEAT) {
        let mut rounds = 0;
        peer.until(|_| {
            rounds += 1;
            rounds > 1
        })
        .await;
    }
}

#[tokio::test]
async fn peer_timeout() {
    let (handle, mut peer) = client(|sctp| sctp.peer_timeout = Duration::from_secs(1)).await;
    peer.associations[0].send(now(), message(0, 1, 1)).unwrap();
    peer.deaf = true;
    // The echo is never acknowledged: the server gives up long before the minute that it takes by default.
    peer.until(|_| handle.inspect(IT).unwrap().stats.live == 0)
        .await;
}

#[tokio::test]
async fn interleaving() {
    let offers = |ack: &[u8]| {
        // Supported extensions (RFC 5061 §4.2.7): type 0x8008, then a list of chunk types.
        let at = ack.windows(2).position(|at| at == [0x80, 0x08]).unwrap();
        let length = usize::from(ack[at + 3]);
        ack[at + 4..at + length].contains(&I_DATA)
    };
    assert!(offers(&init_ack(|_| {}).await));
    assert!(!offers(&init_ack(|sctp| sctp.interleaving = false).await));
}
