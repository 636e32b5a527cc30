//! Changes to what frames a message.

use super::{Edit, EditError};
use crate::scan::ContentLength;

impl Edit<'_> {
    /// Gives the message the Content-Length of the body it has, when it has none: a stream needs
    /// one where a datagram and a WebSocket do not (RFC 3261 §18.3, RFC 7118 §5).
    pub fn ensure_content_length(&mut self) -> Result<&mut Self, EditError> {
        if self.scan.content_length != ContentLength::Absent {
            return Ok(self);
        }
        let body = self.message.len().saturating_sub(self.scan.head as usize);
        self.push_field("Content-Length", &body.to_string())
    }
}
