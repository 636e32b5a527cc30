//! Zero-downtime restart: sockets change hands, and nobody notices but the two processes.

mod batch;
mod datagrams;
#[cfg(feature = "dtls")]
mod dtls;
#[cfg(feature = "dtls")]
#[allow(dead_code, reason = "other tests use the rest")]
#[path = "../options/dtls_site.rs"]
mod dtls_site;
mod processes;
#[cfg(feature = "quic")]
mod quic;
#[cfg(feature = "quic")]
#[allow(dead_code, reason = "other tests use the rest")]
#[path = "../options/quic_site.rs"]
mod quic_site;
mod refusals;
#[cfg(feature = "sctp")]
mod sctp;
#[cfg(feature = "sctp")]
#[allow(dead_code, reason = "other tests use the rest")]
#[path = "../common/sctp.rs"]
mod sctp_peer;
mod sockets;

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::broadcast;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use wharf::events::Event;
use wharf::handover::Handover;
use wharf::{BoxError, Builder, Client, DrainReport, Handle, Server, Stream, Tcp};

/// For what happens within milliseconds.
const PATIENCE: Duration = Duration::from_secs(30);

/// A directory of one test, removed at its end.
struct Directory(PathBuf);

impl Directory {
    fn new(test: &str) -> Self {
        let name = format!("wharf-handover-{}-{test}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Where the handover is offered.
    fn socket(&self) -> PathBuf {
        self.file("handover")
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A server that runs.
struct Running {
    handle: Handle,
    events: broadcast::Receiver<Event>,
    end: JoinHandle<DrainReport>,
}

impl Running {
    fn start(server: Server) -> Self {
        let handle = server.handle();
        let events = handle.events();
        let end = tokio::spawn(server.run());
        Self {
            handle,
            events,
            end,
        }
    }

    /// Builds a server, and offers its sockets at `socket`.
    fn offering(builder: Builder, socket: &Path) -> Self {
        let server = builder.build().unwrap();
        server.handle().offer_handover(socket).unwrap();
        Self::start(server)
    }

    /// Why the next handover failed.
    async fn failure(&mut self) -> String {
        let found = async {
            loop {
                if let Event::HandoverFailed { error } = self.events.recv().await.unwrap() {
                    return error;
                }
            }
        };
        timeout(PATIENCE, found).await.unwrap()
    }

    /// The end, which the successor brings about.
    async fn ended(self) -> DrainReport {
        timeout(PATIENCE, self.end).await.unwrap().unwrap()
    }

    fn url(&self, listener: &str) -> String {
        match self.handle.address(listener).unwrap() {
            wharf::Endpoint::Ip(address) => format!("tcp://{address}"),
            other => format!("unix:{other}"),
        }
    }
}

/// Tells everybody `who` it is, and echoes.
fn tell(who: &'static str) -> impl Fn(Stream) -> BoxFuture + Send + Sync + Clone + 'static {
    move |mut stream| {
        Box::pin(async move {
            stream.write_all(who.as_bytes()).await?;
            let (mut reader, mut writer) = tokio::io::split(stream);
            tokio::io::copy(&mut reader, &mut writer).await?;
            Ok(())
        })
    }
}

type BoxFuture = std::pin::Pin<Box<dyn Future<Output = Result<(), BoxError>> + Send>>;

/// A server with one TCP listener, `it`, on a port that the kernel chooses.
fn on_tcp(who: &'static str) -> Builder {
    Server::builder().listen("it", Tcp::bind("127.0.0.1:0"), tell(who))
}

/// A connection to `url` and the first three letters of who answers.
async fn ask(url: &str) -> (Stream, String) {
    let client = Client::builder().build().unwrap();
    let mut stream = client.connect(url).await.unwrap();
    let mut answer = [0; 3];
    let read = stream.read_exact(&mut answer);
    timeout(PATIENCE, read).await.unwrap().unwrap();
    (stream, String::from_utf8(answer.to_vec()).unwrap())
}

async fn take(socket: &Path) -> Handover {
    Handover::take(socket).await.unwrap().unwrap()
}
