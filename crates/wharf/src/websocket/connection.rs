//! An open WebSocket connection.

use std::future::poll_fn;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};

use super::close::{self, Close};
use super::error::Error;
use super::frame::Opcode;
use super::inbound::Inbound;
use super::keepalive::KeepAlive;
use super::outbound::Outbound;
use super::wakers::{Side, Wakers};
use crate::config::WebSocketOptions;
use crate::message::{Kind, Message};

mod receive;

/// Where the connection stands. Until a Close has come it is `Open`, also when this side has sent
/// one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    /// The peer's Close has come, or the connection has failed: what waits is written, and then the
    /// sending side of the connection below is ended.
    Ending,
    Ended,
}

/// A WebSocket connection over any byte connection, after the upgrade: the server's end or the
/// client's (RFC 6455).
///
/// Pings are answered and the peer's Close is answered while [`recv`](WebSocket::recv) is awaited,
/// and only then; so are pings sent to a silent peer ([`WebSocketOptions::ping`]). Between messages
/// it holds no buffer. At most it holds one message of [`WebSocketOptions::max_message`] on its way
/// in, with as much again for room to grow, and 16 KiB and one message on its way out.
///
/// ```
/// use wharf::config::WebSocketOptions;
/// use wharf::message::Message;
/// use wharf::websocket::WebSocket;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), wharf::websocket::Error> {
/// let (near, far) = tokio::io::duplex(1024);
/// let options = WebSocketOptions::default();
/// let mut client = WebSocket::client(near, b"", &options);
/// let mut server = WebSocket::server(far, b"", &options);
/// client.send(Message::text("ahoy")).await?;
/// let message = server.recv().await.expect("a message")?;
/// assert_eq!(message.as_text(), Some("ahoy"));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct WebSocket<IO> {
    io: IO,
    inbound: Inbound,
    outbound: Outbound,
    keepalive: Option<KeepAlive>,
    phase: Phase,
    failed: bool,
    close: Option<Close>,
    wakers: Wakers,
}

impl<IO: AsyncRead + AsyncWrite + Unpin> WebSocket<IO> {
    /// The server's end, after [`super::server::upgrade`]; `leftover` is what came behind the
    /// upgrade request. Of the options `max_frame`, `max_message` and `ping` count here. A ping
    /// interval needs a tokio runtime with time.
    pub fn server(io: IO, leftover: &[u8], options: &WebSocketOptions) -> WebSocket<IO> {
        WebSocket::new(io, leftover, options, false)
    }

    /// The client's end, after [`super::client::handshake`].
    pub fn client(io: IO, leftover: &[u8], options: &WebSocketOptions) -> WebSocket<IO> {
        WebSocket::new(io, leftover, options, true)
    }

    fn new(io: IO, leftover: &[u8], options: &WebSocketOptions, client: bool) -> WebSocket<IO> {
        let mut inbound = Inbound::new(!client, options.max_frame, options.max_message);
        inbound.feed(leftover);
        WebSocket {
            io,
            inbound,
            outbound: Outbound::new(client),
            keepalive: options.ping.map(KeepAlive::new),
            phase: Phase::Open,
            failed: false,
            close: None,
            wakers: Wakers::default(),
        }
    }

    /// The next message; `None` after the closing handshake, or at the end of the connection after
    /// a Close was sent. Pings, pongs and the peer's Close are dealt with on the way. After an error
    /// the next call ends the connection and says `None`.
    ///
    /// Cancel-safe: a message is either returned or still to come.
    pub async fn recv(&mut self) -> Option<Result<Message, Error>> {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    /// Sends a message, in one frame, and flushes.
    ///
    /// Cancelled while it waits for room, the message is not sent; later, it is sent by the next
    /// call of any kind.
    ///
    /// # Errors
    /// [`Error::Closing`] after a Close was sent or received; [`Error::Io`].
    pub async fn send(&mut self, message: Message) -> Result<(), Error> {
        poll_fn(|cx| self.poll_ready(cx)).await?;
        self.start_send(message)?;
        poll_fn(|cx| self.poll_flush(cx)).await
    }

    /// Closes: sends a Close behind what waits, throws away what still comes until the peer's Close,
    /// and ends the connection below. After a failure or a Close of the peer it does what is left of
    /// that. It takes as long as the peer likes: bound it by a timeout.
    ///
    /// # Errors
    /// [`Error::CloseCode`]; what [`WebSocket::recv`] meets on the way.
    pub async fn close(&mut self, code: u16, reason: &str) -> Result<(), Error> {
        self.start_close(code, reason)?;
        poll_fn(|cx| self.poll_close(cx)).await
    }

    /// The part of [`WebSocket::close`] behind [`WebSocket::start_close`].
    pub fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        while let Some(message) = ready!(self.poll_recv(cx)) {
            message?;
        }
        if self.failed || self.outbound.is_client() {
            // What is left unread when a socket is closed resets the connection, and the reset may
            // overtake the Close. The server ends first (RFC 6455 §7.1.1).
            ready!(self.poll_discard(cx))?;
        }
        Poll::Ready(Ok(()))
    }

