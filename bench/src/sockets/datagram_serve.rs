//! The servers of `datagrams`: each sends back what comes, until its process ends.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use tokio::net::{UdpSocket, UnixDatagram};
use wharf::batch::{BatchHandler, Burst, Turn};
use wharf::config::Pem;
use wharf::{
    DatagramError, Datagrams, Dtls, Listen, MessageError, Messages, Server, Udp, Unixgram,
};
use wharf_udp::{Events, Poller, ReceiveBatch, SendBatch, Socket, SocketOptions};

use super::options::{DatagramRole, DatagramSide};
use super::serve::{announce, until_the_end, work};
use crate::Failure;
use crate::client::BUFFER;

/// Datagrams, or bursts, that the floor takes at once; as many as a worker of Wharf.
const BATCH: usize = 64;

/// Bytes of datagrams that wait in a flow of `overload`: five or so.
const QUEUE: u64 = 1 << 10;

/// Serves until the process ends.
pub(crate) fn run(role: &DatagramRole) -> Result<(), Failure> {
    match role.side {
        DatagramSide::Floor => floor(),
        DatagramSide::Wharf => super::runtime()?.block_on(wharf()),
        DatagramSide::Tokio => super::runtime()?.block_on(tokio()),
        DatagramSide::UnixWharf => super::runtime()?.block_on(unix_wharf(&role.folder)),
        DatagramSide::UnixTokio => super::runtime()?.block_on(unix_tokio(&role.folder)),
        DatagramSide::OverloadUdp => super::runtime()?.block_on(flows(Udp::bind("127.0.0.1:0"))),
        DatagramSide::OverloadDtls => {
            let file = |name: &str| Pem::File(role.folder.join(name));
            let listen = Dtls::bind("127.0.0.1:0").cert(file("cert.pem"), file("key.pem"));
            super::runtime()?.block_on(flows(listen))
        }
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
    until_the_end(Server::builder().listen_batch("bench", listen, |_| Echo)).await
}

/// Works on each message of each flow; few of a flow wait, so that none is answered too late to be of use.
async fn flows(listen: Listen) -> Result<(), Failure> {
    let handler = async |mut messages: Messages| {
        while let Some(message) = messages.recv().await {
            let message = message?;
            work();
            messages.send(message).await?;
        }
        Ok::<_, MessageError>(())
    };
    let listen = listen.with(|it| it.datagrams.queue = QUEUE);
    until_the_end(Server::builder().listen_messages("bench", listen, handler)).await
}

/// Answers each datagram by itself.
async fn unix_wharf(folder: &Path) -> Result<(), Failure> {
    let echo = async |mut datagrams: Datagrams| {
        while let Some(datagram) = datagrams.recv().await {
            datagrams.reply(&datagram, datagram.payload()).await?;
        }
        Ok::<_, DatagramError>(())
    };
    let path = folder.join("wharf.datagrams");
    let server = Server::builder()
        .listen_datagrams("bench", Unixgram::bind(path.to_string_lossy()), echo)
        .build()
        .map_err(|error| Failure::refused("server", &error))?;
    announce(&path.display().to_string())?;
    server.run().await;
    Ok(())
}

async fn unix_tokio(folder: &Path) -> Result<(), Failure> {
    let path = folder.join("tokio.datagrams");
    let failed = |error: io::Error| Failure::io(&path.display(), error);
    let socket = UnixDatagram::bind(&path).map_err(failed)?;
    announce(&path.display().to_string())?;
    let mut buffer = vec![0; 65_536];
    loop {
        let (length, from) = socket.recv_from(&mut buffer).await.map_err(failed)?;
        let Some(to) = from.as_pathname() else {
            continue;
        };
        socket
            .send_to(&buffer[..length], to)
            .await
            .map_err(failed)?;
    }
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
