//! A connection as whole messages.

mod error;
mod outbox;
mod rate;

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};

pub use error::MessageError;
pub(crate) use outbox::Outbox;
pub use outbox::{SendError, Sender};
pub(crate) use rate::MessageRate;

use crate::Connection;
use crate::counters::one_more;
use crate::link::Link;
use crate::message::Message;
use crate::path::Path;
use crate::reason::Closed;
use crate::websocket;

/// The close codes of RFC 6455 §7.4.1 that a server says goodbye with.
const NORMAL: u16 = 1000;
const GOING_AWAY: u16 = 1001;

/// How long a peer has to answer a Close.
const ANSWER: std::time::Duration = std::time::Duration::from_secs(5);

/// A connection as whole messages: a WebSocket, plain or over TLS.
///
/// While the handler receives or sends, the messages of its [`Sender`]s are written too. When the
/// listener drains, the peer is told at once (close code 1001); what it still sends is received
/// until it answers, then [`recv`](Self::recv) returns `None`.
pub struct Messages {
    link: Box<dyn Link>,
    outbox: Option<Arc<Outbox<Message>>>,
    rate: MessageRate,
    /// The peer was told that the listener drains.
    told: bool,
    connection: Connection,
}

impl Messages {
    pub(crate) fn new(link: Box<dyn Link>, connection: Connection) -> Self {
        Self {
            link,
            outbox: None,
            rate: MessageRate::default(),
            told: false,
            connection,
        }
    }

    /// The connection: who it is with, and how to close it.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Between whom it is, and over what.
    pub fn path(&self) -> Path {
        self.connection.path()
    }

    /// Sends to this connection from elsewhere. Its messages are written while the handler
    /// receives or sends.
    pub fn sender(&mut self) -> Sender {
        let shared = self.connection.shared();
        Sender::new(
            self.outbox
                .get_or_insert_with(|| Outbox::new(shared))
                .clone(),
        )
    }

    /// The next message; `None` when the peer has closed in order. Dropping the future loses
    /// nothing.
    ///
    /// # Errors
    /// The peer broke the protocol or a limit, was silent too long, or the socket failed.
    pub async fn recv(&mut self) -> Option<Result<Message, MessageError>> {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    /// Sends a message: returns when the socket has taken it.
    ///
    /// # Errors
    /// The connection is closing, or the socket failed.
    pub async fn send(&mut self, message: Message) -> Result<(), MessageError> {
        let result = self.send_behind_outbox(message).await;
        match &result {
            Ok(()) => one_more(&self.connection.shared().owner.counters.messages_sent),
            Err(error) => error.note(&self.connection),
        }
        result
    }

    async fn send_behind_outbox(&mut self, message: Message) -> Result<(), MessageError> {
        poll_fn(|cx| self.poll_outbox(cx)).await?;
        poll_fn(|cx| self.link.poll_ready(cx)).await?;
        self.link.start_send(message)?;
        poll_fn(|cx| self.link.poll_flush(cx)).await
    }

    /// For whoever does not receive now: ready when the control plane has closed the connection, and woken when
    /// its listener begins to drain. A [`recv`](Self::recv) that is polled later takes the place of this one's
    /// waker.
    pub fn poll_ending(&mut self, cx: &mut Context<'_>) -> Poll<Closed> {
        self.connection.shared().poll_ending(cx)
    }

    /// Closes in order: sends the code and waits for the peer's answer, at most 5 s.
    ///
    /// # Errors
    /// A code that must not be sent, the socket failed, or the peer did not answer.
    pub async fn close(&mut self, code: u16, reason: &str) -> Result<(), MessageError> {
        self.link.start_close(code, reason)?;
        let closed = poll_fn(|cx| self.link.poll_close(cx));
        match tokio::time::timeout(ANSWER, closed).await {
            Ok(closed) => closed,
            Err(_) => Err(websocket::Error::NoClose.into()),
        }
    }

    pub(crate) fn poll_recv(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Message, MessageError>>> {
        self.tell_drain();
        if let Poll::Ready(Err(error)) = self.poll_outbox(cx) {
            error.note(&self.connection);
            return Poll::Ready(Some(Err(error)));
        }
        ready!(self.rate.poll(cx, self.connection.shared()));
        let mut received = self.link.poll_recv(cx);
        // A drain that began before there was a waker to wake is seen here.
        if received.is_pending() && self.tell_drain() {
            received = self.link.poll_recv(cx);
        }
        let received = ready!(received);
        let shared = self.connection.shared();
        match &received {
            Some(Ok(_)) => {
                one_more(&shared.owner.counters.messages_received);
                self.rate.took_one();
            }
            Some(Err(error)) => error.note(&self.connection),
            None => {}
        }
        Poll::Ready(received)
    }

    /// Says goodbye once, when the listener begins to drain. Says whether it did so now.
    fn tell_drain(&mut self) -> bool {
        if self.told || !self.connection.shared().owner.drains() {
            return false;
        }
        self.told = true;
        // A connection that is closing already has said its goodbye.
        let _ = self.link.start_close(GOING_AWAY, "");
        true
    }

    /// Writes what senders have queued, as far as the socket takes it. Ready when nothing waits.
    fn poll_outbox(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), MessageError>> {
        let Some(outbox) = &self.outbox else {
            return Poll::Ready(Ok(()));
        };
        let mut sent = 0;
        let result = loop {
            match self.link.poll_ready(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => break Poll::Ready(Err(error)),
                Poll::Pending => break Poll::Pending,
            }
            match outbox.poll_next(cx) {
                Poll::Ready(message) => match self.link.start_send(message) {
                    Ok(()) => sent += 1,
                    Err(error) => break Poll::Ready(Err(error)),
                },
                Poll::Pending => break self.link.poll_flush(cx),
            }
        };
        let counters = &self.connection.shared().owner.counters;
        counters.messages_sent.fetch_add(sent, Ordering::Relaxed);
        match result {
            // Closing is no error to whoever receives: what the peer has sent is still to come.
            Poll::Ready(Err(error)) if error.is_closing() => {
                outbox.close();
                Poll::Ready(Ok(()))
            }
            result => result,
        }
    }
}

/// The code that a WebSocket is closed with when its handler has not done so.
pub(crate) fn goodbye_code(connection: &Connection) -> u16 {
    let forced = connection.ending().is_some();
    if forced || connection.is_draining() {
        GOING_AWAY
    } else {
        NORMAL
    }
}

impl Drop for Messages {
    fn drop(&mut self) {
        if let Some(outbox) = &self.outbox {
            outbox.close();
        }
        self.link.last_words(goodbye_code(&self.connection));
    }
}

impl std::fmt::Debug for Messages {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Messages").field(&self.connection).finish()
    }
}
