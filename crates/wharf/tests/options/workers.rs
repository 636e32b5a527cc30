//! Helpers of the options of batch handlers, in `datagrams.rs`.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::timeout;
use wharf::batch::{BatchHandler, Burst, Seat, Turn};
use wharf::config::DatagramOptions;
use wharf::{Handle, Server, Udp};

use super::{IT, start};

/// Answers with its number, the number of its colleagues, and the processors that it may run on.
struct Introduces(Seat);

impl BatchHandler for Introduces {
    fn datagrams(&mut self, turn: &mut Turn<'_>, burst: &Burst<'_>) {
        let Seat { index, count, .. } = self.0;
        let text = format!("{index}/{count} on {:?}", wharf_udp::allowed_cpus());
        for datagram in burst.datagrams() {
            turn.reply(&datagram, text.as_bytes());
        }
    }
}

/// A server whose workers introduce themselves.
pub(super) fn introducing(change: impl FnOnce(&mut DatagramOptions)) -> Handle {
    let listen = Udp::bind("127.0.0.1:0").with(|it| change(&mut it.datagrams));
    start(Server::builder().listen_batch(IT, listen, |seat: &Seat| Introduces(seat.clone())))
}

/// What the worker says that this payload reaches.
pub(super) async fn ask(handle: &Handle, payload: &[u8]) -> String {
    let server: SocketAddr = handle.address(IT).unwrap().ip().unwrap();
    let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    client.send_to(payload, server).await.unwrap();
    let mut answer = [0; 2048];
    let received = timeout(Duration::from_secs(20), client.recv(&mut answer)).await;
    let length = received.expect("an answer").unwrap();
    String::from_utf8_lossy(&answer[..length]).into_owned()
}

/// Asks until so many different workers have answered.
pub(super) async fn all(handle: &Handle, count: usize) -> BTreeSet<String> {
    let mut said = BTreeSet::new();
    while said.len() < count {
        said.insert(ask(handle, b"?").await);
    }
    said
}
