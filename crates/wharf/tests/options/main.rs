//! One test for each option, in the file and under the name that `OptionInfo::test` says. Each
//! fails when the option is ignored.

mod accept;
mod access;
mod buffers;
mod datagrams;
mod demux;
mod demux_datagrams;
mod dtls;
#[allow(dead_code, reason = "each group of tests uses a part")]
mod dtls_site;
mod half_close;
mod health;
mod hooks;
mod hooks_dtls;
mod limits;
mod proxy;
mod proxy_addresses;
mod quic;
mod quic_site;
mod rates;
#[cfg(feature = "sctp")]
mod sctp;
mod server_limits;
mod socket;
mod timeouts;
mod tls;
mod tls_live;
mod top;
mod unix;
mod websocket;
mod workers;

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout};
use wharf::config::{Limits, Rates, Timeouts, Transport};
use wharf::testkit::{self, Connector, MemoryStream};
use wharf::{BoxError, Builder, Closed, Handle, ListenerConfig, Refusal, Server, Stream};

/// The name of the listener that most tests have.
const IT: &str = "it";

/// How long nothing must happen, in virtual time.
const PATIENCE: Duration = Duration::from_millis(100);

async fn echo(mut stream: Stream) -> Result<(), BoxError> {
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer).await? {
            0 => return Ok(()),
            n => stream.write_all(&buffer[..n]).await?,
        }
    }
}

fn start(builder: Builder) -> Handle {
    let server = builder.build().unwrap();
    let handle = server.handle();
    tokio::spawn(server.run());
    handle
}

/// A server with one listener in memory, which echoes.
fn serve(transport: Transport, change: impl FnOnce(&mut ListenerConfig)) -> (Handle, Connector) {
    let (listen, connector) = testkit::memory(transport);
    let listen = listen.with(change);
    (start(Server::builder().listen(IT, listen, echo)), connector)
}

fn tcp(change: impl FnOnce(&mut ListenerConfig)) -> (Handle, Connector) {
    serve(Transport::Tcp, change)
}

/// What became of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    /// Its handler answers.
    Served,
    Closed,
    Reset,
    /// Nothing yet.
    Waits,
}

/// Sends a byte and sees what comes back.
async fn knock(client: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> Answer {
    // Who was turned away already cannot send; what is read says how it ended.
    let _ = client.write_all(b"?").await;
    let mut said = [0; 1];
    match timeout(PATIENCE, client.read(&mut said)).await {
        Err(_) => Answer::Waits,
        Ok(Ok(0)) => Answer::Closed,
        Ok(Ok(_)) => {
            assert_eq!(said, *b"?");
            Answer::Served
        }
        Ok(Err(error)) => {
            assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
            Answer::Reset
        }
    }
}

/// Connects from an IP address and knocks. The connection lives as long as what is returned.
async fn arrive(connector: &Connector, from: &str) -> (Answer, MemoryStream) {
    let mut client = connect(connector, from).await;
    (knock(&mut client).await, client)
}

async fn connect(connector: &Connector, from: &str) -> MemoryStream {
    let from = std::net::SocketAddr::new(from.parse().unwrap(), 1000);
    connector.connect_from(&from.to_string()).await.unwrap()
}

/// Lets everything run that can, and [`PATIENCE`] pass.
async fn settle() {
    tokio::time::sleep(PATIENCE).await;
}

/// How long it takes until the server ends the connection; what it sends before is read.
async fn until_closed(client: &mut (impl AsyncRead + Unpin)) -> Duration {
    let began = Instant::now();
    // How it ends is the counters' to say.
    let _ = client.read_to_end(&mut Vec::new()).await;
    began.elapsed()
}

fn refused(handle: &Handle, reason: Refusal) -> u64 {
    handle.inspect(IT).unwrap().stats.refused(reason)
}

fn closed(handle: &Handle, reason: Closed) -> u64 {
    handle.inspect(IT).unwrap().stats.closed(reason)
}

/// Changes limits while the listener runs.
fn set_limits(handle: &Handle, change: impl FnOnce(&mut Limits)) {
    let mut limits = handle.inspect(IT).unwrap().config.limits;
    change(&mut limits);
    handle.set_listener_limits(IT, limits).unwrap();
}

/// Changes rates while the listener runs.
fn set_rates(handle: &Handle, change: impl FnOnce(&mut Rates)) {
    let mut rates = handle.inspect(IT).unwrap().config.rates;
    change(&mut rates);
    handle.set_rates(IT, rates).unwrap();
}

/// Changes timeouts while the listener runs.
fn set_timeouts(handle: &Handle, change: impl FnOnce(&mut Timeouts)) {
    let mut timeouts = handle.inspect(IT).unwrap().config.timeouts;
    change(&mut timeouts);
    handle.set_timeouts(IT, timeouts).unwrap();
}

/// Puts a new configuration in force that changes what is fixed when a listener is bound.
fn rebind(handle: &Handle, change: impl FnOnce(&mut ListenerConfig)) {
    let mut config = handle.config();
    change(config.listeners.get_mut(IT).unwrap());
    handle.apply(config, Duration::ZERO).unwrap();
}
