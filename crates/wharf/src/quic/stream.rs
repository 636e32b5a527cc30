//! One bidirectional stream as ordered bytes.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use quinn::{RecvStream, SendStream, StoppedError, VarInt};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::oneshot;

use super::fault::told;
use super::patience::Patience;
use super::transport::varint;
use crate::connection::Hold;
use crate::reason::Closed;
use crate::wire::Lease;

/// The error code of a stream whose handler panicked.
const INTERNAL: VarInt = VarInt::from_u32(1);

/// Which direction is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Read,
    Write,
}

/// Ends when the peer has taken all that was sent, or wants no more of it.
type Taken = Pin<Box<dyn Future<Output = Result<Option<VarInt>, StoppedError>> + Send + Sync>>;

/// A stream, which keeps its connection counted.
///
/// A read or a write that waits for longer than `timeouts.read-idle` or `timeouts.write` resets it in both
/// directions with `quic.drain-code`, and fails; the connection goes on. The times in force when it begins to
/// wait count.
///
/// Dropping it ends what we send in order (FIN) and asks the peer to send no more; while its handler
/// panics it is reset instead, so that the peer does not take what came for the whole.
pub(crate) struct QuicStream {
    /// `None` once they were handed out.
    halves: Option<(SendStream, RecvStream)>,
    /// What we send has ended.
    finished: bool,
    /// To whoever waits until the peer has all.
    taken: Option<oneshot::Sender<Taken>>,
    reading: Patience,
    writing: Patience,
    /// Why it was reset.
    expired: Option<Closed>,
    hold: Hold,
}

impl QuicStream {
    /// A stream, and what ends when it is dropped and the peer has taken all that was sent: a
    /// connection that is closed before throws the rest away (RFC 9000 §10.2).
    pub(super) fn new(
        halves: (SendStream, RecvStream),
        hold: Hold,
    ) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (taken, dropped) = oneshot::channel::<Taken>();
        let stream = Self {
            halves: Some(halves),
            finished: false,
            taken: Some(taken),
            reading: Patience::default(),
            writing: Patience::default(),
            expired: None,
            hold,
        };
        let done = async move {
            // A stream that was reset or handed out says nothing.
            if let Ok(taken) = dropped.await {
                // Either way nothing is left to wait for.
                let _ = taken.await;
            }
        };
        (stream, done)
    }

    /// The connection's place, for whoever takes the halves.
    pub(crate) fn lease(&self) -> Lease {
        Lease::new(self.hold.clone())
    }

    /// quinn's halves, unless they were handed out before.
    pub(crate) fn into_halves(mut self) -> Option<(SendStream, RecvStream)> {
        self.halves.take()
    }

    /// A read that waits is given up: its time counts no more.
    pub(crate) fn rest(&mut self) {
        self.reading.renew();
    }

    /// Whatever waited has come to an end.
    fn told<T>(&mut self, side: Side, done: io::Result<T>) -> io::Result<T> {
        match side {
            Side::Read => self.reading.renew(),
            Side::Write => self.writing.renew(),
        }
        match self.expired {
            Some(reason) => Err(reason.error()),
            None => done.map_err(|error| told(self.hold.shared(), error)),
        }
    }

    /// One side makes its user wait: fails when it has for too long.
    fn poll_waiting<T>(&mut self, cx: &mut Context<'_>, side: Side) -> Poll<io::Result<T>> {
        let live = self.hold.shared().owner.live();
        let (timeouts, quic) = (&live.config.timeouts, &live.config.quic);
        let reason = match side {
            Side::Read => {
                ready!(self.reading.poll_over(cx, timeouts.read_idle));
                Closed::ReadIdle
            }
            Side::Write => {
                ready!(self.writing.poll_over(cx, timeouts.write));
                Closed::WriteTimeout
            }
        };
        self.reset(varint(quic.drain_code));
        self.taken = None;
        self.expired = Some(reason);
        self.hold.shared().note(reason);
        Poll::Ready(Err(reason.error()))
    }

    fn reset(&mut self, code: VarInt) {
        if let Some((send, recv)) = &mut self.halves {
            // What is closed already needs no reset.
            let _ = send.reset(code);
            let _ = recv.stop(code);
        }
    }

    fn send(&mut self) -> io::Result<Pin<&mut SendStream>> {
        let (send, _) = self.halves.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        Ok(Pin::new(send))
    }
}

impl Drop for QuicStream {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.reset(INTERNAL);
        } else if let (Some((send, _)), Some(taken)) = (&mut self.halves, self.taken.take()) {
            // Nobody waits where the connection has ended.
            let _ = taken.send(Box::pin(send.stopped()));
        }
    }
}

impl AsyncRead for QuicStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let Some((_, recv)) = &mut this.halves else {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        };
        match AsyncRead::poll_read(Pin::new(recv), cx, buf) {
            Poll::Ready(read) => Poll::Ready(this.told(Side::Read, read)),
            Poll::Pending => this.poll_waiting(cx, Side::Read),
        }
    }
}

impl AsyncWrite for QuicStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        match AsyncWrite::poll_write(this.send()?, cx, bytes) {
            Poll::Ready(written) => Poll::Ready(this.told(Side::Write, written)),
            Poll::Pending => this.poll_waiting(cx, Side::Write),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        AsyncWrite::poll_flush(self.get_mut().send()?, cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if std::mem::replace(&mut this.finished, true) {
            return Poll::Ready(Ok(()));
        }
        let ended = AsyncWrite::poll_shutdown(this.send()?, cx);
        ended.map(|ended| this.told(Side::Write, ended))
    }
}
