//! What a user may choose.

use wharf_sip::Limits;

/// The options of a [`Sip`](crate::Sip) layer. Those of sockets, TLS, access, rates and timeouts are
/// the options of the listeners that it is served by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SipOptions {
    /// What one message may cost: bytes, lines and time.
    pub limits: Limits,
    /// Connections at a time, over all listeners and those that are dialled. One more is closed and
    /// counted. Default 100,000.
    pub max_connections: usize,
    /// Bytes that may wait to be sent on one connection, or on one UDP socket, before
    /// [`SendError::Full`](crate::SendError::Full). Default 256 KiB.
    pub queue: usize,
}

impl Default for SipOptions {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            max_connections: 100_000,
            queue: 256 << 10,
        }
    }
}
