//! What an association takes.

use crate::message::Message;
use crate::messages::MessageError;

/// Which messages can be sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sendable {
    /// Bytes.
    pub(super) longest: usize,
    /// Streams there are.
    pub(super) streams: u16,
}

impl Sendable {
    pub(super) fn check(self, message: &Message) -> Result<(), MessageError> {
        let length = message.payload().len();
        if length > self.longest {
            return Err(MessageError::TooLong {
                length: length as u64,
                limit: self.longest as u64,
            });
        }
        // RFC 9260 §3.3.1: a DATA chunk without data is an error.
        if length == 0 {
            return Err(MessageError::Empty);
        }
        let stream = message.lane().stream;
        if stream >= self.streams {
            return Err(MessageError::NoSuchStream {
                stream,
                streams: self.streams,
            });
        }
        Ok(())
    }
}
