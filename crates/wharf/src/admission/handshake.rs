//! The stages that read from the peer: PROXY header, TLS, WebSocket upgrade.

use std::sync::Arc;

use tokio::time::timeout;
use tokio_rustls::TlsStream;

use wharf_policy::first_bytes::Protocol;

use super::proxied::{self, lost};
use super::{Refused, first, is_behind_proxy, real};
use crate::config::{DemuxLayer, ProxyMode, Transport};
use crate::connection::Connection;
use crate::events::Event;
use crate::hooks::{Hello, HelloChoice};
use crate::layer::Layer;
use crate::link::Link;
use crate::listener::Listener;
use crate::owner::Live;
use crate::reason::Refusal;
use crate::tls::{AlertReason, HandshakeError, TlsInfo};
use crate::websocket::{self, UpgradeError, WebSocket, WebSocketBytes};
use crate::wire::Wire;
use crate::{Messages, Stream};

/// A connection whose handshakes are complete.
pub(crate) enum Ready {
    Bytes(Layer),
    Upgraded(Box<WebSocket<Layer>>),
    /// Messages that are not those of a WebSocket.
    Messages(Box<dyn Link>),
    #[cfg(feature = "quic")]
    Quic(Box<crate::quic::Established>),
}

impl Ready {
    /// The handshakes are complete. What the peer sent right behind them has been read already, and
    /// counts as its first bytes.
    pub(crate) fn established(&mut self) {
        let (layer, leftover) = match self {
            Self::Bytes(layer) => (layer, false),
            Self::Upgraded(socket) => {
                let leftover = socket.has_input();
                (socket.get_mut(), leftover)
            }
            // Whoever made the link has told the socket below.
            Self::Messages(_) => return,
            #[cfg(feature = "quic")]
            Self::Quic(_) => return,
        };
        let spoken = leftover || layer.has_plaintext();
        layer.wire().established(spoken);
    }

    /// As bytes, where the transport has them.
    pub(crate) fn into_stream(self, connection: Connection) -> Option<Stream> {
        match self {
            Self::Bytes(layer) => Some(Stream::new(layer, connection)),
            Self::Upgraded(socket) => Some(Stream::over_websocket(
                WebSocketBytes::new(*socket),
                connection,
            )),
            Self::Messages(_) => None,
            // It is begun as a whole.
            #[cfg(feature = "quic")]
            Self::Quic(_) => None,
        }
    }

    /// As messages, where the transport has them.
    pub(crate) fn into_messages(self, connection: Connection) -> Option<Messages> {
        match self {
            Self::Bytes(_) => None,
            Self::Upgraded(socket) => Some(Messages::new(socket, connection)),
            Self::Messages(link) => Some(Messages::new(link, connection)),
            #[cfg(feature = "quic")]
            Self::Quic(_) => None,
        }
    }
}

/// Whether a connection has anything to read before its handler.
pub(super) fn is_due(live: &Live) -> bool {
    let config = &live.config;
    config.proxy.mode != ProxyMode::Off
        || config.transport.is_secure()
        || config.transport.is_websocket()
        || !live.wanted.is_empty()
}

/// All that are due, in their order.
pub(super) async fn all(
    listener: &Arc<Listener>,
    live: &Arc<Live>,
    mut wire: Box<Wire>,
    connection: &Connection,
) -> Result<Ready, Refused> {
    let config = &live.config;
    if is_behind_proxy(live, connection.socket_peer()) {
        if let Some(found) = proxied::read(&mut wire, config.proxy.mode, &config.timeouts).await? {
            let _ = connection.shared().details().proxied.set(Box::new(found));
        }
        let (peer, mut places) = (connection.peer(), connection.shared().places());
        real::check(listener, live, &peer, &mut places)?;
    }
    real::hook(listener, connection)?;
    let handshakes = encrypt_and_upgrade(listener, live, wire, connection);
    match config.timeouts.handshake {
        None => handshakes.await,
        Some(limit) => timeout(limit, handshakes)
            .await
            .unwrap_or_else(|_| Err(Refusal::HandshakeTimeout.into())),
    }
}

