//! Ending in order: stop accepting, let connections finish, force what remains.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::error::Elapsed;
use tokio::time::{Instant, timeout, timeout_at};

use super::Inner;
use crate::counters::Stats;
use crate::events::Event;
use crate::listener::Listener;
use crate::owner::Owner;
use crate::reason::Closed;

/// How long a handler may go on after its connection was closed at the deadline.
const LAST_WORDS: Duration = Duration::from_millis(250);

/// How a drain went.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct DrainReport {
    /// Each listener, by name.
    pub listeners: Vec<ListenerDrain>,
    /// How long it took.
    pub took: Duration,
}

/// How the connections of one listener ended in a drain.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListenerDrain {
    /// The listener.
    pub listener: String,
    /// Connections that ended by themselves, handshakes included.
    pub finished: u64,
    /// Connections that were closed at the deadline.
    pub forced: u64,
    /// Why accepted ones ended; only reasons that occurred.
    pub reasons: Vec<(Closed, u64)>,
}

impl DrainReport {
    /// Connections that ended by themselves.
    pub fn finished(&self) -> u64 {
        self.listeners
            .iter()
            .map(|listener| listener.finished)
            .sum()
    }

    /// Connections that were closed at the deadline.
    pub fn forced(&self) -> u64 {
        self.listeners.iter().map(|listener| listener.forced).sum()
    }
}

impl fmt::Display for DrainReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let took = self.took.as_secs_f64();
        write!(
            f,
            "drained in {took:.1} s: {} finished, {} forced",
            self.finished(),
            self.forced()
        )?;
        for listener in &self.listeners {
            write!(
                f,
                "\n  {}: {} finished",
                listener.listener, listener.finished
            )?;
            write!(f, ", {} forced", listener.forced)?;
            for (reason, count) in &listener.reasons {
                write!(f, ", {}={count}", reason.label())?;
            }
        }
        Ok(())
    }
}

/// An owner at the start of its drain.
struct Draining {
    owner: Arc<Owner>,
    before: Stats,
    forced: u64,
}

/// Drains the whole server.
pub(crate) async fn all(inner: &Inner, deadline: Duration) -> DrainReport {
    inner.events.emit(|| Event::Draining);
    tracing::info!("draining");
    let listeners = inner.listeners();
    let report = these(listeners, deadline, Closed::Drained).await;
    inner.handovers.released().await;
    inner.events.emit(|| Event::Drained {
        finished: report.finished(),
        forced: report.forced(),
    });
    tracing::info!(
        finished = report.finished(),
        forced = report.forced(),
        "drained"
    );
    report
}

/// Drains listeners, and closes what remains at the deadline for `reason`.
pub(crate) async fn these(
    listeners: Vec<Arc<Listener>>,
    deadline: Duration,
    reason: Closed,
) -> DrainReport {
    for listener in &listeners {
        listener.stop();
    }
    let stopped = listeners.iter().map(|listener| listener.owner.clone());
    let report = owners(stopped.collect(), deadline, reason).await;
    for listener in &listeners {
        listener.released().await;
    }
    report
}

/// Drains the connections of listeners that have stopped, or of a client.
pub(crate) async fn owners(
    owners: Vec<Arc<Owner>>,
    deadline: Duration,
    reason: Closed,
) -> DrainReport {
    let began = Instant::now();
    let mut draining: Vec<_> = owners
        .into_iter()
        .map(|owner| Draining {
            before: owner.counters.snapshot(),
            owner,
            forced: 0,
        })
        .collect();
    // What ends because of the drain is in the report.
    for one in &draining {
        one.owner.connections.close();
        one.owner.drain();
    }
    // A deadline beyond what the clock can say is none.
    let at = began
        .checked_add(deadline)
        .unwrap_or(began + Duration::from_secs(1 << 30));
    for one in &mut draining {
        if timeout_at(at, one.owner.connections.empty()).await.is_err() {
            one.forced = close(&one.owner, reason);
        }
    }
    // A stream that its handler gave away, or a handler that never yields, is not waited for
    // longer: its socket fails on the next use.
    if wait(&draining, LAST_WORDS).await.is_err() {
        for one in draining.iter().filter(|one| one.forced > 0) {
            let connections = one.owner.connections.all();
            for connection in &connections {
                connection.abort();
            }
        }
        let _ = wait(&draining, LAST_WORDS).await;
    }
    DrainReport {
        listeners: draining.into_iter().map(Draining::report).collect(),
        took: began.elapsed(),
    }
}

/// Waits until the owners that were forced are empty, `limit` over all of them.
async fn wait(draining: &[Draining], limit: Duration) -> Result<(), Elapsed> {
    let empty = async {
        for one in draining.iter().filter(|one| one.forced > 0) {
            one.owner.connections.empty().await;
        }
    };
    timeout(limit, empty).await
}

/// Closes all connections of an owner; says how many.
fn close(owner: &Owner, reason: Closed) -> u64 {
    let connections = owner.connections.all();
    connections
        .iter()
        .filter(|connection| connection.fail(reason))
        .count() as u64
}

impl Draining {
    fn report(self) -> ListenerDrain {
        let after = self.owner.counters.snapshot();
        let reasons = after
            .closed
            .iter()
            .zip(&self.before.closed)
            .map(|((reason, after), (_, before))| (*reason, after - before))
            .filter(|(_, count)| *count > 0)
            .collect();
        let there = self.before.live + self.before.pending;
        ListenerDrain {
            listener: self.owner.name.to_string(),
            finished: there.saturating_sub(self.forced),
            forced: self.forced,
            reasons,
        }
    }
}
