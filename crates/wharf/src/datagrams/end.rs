//! Our end of a flow.

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::future::BoxFuture;

use super::connected::Connected;
use super::flow::{Flow, Key, Table};
use super::socket::{DatagramSocket, Manner, Source};

/// Most bytes of payload in a datagram over IPv4 and over IPv6 (RFC 768, without jumbograms).
const LONGEST_V4: usize = 65_535 - 20 - 8;
const LONGEST_V6: usize = 65_535 - 8;
/// Over a Unix socket the send buffer is the limit, and the kernel tells.
const LONGEST_UNIX: usize = 1 << 20;

/// Most bytes that a datagram may have: to a Unix socket, or over a family of IP.
pub(super) fn longest(is_ipv4: Option<bool>) -> usize {
    match is_ipv4 {
        Some(true) => LONGEST_V4,
        Some(false) => LONGEST_V6,
        None => LONGEST_UNIX,
    }
}

/// What carries the datagrams of one connection.
pub(crate) enum End {
    /// One of the flows of a listener's socket.
    Flow(FlowEnd),
    /// A socket of its own, of a connection that we make.
    Connected(Connected),
}

impl End {
    /// Most bytes that a datagram to this peer may have.
    pub(crate) fn longest(&self) -> usize {
        match self {
            Self::Flow(flow) => flow.longest(),
            Self::Connected(socket) => socket.longest(),
        }
    }

    /// The next datagram, which may be empty.
    ///
    /// # Errors
    /// As of [`Connected::poll_recv`]; a flow has none.
    pub(crate) fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        match self {
            Self::Flow(flow) => flow.flow.poll_next(cx).map(Ok),
            Self::Connected(socket) => socket.poll_recv(cx),
        }
    }

    /// A datagram that is there already.
    pub(crate) fn try_recv(&mut self) -> Option<Bytes> {
        match self {
            Self::Flow(flow) => flow.flow.try_next(),
            Self::Connected(socket) => socket.try_recv(),
        }
    }

    /// Sends a datagram; after `Pending` the next call must be with the same one.
    ///
    /// # Errors
    /// The kernel cannot send it.
    pub(crate) fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        datagram: &[u8],
    ) -> Poll<io::Result<()>> {
        match self {
            Self::Flow(flow) => flow.poll_send(cx, datagram),
            Self::Connected(socket) => socket.poll_send(cx, datagram),
        }
    }

    /// Sends a datagram if there is room now.
    ///
    /// # Errors
    /// There is no room, or the kernel cannot send it.
    pub(crate) fn try_send(&self, datagram: &[u8]) -> io::Result<()> {
        match self {
            Self::Flow(flow) => flow.try_send(datagram),
            Self::Connected(socket) => socket.try_send(datagram),
        }
    }
}

/// The handler's end of a listener's flow, which ends when this is dropped.
pub(crate) struct FlowEnd {
    flow: Arc<Flow>,
    key: Key,
    table: Arc<Table>,
    socket: Arc<DatagramSocket>,
    /// A datagram for which the socket had no room.
    sending: Option<BoxFuture<'static, io::Result<()>>>,
}

impl FlowEnd {
    /// The flow of `key` in `table`, which is answered through `socket`.
    pub(crate) fn new(
        flow: Arc<Flow>,
        key: Key,
        table: Arc<Table>,
        socket: Arc<DatagramSocket>,
    ) -> Self {
        Self {
            flow,
            key,
            table,
            socket,
            sending: None,
        }
    }

    fn longest(&self) -> usize {
        longest(match self.flow.ends().0 {
            Source::Ip(peer) => Some(peer.is_ipv4()),
            Source::Unix(_) => None,
        })
    }

    /// To where the last datagram came from.
    fn try_send(&self, datagram: &[u8]) -> io::Result<()> {
        let (to, how) = self.way();
        self.socket.try_send(&to, how, datagram)
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, datagram: &[u8]) -> Poll<io::Result<()>> {
        let sent = match &mut self.sending {
            Some(sending) => sending.as_mut().poll(cx),
            None => match self.try_send(datagram) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let sending = self.sending.insert(self.later(datagram));
                    sending.as_mut().poll(cx)
                }
                done => Poll::Ready(done),
            },
        };
        if sent.is_ready() {
            self.sending = None;
        }
        sent
    }

    fn later(&self, datagram: &[u8]) -> BoxFuture<'static, io::Result<()>> {
        let (to, how) = self.way();
        let (socket, datagram) = (self.socket.clone(), Bytes::copy_from_slice(datagram));
        Box::pin(async move { socket.send(&to, how, &datagram).await })
    }

    fn way(&self) -> (Source, Manner) {
        let (to, from) = self.flow.ends();
        let how = Manner {
            from,
            ..Manner::default()
        };
        (to, how)
    }
}

impl Drop for FlowEnd {
    fn drop(&mut self) {
        self.table.remove(&self.key, &self.flow);
    }
}
