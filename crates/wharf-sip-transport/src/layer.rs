//! The transport layer: what serves the listeners, and sends.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::OptionFuture;
use wharf::{Connection, Endpoint, Handler, Handlers, Messages, Stream};
use wharf_sip::alias::AliasTable;
use wharf_sip::flow::{Flow, FlowError, SealedFlow};
use wharf_sip::identity::{Identities, Side};
use wharf_sip::{Limits, Priority, StartLine, Transport, Via};

use crate::counters::Counters;
use crate::datagram::Worker;
use crate::flows::{Entry, Flows};
use crate::keep_alive::KeepAlives;
use crate::outgoing::{Way, with_outgoing};
use crate::ports::Ports;
use crate::upper::{CloseReason, Event, Incoming, Taken, Upper};
use crate::{AttachError, FlowRef, SendError, SipOptions, SipStats};
use crate::{session, websocket};

pub(crate) struct Inner {
    pub(crate) upper: Arc<dyn Upper>,
    pub(crate) options: SipOptions,
    /// The limits of connections that were accepted, and of those that were dialled.
    limits: [Arc<Limits>; 2],
    pub(crate) flows: Flows,
    pub(crate) ports: Ports,
    pub(crate) counters: Counters,
    pub(crate) keep_alives: KeepAlives,
    pub(crate) aliases: Mutex<AliasTable>,
}

/// The SIP transport layer (RFC 3261 §18). Cheap to clone.
///
/// It is the handler of the listeners of a [`wharf::Server`], which has the sockets, TLS, access rules,
/// limits, PROXY protocol, drain and their counters; the layer finds the messages, answers keep-alives,
/// knows the flows and sends.
#[derive(Clone)]
pub struct Sip(Arc<Inner>);

impl Sip {
    /// A layer whose messages go to `upper`.
    pub fn new(options: SipOptions, upper: impl Upper) -> Self {
        // Where we have dialled, the other end has nothing to say until it is asked.
        let dialled = Limits {
            first_message_time: None,
            ..options.limits
        };
        Self(Arc::new(Inner {
            limits: [options.limits, dialled].map(Arc::new),
            upper: Arc::new(upper),
            flows: Flows::new(options.max_connections),
            ports: Ports::default(),
            counters: Counters::default(),
            keep_alives: KeepAlives::new(),
            aliases: Mutex::new(AliasTable::new(options.aliases, options.wildcards)),
            options,
        }))
    }

    pub(crate) fn of(layer: &Arc<Inner>) -> Self {
        Self(layer.clone())
    }

    /// What handles the connections of a TCP or TLS listener.
    pub fn streams(&self) -> Handlers {
        let layer = self.0.clone();
        Handler::stream(move |stream: Stream| {
            let entry = layer.open(stream.connection(), Side::Client);
            let serve = entry.map(|entry| session::run(stream, &layer, entry, &layer.limits[0]));
            OptionFuture::from(serve.ok()).map(|ended| ended.unwrap_or(Ok(())))
        })
        .into()
    }

    /// What handles the connections of a WebSocket listener, whose `websocket.subprotocols` must have
    /// `sip` (RFC 7118 §4).
    pub fn websockets(&self) -> Handlers {
        let layer = self.0.clone();
        Handler::messages(move |messages: Messages| {
            let layer = layer.clone();
            async move {
                match layer.open(messages.connection(), Side::Client) {
                    Ok(entry) => websocket::run(messages, layer, entry).await,
                    Err(_) => Ok(()),
                }
            }
        })
        .into()
    }

    /// What handles the datagrams of a UDP listener, on its worker threads.
    pub fn datagrams(&self) -> Handlers {
        let layer = self.0.clone();
        Handler::batch(move |seat| Worker::new(layer.clone(), seat)).into()
    }

