//! The layer above: whose messages these are.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Instant;

use wharf::Connection;
use wharf_sip::identity::Identities;
use wharf_sip::keep_alive::FlowFailure;
use wharf_sip::route::SendFailure;
use wharf_sip::{FrameError, Scan};

use crate::{FlowRef, Outgoing};

/// What has come in, where it was received.
#[derive(Debug, Clone, Copy)]
pub struct Incoming<'a> {
    /// The message: the very bytes that came.
    pub message: &'a [u8],
    /// Where in it is what.
    pub scan: &'a Scan,
    /// What it came over. `flow.flow.local` is the address that it was sent to.
    pub flow: FlowRef,
    /// Who sent it; with a PROXY header, the client behind the proxy.
    pub source: SocketAddr,
    /// When it came.
    pub at: Instant,
    /// Its connection, with what TLS knows of the peer; `None` on UDP.
    pub connection: Option<&'a Connection>,
    /// The domains that the peer has proven to speak for, by a certificate that was verified (RFC 5922): read
    /// once for its connection. `None` when it has shown none, and on UDP.
    pub identities: Option<&'a Identities>,
}

/// Whether the layer above has taken a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Taken {
    /// It has.
    Yes,
    /// It has no room for it now. A connection is not read until [`Upper::room`], and its message comes
    /// again; a datagram is dropped and counted.
    Full,
}

/// What happens beside messages.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event {
    /// A connection has opened.
    Opened(FlowRef),
    /// Its listener, or the client that has dialled it, begins to drain. It closes when no transaction can be
    /// under way on it any more, 32 s after its last message. Told once for each connection.
    Draining(FlowRef),
    /// It has closed: every later use of the flow says so.
    Closed(FlowRef, CloseReason),
    /// A ping of ours was answered (RFC 5626 §3.5.1), or a STUN request of ours (§3.5.2).
    Pong(FlowRef),
    /// A flow that is [kept alive](crate::Sip::keep_alive) has failed (RFC 5626 §4.4). A connection is closed
    /// after it; over UDP nothing more is sent.
    FlowFailed(FlowRef, FlowFailure),
    /// Bytes on a connection that are no message, or that break a limit. The connection is closed after it.
    /// Datagrams that are no message are never told, since whoever floods with them would fill the lane of
    /// events: they are only [counted](crate::SipStats).
    Refused(FlowRef, FrameError),
    /// A UDP socket has opened at this address: from now on [`Sip`](crate::Sip) sends from it. Told once for an
    /// address, however many worker threads share it. Listeners of connections are known to their server only.
    Listening(SocketAddr),
    /// The last UDP socket at this address has closed.
    Stopped(SocketAddr),
    /// ICMP says that a datagram of this flow did not arrive (RFC 3261 §18.4). `flow.flow.local` has the
    /// address that the socket is bound to.
    Unreachable {
        /// The flow.
        flow: FlowRef,
        /// Why.
        failure: SendFailure,
        /// The path's MTU in bytes, where that is what is said.
        mtu: Option<u32>,
    },
}

/// Why a connection has closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CloseReason {
    /// The peer has ended it, between two messages.
    Peer,
    /// The peer has ended it within a message.
    Incomplete,
    /// What came was no SIP, or broke a limit.
    Protocol,
    /// The listener drains.
    Drained,
    /// The transport has failed: reset, timed out, closed by the control plane.
    Failed,
}

/// The layer above the transport: a transaction layer, a proxy, a responder.
///
/// Its functions are called where a message was received, on the thread of a UDP worker or the task of a
/// connection: they must not block.
pub trait Upper: Send + Sync + 'static {
    /// A message has come.
    fn message(&self, incoming: &Incoming<'_>, out: &mut Outgoing<'_>) -> Taken;

    /// Something else has happened. Default: nothing.
    fn event(&self, _event: Event) {}

    /// Completes when there is room again after [`Taken::Full`]. Default: when other tasks of the runtime had
    /// their turn.
    fn room(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(tokio::task::yield_now())
    }
}
