//! Waiting for room without taking it.

use tokio::sync::Notify;

/// Those who wait for room: to be woken, not to be given a place. A place that is given to one who waits
/// comes free again when its future ends, for the next one who waits, and whoever then asks for it finds it
/// gone: of enough who wait, none would ever get it.
#[derive(Debug, Default)]
pub(crate) struct Room(Notify);

impl Room {
    /// There is more room than before, or nobody needs any.
    pub(crate) fn made(&self) {
        self.0.notify_one();
    }

    /// Completes when there is room. Who completes wakes the next one, who waits on unless there is more:
    /// so no room is left over while somebody waits.
    pub(crate) async fn until(&self, is_there: impl Fn() -> bool) {
        while !is_there() {
            self.0.notified().await;
        }
        self.0.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::poll;

    use super::*;

    #[tokio::test]
    async fn who_waits_for_room_takes_none_and_leaves_none_over() {
        let (room, left) = (Room::default(), AtomicUsize::new(0));
        let wait = || Box::pin(room.until(|| left.load(Ordering::SeqCst) > 0));
        let (mut first, mut second, mut third) = (wait(), wait(), wait());
        for one in [&mut first, &mut second, &mut third] {
            assert!(poll!(one).is_pending());
        }
        left.store(1, Ordering::SeqCst);
        room.made();
        assert!(poll!(&mut first).is_ready());
        left.store(0, Ordering::SeqCst);
        assert!(poll!(&mut second).is_pending() && poll!(&mut third).is_pending());
        // Woken once, for places that nobody takes.
        left.store(1, Ordering::SeqCst);
        room.made();
        tokio::join!(second, third);
    }
}
