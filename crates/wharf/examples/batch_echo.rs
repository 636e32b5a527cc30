//! Echo over UDP with a batch handler: a thread on each processor, no task, no lock, no allocation.
//!
//! ```text
//! cargo run --example batch_echo -- [UDP]
//! socat - UDP:127.0.0.1:7000
//! ```
//!
//! With `--check` it prints `64 datagrams echoed, 64 counted`.

mod support;

use std::time::Duration;

use support::{address, run};
use tokio::net::UdpSocket;
use tokio::time::timeout;
use wharf::batch::{BatchHandler, Burst, Outgoing, Turn};
use wharf::{BoxError, Server, Udp};

struct Echo;

impl BatchHandler for Echo {
    fn datagrams(&mut self, turn: &mut Turn<'_>, burst: &Burst<'_>) {
        for datagram in burst.datagrams() {
            // From the bytes as they were received, with the same ECN mark (RFC 3168 §5).
            let answer = Outgoing {
                from: datagram.local,
                tos: datagram.tos & 0b11,
                piece: Some(datagram.piece(0..datagram.payload.len())),
                ..Outgoing::to(datagram.from)
            };
            turn.send(datagram.via, &answer);
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let server = Server::builder()
        .listen_batch("echo", Udp::bind(address(0, "127.0.0.1:7000")), |seat| {
            println!("worker {} of {} at {}", seat.index, seat.count, seat.local);
            Echo
        })
        .build()?;

    let handle = server.handle();
    run(server, async {
        let client = UdpSocket::bind("127.0.0.1:0").await?;
        client.connect(handle.address("echo")?.to_string()).await?;
        let mut echoed = 0;
        for number in 0..64_u8 {
            client.send(&[number; 1200]).await?;
            let mut answer = [0; 1500];
            let length = timeout(Duration::from_secs(5), client.recv(&mut answer)).await??;
            echoed += usize::from(answer[..length] == [number; 1200]);
        }
        let counted = handle.inspect("echo")?.stats.datagrams_delivered;
        println!("{echoed} datagrams echoed, {counted} counted");
        Ok(())
    })
    .await
}
