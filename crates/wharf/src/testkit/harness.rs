//! A server in a test, whose books are audited.

use std::time::Duration;

use tokio::task::JoinHandle;

use crate::server::Builder;
use crate::{BuildError, DrainReport, Handle, Stats};

/// A server that runs, with the laws that hold for every server checked on demand and at the end.
/// For a runtime whose time is paused (`#[tokio::test(start_paused = true)]`): there a wait lasts
/// exactly until nobody has anything left to do.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// use std::time::Duration;
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
/// use wharf::config::Transport;
/// use wharf::testkit::{Fault, Faults, Harness, memory};
/// use wharf::{Closed, Server, Stream};
///
/// let faults = Faults::default().reset_after(4);
/// let (listen, connector) = memory(Transport::Tcp);
/// let harness = Harness::start(Server::builder().listen(
///     "sink",
///     listen,
///     async |mut stream: Stream| tokio::io::copy(&mut stream, &mut tokio::io::sink()).await.map(drop),
/// ))
/// .unwrap();
/// let mut client = connector.with_faults(&faults).connect_from("192.0.2.1:1000").await.unwrap();
/// client.write_all(b"hello").await.unwrap();
/// harness.settle().await;
/// assert_eq!(faults.fired(Fault::Reset), 1);
/// assert_eq!(harness.stats("sink").closed(Closed::Reset), 1);
/// harness.finish(Duration::from_secs(1)).await;
/// # }
/// ```
#[derive(Debug)]
pub struct Harness {
    handle: Handle,
    running: JoinHandle<DrainReport>,
}

impl Harness {
    /// Builds the server and runs it.
    ///
    /// # Errors
    /// Those of [`Builder::build`].
    pub fn start(builder: Builder) -> Result<Self, BuildError> {
        let server = builder.build()?;
        let handle = server.handle();
        let running = tokio::spawn(server.run());
        Ok(Self { handle, running })
    }

    /// The control plane.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// The counters of a listener.
    ///
    /// # Panics
    /// There is none of this name.
    pub fn stats(&self, listener: &str) -> Stats {
        self.handle
            .inspect(listener)
            .unwrap_or_else(|error| panic!("{error}"))
            .stats
    }

    /// Waits until every task waits: a millisecond of virtual time passes.
    pub async fn settle(&self) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }

    /// Checks the books of a server at rest (see [`settle`](Self::settle)): for each listener
    /// `arrived = pending + accepted + Σ refused`, `accepted = live + Σ closed`, and
    /// `datagrams_received = datagrams_delivered + datagrams_answered + Σ dropped`.
    ///
    /// # Panics
    /// They do not balance.
    pub fn audit(&self) {
        for (listener, stats) in self.handle.stats() {
            let known = stats.pending + stats.accepted + stats.all_refused();
            assert_eq!(stats.arrived, known, "arrivals of {listener}: {stats:?}");
            let ended = stats.live + stats.all_closed();
            assert_eq!(
                stats.accepted, ended,
                "connections of {listener}: {stats:?}"
            );
            let decided =
                stats.datagrams_delivered + stats.datagrams_answered + stats.all_dropped();
            assert_eq!(
                stats.datagrams_received, decided,
                "datagrams of {listener}: {stats:?}"
            );
        }
    }

    /// Drains the server, audits its books, and checks that nothing is left: no connection, no
    /// place under any limit, no byte of the memory budget.
    ///
    /// # Panics
    /// Something is left, the books do not balance, or the server panicked.
    pub async fn finish(self, deadline: Duration) -> DrainReport {
        let report = self.handle.drain(deadline).await;
        self.settle().await;
        self.audit();
        for (listener, stats) in self.handle.stats() {
            assert_eq!((stats.pending, stats.live), (0, 0), "left in {listener}");
        }
        let held = self.handle.held();
        assert!(held.is_empty(), "still held: {held:?}");
        assert_eq!(self.handle.memory(), 0, "bytes that nobody gave back");
        let ran = self.running.await.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(ran, report, "every drain has the same report");
        report
    }
}
