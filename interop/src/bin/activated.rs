//! A server on the sockets `web` (TCP, or UDP with the argument `datagrams`) and `local` (Unix) of the
//! service manager: it answers with the name of the listener and what it was told, until SIGTERM.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::signal::unix::{SignalKind, signal};
use wharf::{BoxError, Datagrams, Message, Messages, Server, Stream, Tcp, Udp, Unix, Unixgram};

/// The most that a client says.
const MOST: u64 = 1024;

async fn answer(mut stream: Stream) -> Result<(), BoxError> {
    let mut said = format!("{}: ", stream.connection().listener());
    (&mut stream).take(MOST).read_to_string(&mut said).await?;
    stream.write_all(said.as_bytes()).await?;
    Ok(stream.shutdown().await?)
}

async fn answer_flow(mut messages: Messages) -> Result<(), BoxError> {
    let name = messages.connection().listener().to_owned();
    while let Some(message) = messages.recv().await {
        let said = [name.as_bytes(), b": ", message?.payload()].concat();
        messages.send(Message::binary(said)).await?;
    }
    Ok(())
}

async fn answer_each(mut datagrams: Datagrams) -> Result<(), BoxError> {
    while let Some(datagram) = datagrams.recv().await {
        let said = [&b"local: "[..], datagram.payload()].concat();
        datagrams.reply(&datagram, &said).await?;
    }
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let mut terminated = signal(SignalKind::terminate())?;
    let server = if std::env::args().nth(1).as_deref() == Some("datagrams") {
        Server::builder()
            .listen_messages("web", Udp::bind("systemd:web"), answer_flow)
            .listen_datagrams("local", Unixgram::bind("systemd:local"), answer_each)
            .build()?
    } else {
        Server::builder()
            .listen("web", Tcp::bind("systemd:web"), answer)
            .listen("local", Unix::bind("systemd:local"), answer)
            .build()?
    };
    let handle = server.handle();
    let ended = async {
        terminated.recv().await;
    };
    server.run_until(ended).await;
    let stats = handle.stats();
    let served = stats
        .iter()
        .map(|(_, stats)| stats.accepted.max(stats.datagrams_delivered));
    let served: u64 = served.sum();
    println!("served {served}");
    Ok(())
}
