//! The message rate of one connection.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::time::{Instant, Sleep, sleep_until};
use wharf_policy::TokenBucket;

use crate::connection::Shared;
use crate::counters::one_more;
use crate::events::Event;

/// Holds back the reading of messages while the connection is over `rates.messages`.
#[derive(Default)]
pub(crate) struct MessageRate {
    /// The version of the rules that `bucket` is by, and one more.
    version: u32,
    bucket: Option<Box<TokenBucket>>,
    wait: Option<Pin<Box<Sleep>>>,
}

impl MessageRate {
    /// Ready when one more message may be read.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, shared: &Shared) -> Poll<()> {
        let version = shared.owner.version() + 1;
        if self.version != version {
            self.version = version;
            let now = Instant::now().into_std();
            self.bucket = shared
                .owner
                .live()
                .config
                .rates
                .messages
                .map(|rate| Box::new(TokenBucket::new(now, rate.per_second, rate.burst)));
            self.wait = None;
        }
        let Some(bucket) = &mut self.bucket else {
            return Poll::Ready(());
        };
        let now = Instant::now();
        let Some(at) = bucket.next_at(now.into_std(), 1) else {
            return Poll::Ready(());
        };
        let at = Instant::from_std(at);
        if at <= now {
            self.wait = None;
            return Poll::Ready(());
        }
        if self.wait.is_none() {
            one_more(&shared.owner.counters.throttled);
            shared.owner.events.emit(|| Event::RateLimited {
                listener: shared.owner.name.clone(),
                id: Some(shared.id),
                key: "rates.messages",
            });
        }
        // Closed from outside, the reader has to see it at once.
        shared.reader.register(cx.waker());
        if shared.ending().is_some() {
            return Poll::Ready(());
        }
        let wait = self.wait.get_or_insert_with(|| Box::pin(sleep_until(at)));
        if wait.deadline() != at {
            wait.as_mut().reset(at);
        }
        ready!(wait.as_mut().poll(cx));
        self.wait = None;
        Poll::Ready(())
    }

    /// A message was read.
    pub(crate) fn took_one(&mut self) {
        if let Some(bucket) = &mut self.bucket {
            bucket.charge(Instant::now().into_std(), 1);
        }
    }
}
