//! What is said on a new connection before its bytes: PROXY header, TLS, WebSocket upgrade.

use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsStream;

use super::proxy::encode;
use super::{ConnectError, Rules, Site, Stage, Target};
use crate::admission::{Ready, tell_handshake};
use crate::config::Transport::Sctp;
use crate::connection::Connection;
use crate::layer::Layer;
use crate::proxy::Transport;
use crate::sctp::KernelLink;
use crate::tls::{HandshakeError as TlsHandshakeError, TlsInfo};
use crate::websocket::WebSocket;
use crate::websocket::client::{ClientRequest, handshake};
use crate::wire::Wire;

/// The end of the time that all handshakes have together.
#[derive(Clone, Copy)]
struct Deadline(Option<(Instant, Duration)>);

impl Deadline {
    async fn hold<T>(
        self,
        stage: Stage,
        work: impl Future<Output = Result<T, ConnectError>>,
    ) -> Result<T, ConnectError> {
        match self.0 {
            None => work.await,
            Some((at, limit)) => timeout_at(at, work)
                .await
                .unwrap_or(Err(ConnectError::Timeout { stage, limit })),
        }
    }
}

/// All that the target asks for, in order.
pub(super) async fn all(
    rules: &Rules,
    target: &Target,
    site: &Site,
    mut wire: Wire,
    connection: &Connection,
) -> Result<Ready, ConnectError> {
    let limit = rules.options.timeouts.handshake;
    let deadline = Deadline(limit.and_then(|l| Some((Instant::now().checked_add(l)?, l))));
    if let Some(proxy) = &rules.options.proxy {
        let ends = (connection.socket_local(), connection.socket_peer());
        let header = encode(proxy, Transport::Stream, ends)?;
        let sending = async { wire.write_all(&header).await.map_err(ConnectError::Proxy) };
        deadline.hold(Stage::Proxy, sending).await?;
    }
    if target.transport == Sctp {
        wire.established(false);
        let link = KernelLink::new(Box::new(wire), &rules.options.sctp);
        return Ok(Ready::Messages(Box::new(link)));
    }
    let layer = if target.transport.is_secure() {
        let encrypting = encrypt(rules, site, wire, connection);
        Layer::Tls(Box::new(deadline.hold(Stage::Tls, encrypting).await?), None)
    } else {
        Layer::Plain(Box::new(wire))
    };
    let mut ready = if target.transport.is_websocket() {
        let upgrading = upgrade(rules, (&site.host, &target.path), layer, connection);
        Ready::Upgraded(Box::new(deadline.hold(Stage::Upgrade, upgrading).await?))
    } else {
        Ready::Bytes(layer)
    };
    ready.established();
    Ok(ready)
}

async fn encrypt(
    rules: &Rules,
    site: &Site,
    wire: Wire,
    connection: &Connection,
) -> Result<TlsStream<Wire>, ConnectError> {
    let tls = rules.tls().await?;
    let asked = rules.options.tls.server_name.as_ref();
    let server = asked.unwrap_or(&site.server_name);
    let result = tls.connect(wire, server).await;
    let told = result
        .as_ref()
        .map_or_else(TlsHandshakeError::label, |_| "ok");
    tell_handshake(connection, "tls", told);
    let stream = result.map_err(|source| ConnectError::Tls {
        server: server.clone(),
        source,
    })?;
    if let Ok(info) = TlsInfo::of_client(stream.get_ref().1, Some(server)) {
        let _ = connection.shared().details().tls.set(Box::new(info));
    }
    Ok(stream.into())
}

async fn upgrade(
    rules: &Rules,
    (host, path): (&str, &str),
    layer: Layer,
    connection: &Connection,
) -> Result<WebSocket<Layer>, ConnectError> {
    let options = &rules.options.websocket;
    let request = ClientRequest {
        host: host.to_owned(),
        path: path.to_owned(),
        origin: options.origin.clone(),
        subprotocols: options.subprotocols.clone(),
        headers: options.headers.clone(),
    };
    let result = handshake(layer, &request).await;
    tell_handshake(
        connection,
        "websocket",
        if result.is_ok() { "ok" } else { "failed" },
    );
    let connected = result?;
    let subprotocol = connected.subprotocol.map(String::into_boxed_str);
    let _ = connection.shared().details().subprotocol.set(subprotocol);
    let limits = options.limits();
    Ok(WebSocket::client(
        connected.io,
        &connected.leftover,
        &limits,
    ))
}