async fn encrypt_and_upgrade(
    listener: &Listener,
    live: &Live,
    wire: Box<Wire>,
    connection: &Connection,
) -> Result<Ready, Refused> {
    let (transport, demux) = (live.config.transport, &live.config.demux);
    let mut first = None;
    let mut plain = Layer::Plain(wire);
    if !transport.is_secure() {
        first = first::look(&mut plain, live.wanted, demux, connection).await?;
    }
    let brings_tls = first == Some(Protocol::Tls) && demux.has(DemuxLayer::Tls);
    let (layer, secure) = match plain {
        Layer::Plain(wire) if transport.is_secure() || brings_tls => {
            let stream = encrypt(listener, live, *wire, connection).await?;
            let mut layer = Layer::Tls(Box::new(stream), None);
            let alpn = connection.tls().and_then(|tls| tls.alpn.as_deref());
            // Who has said by ALPN what it speaks need not say it again.
            first = if listener.handlers.of_alpn(alpn).is_some() {
                None
            } else {
                let within = live.wanted.without(Protocol::Tls);
                first::look(&mut layer, within, demux, connection).await?
            };
            (layer, true)
        }
        plain => (plain, false),
    };
    let upgrades = transport.is_websocket()
        || (first == Some(Protocol::Http) && demux.has(DemuxLayer::Websocket));
    if !live.wanted.is_empty() {
        let spoken = match (secure, upgrades) {
            (false, false) => transport,
            (true, false) => Transport::Tls,
            (false, true) => Transport::Ws,
            (true, true) => Transport::Wss,
        };
        let _ = connection.shared().details().first.set((first, spoken));
    }
    let mut ready = if upgrades {
        let socket = upgrade(live, layer, secure, connection).await?;
        Ready::Upgraded(Box::new(socket))
    } else {
        Ready::Bytes(layer)
    };
    ready.established();
    Ok(ready)
}

/// TLS, paused at the ClientHello to ask the user.
async fn encrypt(
    listener: &Listener,
    live: &Live,
    wire: Wire,
    connection: &Connection,
) -> Result<TlsStream<Wire>, Refused> {
    // A secure listener has certificates from its start; without them nothing is ever spoken.
    let tls = live.tls.as_ref().ok_or(Refusal::Tls)?;
    let result = async {
        let hello = tls.accept(wire).await?;
        let choice = listener
            .hooks
            .client_hello(&listener.owner.name, &Hello::of_tls(&hello.client_hello()));
        match choice {
            HelloChoice::Proceed => hello.proceed().await.map(Some),
            HelloChoice::Use(config) => hello.proceed_with(config).await.map(Some),
            // What is for DTLS is no answer here.
            _ => {
                hello.refuse(AlertReason::AccessDenied).await;
                Ok(None)
            }
        }
    }
    .await;
    let told = match &result {
        Ok(Some(_)) => "ok",
        Ok(None) => "refused",
        Err(error) => error.label(),
    };
    tell(connection, "tls", told);
    let stream = match result {
        Ok(Some(stream)) => stream,
        Ok(None) => return Err(Refusal::Hook.into()),
        Err(error) => return Err(failed(connection, &error)),
    };
    if let Ok(info) = TlsInfo::of_server(stream.get_ref().1) {
        let _ = connection.shared().details().tls.set(Box::new(info));
    }
    Ok(stream.into())
}

fn failed(connection: &Connection, error: &HandshakeError) -> Refused {
    match error {
        HandshakeError::Closed => gone(connection),
        HandshakeError::Io(error) => lost(error),
        error => Refused {
            reason: Refusal::Tls,
            detail: error.label(),
        },
    }
}

/// A peer that left: without a byte it was a probe.
pub(super) fn gone(connection: &Connection) -> Refused {
    match connection.bytes_received() {
        0 => Refusal::Probe.into(),
        _ => Refusal::PeerClosed.into(),
    }
}

async fn upgrade(
    live: &Live,
    layer: Layer,
    secure: bool,
    connection: &Connection,
) -> Result<WebSocket<Layer>, Refused> {
    let options = &live.config.websocket;
    let result = websocket::server::upgrade(layer, &[], options, secure).await;
    let told = match &result {
        Ok(_) => "ok",
        Err(error) => error.label(),
    };
    tell(connection, "websocket", told);
    match result {
        Ok(upgraded) => {
            let details = connection.shared().details();
            let _ = details
                .subprotocol
                .set(upgraded.subprotocol.map(String::into_boxed_str));
            let _ = details.upgrade.set(Box::new(upgraded.request));
            Ok(WebSocket::server(upgraded.io, &upgraded.leftover, options))
        }
        Err(UpgradeError::Closed) => Err(gone(connection)),
        Err(UpgradeError::Io(error)) => Err(lost(&error)),
        Err(error) => Err(Refused {
            reason: Refusal::Upgrade,
            detail: error.label(),
        }),
    }
}

/// Tells how a handshake went.
pub(crate) fn tell(connection: &Connection, protocol: &'static str, result: &'static str) {
    let shared = connection.shared();
    shared.owner.events.emit(|| Event::Handshake {
        listener: shared.owner.name.clone(),
        id: shared.id,
        protocol,
        result,
    });
}
