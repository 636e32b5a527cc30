//! Clients over TCP and TLS: the task of one connection.
//!
//! A connection that is accepted, and decrypted if need be, by whatever listens is given to
//! [`Handle::serve_stream`]; here it is cut into frames (RFC 8489 §6.2.2, RFC 8656 §12.5), and one of
//! the workers handles them together with those of its other clients.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut as _, BytesMut};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::{sleep, timeout};
use wharf_stun::{FrameError, Framer, Step};
use wharf_udp::SLOT_SIZE;

use crate::Handle;
use crate::control::Inbox;
use crate::lane::{Batch, HangUp, Lane, Next};

/// The longest frame, header and padding included: what a worker can hold in one piece. A datagram of
/// any size fits, over a channel with its header.
const MAX_FRAME: usize = SLOT_SIZE - SLOT_SIZE % 4;
/// Room that is made for one read. It follows what comes, so that an idle connection holds little.
const MIN_READ: usize = 512;
const MAX_READ: usize = 16 << 10;
/// How long what is still to be written when a stream ends may take.
const LINGER: Duration = Duration::from_secs(5);

/// What the server's streams have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamOptions {
    /// Bytes that may wait to be written to one client. Default 256 KiB. While it is full, relayed data
    /// for this client is dropped and counted ([`Counter::StreamDropped`](crate::Counter::StreamDropped)),
    /// as UDP would; replies are queued all the same, and nothing more is read from the client.
    pub queue: usize,
    /// A connection without an allocation is closed when it has brought no frame for so long, at the
    /// latest after twice the time. Default 60 s.
    pub idle: Duration,
}

impl Default for StreamOptions {
    fn default() -> Self {
        Self {
            queue: 256 << 10,
            idle: Duration::from_mins(1),
        }
    }
}

/// What a stream runs over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StreamTransport {
    /// Plain TCP.
    Tcp,
    /// TLS over TCP.
    Tls,
}

/// The five-tuple of a stream (RFC 8656 §2). No two connections that are open at the same time have the
/// same one: of two that do the older is taken for dead and ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StreamPath {
    /// What it runs over.
    pub transport: StreamTransport,
    /// The client's address, which it is told as its own. An IPv4 address that is mapped into IPv6
    /// counts as the IPv4 address.
    pub client: SocketAddr,
    /// The address that the connection was accepted at: one of this host's, and not one that somebody
    /// else has told, since each is remembered.
    pub server: SocketAddr,
}

/// How a stream ended in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamEnd {
    /// The client has closed it, or its half of it; with TLS, with or without close_notify.
    Closed,
    /// It had no allocation and brought nothing for [`StreamOptions::idle`].
    Idle,
    /// Another connection with the same five-tuple has come.
    Replaced,
    /// The server drains and the client has no allocation, or none any more.
    Drained,
    /// The server has stopped.
    Stopped,
}

