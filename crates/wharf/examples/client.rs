//! A client that finds a server by name, comes back when it is sent away, and uses connections again.
//!
//! The name has an IPv6 address, where nobody listens, and an IPv4 address: the race between them is
//! won by the one that answers. The server hangs up after three lines.
//!
//! ```text
//! cargo run --example client -- [TCP]
//! ```
//!
//! With `--check` it prints `5 connections kept for 15 lines, 3 lines over 1 from the pool`.

mod support;

use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use support::{address, run};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use wharf::{BoxError, Client, Server, Stream, Tcp};

/// Sends three lines back in capitals, then hangs up.
async fn shout(stream: Stream) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    for _ in 0..3 {
        let mut line = String::new();
        stream.read_line(&mut line).await?;
        stream.write_all(line.to_uppercase().as_bytes()).await?;
    }
    Ok(())
}

/// One line there, and one back.
async fn ask(stream: impl AsyncRead + AsyncWrite + Unpin) -> std::io::Result<bool> {
    let mut stream = BufReader::new(stream);
    stream.write_all(b"ahoy\n").await?;
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    Ok(line == "AHOY\n")
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let server = Server::builder()
        .listen("shout", Tcp::bind(address(0, "127.0.0.1:7000")), shout)
        .build()?;
    let handle = server.handle();
    run(server, async {
        let port = handle.address("shout")?.ip().map_or(0, |ip| ip.port());
        let url = format!("tcp://shout.internal:{port}");
        let client = Client::builder()
            .resolver(async |_, port| {
                let (six, four) = (Ipv6Addr::LOCALHOST, Ipv4Addr::LOCALHOST);
                Ok(vec![(six, port).into(), (four, port).into()])
            })
            .with(|options| options.reconnect.min = std::time::Duration::from_millis(1))
            .build()?;

        let lines = Arc::new(AtomicU32::new(0));
        let counted = lines.clone();
        let mut keeper = client.keep(&url, move |mut stream: Stream| {
            let lines = counted.clone();
            async move {
                while let Ok(true) = ask(&mut stream).await {
                    lines.fetch_add(1, Ordering::Relaxed);
                }
                if lines.load(Ordering::Relaxed) < 15 {
                    ControlFlow::Continue(())
                } else {
                    ControlFlow::Break(())
                }
            }
        })?;
        keeper.ended().await;
        let (kept, lines) = (client.stats().accepted, lines.load(Ordering::Relaxed));

        let pool = client.pool(&url)?;
        for _ in 0..3 {
            let mut connection = pool.take().await?;
            ask(&mut connection).await?;
            connection.give_back();
        }
        let pooled = client.stats().accepted - kept;
        println!("{kept} connections kept for {lines} lines, 3 lines over {pooled} from the pool");
        Ok(())
    })
    .await
}
