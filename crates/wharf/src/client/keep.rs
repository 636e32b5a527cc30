//! Connections that are made again when they are lost.

use std::ops::ControlFlow;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use wharf_policy::Backoff;

use super::{Client, ConnectError, Inner, Target};
use crate::connection::Connection;
use crate::events::Event;
use crate::reason::Closed;
use crate::{Messages, Stream};

/// How far a [`Keeper`] is.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum KeepState {
    /// It connects.
    Connecting,
    /// It is connected, and its function runs.
    Connected(Connection),
    /// It waits before it connects again.
    Waiting {
        /// For how long, from the beginning of the wait.
        delay: Duration,
        /// Failures since the last connection that was there for `reconnect.stable`, this one
        /// included.
        failures: u32,
        /// What has happened.
        why: Lost,
    },
    /// It connects no more.
    Ended(KeepEnd),
}

/// Why there is no connection, or none any more.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Lost {
    /// It could not be made.
    #[error("{0}")]
    Failed(Arc<ConnectError>),
    /// The function has returned.
    #[error("the connection ended")]
    Ended,
    /// The function has panicked.
    #[error("the function of the connection panicked")]
    Panicked,
}

/// Why a [`Keeper`] connects no more.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum KeepEnd {
    /// The function has returned [`ControlFlow::Break`].
    Done,
    /// [`Keeper::finish`], or the keeper was dropped.
    Stopped,
    /// The client drains.
    Draining,
    /// `reconnect.give_up` failures in a row; this is the last.
    GaveUp(Lost),
}

/// Keeps one connection: see [`Client::keep`]. Dropping it ends what it does, where it stands.
#[derive(Debug)]
#[must_use = "the connection ends when its keeper is dropped"]
pub struct Keeper {
    state: watch::Receiver<KeepState>,
    finish: CancellationToken,
    task: JoinHandle<()>,
}

impl Keeper {
    /// How far it is.
    pub fn state(&self) -> KeepState {
        self.state.borrow().clone()
    }

    /// Its states as they change. Who looks seldom sees the last one only.
    pub fn watch(&self) -> watch::Receiver<KeepState> {
        self.state.clone()
    }

    /// Has it connect no more: a wait or an attempt ends at once, a function that runs goes on to
    /// its end.
    pub fn finish(&self) {
        self.finish.cancel();
    }

