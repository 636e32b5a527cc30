//! What worker threads count for themselves, so that they share no cache line; summed by who reads.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use wharf_udp::Traffic;

use super::Stats;
use crate::reason::Dropped;

/// What became of the datagrams of one worker thread. Only the thread writes it.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Tally {
    delivered: AtomicU64,
    answered: AtomicU64,
    dropped: [AtomicU64; Dropped::ALL.len()],
}

impl Tally {
    pub(crate) fn delivered(&self, datagrams: usize) {
        bump(&self.delivered, datagrams as u64);
    }

    pub(crate) fn answered(&self) {
        bump(&self.answered, 1);
    }

    pub(crate) fn dropped(&self, reason: Dropped) {
        bump(&self.dropped[reason as usize], 1);
    }
}

/// There is one writer, so that a load and a store do for an addition.
fn bump(counter: &AtomicU64, by: u64) {
    counter.store(counter.load(Relaxed).wrapping_add(by), Relaxed);
}

/// The worker threads of a listener, and what those have counted that are gone.
#[derive(Debug, Default)]
pub(crate) struct Workers(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    present: Vec<Worker>,
    gone: Stats,
}

#[derive(Debug)]
struct Worker {
    tally: Arc<Tally>,
    traffic: Arc<Traffic>,
}

impl Workers {
    /// A thread begins to count.
    pub(crate) fn enroll(&self, tally: Arc<Tally>, traffic: Arc<Traffic>) {
        self.state().present.push(Worker { tally, traffic });
    }

    /// A thread has ended: what it has counted stays counted.
    pub(crate) fn dismiss(&self, tally: &Arc<Tally>) {
        let State { present, gone } = &mut *self.state();
        let ended = present.extract_if(.., |worker| Arc::ptr_eq(&worker.tally, tally));
        ended.for_each(|worker| worker.add_to(gone));
    }

    /// Adds what all threads have counted.
    pub(super) fn add_to(&self, stats: &mut Stats) {
        let state = self.state();
        add(stats, &state.gone);
        state.present.iter().for_each(|worker| worker.add_to(stats));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Worker {
    fn add_to(&self, stats: &mut Stats) {
        let traffic = self.traffic.count();
        let dropped = Dropped::ALL.map(|reason| {
            let cut = match reason {
                // What does not fit a slot is longer than any limit.
                Dropped::Oversized => traffic.truncated,
                _ => 0,
            };
            (
                reason,
                self.tally.dropped[reason as usize].load(Relaxed) + cut,
            )
        });
        let own = Stats {
            received: traffic.listeners.received_bytes,
            sent: traffic.listeners.sent_bytes,
            datagrams_received: traffic.listeners.received + traffic.truncated,
            datagrams_delivered: self.tally.delivered.load(Relaxed),
            datagrams_answered: self.tally.answered.load(Relaxed),
            datagrams_sent: traffic.listeners.sent,
            datagrams_unsent: traffic.send_blocked + traffic.send_failed,
            dropped: dropped.into(),
            kernel_drops: traffic.kernel_drops,
            icmp_errors: traffic.icmp_errors,
            worker_panics: traffic.panics,
            ..Stats::default()
        };
        add(stats, &own);
    }
}

/// Adds what threads count.
fn add(stats: &mut Stats, more: &Stats) {
    stats.received += more.received;
    stats.sent += more.sent;
    stats.datagrams_received += more.datagrams_received;
    stats.datagrams_delivered += more.datagrams_delivered;
    stats.datagrams_answered += more.datagrams_answered;
    stats.datagrams_sent += more.datagrams_sent;
    stats.datagrams_unsent += more.datagrams_unsent;
    stats.kernel_drops += more.kernel_drops;
    stats.icmp_errors += more.icmp_errors;
    stats.worker_panics += more.worker_panics;
    if stats.dropped.is_empty() {
        stats.dropped.clone_from(&more.dropped);
        return;
    }
    for ((_, sum), (_, count)) in stats.dropped.iter_mut().zip(&more.dropped) {
        *sum += count;
    }
}