    /// Queues a Close, and goes on receiving: [`WebSocket::recv`] sends it and delivers what the
    /// peer had under way, then `None`. Nothing can be sent any more. Once a Close is queued this
    /// does nothing.
    ///
    /// # Errors
    /// [`Error::CloseCode`]: the code or the reason must not be sent.
    pub fn start_close(&mut self, code: u16, reason: &str) -> Result<(), Error> {
        self.outbound.close(close::payload(code, reason)?.freeze());
        Ok(())
    }

    /// Ready when [`WebSocket::start_send`] may be called: fewer than 16 KiB wait to be written.
    pub fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if self.outbound.has_room() {
            Poll::Ready(Ok(()))
        } else {
            self.poll_flush(cx)
        }
    }

    /// Queues a message, after [`WebSocket::poll_ready`]; without that it may take the place of a
    /// wait that bounds memory, not of another message.
    ///
    /// # Errors
    /// [`Error::Closing`]; [`Error::Io`] when there is no entropy for a client's mask.
    pub fn start_send(&mut self, message: Message) -> Result<(), Error> {
        let opcode = opcode(message.kind());
        self.outbound.push(opcode, message.into_payload())
    }

    /// Queues a binary message by copying it; otherwise as [`WebSocket::start_send`].
    pub(super) fn start_send_slice(&mut self, payload: &[u8]) -> Result<(), Error> {
        self.outbound.push_slice(Opcode::Binary, payload)
    }

    /// Writes all that waits.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.poll_flush_for(Side::Sender, cx)
    }

    /// Writes all that waits, for the receiving or the sending side: each may live in a task of its
    /// own, and the connection below keeps one waker for writing.
    fn poll_flush_for(&mut self, side: Side, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let flushed = self
            .wakers
            .poll(side, cx, |cx| self.outbound.poll_flush(&mut self.io, cx));
        let flushed = ready!(flushed);
        if flushed.is_err() {
            self.phase = Phase::Ended;
        }
        Poll::Ready(flushed.map_err(Error::Io))
    }

    /// The Close that the peer sent, once it has come.
    pub fn peer_close(&self) -> Option<&Close> {
        self.close.as_ref()
    }

    /// The bytes of a last, best-effort Close, for one write that does not block when the connection
    /// is dropped: a few bytes, behind the small frames that still wait. `None` when a Close has
    /// been sent, or a long message is half on its way.
    pub fn goodbye_frame(&mut self, code: u16) -> Option<Bytes> {
        self.outbound.goodbye(code)
    }

    /// Whether bytes of the peer have come that were not looked at.
    pub(crate) fn has_input(&self) -> bool {
        self.inbound.has_input()
    }

    /// The connection below.
    pub fn get_ref(&self) -> &IO {
        &self.io
    }

    /// The connection below, for its options; reading or writing it breaks the stream of frames.
    pub fn get_mut(&mut self) -> &mut IO {
        &mut self.io
    }

    /// The connection below alone. What was read and not delivered, and what waits to be written,
    /// is lost.
    pub fn into_inner(self) -> IO {
        self.io
    }
}

fn opcode(kind: Kind) -> Opcode {
    match kind {
        Kind::Text => Opcode::Text,
        Kind::Binary => Opcode::Binary,
    }
}
