//! Messages on their way: what bounds them, and when all have arrived.

use std::collections::HashMap;

use dcsctp::api::{
    DcSctpSocket, LifecycleId, Message as EngineMessage, PpId, SendError as EngineError,
    SendOptions, StreamId,
};

use super::Message;
use crate::SendError;

/// Counts bytes from the moment a message is taken until the peer has acknowledged all of it. The engine's own
/// limit leaves out what is in flight.
#[derive(Debug)]
pub(super) struct Sending {
    limit: usize,
    bytes: usize,
    messages: HashMap<LifecycleId, usize>,
    next: u64,
}

impl Sending {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            bytes: 0,
            messages: HashMap::new(),
            next: 0,
        }
    }

    /// Full when the limit is reached: the last message taken may lie beyond it in part.
    pub(super) fn has_room(&self) -> bool {
        self.bytes < self.limit
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn send(
        &mut self,
        engine: &mut dyn DcSctpSocket,
        message: Message,
    ) -> Result<(), SendError> {
        let len = message.payload.len();
        self.next += 1;
        let id = LifecycleId::from(self.next);
        let options = SendOptions {
            unordered: message.unordered,
            lifecycle_id: Some(id),
            ..SendOptions::default()
        };
        let message = EngineMessage::new(
            StreamId(message.stream),
            PpId(message.ppid),
            message.payload.into(),
        );
        engine
            .send(message, &options)
            .map_err(|error| refused(&error))?;
        self.messages.insert(id, len);
        self.bytes += len;
        Ok(())
    }

    pub(super) fn ended(&mut self, id: LifecycleId) {
        if let Some(len) = self.messages.remove(&id) {
            self.bytes -= len;
        }
    }

    pub(super) fn restarted(&mut self) {
        self.messages.clear();
        self.bytes = 0;
    }
}

fn refused(error: &EngineError) -> SendError {
    match *error {
        EngineError::EmptyPayload => SendError::Empty,
        EngineError::MessageTooLarge { len, limit } => SendError::TooLarge { len, limit },
        EngineError::ResourceExhaustion => SendError::Full,
        EngineError::ShuttingDown => SendError::Closing,
    }
}
