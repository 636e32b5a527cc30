//! How long one side of a stream has waited for its peer.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// The wait of a read, or of a write. The clock is read only while it waits.
#[derive(Debug, Default)]
pub(super) struct Patience {
    since: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Patience {
    /// Something has moved, or nobody waits any more.
    pub(super) fn renew(&mut self) {
        self.since = None;
    }

    /// Ready when it has waited for `limit`, which may be another one than before.
    pub(super) fn poll_over(&mut self, cx: &mut Context<'_>, limit: Option<Duration>) -> Poll<()> {
        let since = *self.since.get_or_insert_with(Instant::now);
        let Some(at) = limit.and_then(|limit| since.checked_add(limit)) else {
            self.timer = None;
            return Poll::Pending;
        };
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(at)));
        loop {
            // A timer that fires early is cheaper than one moved with every byte.
            if timer.deadline() > at || timer.is_elapsed() {
                timer.as_mut().reset(at);
            }
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            if timer.deadline() >= at {
                return Poll::Ready(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    async fn over(patience: &mut Patience, limit: Duration) -> Duration {
        let began = Instant::now();
        poll_fn(|cx| patience.poll_over(cx, Some(limit))).await;
        began.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn it_ends_a_limit_after_something_moved_last() {
        let (second, mut patience) = (Duration::from_secs(1), Patience::default());
        let waits = async |patience: &mut Patience, limit| {
            let waited = tokio::time::timeout(second / 2, over(patience, limit)).await;
            assert!(waited.is_err());
        };
        waits(&mut patience, second).await;
        patience.renew();
        waits(&mut patience, second).await;
        assert_eq!(over(&mut patience, second).await, second / 2);
        // Another limit counts from when the wait began.
        patience.renew();
        waits(&mut patience, second).await;
        assert_eq!(over(&mut patience, 3 * second).await, second * 5 / 2);
        patience.renew();
        waits(&mut patience, 3 * second).await;
        assert_eq!(over(&mut patience, second).await, second / 2);
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_limit_it_has_no_end() {
        let mut patience = Patience::default();
        let over = poll_fn(|cx| patience.poll_over(cx, None));
        let year = Duration::from_hours(24 * 365);
        assert!(tokio::time::timeout(year, over).await.is_err());
    }
}
