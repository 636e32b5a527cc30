//! An association of the user-space engine as messages.

use std::sync::Arc;
use std::task::{Context, Poll};

use super::exchange::Exchange;
use super::sendable::Sendable;
use crate::link::Link;
use crate::message::Message;
use crate::messages::MessageError;

/// The handler's end of an association that lives on a thread of its listener.
pub(super) struct SctpLink {
    exchange: Arc<Exchange>,
    limits: Sendable,
}

impl SctpLink {
    pub(super) fn new(exchange: Arc<Exchange>, limits: Sendable) -> Self {
        Self { exchange, limits }
    }
}

impl Link for SctpLink {
    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Message, MessageError>>> {
        self.exchange.poll_recv(cx)
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), MessageError>> {
        self.exchange.poll_ready(cx)
    }

    fn start_send(&mut self, message: Message) -> Result<(), MessageError> {
        self.limits.check(&message)?;
        self.exchange.send(message)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), MessageError>> {
        self.exchange.poll_flush(cx)
    }

    /// SCTP has no room for the code and the reason.
    fn start_close(&mut self, _: u16, _: &str) -> Result<(), MessageError> {
        self.exchange.close();
        Ok(())
    }

    /// The association's thread delivers what was sent and shuts down.
    fn last_words(&mut self, _: u16) {
        self.exchange.leave();
    }
}
