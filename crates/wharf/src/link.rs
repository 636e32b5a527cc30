//! What carries the messages of a connection.

use std::task::{Context, Poll, ready};

use crate::layer::Layer;
use crate::message::Message;
use crate::messages::MessageError;
use crate::websocket::WebSocket;

/// A connection that keeps the boundaries of messages. [`Messages`](crate::Messages) counts, paces
/// and queues above it; the guarded socket below it knows the rest.
pub(crate) trait Link: Send {
    /// The next message; `None` when the peer has closed in order. Whatever the protocol has to
    /// write for itself is written on the way.
    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Message, MessageError>>>;

    /// Ready when [`start_send`](Self::start_send) may be called.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), MessageError>>;

    /// Queues a message.
    fn start_send(&mut self, message: Message) -> Result<(), MessageError>;

    /// Writes all that waits.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), MessageError>>;

    /// Tells the peer that this side closes; what the peer has under way is still received. The code
    /// and the reason go where the protocol has room for them.
    fn start_close(&mut self, code: u16, reason: &str) -> Result<(), MessageError>;

    /// After [`start_close`](Self::start_close): throws away what still comes, until the peer has
    /// closed too.
    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), MessageError>> {
        while let Some(message) = ready!(self.poll_recv(cx)) {
            message?;
        }
        Poll::Ready(Ok(()))
    }

    /// Says goodbye as far as the socket takes it at once: nobody is left to wait.
    fn last_words(&mut self, code: u16);
}

impl Link for WebSocket<Layer> {
    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Message, MessageError>>> {
        self.poll_recv(cx).map_err(MessageError::WebSocket)
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), MessageError>> {
        self.poll_ready(cx).map_err(MessageError::WebSocket)
    }

    fn start_send(&mut self, message: Message) -> Result<(), MessageError> {
        Ok(self.start_send(message)?)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), MessageError>> {
        self.poll_flush(cx).map_err(MessageError::WebSocket)
    }

    fn start_close(&mut self, code: u16, reason: &str) -> Result<(), MessageError> {
        Ok(self.start_close(code, reason)?)
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), MessageError>> {
        self.poll_close(cx).map_err(MessageError::WebSocket)
    }

    fn last_words(&mut self, code: u16) {
        let last = self.goodbye_frame(code);
        self.get_mut().goodbye(last.as_deref().unwrap_or_default());
    }
}
