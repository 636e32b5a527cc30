//! The servers under test: a child that serves one listener, with Wharf or with bare tokio.
//!
//! Both sides run the same functions on their connections; only what is below differs. The child
//! prints `listening ADDRESS` and ends when its input ends.

use std::io::{self, Read as _, Write as _};
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use rustix::time::{ClockId, clock_gettime};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_websockets::WebSocketStream;
use wharf::Messages;

use super::options::{ServerRole, Side, Work};
use super::{bare, library};
use crate::Failure;

/// What stands for an application's own work on a request.
const WORK: Duration = Duration::from_micros(500);
/// Bytes of a request of `overload`.
pub(super) const REQUEST: usize = 64;

/// What a connection's function needs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Job {
    work: Work,
    buffer: usize,
    upstream: Option<std::net::SocketAddr>,
}

/// Runs until the standard input ends.
pub(crate) fn run(role: &ServerRole) -> Result<(), Failure> {
    super::raise_descriptors()?;
    end_with_input();
    let upstream = role.upstream.as_deref().map(str::parse).transpose();
    let job = Job {
        work: role.work,
        buffer: role.buffer,
        upstream: upstream.map_err(|error| Failure::refused("--upstream", &error))?,
    };
    super::runtime()?.block_on(async {
        match role.side {
            Side::Bare => bare::run(role, job).await,
            Side::Wharf => library::run(role, job).await,
        }
    })
}

/// Ends the process when its input ends, whatever ends that.
pub(crate) fn end_with_input() {
    std::thread::spawn(|| {
        let _ = io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
}

/// Serves the listener `bench` of a server of Wharf, and tells the parent where.
pub(crate) async fn until_the_end(builder: wharf::Builder) -> Result<(), Failure> {
    let server = builder
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

/// Tells the parent where to connect.
pub(super) fn announce(address: &str) -> Result<(), Failure> {
    let mut output = io::stdout().lock();
    writeln!(output, "listening {address}")
        .and_then(|()| output.flush())
        .map_err(|error| Failure::io(&"standard output", error))
}

/// What is done with a connection of bytes.
pub(super) async fn bytes<S>(mut stream: S, job: Job) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    match (job.work, job.upstream) {
        (Work::Accept, _) => Ok(()),
        (Work::Terminate, Some(upstream)) => {
            let mut upstream = TcpStream::connect(upstream).await?;
            upstream.set_nodelay(true)?;
            let size = job.buffer;
            tokio::io::copy_bidirectional_with_sizes(&mut stream, &mut upstream, size, size)
                .await
                .map(|_| ())
        }
        (Work::Overload, _) => {
            let mut request = [0; REQUEST];
            stream.read_exact(&mut request).await?;
            work();
            stream.write_all(&request).await
        }
        _ => {
            let mut buffer = vec![0; job.buffer];
            loop {
                let count = stream.read(&mut buffer).await?;
                if count == 0 {
                    return Ok(());
                }
                stream.write_all(&buffer[..count]).await?;
                stream.flush().await?;
            }
        }
    }
}

/// Spends the processor time of a request; on a busy machine it takes longer, as real work would.
pub(super) fn work() {
    let now = || Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default();
    let end = now() + WORK;
    while now() < end {
        std::hint::spin_loop();
    }
}

/// The echo of messages, with tokio-websockets.
pub(super) async fn bare_messages<S>(mut socket: WebSocketStream<S>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    while let Some(Ok(message)) = socket.next().await {
        if message.is_close() || socket.send(message).await.is_err() {
            return;
        }
    }
}

/// The echo of messages, with Wharf.
pub(super) async fn messages(mut socket: Messages) -> Result<(), wharf::MessageError> {
    while let Some(message) = socket.recv().await {
        socket.send(message?).await?;
    }
    Ok(())
}
