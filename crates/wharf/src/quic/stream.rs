//! One bidirectional stream as ordered bytes.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use quinn::{RecvStream, SendStream, StoppedError, VarInt};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::oneshot;

use super::fault::told;
use crate::connection::Hold;
use crate::wire::Lease;

/// The error code of a stream whose handler panicked.
const INTERNAL: VarInt = VarInt::from_u32(1);

/// Ends when the peer has taken all that was sent, or wants no more of it.
type Taken = Pin<Box<dyn Future<Output = Result<Option<VarInt>, StoppedError>> + Send + Sync>>;

/// A stream, which keeps its connection counted.
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

    fn send(&mut self) -> io::Result<Pin<&mut SendStream>> {
        let (send, _) = self.halves.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        Ok(Pin::new(send))
    }

    fn told<T>(&self, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        result.map_err(|error| told(self.hold.shared(), error))
    }
}

impl Drop for QuicStream {
    fn drop(&mut self) {
        let Some((send, recv)) = &mut self.halves else {
            return;
        };
        if std::thread::panicking() {
            // What is closed already needs no reset.
            let _ = send.reset(INTERNAL);
            let _ = recv.stop(INTERNAL);
        } else if let Some(taken) = self.taken.take() {
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
        let read = AsyncRead::poll_read(Pin::new(recv), cx, buf);
        this.told(read)
    }
}

impl AsyncWrite for QuicStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = AsyncWrite::poll_write(this.send()?, cx, bytes);
        this.told(written)
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
        this.told(ended)
    }
}
