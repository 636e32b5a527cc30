//! Echo over UDP and over Unix datagrams, each in both shapes: flows, and single datagrams.
//!
//! ```text
//! cargo run --example echo_udp -- [UDP FLOWS] [UDP SINGLE] [UNIX FLOWS] [UNIX SINGLE]
//! socat - UDP:127.0.0.1:7000
//! socat - UNIX-SENDTO:/tmp/echo-flows.sock,bind=/tmp/client.sock
//! ```
//!
//! With `--check` it prints `4 listeners answered`.

mod support;

use std::time::Duration;

use support::{address, run};
use tokio::net::{UdpSocket, UnixDatagram};
use tokio::time::timeout;
use wharf::{BoxError, Datagrams, Endpoint, Messages, Server, Udp, Unixgram};

/// One call for each peer: what is kept of a peer is here.
async fn flow(mut messages: Messages) -> Result<(), BoxError> {
    while let Some(message) = messages.recv().await {
        messages.send(message?).await?;
    }
    Ok(())
}

/// One call for each socket: nothing is kept of its peers.
async fn single(mut datagrams: Datagrams) -> Result<(), BoxError> {
    while let Some(datagram) = datagrams.recv().await {
        // One that cannot be answered is no reason to stop.
        if let Err(error) = datagrams.reply(&datagram, datagram.payload()).await {
            eprintln!("{}: {error}", datagram.peer());
        }
    }
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let unix_flows = Unixgram::bind(address(2, "/tmp/echo-flows.sock"));
    let unix_single = Unixgram::bind(address(3, "/tmp/echo-single.sock"));
    let server = Server::builder()
        .listen_messages("udp-flows", Udp::bind(address(0, "127.0.0.1:7000")), flow)
        .listen_datagrams(
            "udp-single",
            Udp::bind(address(1, "127.0.0.1:7001")),
            single,
        )
        .listen_messages("unix-flows", unix_flows, flow)
        .listen_datagrams("unix-single", unix_single, single)
        .build()?;

    let handle = server.handle();
    run(server, async {
        let mut answered = 0;
        for listener in handle.listeners() {
            let server = handle.address(&listener)?;
            let answer = timeout(Duration::from_secs(5), ask(&server)).await??;
            answered += usize::from(answer);
        }
        println!("{answered} listeners answered");
        Ok(())
    })
    .await
}

/// Sends a datagram and sees whether it comes back.
async fn ask(server: &Endpoint) -> Result<bool, BoxError> {
    let mut answer = [0; 16];
    let length = match server {
        Endpoint::Unix(Some(path)) => {
            // Who wants an answer needs a name.
            let own = format!("{path}.client");
            let client = UnixDatagram::bind(&own)?;
            client.send_to(b"ahoy", &**path).await?;
            let length = client.recv(&mut answer).await?;
            std::fs::remove_file(own)?;
            length
        }
        server => {
            let client = UdpSocket::bind("127.0.0.1:0").await?;
            let to = server.ip().ok_or("no address")?;
            client.send_to(b"ahoy", to).await?;
            client.recv(&mut answer).await?
        }
    };
    Ok(&answer[..length] == b"ahoy")
}
