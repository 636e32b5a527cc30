//! A running server whose handlers tell the test what they saw.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::runtime::{self, Runtime};
use wharf::message::Message;
use wharf::tls::TlsInfo;
use wharf::{BoxError, Builder, Connection, DrainReport, Endpoint, Handle, Proxied, Server};
use wharf::{Messages, Stats, Stream};

/// How long an event at the server or the end of a peer may take.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// A server on a thread of its own.
pub(crate) struct Served {
    pub(crate) handle: Handle,
    runtime: runtime::Handle,
    thread: JoinHandle<DrainReport>,
    seen: Receiver<Seen>,
}

/// What a handler knew of its connection.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) peer: Endpoint,
    pub(crate) local: Endpoint,
    pub(crate) socket_peer: Endpoint,
    pub(crate) proxied: Option<Proxied>,
    pub(crate) tls: Option<TlsInfo>,
    /// What the handler was told, if it was told something.
    pub(crate) said: String,
}

impl Seen {
    pub(crate) fn of(connection: &Connection, said: impl Into<String>) -> Self {
        let path = connection.path();
        Self {
            peer: path.peer,
            local: path.local,
            socket_peer: connection.socket_peer().clone(),
            proxied: connection.proxied().cloned(),
            tls: connection.tls().cloned(),
            said: said.into(),
        }
    }

    #[track_caller]
    pub(crate) fn tls(&self) -> &TlsInfo {
        self.tls.as_ref().expect("it came by TLS")
    }
}

impl Served {
    /// Builds a server and lets it run; what its handlers send is received by
    /// [`seen`](Self::seen).
    pub(crate) fn start(build: impl FnOnce(Builder, Sender<Seen>) -> Builder) -> Self {
        let runtime = runtime();
        let (sender, seen) = mpsc::channel();
        let server = {
            let _within = runtime.enter();
            let server = build(Server::builder(), sender).build();
            server.unwrap_or_else(|error| panic!("{error}"))
        };
        let handle = server.handle();
        let outside = runtime.handle().clone();
        let thread = thread::spawn(move || runtime.block_on(server.run()));
        Self {
            handle,
            runtime: outside,
            thread,
            seen,
        }
    }

    /// One listener whose handler is [`shout`].
    pub(crate) fn shouting(listen: impl Into<wharf::Listen>) -> Self {
        Self::start(|builder, seen| {
            builder.listen("it", listen, move |stream| shout(stream, seen.clone()))
        })
    }

    /// Where the listener `it` is.
    pub(crate) fn address(&self) -> SocketAddr {
        let address = self.handle.address("it").expect("a listener");
        address.ip().expect("an address")
    }

    /// What the next handler saw.
    #[track_caller]
    pub(crate) fn seen(&self) -> Seen {
        self.seen_within(SOON).expect("a connection")
    }

    /// As [`seen`](Self::seen), for a peer that takes its time.
    pub(crate) fn seen_within(&self, time: Duration) -> Option<Seen> {
        self.seen.recv_timeout(time).ok()
    }

    /// Drains the server, and says what happened to each arrival at the listener `it`. Checks that
    /// every handler ended by itself and that the counters add up.
    #[track_caller]
    pub(crate) fn finish(self) -> Stats {
        let report = self.runtime.block_on(self.handle.drain(SOON));
        assert_eq!(report.forced(), 0, "{report:?}");
        let stats = self.handle.stats();
        let (_, stats) = stats
            .into_iter()
            .find(|(name, _)| name == "it")
            .expect("it");
        assert_eq!((stats.pending, stats.live), (0, 0), "{stats:?}");
        assert_eq!(
            stats.arrived,
            stats.accepted + stats.all_refused(),
            "{stats:?}"
        );
        assert_eq!(stats.accepted, stats.all_closed(), "{stats:?}");
        self.thread.join().expect("the server ran to its end");
        stats
    }
}

/// What a plain client hears after it has sent `bytes`, and how long that took. An end with a reset
/// is an end too: what the server has not read resets the connection.
pub(crate) fn talk(to: SocketAddr, bytes: &[u8]) -> (Vec<u8>, Duration) {
    let began = Instant::now();
    let mut client = TcpStream::connect(to).expect("a connection");
    client.set_read_timeout(Some(SOON)).expect("a timeout");
    client.write_all(bytes).expect("a socket that takes it");
    let mut answer = Vec::new();
    match client.read_to_end(&mut answer) {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}"),
    }
    (answer, began.elapsed())
}

fn runtime() -> Runtime {
    let mut builder = runtime::Builder::new_current_thread();
    builder.enable_all().build().expect("a runtime")
}

/// Returns each line in capitals, so that it is no echo of the peer's own, and ends when the peer
/// ends or says `bye`.
pub(crate) async fn shout(stream: Stream, seen: Sender<Seen>) -> Result<(), BoxError> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    loop {
        line.clear();
        let read = stream.read_line(&mut line).await?;
        let said = line.trim_end();
        // The test may have seen enough and be over.
        let _ = seen.send(Seen::of(stream.get_ref().connection(), said));
        if read == 0 || said == "bye" {
            return Ok(stream.shutdown().await?);
        }
        stream.write_all(line.to_uppercase().as_bytes()).await?;
    }
}

/// Answers one HTTP request with ahoy.
pub(crate) async fn greet(stream: Stream, seen: Sender<Seen>) -> Result<(), BoxError> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    while stream.read_line(&mut line).await? > 2 {
        line.clear();
    }
    let _ = seen.send(Seen::of(stream.get_ref().connection(), ""));
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nahoy\n";
    stream.write_all(answer).await?;
    Ok(stream.shutdown().await?)
}

/// Returns each message as it came.
pub(crate) async fn echo(mut messages: Messages) -> Result<(), BoxError> {
    while let Some(message) = messages.recv().await {
        messages.send(message?).await?;
    }
    Ok(())
}

/// Returns each message in capitals, until one has a `bye`.
pub(crate) async fn shout_messages(
    mut messages: Messages,
    seen: Sender<Seen>,
) -> Result<(), BoxError> {
    while let Some(message) = messages.recv().await {
        let said = String::from_utf8_lossy(message?.payload()).into_owned();
        // The test may have seen enough and be over.
        let _ = seen.send(Seen::of(messages.connection(), said.trim_end()));
        messages.send(Message::binary(said.to_uppercase())).await?;
        if said.contains("bye") {
            break;
        }
    }
    Ok(())
}