    /// Waits until it connects no more.
    pub async fn ended(&mut self) -> KeepEnd {
        let is_end = |state: &KeepState| matches!(state, KeepState::Ended(_));
        match self.state.wait_for(is_end).await.as_deref() {
            Ok(KeepState::Ended(end)) => end.clone(),
            // Its runtime has ended.
            _ => KeepEnd::Stopped,
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What a keeper connects to have.
trait Shape: Sized + Send + 'static {
    fn make(
        inner: &Inner,
        target: &Target,
    ) -> impl Future<Output = Result<Self, ConnectError>> + Send;

    fn connection(&self) -> &Connection;
}

impl Shape for Stream {
    async fn make(inner: &Inner, target: &Target) -> Result<Self, ConnectError> {
        inner.stream(target).await
    }

    fn connection(&self) -> &Connection {
        self.connection()
    }
}

impl Shape for Messages {
    async fn make(inner: &Inner, target: &Target) -> Result<Self, ConnectError> {
        inner.messages(target).await
    }

    fn connection(&self) -> &Connection {
        self.connection()
    }
}

impl Client {
    /// Connects, runs `serve` with the connection, and connects again when that has returned or the
    /// connection could not be made: until `serve` returns [`ControlFlow::Break`], the keeper is
    /// told to [`finish`](Keeper::finish) or dropped, the client drains, or
    /// [`give_up`](super::Reconnect::give_up) failures have followed each other. Between two
    /// attempts it waits as [`reconnect`](super::ClientOptions::reconnect) says. A `serve` that
    /// panics ends its connection, as one that returns does.
    ///
    /// ```
    /// use std::ops::ControlFlow;
    /// use tokio::io::AsyncReadExt;
    /// use wharf::{BoxError, Client, Server, Stream, Tcp};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), BoxError> {
    /// # let hello = async |mut s: Stream| tokio::io::AsyncWriteExt::write_all(&mut s, b"hi").await;
    /// # let server = Server::builder().listen("hello", Tcp::bind("127.0.0.1:0"), hello).build()?;
    /// # let url = format!("tcp://{}", server.handle().address("hello")?);
    /// # tokio::spawn(server.run());
    /// let client = Client::builder().build()?;
    /// let mut told = 0;
    /// let mut keeper = client.keep(&url, move |mut stream: Stream| {
    ///     told += 1;
    ///     async move {
    ///         let mut said = String::new();
    ///         let result = stream.read_to_string(&mut said).await;
    ///         // Enough after three connections.
    ///         if told == 3 && result.is_ok() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    ///     }
    /// })?;
    /// keeper.ended().await;
    /// assert_eq!(client.stats().accepted, 3);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The URL is no good, or has no bytes. That nobody is there is told by [`Keeper::state`], and tried again.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn keep<F, Fut>(&self, url: &str, serve: F) -> Result<Keeper, ConnectError>
    where
        F: FnMut(Stream) -> Fut + Send + 'static,
        Fut: Future<Output = ControlFlow<()>> + Send + 'static,
    {
        let target = Target::parse(url)?;
        target.has_bytes()?;
        Ok(keep(self.0.clone(), target, serve))
    }

    /// As [`keep`](Self::keep), with messages.
    ///
    /// # Errors
    /// The URL is no good, or has no messages.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn keep_messages<F, Fut>(&self, url: &str, serve: F) -> Result<Keeper, ConnectError>
    where
        F: FnMut(Messages) -> Fut + Send + 'static,
        Fut: Future<Output = ControlFlow<()>> + Send + 'static,
    {
        let target = Target::parse(url)?;
        target.has_messages()?;
        Ok(keep(self.0.clone(), target, serve))
    }
}

fn keep<T, F, Fut>(inner: Arc<Inner>, target: Target, serve: F) -> Keeper
where
    T: Shape,
    F: FnMut(T) -> Fut + Send + 'static,
    Fut: Future<Output = ControlFlow<()>> + Send + 'static,
{
    let (state, watched) = watch::channel(KeepState::Connecting);
    let finish = CancellationToken::new();
    let keeping = Keeping {
        inner,
        target,
        finish: finish.clone(),
        state,
        backoff: Backoff::default(),
    };
    Keeper {
        state: watched,
        finish,
        task: tokio::spawn(keeping.run(serve)),
    }
}

struct Keeping {
    inner: Arc<Inner>,
    target: Target,
    finish: CancellationToken,
    state: watch::Sender<KeepState>,
    backoff: Backoff,
}

impl Keeping {
    async fn run<T, F, Fut>(mut self, mut serve: F)
    where
        T: Shape,
        F: FnMut(T) -> Fut + Send + 'static,
        Fut: Future<Output = ControlFlow<()>> + Send + 'static,
    {
        let end = loop {
            let why = match self.once(&mut serve).await {
                ControlFlow::Continue(why) => why,
                ControlFlow::Break(end) => break end,
            };
            if let ControlFlow::Break(end) = self.pause(why).await {
                break end;
            }
            self.state.send_replace(KeepState::Connecting);
        };
        self.state.send_replace(KeepState::Ended(end));
    }

    /// One connection, from the first attempt to its end.
    async fn once<T, F, Fut>(&mut self, serve: &mut F) -> ControlFlow<KeepEnd, Lost>
    where
        T: Shape,
        F: FnMut(T) -> Fut,
        Fut: Future<Output = ControlFlow<()>>,
    {
        let made = tokio::select! {
            biased;
            () = self.finish.cancelled() => return ControlFlow::Break(KeepEnd::Stopped),
            () = self.inner.owner.draining.cancelled() => {
                return ControlFlow::Break(KeepEnd::Draining);
            }
            made = T::make(&self.inner, &self.target) => made,
        };
        let shape = match made {
            Ok(shape) => shape,
            Err(error) => return ControlFlow::Continue(Lost::Failed(Arc::new(error))),
        };
        self.backoff.succeeded(Instant::now().into_std());
        let connection = shape.connection().clone();
        // Until it is known how the function ended.
        let hold = connection.shared().hold();
        self.state.send_replace(KeepState::Connected(connection));
        let served = async { serve(shape).await };
        match AssertUnwindSafe(served).catch_unwind().await {
            Ok(ControlFlow::Break(())) => ControlFlow::Break(KeepEnd::Done),
            Ok(ControlFlow::Continue(())) => ControlFlow::Continue(Lost::Ended),
            Err(_) => {
                hold.shared().fail(Closed::Panic);
                tracing::error!(
                    id = hold.shared().id,
                    "function of a kept connection panicked"
                );
                ControlFlow::Continue(Lost::Panicked)
            }
        }
    }

    /// Waits before the next attempt, if there is to be one.
    async fn pause(&mut self, why: Lost) -> ControlFlow<KeepEnd> {
        let rules = self.inner.rules.load_full();
        let reconnect = &rules.options.reconnect;
        let now = Instant::now().into_std();
        let random = self.inner.ways.random();
        let delay = self.backoff.failed(now, &reconnect.rules(), random);
        let failures = self.backoff.failures();
        if reconnect.give_up.is_some_and(|most| failures >= most) {
            return ControlFlow::Break(KeepEnd::GaveUp(why));
        }
        let owner = &self.inner.owner;
        owner.events.emit(|| Event::Reconnect {
            client: owner.name.clone(),
            delay,
            failures,
        });
        self.state.send_replace(KeepState::Waiting {
            delay,
            failures,
            why,
        });
        tokio::select! {
            biased;
            () = self.finish.cancelled() => ControlFlow::Break(KeepEnd::Stopped),
            () = owner.draining.cancelled() => ControlFlow::Break(KeepEnd::Draining),
            () = tokio::time::sleep(delay) => ControlFlow::Continue(()),
        }
    }
}
