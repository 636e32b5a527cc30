//! A server on the sockets `web` (TCP) and `local` (Unix) of the service manager: it answers with
//! the name of the listener and what it was told, until SIGTERM.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::signal::unix::{SignalKind, signal};
use wharf::{BoxError, Server, Stream, Tcp, Unix};

/// The most that a client says.
const MOST: u64 = 1024;

async fn answer(mut stream: Stream) -> Result<(), BoxError> {
    let mut said = format!("{}: ", stream.connection().listener());
    (&mut stream).take(MOST).read_to_string(&mut said).await?;
    stream.write_all(said.as_bytes()).await?;
    Ok(stream.shutdown().await?)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let mut terminated = signal(SignalKind::terminate())?;
    let server = Server::builder()
        .listen("web", Tcp::bind("systemd:web"), answer)
        .listen("local", Unix::bind("systemd:local"), answer)
        .build()?;
    let handle = server.handle();
    let ended = async {
        terminated.recv().await;
    };
    server.run_until(ended).await;
    let served: u64 = handle.stats().iter().map(|(_, stats)| stats.accepted).sum();
    println!("served {served}");
    Ok(())
}
