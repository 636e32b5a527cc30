//! Faults of a network, by plan, each counted when it fires.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// What can be made to go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// A read or write moved less than it could have.
    Split,
    /// A read or write waited first.
    Delay,
    /// A read or write found the connection reset.
    Reset,
    /// A byte that was read was not the one that was sent.
    Corrupt,
    /// An accept failed.
    Accept,
}

/// A plan of faults, and how often each has fired. Clones share the counters: give one to as many
/// connections as should suffer, and ask any of them. No fault is in force unless it is said.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
/// use wharf::testkit::{Fault, Faults, Faulty};
///
/// let faults = Faults::default().split(2).corrupt_every(4);
/// let (mut near, far) = tokio::io::duplex(64);
/// near.write_all(b"aaaaaaaa").await.unwrap();
/// drop(near);
/// let mut read = Vec::new();
/// Faulty::new(far, &faults).read_to_end(&mut read).await.unwrap();
/// assert_eq!(read, [b'a', b'a', b'a', !b'a', b'a', b'a', b'a', !b'a']);
/// assert_eq!(faults.fired(Fault::Corrupt), 2);
/// assert!(faults.fired(Fault::Split) >= 3);
/// # }
/// ```
#[derive(Debug, Clone, Default)]
pub struct Faults {
    split: Option<usize>,
    delay: Option<Duration>,
    reset_after: Option<u64>,
    corrupt_every: Option<u64>,
    fired: Arc<[AtomicU64; 5]>,
}

impl Faults {
    /// Each read and each write moves at most `bytes`; 0 counts as 1.
    #[must_use]
    pub fn split(mut self, bytes: usize) -> Self {
        self.split = Some(bytes.max(1));
        self
    }

    /// Each read and each write waits so long first.
    #[must_use]
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = Some(delay);
        self
    }

    /// A connection is reset once it has moved `bytes`, both directions together.
    #[must_use]
    pub fn reset_after(mut self, bytes: u64) -> Self {
        self.reset_after = Some(bytes);
        self
    }

    /// Of the bytes read from a connection, every `n`th has all its bits turned; 0 is none.
    #[must_use]
    pub fn corrupt_every(mut self, n: u64) -> Self {
        self.corrupt_every = Some(n).filter(|n| *n > 0);
        self
    }

    /// How often `fault` has fired over all connections.
    pub fn fired(&self, fault: Fault) -> u64 {
        self.fired[fault as usize].load(Ordering::Relaxed)
    }

    pub(super) fn fire(&self, fault: Fault) {
        self.fired[fault as usize].fetch_add(1, Ordering::Relaxed);
    }
}

/// The faults of one connection.
#[derive(Debug)]
pub(super) struct Injector {
    faults: Faults,
    moved: u64,
    read: u64,
    reading: Pause,
    writing: Pause,
}

/// The wait before one operation.
#[derive(Debug, Default)]
enum Pause {
    #[default]
    Due,
    Waiting(Pin<Box<Sleep>>),
    Over,
}

impl Pause {
    fn poll(&mut self, cx: &mut Context<'_>, faults: &Faults) -> Poll<()> {
        let Some(delay) = faults.delay else {
            return Poll::Ready(());
        };
        loop {
            match self {
                Self::Due => {
                    faults.fire(Fault::Delay);
                    *self = Self::Waiting(Box::pin(sleep(delay)));
                }
                Self::Waiting(wait) => {
                    ready!(wait.as_mut().poll(cx));
                    *self = Self::Over;
                }
                Self::Over => return Poll::Ready(()),
            }
        }
    }
}

impl Injector {
    pub(super) fn new(faults: &Faults) -> Self {
        Self {
            faults: faults.clone(),
            moved: 0,
            read: 0,
            reading: Pause::Due,
            writing: Pause::Due,
        }
    }

    /// How many of `wanted` bytes may be moved now.
    fn share(&self, wanted: usize) -> io::Result<usize> {
        let mut share = wanted;
        if let Some(after) = self.faults.reset_after {
            let left = after.saturating_sub(self.moved);
            if left == 0 {
                self.faults.fire(Fault::Reset);
                return Err(io::ErrorKind::ConnectionReset.into());
            }
            share = share.min(usize::try_from(left).unwrap_or(usize::MAX));
        }
        Ok(share.min(self.faults.split.unwrap_or(usize::MAX)))
    }

    pub(super) fn poll_read<S: AsyncRead>(
        &mut self,
        stream: Pin<&mut S>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.reading.poll(cx, &self.faults));
        let wanted = buf.remaining();
        let share = self.share(wanted)?;
        let mut part = ReadBuf::new(buf.initialize_unfilled_to(share));
        ready!(stream.poll_read(cx, &mut part))?;
        let read = part.filled().len();
        for byte in part.filled_mut() {
            self.read += 1;
            if self
                .faults
                .corrupt_every
                .is_some_and(|n| self.read.is_multiple_of(n))
            {
                *byte = !*byte;
                self.faults.fire(Fault::Corrupt);
            }
        }
        buf.advance(read);
        if read == share && share < wanted {
            self.faults.fire(Fault::Split);
        }
        self.moved += read as u64;
        self.reading = Pause::Due;
        Poll::Ready(Ok(()))
    }

    pub(super) fn poll_write<S: AsyncWrite>(
        &mut self,
        stream: Pin<&mut S>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.writing.poll(cx, &self.faults));
        let share = self.share(bytes.len())?;
        let written = ready!(stream.poll_write(cx, &bytes[..share]))?;
        if written == share && share < bytes.len() {
            self.faults.fire(Fault::Split);
        }
        self.moved += written as u64;
        self.writing = Pause::Due;
        Poll::Ready(Ok(written))
    }
}

/// A stream that suffers [`Faults`]. Its `flush` and `shutdown` are those of the stream inside.
#[derive(Debug)]
pub struct Faulty<S> {
    stream: S,
    injector: Injector,
}

impl<S> Faulty<S> {
    /// `stream`, with faults in both directions.
    pub fn new(stream: S, faults: &Faults) -> Self {
        Self {
            stream,
            injector: Injector::new(faults),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Faulty<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.injector.poll_read(Pin::new(&mut this.stream), cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Faulty<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.injector
            .poll_write(Pin::new(&mut this.stream), cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
