//! What was counted.

use std::sync::atomic::{AtomicU64, Ordering};

use wharf_sip::FrameError;

/// A number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) received: Counter,
    pub(crate) sent: Counter,
    pub(crate) pings: Counter,
    pub(crate) pongs: Counter,
    pub(crate) full: Counter,
    pub(crate) opened: Counter,
    pub(crate) crowded: Counter,
    heads: Counter,
    lengths: Counter,
    times: Counter,
}

impl Counters {
    /// Bytes were no message.
    pub(crate) fn refused(&self, error: &FrameError) {
        let counter = match error {
            FrameError::Head(_) => &self.heads,
            FrameError::HeadTime | FrameError::BodyTime | FrameError::FirstMessageTime => {
                &self.times
            }
            _ => &self.lengths,
        };
        counter.add(1);
    }

    pub(crate) fn snapshot(&self) -> SipStats {
        SipStats {
            received: self.received.get(),
            sent: self.sent.get(),
            pings: self.pings.get(),
            pongs: self.pongs.get(),
            full: self.full.get(),
            opened: self.opened.get(),
            crowded: self.crowded.get(),
            refused_head: self.heads.get(),
            refused_length: self.lengths.get(),
            refused_time: self.times.get(),
        }
    }
}

/// The counters of a [`Sip`](crate::Sip) layer. Those of connections and bytes are the listeners'.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct SipStats {
    /// Messages that the layer above has taken.
    pub received: u64,
    /// Messages that were handed to a socket.
    pub sent: u64,
    /// Keep-alives that were answered.
    pub pings: u64,
    /// Keep-alives of ours that were answered.
    pub pongs: u64,
    /// Datagrams dropped because the layer above had no room.
    pub full: u64,
    /// Connections that have opened.
    pub opened: u64,
    /// Connections closed at once, because there were `max_connections`.
    pub crowded: u64,
    /// What could not be read as the head of a message.
    pub refused_head: u64,
    /// Messages whose length was missing, malformed, too large or not true.
    pub refused_length: u64,
    /// Connections whose message took too long.
    pub refused_time: u64,
}