    /// Takes a connection over TCP or TLS that was dialled. It is served by a task of its own on this
    /// runtime, until it ends or is [closed](Self::close).
    ///
    /// # Errors
    /// [`AttachError`]; the connection closes then.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn attach(&self, stream: Stream) -> Result<FlowRef, AttachError> {
        let layer = &self.0;
        let entry = layer.open(stream.connection(), Side::Server)?;
        let flow = entry.flow;
        tokio::spawn(session::run(stream, layer, entry, &layer.limits[1]));
        Ok(flow)
    }

    /// Takes a WebSocket that was dialled, as [`attach`](Self::attach) does.
    ///
    /// # Errors
    /// [`AttachError`]; the connection closes then.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn attach_messages(&self, messages: Messages) -> Result<FlowRef, AttachError> {
        let layer = self.0.clone();
        let entry = layer.open(messages.connection(), Side::Server)?;
        let flow = entry.flow;
        tokio::spawn(websocket::run(messages, layer, entry));
        Ok(flow)
    }

    /// Hands a message to a flow, from any thread: it leaves as soon as the connection takes it, or with the
    /// next datagrams of the worker that sends to that peer.
    ///
    /// # Errors
    /// [`SendError`]; nothing is sent then.
    pub fn send(
        &self,
        flow: &FlowRef,
        message: Bytes,
        priority: Priority,
    ) -> Result<(), SendError> {
        self.0.send(flow, message, priority)
    }

    /// A flow over UDP to this address, from one of the sockets of its family: one bound to the wildcard, for
    /// which the system looks at its routes, else the one whose address has the longest prefix in common with
    /// it. Make it with [`FlowRef::datagrams`] to choose another. None where there is no such socket: a
    /// listener's sockets are there once its server runs.
    pub fn datagrams_to(&self, remote: SocketAddr) -> Option<FlowRef> {
        self.0.ports.to(remote)
    }

    /// A connection to this address that is open, whichever side has opened it (RFC 3261 §18.1.1).
    pub fn to(&self, transport: Transport, remote: SocketAddr) -> Option<FlowRef> {
        self.0.flows.to(transport, remote)
    }

    /// The flow that a token names (RFC 5626 §5.3): one over UDP while there is a socket with its local
    /// address, any other while its connection is open.
    ///
    /// # Errors
    /// [`FlowError::Gone`].
    pub fn find(&self, sealed: &SealedFlow) -> Result<FlowRef, FlowError> {
        let flow = &sealed.flow;
        if flow.transport != Transport::Udp {
            return self.0.flows.find(sealed);
        }
        let known = self.0.ports.has(flow.local);
        let datagrams = FlowRef::datagrams(flow.local, flow.remote);
        known.then_some(datagrams).ok_or(FlowError::Gone)
    }

    /// The connection of a flow; `None` when it has closed, and for UDP.
    pub fn connection(&self, flow: &FlowRef) -> Option<Connection> {
        Some(self.0.flows.of(flow)?.connection.clone())
    }

    /// Whether the connection of a flow is open, and was opened by this element.
    pub fn is_dialled(&self, flow: &FlowRef) -> bool {
        let entry = self.0.flows.of(flow);
        entry.is_some_and(|entry| entry.dialled)
    }

    /// Closes the connection of a flow at once. False when it has closed, and for UDP.
    pub fn close(&self, flow: &FlowRef) -> bool {
        let connection = self.connection(flow);
        connection.inspect(Connection::close).is_some()
    }

    /// The domains that the peer of a connection has proven to speak for (RFC 5922); `None` when it has shown no
    /// certificate or has closed, and for UDP.
    pub fn identities(&self, flow: &FlowRef) -> Option<Identities> {
        self.0.flows.of(flow)?.identities().cloned()
    }

    pub(crate) fn layer(&self) -> &Arc<Inner> {
        &self.0
    }

    /// How many connections are open.
    pub fn connections(&self) -> usize {
        self.0.flows.len()
    }

    /// The counters.
    pub fn stats(&self) -> SipStats {
        self.0.counters.snapshot()
    }
}

impl std::fmt::Debug for Sip {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sip")
            .field("connections", &self.connections())
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

impl Inner {
    /// A connection has opened, with its peer on this side.
    fn open(&self, connection: &Connection, side: Side) -> Result<Arc<Entry>, AttachError> {
        let transport = transport(connection)?;
        let ip = |endpoint: &Endpoint| endpoint.ip().ok_or(AttachError::Transport);
        let flow = Flow {
            transport,
            local: ip(connection.socket_local())?,
            remote: ip(connection.socket_peer())?,
        };
        let Some(entry) = self.flows.open(flow, connection.clone(), side) else {
            self.counters.crowded.add(1);
            return Err(AttachError::Crowded);
        };
        self.counters.opened.add(1);
        self.upper.event(Event::Opened(entry.flow));
        Ok(entry)
    }

    /// Its listener drains.
    pub(crate) fn draining(&self, entry: &Entry) {
        if entry.tells_drain() {
            self.upper.event(Event::Draining(entry.flow));
        }
    }

    /// It has closed.
    pub(crate) fn closed(&self, entry: &Entry, reason: CloseReason) {
        self.flows.close(entry.flow.id);
        self.keep_alives.stop(&entry.flow);
        self.forget_aliases(entry);
        self.counters.closed.add(1);
        self.counters.lost.add(entry.outbox.close() as u64);
        self.upper.event(Event::Closed(entry.flow, reason));
    }

    /// Hands a message to the layer above; what it sends goes this way.
    pub(crate) fn hand_over(self: &Arc<Self>, incoming: &Incoming<'_>, way: &mut dyn Way) -> Taken {
        if self.is_stray(incoming) {
            self.counters.strays.add(1);
            return Taken::Yes;
        }
        let taken = with_outgoing(self, way, |outgoing| self.upper.message(incoming, outgoing));
        if taken == Taken::Yes {
            self.counters.received.add(1);
        }
        taken
    }

    /// Whether it is a response to a request that this element has not sent (RFC 3261 §18.1.2).
    fn is_stray(&self, incoming: &Incoming<'_>) -> bool {
        let own = &self.options.sent_by;
        if own.is_empty() || matches!(incoming.scan.start, StartLine::Request { .. }) {
            return false;
        }
        let via = incoming.scan.via;
        let via = via.and_then(|via| Via::parse(via.top.of(incoming.message)).ok());
        !via.is_some_and(|via| own.iter().any(|own| own.wrote(&via)))
    }

    pub(crate) fn send(
        &self,
        flow: &FlowRef,
        message: Bytes,
        priority: Priority,
    ) -> Result<(), SendError> {
        let limit = self.options.queue;
        if flow.flow.transport == Transport::Udp {
            self.ports.send(flow.flow, message, priority, limit)
        } else {
            self.flows.send(flow.id, message, priority, limit)
        }
    }
}

fn transport(connection: &Connection) -> Result<Transport, AttachError> {
    use wharf::config::Transport as Below;
    match connection.path().transport {
        Below::Tcp => Ok(Transport::Tcp),
        Below::Tls => Ok(Transport::Tls),
        Below::Ws => Ok(Transport::Ws),
        Below::Wss => Ok(Transport::Wss),
        _ => Err(AttachError::Transport),
    }
}
