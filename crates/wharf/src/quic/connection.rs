//! A connection as a whole, for protocols that use all of QUIC.

use std::fmt;
use std::sync::Arc;

use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::datagrams::Datagrams;
use super::fault::told;
use super::stream::QuicStream;
use super::transport::varint;
use crate::connection::{Connection, Hold, Shared};
use crate::path::Path;
use crate::wire::Lease;
use crate::{Messages, Stream};

/// A QUIC connection as a whole: its streams in both directions, its datagrams, and the
/// [`quinn::Connection`] inside, as HTTP/3 needs it. Cheap to clone.
///
/// The connection ends when its handler returns, once the peer has taken what the streams of
/// [`open_stream`](Self::open_stream) and [`accept_stream`](Self::accept_stream) sent; streams that
/// were made with quinn's own functions are not waited for. One that a [`Client`](crate::Client) made
/// ends when nobody has it any more: neither the client, nor a clone of this, nor a stream.
#[derive(Clone)]
pub struct QuicConnection {
    quinn: quinn::Connection,
    hold: Hold,
    streams: TaskTracker,
    /// Of a connection that we made: the last who has it lets it end.
    kept: Option<Arc<DropGuard>>,
}

impl QuicConnection {
    pub(super) fn new(quinn: quinn::Connection, hold: Hold) -> Self {
        Self {
            quinn,
            hold,
            streams: TaskTracker::new(),
            kept: None,
        }
    }

    /// With `unused` cancelled when nobody has the connection any more.
    pub(super) fn kept(mut self, unused: &CancellationToken) -> Self {
        self.kept = Some(Arc::new(unused.clone().drop_guard()));
        self
    }

    /// Its streams, until the peer has taken what they sent.
    pub(super) fn streams(&self) -> TaskTracker {
        self.streams.clone()
    }

    /// Whether it has ended, or begins to.
    pub(super) fn is_over(&self) -> bool {
        self.quinn.close_reason().is_some() || self.hold.shared().owner.drains()
    }

    /// The connection: who it is with, and how to close it.
    pub fn connection(&self) -> Connection {
        Connection::new(self.hold.shared().clone())
    }

    /// Between whom it is, and over what. A peer that has migrated since is still named as it came:
    /// [`quinn::Connection::remote_address`] tells where it is now.
    pub fn path(&self) -> Path {
        self.hold.shared().path()
    }

    /// The next bidirectional stream that the peer opens; `None` when the connection has ended.
    pub async fn accept_stream(&self) -> Option<Stream> {
        let halves = self.quinn.accept_bi().await.ok()?;
        Some(self.stream(halves))
    }

    /// Opens a bidirectional stream, as soon as the peer allows one more. It learns of the stream
    /// with the first byte.
    ///
    /// # Errors
    /// The connection has ended.
    pub async fn open_stream(&self) -> std::io::Result<Stream> {
        match self.quinn.open_bi().await {
            Ok(halves) => Ok(self.stream(halves)),
            Err(error) => Err(told(self.hold.shared(), error.into())),
        }
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        self.hold.shared()
    }

    fn stream(&self, halves: (quinn::SendStream, quinn::RecvStream)) -> Stream {
        let (stream, done) = QuicStream::new(halves, self.hold.clone());
        self.streams.spawn(done);
        Stream::over_quic(stream, self.connection())
    }

    /// Its datagrams as messages. Several of these would share what arrives.
    pub fn messages(&self) -> Messages {
        let link = Datagrams::new(self.clone());
        Messages::new(Box::new(link), self.connection())
    }

    /// The connection inside.
    pub fn quinn(&self) -> &quinn::Connection {
        &self.quinn
    }

    /// The connection inside, and its place: limits go on counting it until the [`Lease`] is
    /// dropped.
    pub fn into_inner(self) -> (quinn::Connection, Lease) {
        (self.quinn, Lease::new(self.hold))
    }

    /// Closes it at once with an application error code, at most 2^62 - 1. What is under way is
    /// thrown away.
    pub fn close(&self, code: u64, reason: &str) {
        self.quinn.close(varint(code), reason.as_bytes());
    }

    /// Waits until the peer has taken what the streams that were dropped have sent, or the
    /// connection has ended.
    pub(super) async fn finished(&self) {
        self.streams.close();
        self.streams.wait().await;
    }
}

impl fmt::Debug for QuicConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("QuicConnection")
            .field(&self.connection())
            .finish()
    }
}