/// Why a stream was given up.
#[derive(Debug, Error)]
pub enum StreamError {
    /// The client sends something else than STUN messages and ChannelData.
    #[error("not a TURN stream: {0}")]
    Frame(#[from] FrameError),
    /// The connection broke.
    #[error("the connection failed: {0}")]
    Io(#[from] io::Error),
}

impl Handle {
    /// Serves a TURN client over a connection until either of them ends it. All connections of one
    /// five-tuple go to the same worker.
    ///
    /// Runs on any tokio runtime that has its timers enabled. Dropped, it ends the stream. When the
    /// stream ends, whoever ends it, the client's allocation goes with it (RFC 8656 §5), and replies to
    /// what was read before are written, for 5 seconds at the most. A request whose user a back-end is
    /// still looking up is not answered then.
    ///
    /// ```
    /// use wharf_turn_server::{Handle, StreamPath, StreamTransport};
    ///
    /// async fn serve(handle: Handle, listener: tokio::net::TcpListener) -> std::io::Result<()> {
    ///     loop {
    ///         let (connection, client) = listener.accept().await?;
    ///         let path = StreamPath {
    ///             transport: StreamTransport::Tcp,
    ///             client,
    ///             server: connection.local_addr()?,
    ///         };
    ///         let handle = handle.clone();
    ///         tokio::spawn(async move { handle.serve_stream(connection, path).await });
    ///     }
    /// }
    /// ```
    pub async fn serve_stream<S>(&self, io: S, path: StreamPath) -> Result<StreamEnd, StreamError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        let path = StreamPath {
            client: canonical(path.client),
            server: canonical(path.server),
            ..path
        };
        let stream = Stream {
            lane: Arc::new(Lane::new(path, self.streams.queue)),
            inbox: self.inbox_of(&path),
        };
        stream.lane.open(&stream.inbox);
        let (reader, writer) = tokio::io::split(io);
        let mut writing = pin!(write(writer, &stream.lane));
        let mut written = false;
        let outcome = tokio::select! {
            biased;
            end = stream.lane.ended() => Ok(end),
            result = &mut writing => {
                written = true;
                match result {
                    Ok(()) => Ok(stream.lane.ended().await),
                    Err(error) => Err(error.into()),
                }
            }
            result = stream.read(reader, self.framer) => result.map(|()| StreamEnd::Closed),
            () = stream.idle(self.streams.idle) => Ok(StreamEnd::Idle),
        };
        stream.hang_up(match &outcome {
            Ok(StreamEnd::Idle) => HangUp::Idle,
            Ok(_) => HangUp::Closed,
            Err(StreamError::Frame(_)) => HangUp::Garbled,
            Err(StreamError::Io(_)) => HangUp::Failed,
        });
        if !written {
            // The outcome stands, whether the rest could be written or not.
            let _ = timeout(LINGER, writing).await;
        }
        outcome
    }
}

/// Cuts streams as the core takes them.
pub(crate) fn framer(rfc5766_channels: bool) -> Framer {
    let framer = Framer::new(MAX_FRAME);
    if rfc5766_channels {
        framer.rfc5766_channels()
    } else {
        framer
    }
}

/// A stream as long as its task lives.
struct Stream {
    lane: Arc<Lane>,
    inbox: Arc<Inbox>,
}

impl Stream {
    /// Reads frames and hands them to the worker until the client ends the stream.
    async fn read<R: AsyncRead + Unpin>(
        &self,
        mut reader: R,
        framer: Framer,
    ) -> Result<(), StreamError> {
        let mut buffer = BytesMut::new();
        let mut room = MIN_READ;
        loop {
            self.lane.room().await;
            buffer.reserve(room);
            let got = match reader.read_buf(&mut (&mut buffer).limit(room)).await {
                Ok(0) => return Ok(()),
                Ok(got) => got,
                // Many a client ends TLS without a word. Frames say themselves whether they are whole.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            room = if got == room { room * 4 } else { got }.clamp(MIN_READ, MAX_READ);
            loop {
                let (batch, error) = cut(framer, &mut buffer);
                let is_empty = batch.ends.is_empty();
                if !is_empty {
                    self.lane.room().await;
                    self.lane.push(&self.inbox, batch);
                }
                if let Some(error) = error {
                    return Err(error.into());
                }
                if is_empty {
                    break;
                }
            }
        }
    }

    /// Waits until the stream has been of no use for some time.
    async fn idle(&self, time: Duration) {
        loop {
            let before = self.lane.activity();
            sleep(time).await;
            if self.lane.is_idle(before) {
                return;
            }
        }
    }

    fn hang_up(&self, why: HangUp) {
        self.lane.hang_up(&self.inbox, why);
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.hang_up(HangUp::Abandoned);
    }
}

/// Takes the whole frames off what was received, as many as a batch can hold, and says what is wrong
/// with the next one.
fn cut(framer: Framer, buffer: &mut BytesMut) -> (Batch, Option<FrameError>) {
    let mut ends = Vec::new();
    let mut end = 0;
    let error = loop {
        match framer.step(&buffer[end..]) {
            Ok(Step::Frame { consumed, .. }) if end + consumed <= SLOT_SIZE => {
                end += consumed;
                ends.push(end as u32);
            }
            Ok(_) => break None,
            Err(error) => break Some(error),
        }
    };
    let bytes = buffer.split_to(end);
    (Batch { bytes, ends }, error)
}

/// Writes what the worker sends until it is done with the stream.
async fn write<W: AsyncWrite + Unpin>(mut writer: W, lane: &Lane) -> io::Result<()> {
    while let Next::Bytes(bytes) = lane.outbound().await {
        writer.write_all(&bytes).await?;
        writer.flush().await?;
        lane.written(bytes.len());
    }
    // A client that is gone by now has lost nothing.
    let _ = writer.shutdown().await;
    Ok(())
}

fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        ip if ip == address.ip() => address,
        ip => SocketAddr::new(ip, address.port()),
    }
}
