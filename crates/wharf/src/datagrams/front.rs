//! Who decides about a datagram that belongs to no flow.

use std::net::SocketAddr;
use std::time::Instant;

use futures_util::future::BoxFuture;
use wharf_policy::first_bytes::Protocol;

use crate::admission::{Ready, Refused, Standing};
use crate::wire::Packets;

/// Decides about datagrams without a flow, and keeps nothing of their senders.
///
/// Protocols with a cookie answer here, without state, until the cookie is good. There is one for
/// each socket; `first` is called where packets come in and must not wait.
pub(crate) trait FlowFront: Send {
    /// What to do with a datagram that `from` has sent to `local` (our address and port; the
    /// wildcard's when the kernel did not say). `now` is the clock.
    fn first(
        &mut self,
        now: Instant,
        from: SocketAddr,
        local: SocketAddr,
        datagram: &[u8],
    ) -> First<'_>;

    /// What asks the sender of a datagram, with which it let a flow begin, to prove its address; `None`:
    /// it cannot be asked.
    fn challenge(&mut self, now: Instant, from: SocketAddr, datagram: &[u8]) -> Option<&[u8]>;

    /// What tells the sender of such a datagram that it is refused.
    fn refusal(&mut self, datagram: &[u8]) -> Option<&[u8]>;
}

/// A front, and what it is asked about.
pub(crate) struct Fronted {
    /// Of several protocols on the socket this one; `None`: there is no other.
    pub(crate) protocol: Option<Protocol>,
    pub(crate) front: Box<dyn FlowFront>,
}

/// What becomes of a datagram without a flow.
pub(crate) enum First<'a> {
    /// It is dropped and counted; the label goes to the log.
    Ignore(&'static str),
    /// It is answered, and nothing is kept.
    Reply(&'a [u8]),
    /// A flow begins.
    Open(Opening),
}

/// Makes a flow ready for its handler, within `timeouts.handshake`.
pub(crate) type Begin =
    Box<dyn FnOnce(Packets) -> BoxFuture<'static, Result<Ready, Refused>> + Send>;

/// How a flow begins.
pub(crate) struct Opening {
    /// Whether the first datagram is to be received from the flow too.
    pub(crate) deliver: bool,
    pub(crate) standing: Standing,
    /// What is done with the flow before it is accepted; it ends with a [`Ready`].
    pub(crate) begin: Begin,
}
