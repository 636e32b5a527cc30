//! What a worker counts, without contention: only the worker writes, anybody reads.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::SendReport;

/// The counters of one worker. Each counts up from zero and wraps at 2⁶⁴.
///
/// They have cache lines of their own, so that workers do not slow each other down.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Traffic {
    pub(super) listeners: Side,
    pub(super) own: Side,
    send_blocked: AtomicU64,
    send_failed: AtomicU64,
    kernel_drops: AtomicU64,
    truncated: AtomicU64,
    icmp_errors: AtomicU64,
    panics: AtomicU64,
}

/// What goes through listening sockets, or through the handler's own.
#[derive(Debug, Default)]
pub(super) struct Side {
    received: AtomicU64,
    received_bytes: AtomicU64,
    sent: AtomicU64,
    sent_bytes: AtomicU64,
}

impl Side {
    pub(super) fn received(&self, datagrams: usize, bytes: usize) {
        bump(&self.received, datagrams as u64);
        bump(&self.received_bytes, bytes as u64);
    }

    fn count(&self) -> Moved {
        Moved {
            received: self.received.load(Relaxed),
            received_bytes: self.received_bytes.load(Relaxed),
            sent: self.sent.load(Relaxed),
            sent_bytes: self.sent_bytes.load(Relaxed),
        }
    }
}

impl Traffic {
    pub(super) fn sent(&self, side: &Side, report: &SendReport) {
        bump(&side.sent, report.sent);
        bump(&side.sent_bytes, report.sent_bytes);
        if report.would_block + report.failed > 0 {
            bump(&self.send_blocked, report.would_block);
            bump(&self.send_failed, report.failed);
        }
    }

    pub(super) fn dropped_by_kernel(&self, datagrams: u64) {
        bump(&self.kernel_drops, datagrams);
    }

    pub(super) fn truncated(&self) {
        bump(&self.truncated, 1);
    }

    pub(super) fn icmp_error(&self) {
        bump(&self.icmp_errors, 1);
    }

    pub(super) fn panicked(&self) {
        bump(&self.panics, 1);
    }

    /// What was counted until now.
    pub fn count(&self) -> TrafficCount {
        TrafficCount {
            listeners: self.listeners.count(),
            own: self.own.count(),
            send_blocked: self.send_blocked.load(Relaxed),
            send_failed: self.send_failed.load(Relaxed),
            kernel_drops: self.kernel_drops.load(Relaxed),
            truncated: self.truncated.load(Relaxed),
            icmp_errors: self.icmp_errors.load(Relaxed),
            panics: self.panics.load(Relaxed),
        }
    }
}

/// Only the worker writes, so that a load and a store do for an addition.
fn bump(value: &AtomicU64, n: u64) {
    value.store(value.load(Relaxed).wrapping_add(n), Relaxed);
}

/// The counters of a worker at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TrafficCount {
    /// Through listening sockets.
    pub listeners: Moved,
    /// Through sockets that the handler has added.
    pub own: Moved,
    /// Datagrams not sent because the socket's buffer was full.
    pub send_blocked: u64,
    /// Datagrams that the system refused to send.
    pub send_failed: u64,
    /// Datagrams that the kernel dropped before they were read, for want of buffer space. Looked at once
    /// a second while there is traffic.
    pub kernel_drops: u64,
    /// Bursts with more data or side data than a slot has room for, not passed on.
    pub truncated: u64,
    /// ICMP errors received.
    pub icmp_errors: u64,
    /// Turns that ended with a panic of the handler.
    pub panics: u64,
}

/// Datagrams and bytes of payload, by direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    /// Datagrams received.
    pub received: u64,
    /// Bytes received.
    pub received_bytes: u64,
    /// Datagrams sent.
    pub sent: u64,
    /// Bytes sent.
    pub sent_bytes: u64,
}
