//! The transport layer: what serves the listeners, and sends.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use wharf::{Connection, Endpoint, Handler, Handlers, Messages, Stream};
use wharf_sip::Transport;
use wharf_sip::flow::Flow;

use crate::counters::Counters;
use crate::datagram::Worker;
use crate::flows::{Entry, Flows};
use crate::session::Session;
use crate::upper::{CloseReason, Event, Upper};
use crate::websocket;
use crate::{FlowRef, Priority, SendError, SipOptions, SipStats};

pub(crate) struct Inner {
    pub(crate) upper: Arc<dyn Upper>,
    pub(crate) options: SipOptions,
    pub(crate) flows: Flows,
    pub(crate) counters: Counters,
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
        Self(Arc::new(Inner {
            upper: Arc::new(upper),
            flows: Flows::new(options.max_connections),
            counters: Counters::default(),
            options,
        }))
    }

    /// What handles the connections of a TCP or TLS listener.
    pub fn streams(&self) -> Handlers {
        let layer = self.0.clone();
        Handler::stream(move |stream: Stream| {
            let layer = layer.clone();
            async move {
                match layer.open(stream.connection()) {
                    Some(entry) => Session::new(stream, layer, entry).await,
                    None => Ok(()),
                }
            }
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
                match layer.open(messages.connection()) {
                    Some(entry) => websocket::run(messages, layer, entry).await,
                    None => Ok(()),
                }
            }
        })
        .into()
    }

    /// What handles the datagrams of a UDP listener, on its worker threads.
    pub fn datagrams(&self) -> Handlers {
        let layer = self.0.clone();
        Handler::batch(move |seat| Worker::new(layer.clone(), seat.local)).into()
    }

    /// Hands a message to a flow: it leaves as soon as the connection takes it.
    ///
    /// # Errors
    /// [`SendError`]; nothing is sent then.
    pub fn send(
        &self,
        flow: &FlowRef,
        message: Bytes,
        priority: Priority,
    ) -> Result<(), SendError> {
        let limit = self.0.options.queue;
        self.0.flows.send(flow.id, message, priority, limit)
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
    /// A connection has opened; `None` when there is no room for it, or it is none of SIP.
    fn open(&self, connection: &Connection) -> Option<Arc<Entry>> {
        let transport = transport(connection)?;
        let flow = Flow {
            transport,
            local: ip(connection.socket_local())?,
            remote: ip(connection.socket_peer())?,
        };
        let Some(entry) = self.flows.open(flow, connection.clone()) else {
            self.counters.crowded.add(1);
            return None;
        };
        self.counters.opened.add(1);
        self.upper.event(Event::Opened(entry.flow));
        Some(entry)
    }

    /// It has closed.
    pub(crate) fn closed(&self, entry: &Entry, reason: CloseReason) {
        self.flows.close(entry.flow.id);
        entry.outbox.close();
        self.upper.event(Event::Closed(entry.flow, reason));
    }
}

fn transport(connection: &Connection) -> Option<Transport> {
    use wharf::config::Transport as Below;
    match connection.path().transport {
        Below::Tcp => Some(Transport::Tcp),
        Below::Tls => Some(Transport::Tls),
        Below::Ws => Some(Transport::Ws),
        Below::Wss => Some(Transport::Wss),
        _ => None,
    }
}

fn ip(endpoint: &Endpoint) -> Option<SocketAddr> {
    endpoint.ip()
}
