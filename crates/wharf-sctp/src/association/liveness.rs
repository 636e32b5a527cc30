//! Whether the peer is still there (RFC 9260 §8.1, by time).
//!
//! The engine counts retransmissions, and counts those too that meet a closed window: a peer that is alive but does
//! not read would be given up. Here anything heard from the peer counts as life.

use std::time::{Duration, Instant};

#[derive(Debug)]
pub(super) struct Liveness {
    patience: Duration,
    /// Zero: no heartbeats, so a silent idle peer is no news.
    heartbeat: Duration,
    heard: Instant,
    /// Since when an answer is due.
    waiting: Option<Instant>,
}

impl Liveness {
    pub(super) fn new(now: Instant, patience: Duration, heartbeat: Duration) -> Self {
        Self {
            patience,
            heartbeat,
            heard: now,
            waiting: None,
        }
    }

    pub(super) fn heard(&mut self, now: Instant) {
        self.heard = now;
    }

    /// Whether the peer owes an answer: to messages, or to a shutdown.
    pub(super) fn waits(&mut self, now: Instant, waits: bool) {
        if waits {
            self.waiting.get_or_insert(now);
        } else {
            self.waiting = None;
        }
    }

    /// When the peer counts as gone, if nothing is heard until then.
    pub(super) fn ends(&self) -> Option<Instant> {
        if let Some(since) = self.waiting {
            return since.max(self.heard).checked_add(self.patience);
        }
        // The next heartbeat leaves one interval and a round trip after the last packet.
        let quiet = (self.heartbeat * 2).checked_add(self.patience)?;
        (!self.heartbeat.is_zero())
            .then(|| self.heard.checked_add(quiet))
            .flatten()
    }
}
