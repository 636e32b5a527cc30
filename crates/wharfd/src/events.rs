//! Puts the server's events into the log.
//!
//! Workers never wait for the log: they hand events to one thread through a bounded queue. What does
//! not fit is lost, and what goes beyond the rate of lines too; it is counted, and at most once a second
//! a line says how many were lost.

mod rate;

use rate::Rate;
use std::collections::HashSet;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use tracing::{debug, info, warn};
use wharf_turn_server::{Event, EventHook, FreedBy};

/// Events that may wait: a burst of lines several times over, for a log that pauses.
const WAITING: usize = 4096;

/// The least time between two lines that say how many events were lost: a flood would have one with
/// each of its own lines.
const BETWEEN_TOLD: Duration = Duration::from_secs(1);

/// Counts events that the log could not take.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lost(Arc<AtomicU64>);

impl Lost {
    /// How many were lost since the start.
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }

    fn count(&self) {
        self.0.fetch_add(1, Relaxed);
    }
}

/// The thread that writes events.
#[derive(Debug)]
pub(crate) struct EventLog {
    lost: Lost,
    thread: JoinHandle<()>,
}

impl EventLog {
    /// Starts the thread, and returns the hook that feeds it.
    pub(crate) fn start() -> io::Result<(EventHook, Self)> {
        let (queue, waiting) = sync_channel(WAITING);
        let lost = Lost::default();
        let seen = lost.clone();
        let thread = thread::Builder::new().name("log".to_owned());
        let thread = thread.spawn(move || write(&waiting, &seen, now))?;
        let hook = Hook {
            queue,
            lost: lost.clone(),
        };
        Ok((
            EventHook::new(move |event| hook.take(event)),
            Self { lost, thread },
        ))
    }

    /// The counter of lost events.
    pub(crate) fn lost(&self) -> Lost {
        self.lost.clone()
    }

    /// Waits until all events are written. Only after the last hook is gone: it would wait for more.
    pub(crate) fn finish(self) {
        // A panic of the thread has been reported where it happened.
        let _ = self.thread.join();
    }
}

/// The workers' end of the queue.
struct Hook {
    queue: SyncSender<Event>,
    lost: Lost,
}

impl Hook {
    fn take(&self, event: &Event) {
        if logged(event, false) && self.queue.try_send(event.clone()).is_err() {
            self.lost.count();
        }
    }
}

#[allow(clippy::disallowed_methods, reason = "the log has a rate")]
fn now() -> Instant {
    Instant::now()
}

/// Whether the level lets a line come of it: at the default level, allocations cost no copy. A refused
/// peer is `explained` when a line said it for the same reason.
fn logged(event: &Event, explained: bool) -> bool {
    match event {
        Event::Allocated { .. } | Event::Freed { .. } => tracing::enabled!(tracing::Level::DEBUG),
        Event::PeerRefused { .. } if explained => tracing::enabled!(tracing::Level::DEBUG),
        Event::PeerRefused { .. } => tracing::enabled!(tracing::Level::INFO),
        Event::AuthenticationFailed { .. } | Event::NoRelay { .. } => {
            tracing::enabled!(tracing::Level::WARN)
        }
    }
}

fn write(waiting: &Receiver<Event>, lost: &Lost, clock: impl Fn() -> Instant) {
    let mut hinted = HashSet::new();
    let mut rate = Rate::new(clock());
    let mut told = 0;
    let mut told_at: Option<Instant> = None;
    while let Ok(event) = waiting.recv() {
        let explained =
            matches!(&event, Event::PeerRefused { why, .. } if hinted.contains(why.label()));
        if !logged(&event, explained) {
            continue;
        }
        let now = clock();
        if !rate.admits(now) {
            lost.count();
            continue;
        }
        let count = lost.get();
        if count > told && told_at.is_none_or(|at| now.duration_since(at) >= BETWEEN_TOLD) {
            warn!(
                events = count - told,
                "events were lost: there were more than the log takes"
            );
            (told, told_at) = (count, Some(now));
        }
        line(&event, &mut hinted);
    }
}

/// Writes one event. `hinted` holds the reasons for which a refused peer was explained already.
fn line(event: &Event, hinted: &mut HashSet<&'static str>) {
    match event {
        Event::Allocated {
            path,
            user,
            relayed,
        } => {
            let relayed: Vec<String> = relayed.iter().flatten().map(ToString::to_string).collect();
            debug!(client = %path.client, server = %path.server, user = &**user, relayed = relayed.join(" "), "allocated");
        }
        Event::Freed { path, user, by } => {
            let by = match by {
                FreedBy::Client => "client",
                FreedBy::Expiry => "expiry",
                FreedBy::Disconnect => "disconnect",
            };
            debug!(client = %path.client, server = %path.server, user = &**user, by, "freed");
        }
        Event::AuthenticationFailed { path, user, why } => {
            warn!(client = %path.client, server = %path.server, user = user.as_deref(), reason = why.label(), "authentication failed");
        }
        // Every WebRTC client tries its private addresses first: one line for each reason explains
        // it, the others are detail.
        Event::PeerRefused { path, peer, why } if hinted.insert(why.label()) => {
            info!(client = %path.client, %peer, reason = why.label(), "peer refused: {why}");
        }
        Event::PeerRefused { path, peer, why } => {
            debug!(client = %path.client, %peer, reason = why.label(), "peer refused");
        }
        Event::NoRelay { path } => {
            warn!(client = %path.client, server = %path.server, "no relay port could be had");
        }
    }
}

#[cfg(test)]
mod tests;
