//! A session over ordered bytes.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::codec::Decoder;

use super::{Received, SessionError};
use crate::counters::one_more;
use crate::memory::Share;
use crate::messages::{MessageRate, Outbox};
use crate::{Sender, Stream};

/// Bytes read at a time.
const CHUNK: usize = 8 << 10;

/// What was read and what is to be written.
pub(super) struct BytesCarrier {
    stream: Stream,
    received: BytesMut,
    /// The part of the server's memory that `received` takes.
    share: Option<(usize, Share)>,
    /// The codec has not been asked since the last read.
    fresh: bool,
    ended: bool,
    unsent: BytesMut,
    outbox: Option<Arc<Outbox<Bytes>>>,
    rate: MessageRate,
}

impl std::fmt::Debug for BytesCarrier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.stream.fmt(f)
    }
}

impl BytesCarrier {
    pub(super) fn new(stream: Stream) -> Self {
        Self {
            stream,
            received: BytesMut::new(),
            share: None,
            fresh: false,
            ended: false,
            unsent: BytesMut::new(),
            outbox: None,
            rate: MessageRate::default(),
        }
    }

    pub(super) fn stream(&self) -> &Stream {
        &self.stream
    }

    pub(super) fn sender(&mut self) -> Sender<Bytes> {
        let shared = self.stream.connection().shared();
        Sender::new(
            self.outbox
                .get_or_insert_with(|| Outbox::new(shared))
                .clone(),
        )
    }

    pub(super) async fn send(&mut self, encoded: &[u8]) -> io::Result<()> {
        poll_fn(|cx| self.poll_outbox(cx)).await?;
        self.unsent.extend_from_slice(encoded);
        poll_fn(|cx| self.poll_unsent(cx)).await?;
        one_more(
            &self
                .stream
                .connection()
                .shared()
                .owner
                .counters
                .messages_sent,
        );
        poll_fn(|cx| Pin::new(&mut self.stream).poll_flush(cx)).await
    }

    /// Writes what is unsent. Ready when nothing is.
    fn poll_unsent(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.unsent.is_empty() {
            match ready!(Pin::new(&mut self.stream).poll_write(cx, &self.unsent))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                sent => self.unsent.advance(sent),
            }
        }
        // The buffer of a connection that was busy once is not kept.
        self.unsent = BytesMut::new();
        Poll::Ready(Ok(()))
    }

    /// Writes what senders have queued. Ready when nothing waits.
    fn poll_outbox(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(outbox) = self.outbox.clone() else {
            return self.poll_unsent(cx);
        };
        loop {
            ready!(self.poll_unsent(cx))?;
            let Poll::Ready(message) = outbox.poll_next(cx) else {
                return Pin::new(&mut self.stream).poll_flush(cx);
            };
            let counters = &self.stream.connection().shared().owner.counters;
            counters.messages_sent.fetch_add(1, Ordering::Relaxed);
            self.unsent.extend_from_slice(&message);
        }
    }

    pub(super) fn poll_recv<C: Decoder>(
        &mut self,
        cx: &mut Context<'_>,
        codec: &mut C,
    ) -> Poll<Option<Received<C>>> {
        if let Poll::Ready(Err(error)) = self.poll_outbox(cx) {
            return Poll::Ready(Some(Err(error.into())));
        }
        loop {
            ready!(self.rate.poll(cx, self.stream.connection().shared()));
            match self.decode(codec).transpose() {
                Some(result) => return Poll::Ready(Some(result)),
                None if self.ended => return Poll::Ready(None),
                None => {}
            }
            match ready!(self.poll_fill(cx)) {
                Ok(()) => {}
                Err(Fill::Io(error)) => return Poll::Ready(Some(Err(error.into()))),
                Err(Fill::Memory) => return Poll::Ready(Some(Err(SessionError::Memory))),
            }
        }
    }

    /// The next message in what was received.
    fn decode<C: Decoder>(
        &mut self,
        codec: &mut C,
    ) -> Result<Option<C::Item>, SessionError<C::Error>> {
        if !self.fresh {
            return Ok(None);
        }
        let limit = self
            .stream
            .connection()
            .shared()
            .owner
            .live()
            .config
            .buffers
            .max_message;
        let before = self.received.len();
        let decoded = if self.ended {
            codec.decode_eof(&mut self.received)
        } else {
            codec.decode(&mut self.received)
        }
        .map_err(SessionError::Codec)?;
        let taken = before.saturating_sub(self.received.len());
        let Some(item) = decoded else {
            self.fresh = false;
            if self.ended && !self.received.is_empty() {
                return Err(SessionError::Incomplete);
            }
            if self.received.len() as u64 > limit {
                return Err(SessionError::Oversized { limit });
            }
            return Ok(None);
        };
        if taken as u64 > limit {
            return Err(SessionError::Oversized { limit });
        }
        if self.received.is_empty() {
            self.received = BytesMut::new();
            self.share = None;
        }
        self.rate.took_one();
        one_more(
            &self
                .stream
                .connection()
                .shared()
                .owner
                .counters
                .messages_received,
        );
        Ok(Some(item))
    }

    /// Reads more, or notes the end.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fill>> {
        // On the stack: nothing is held for a connection that has nothing to say.
        let mut chunk = [std::mem::MaybeUninit::<u8>::uninit(); CHUNK];
        let mut chunk = ReadBuf::uninit(&mut chunk);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut chunk)).map_err(Fill::Io)?;
        self.fresh = true;
        if chunk.filled().is_empty() {
            self.ended = true;
            return Poll::Ready(Ok(()));
        }
        self.received.extend_from_slice(chunk.filled());
        let held = self.received.capacity();
        if self.share.as_ref().is_none_or(|(share, _)| *share < held) {
            self.share = None;
            let memory = &self.stream.connection().shared().owner.memory;
            let share = memory.take(held as u64).ok_or(Fill::Memory)?;
            self.share = Some((held, share));
        }
        Poll::Ready(Ok(()))
    }
}

/// Why nothing more was read.
enum Fill {
    Io(io::Error),
    Memory,
}

impl Drop for BytesCarrier {
    fn drop(&mut self) {
        if let Some(outbox) = &self.outbox {
            outbox.close();
        }
    }
}
