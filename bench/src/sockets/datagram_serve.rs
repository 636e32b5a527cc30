//! The servers of `datagrams`: each sends back what comes, until its process ends.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use tokio::net::UdpSocket;
use wharf::batch::{BatchHandler, Burst, Turn};
use wharf::{Server, Udp};
use wharf_udp::{Events, Poller, ReceiveBatch, SendBatch, Socket, SocketOptions};

use super::options::{DatagramRole, DatagramSide};
use super::serve::announce;
use crate::Failure;
use crate::client::BUFFER;

/// Datagrams, or bursts, that the floor takes at once; as many as a worker of Wharf.
const BATCH: usize = 64;

/// Serves until the process ends.
pub(crate) fn run(role: &DatagramRole) -> Result<(), Failure> {
    match role.side {
        DatagramSide::Floor => floor(),
        DatagramSide::Wharf => super::runtime()?.block_on(wharf()),
        DatagramSide::Tokio => super::runtime()?.block_on(tokio()),
    }
}

/// No rule, no counter, no handler: what a datagram costs on these system calls.
fn floor() -> Result<(), Failure> {
    let failed = |error| Failure::io(&"floor", error);
    let options = SocketOptions {
        gro: true,
        receive_buffer: Some(BUFFER),
        ..SocketOptions::default()
    };
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let socket = Socket::bind(any, &options).map_err(failed)?;
    announce(&socket.local_addr().to_string())?;
    let (poller, mut events) = (Poller::new().map_err(failed)?, Events::new(1));
    poller.add(&socket, 0).map_err(failed)?;
    let (mut arena, mut out) = (ReceiveBatch::new(BATCH), SendBatch::new(BATCH, BATCH * 16));
    loop {
        poller.wait(&mut events, None).map_err(failed)?;
        socket.receive(&mut arena, BATCH).map_err(failed)?;
        for slot in 0..arena.len() {
            let received = arena.get(slot);
            for range in received.segments() {
                let payload = Some((slot, range));
                if out
                    .push(received.from, None, 0, &[], payload.clone(), 0)
                    .is_err()
                {
                    out.flush(&socket, &arena);
                    let _ = out.push(received.from, None, 0, &[], payload, 0);
                }
            }
        }
        out.flush(&socket, &arena);
        arena.clear();
    }
}

struct Echo;

impl BatchHandler for Echo {
    fn datagrams(&mut self, turn: &mut Turn<'_>, burst: &Burst<'_>) {
        for datagram in burst.datagrams() {
            turn.reply_with(&datagram, &[], 0..datagram.payload.len());
        }
    }
}

/// With the defaults, but for the number of workers and the buffer.
async fn wharf() -> Result<(), Failure> {
    let listen = Udp::bind("127.0.0.1:0").with(|it| {
        it.datagrams.workers = 1;
        it.socket.receive_buffer = Some(BUFFER as u64);
    });
    let server = Server::builder()
        .listen_batch("bench", listen, |_| Echo)
        .build()
        .map_err(|error| Failure::refused("server", &error))?;
    let address = server
        .handle()
        .address("bench")
        .map_err(|error| Failure::refused("server", &error))?;
    announce(&address.to_string())?;
    server.run().await;
    Ok(())
}

/// One datagram at a time.
async fn tokio() -> Result<(), Failure> {
    let failed = |error: io::Error| Failure::io(&"tokio", error);
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let options = SocketOptions {
        receive_buffer: Some(BUFFER),
        ..SocketOptions::default()
    };
    let socket = Socket::bind(any, &options).map_err(failed)?;
    let socket = std::os::fd::AsFd::as_fd(&socket)
        .try_clone_to_owned()
        .map_err(failed)?;
    let socket = UdpSocket::from_std(socket.into()).map_err(failed)?;
    announce(&socket.local_addr().map_err(failed)?.to_string())?;
    let mut buffer = vec![0; 65_536];
    loop {
        let (length, from) = socket.recv_from(&mut buffer).await.map_err(failed)?;
        socket
            .send_to(&buffer[..length], from)
            .await
            .map_err(failed)?;
    }
}
