//! What the tests share.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::UdpSocket;
use wharf::{BoxError, Handle, Messages, Server, Stats};

/// No wait of a test is longer.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// Sends each message back.
pub(crate) async fn echo(mut messages: Messages) -> Result<(), BoxError> {
    while let Some(message) = messages.recv().await {
        messages.send(message?).await?;
    }
    Ok(())
}

/// Runs a server; its handle.
pub(crate) fn run(server: Server) -> Handle {
    let handle = server.handle();
    tokio::spawn(server.run());
    handle
}

pub(crate) fn address(handle: &Handle, listener: &str) -> SocketAddr {
    handle.address(listener).unwrap().ip().unwrap()
}

pub(crate) fn stats(handle: &Handle, listener: &str) -> Stats {
    handle.inspect(listener).unwrap().stats
}

/// A client that has sent `payload` to `to`.
pub(crate) async fn client(to: SocketAddr, payload: &[u8]) -> UdpSocket {
    let any = if to.is_ipv4() {
        "127.0.0.1:0"
    } else {
        "[::1]:0"
    };
    let client = UdpSocket::bind(any).await.unwrap();
    client.send_to(payload, to).await.unwrap();
    client
}

/// The next datagram.
pub(crate) async fn receive(client: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut buffer = vec![0; 65_536];
    let received = client.recv_from(&mut buffer);
    let (length, from) = tokio::time::timeout(PATIENCE, received)
        .await
        .expect("an answer")
        .unwrap();
    buffer.truncate(length);
    (buffer, from)
}

/// Waits until the counters of a listener are as wanted.
pub(crate) async fn until(
    handle: &Handle,
    listener: &str,
    wanted: impl Fn(&Stats) -> bool,
) -> Stats {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let stats = stats(handle, listener);
        if wanted(&stats) {
            return stats;
        }
        assert!(tokio::time::Instant::now() < deadline, "{stats:?}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// What holds of the counters at rest.
pub(crate) fn check_sums(stats: &Stats) {
    assert_eq!(
        stats.arrived,
        stats.pending + stats.accepted + stats.all_refused()
    );
    assert_eq!(stats.accepted, stats.live + stats.all_closed());
    assert_eq!(
        stats.datagrams_received,
        stats.datagrams_delivered + stats.datagrams_answered + stats.all_dropped()
    );
}
