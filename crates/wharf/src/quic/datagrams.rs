//! The datagrams of a connection as messages (RFC 9221).

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::stream::{self, Stream};
use quinn::{ConnectionError, SendDatagramError};

use super::connection::QuicConnection;
use crate::link::Link;
use crate::message::Message;
use crate::messages::MessageError;

type Incoming = Pin<Box<dyn Stream<Item = Result<Bytes, ConnectionError>> + Send>>;
type Waiting = Pin<Box<dyn Future<Output = Result<(), SendDatagramError>> + Send>>;

/// Datagrams: each arrives whole or not at all, in any order. One at most waits here to be sent.
pub(super) struct Datagrams {
    connection: QuicConnection,
    incoming: Incoming,
    waiting: Option<Waiting>,
    /// This side has closed, with that code and reason.
    closing: Option<(u16, String)>,
}

impl Datagrams {
    pub(super) fn new(connection: QuicConnection) -> Self {
        // One future for all datagrams, on the heap once.
        let quinn = connection.quinn().clone();
        let incoming = stream::unfold(quinn, |connection| async move {
            Some((connection.read_datagram().await, connection))
        });
        Self {
            connection,
            incoming: Box::pin(incoming),
            waiting: None,
            closing: None,
        }
    }

    fn too_long(&self, length: usize) -> MessageError {
        MessageError::TooLong {
            length: length as u64,
            limit: self.connection.quinn().max_datagram_size().unwrap_or(0) as u64,
        }
    }

    fn refused(&self, error: SendDatagramError, length: usize) -> MessageError {
        match error {
            SendDatagramError::ConnectionLost(error) => self.lost(error),
            // Without datagrams at the peer none is short enough.
            SendDatagramError::UnsupportedByPeer
            | SendDatagramError::Disabled
            | SendDatagramError::TooLarge => self.too_long(length),
        }
    }

    fn lost(&self, error: ConnectionError) -> MessageError {
        if let Some(reason) = self.connection.shared().ending() {
            return reason.error().into();
        }
        match error {
            ConnectionError::ApplicationClosed(_) | ConnectionError::LocallyClosed => {
                MessageError::Closing
            }
            error @ (ConnectionError::TransportError(_) | ConnectionError::VersionMismatch) => {
                MessageError::Protocol {
                    protocol: "quic",
                    error: error.into(),
                }
            }
            error => io::Error::from(error).into(),
        }
    }
}

impl Link for Datagrams {
    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Message, MessageError>>> {
        // For a drain, which the connection does not tell.
        self.connection.shared().reader.register(cx.waker());
        match self.incoming.as_mut().poll_next(cx) {
            Poll::Ready(Some(Ok(datagram))) => Poll::Ready(Some(Ok(Message::binary(datagram)))),
            Poll::Ready(Some(Err(error))) => {
                let error = self.lost(error);
                Poll::Ready((!error.is_closing()).then_some(Err(error)))
            }
            Poll::Ready(None) => Poll::Ready(None),
            // What had come is received; nothing says what is still under way.
            Poll::Pending if self.closing.is_some() => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), MessageError>> {
        if self.closing.is_some() {
            return Poll::Ready(Err(MessageError::Closing));
        }
        self.poll_flush(cx)
    }

    fn start_send(&mut self, message: Message) -> Result<(), MessageError> {
        let datagram = message.into_payload();
        let length = datagram.len();
        // Asked first: waiting is for room in the buffer, not for what never fits.
        if self
            .connection
            .quinn()
            .max_datagram_size()
            .is_none_or(|most| length > most)
            && self.connection.quinn().close_reason().is_none()
        {
            return Err(self.too_long(length));
        }
        if self.connection.quinn().datagram_send_buffer_space() < length {
            let connection = self.connection.quinn().clone();
            let waiting = async move { connection.send_datagram_wait(datagram).await };
            self.waiting = Some(Box::pin(waiting));
            return Ok(());
        }
        self.connection
            .quinn()
            .send_datagram(datagram)
            .map_err(|error| self.refused(error, length))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), MessageError>> {
        let Some(waiting) = &mut self.waiting else {
            return Poll::Ready(Ok(()));
        };
        let sent = ready!(waiting.as_mut().poll(cx));
        self.waiting = None;
        Poll::Ready(sent.map_err(|error| self.refused(error, 0)))
    }

    fn start_close(&mut self, code: u16, reason: &str) -> Result<(), MessageError> {
        if self.closing.is_some() {
            return Err(MessageError::Closing);
        }
        self.closing = Some((code, reason.to_owned()));
        Ok(())
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), MessageError>> {
        ready!(self.poll_flush(cx))?;
        // RFC 9000 §10.2: the peer need not answer.
        if let Some((code, reason)) = &self.closing {
            self.connection.close(u64::from(*code), reason);
        }
        Poll::Ready(Ok(()))
    }

    /// The connection's own end says goodbye: other handlers may still use its streams.
    fn last_words(&mut self, _: u16) {}
}
