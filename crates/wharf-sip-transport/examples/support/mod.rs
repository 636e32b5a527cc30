//! What the examples have in common: arguments, `--check`, and a peer to check them with.
#![allow(dead_code, reason = "each example uses its part")]

use std::env;
use std::future::Future;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::timeout;
use wharf::{BoxError, Server};

const SOON: Duration = Duration::from_secs(10);

fn arguments() -> impl Iterator<Item = String> {
    env::args().skip(1).filter(|one| one != "--check")
}

fn checks() -> bool {
    env::args().any(|one| one == "--check")
}

/// The argument at this place, or what is meant without it.
pub(crate) fn argument(at: usize, default: &str) -> String {
    arguments().nth(at).unwrap_or_else(|| default.to_owned())
}

/// The address at this place; with `--check`, a free port on loopback.
pub(crate) fn address(at: usize, default: &str) -> String {
    let free = || "127.0.0.1:0".to_owned();
    if checks() {
        free()
    } else {
        argument(at, default)
    }
}

/// Serves until Ctrl-C, or with `--check` until `check` is done.
pub(crate) async fn run(
    server: Server,
    check: impl Future<Output = Result<(), BoxError>>,
) -> Result<(), BoxError> {
    if checks() {
        let handle = server.handle();
        tokio::spawn(server.run());
        let checked = check.await;
        handle.drain(Duration::ZERO).await;
        return checked;
    }
    server
        .run_until(async { tokio::signal::ctrl_c().await.unwrap_or(()) })
        .await;
    Ok(())
}

/// A request of a phone at `peer`.
pub(crate) fn request(method: &str, peer: &UdpSocket) -> Result<String, BoxError> {
    let address = peer.local_addr()?;
    Ok(format!(
        "{method} sip:example.com SIP/2.0\r\nVia: SIP/2.0/UDP {address};branch=z9hG4bK1;rport\r\n\
         Max-Forwards: 70\r\nFrom: <sip:alice@example.com>;tag=1\r\nTo: <sip:bob@example.com>\r\n\
         Call-ID: check\r\nCSeq: 1 {method}\r\nContent-Length: 0\r\n\r\n"
    ))
}

/// A datagram.
pub(crate) async fn receive(socket: &UdpSocket) -> Result<String, BoxError> {
    let mut bytes = vec![0; 65_536];
    let length = timeout(SOON, socket.recv(&mut bytes)).await??;
    Ok(str::from_utf8(&bytes[..length])?.to_owned())
}
