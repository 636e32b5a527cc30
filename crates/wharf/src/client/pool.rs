//! Connections that are used again: for protocols of a request and its answer.

mod options;
mod place;
mod stats;

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::coop::unconstrained;
use tokio::time::timeout;

pub use options::PoolOptions;
use place::{Claim, Places};
pub(super) use stats::Counters;
pub use stats::{PoolStats, PoolStatus};

use super::{Client, ConnectError, Target};
use crate::Stream;
use crate::config::units::format_duration;
use crate::connection::Connection;
use crate::counters::one_more;

/// Why a pool has given no connection.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum PoolError {
    /// It could not be made. All who waited at that moment are told the same.
    #[error("{0}")]
    Connect(Arc<ConnectError>),
    /// As many wait already as may.
    #[error("`pool.max_waiting` are waiting for a connection")]
    Busy,
    /// The attempt was ended where it stood: the [`connector`](super::ClientBuilder::connector) or
    /// [`resolver`](super::ClientBuilder::resolver) panicked, or the runtime ends.
    #[error("the attempt to connect was ended")]
    Abandoned,
    /// No connection was free or made in time.
    #[error("no connection was free within {} (`pool.wait`)", format_duration(*.0))]
    Timeout(Duration),
}

/// Connections to one target that are used again. Cheap to clone; see [`Client::pool`].
///
/// Of the connections that are free the one that was used last is taken first. Each is looked at
/// before it is given out: one that the peer has closed, or on which something has come that nobody
/// asked for, is thrown away. Free connections are also watched while they wait, so that none stays
/// half closed.
///
/// One connection is made at a time: who finds none free waits for it or for one that comes back,
/// whichever is first. When it fails, all who wait are told at once.
#[derive(Clone)]
pub struct Pool(Arc<Places>);

impl Client {
    /// A pool of connections to `url`, within [`pool`](super::ClientOptions::pool). Nothing is
    /// connected yet.
    ///
    /// ```
    /// use tokio::io::{AsyncReadExt, AsyncWriteExt};
    /// use wharf::{BoxError, Client, Server, Stream, Tcp};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), BoxError> {
    /// # let echo = async |stream: Stream| -> std::io::Result<()> {
    /// #     let (mut reader, mut writer) = tokio::io::split(stream);
    /// #     tokio::io::copy(&mut reader, &mut writer).await.map(drop)
    /// # };
    /// # let server = Server::builder().listen("echo", Tcp::bind("127.0.0.1:0"), echo).build()?;
    /// # let url = format!("tcp://{}", server.handle().address("echo")?);
    /// # tokio::spawn(server.run());
    /// let client = Client::builder().build()?;
    /// let pool = client.pool(&url)?;
    /// for _ in 0..3 {
    ///     let mut connection = pool.take().await?;
    ///     connection.write_all(b"ping").await?;
    ///     let mut answer = [0; 4];
    ///     connection.read_exact(&mut answer).await?;
    ///     // The answer is complete: the next request may use the connection.
    ///     connection.give_back();
    /// }
    /// assert_eq!(client.stats().accepted, 1);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The URL is no good, or has no bytes.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn pool(&self, url: &str) -> Result<Pool, ConnectError> {
        let target = Target::parse(url)?;
        target.has_bytes()?;
        Ok(Pool(Places::new(self.0.clone(), target)))
    }

    /// What the pools of this client have done.
    pub fn pools(&self) -> PoolStats {
        self.0.pools.snapshot()
    }
}

impl Pool {
    /// A connection, for the caller alone until it is given back or dropped.
    ///
    /// # Errors
    /// [`PoolError`].
    pub async fn take(&self) -> Result<Pooled, PoolError> {
        let options = self.0.options();
        let taking = self.take_in_time();
        let result = match options.wait {
            None => taking.await,
            Some(limit) => timeout(limit, taking)
                .await
                .unwrap_or(Err(PoolError::Timeout(limit))),
        };
        if let Err(PoolError::Busy | PoolError::Timeout(_)) = &result {
            one_more(&self.0.counters().refused);
        }
        result
    }

    async fn take_in_time(&self) -> Result<Pooled, PoolError> {
        if self.0.drains() {
            return Err(PoolError::Connect(Arc::new(ConnectError::Draining)));
        }
        loop {
            let stream = match self.0.claim().ok_or(PoolError::Busy)? {
                Claim::Idle(mut stream) => {
                    let look = std::future::poll_fn(|cx| {
                        Poll::Ready(stream.poll_unusable(cx).is_pending())
                    });
                    // The budget of the task would make every connection look usable.
                    if !unconstrained(look).await {
                        one_more(&self.0.counters().unusable);
                        self.0.leave();
                        continue;
                    }
                    one_more(&self.0.counters().reused);
                    stream
                }
                Claim::Wait(mut ticket) => ticket.wait().await?,
            };
            one_more(&self.0.counters().taken);
            return Ok(Pooled {
                stream: Some(stream),
                places: self.0.clone(),
            });
        }
    }

    /// How many connections there are now.
    pub fn status(&self) -> PoolStatus {
        self.0.status()
    }
}

/// A connection of a [`Pool`]. Dropping it closes it: only who knows that the answer is complete can
/// say that somebody else may use it, by [`give_back`](Self::give_back).
pub struct Pooled {
    /// `None` once it was given back.
    stream: Option<Stream>,
    places: Arc<Places>,
}

impl Pooled {
    /// Gives it back, to be used by others. One that is closed, or has something left to read, is
    /// thrown away.
    pub fn give_back(mut self) {
        if let Some(stream) = self.stream.take() {
            self.places.give_back(stream);
        }
    }

    /// The connection: who it is with, and how to close it.
    pub fn connection(&self) -> &Connection {
        self.stream().connection()
    }

    fn stream(&self) -> &Stream {
        let stream = self.stream.as_ref();
        stream.expect("a stream is taken out only by those who consume it")
    }

    fn pinned(self: Pin<&mut Self>) -> Pin<&mut Stream> {
        let stream = self.get_mut().stream.as_mut();
        Pin::new(stream.expect("a stream is taken out only by those who consume it"))
    }
}

impl Drop for Pooled {
    fn drop(&mut self) {
        if let Some(stream) = self.stream.take() {
            drop(stream);
            self.places.leave();
        }
    }
}

impl AsyncRead for Pooled {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        self.pinned().poll_read(cx, buf)
    }
}

impl AsyncWrite for Pooled {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        self.pinned().poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        self.pinned().poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream().is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        self.pinned().poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        self.pinned().poll_shutdown(cx)
    }
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Pool").field(&self.status()).finish()
    }
}

impl std::fmt::Debug for Pooled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Pooled").field(&self.stream).finish()
    }
}
