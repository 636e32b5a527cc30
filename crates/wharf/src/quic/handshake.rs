//! The handshake of one connection, on either side.

use std::sync::Arc;

use quinn::crypto::rustls::HandshakeData;
use quinn::{Connecting, Incoming};
use rustls::pki_types::CertificateDer;

use super::crypto::Refuses;
use super::fault;
use super::serve::Established;
use super::transport::varint;
use crate::admission::{Ready, Refused, tell_handshake};
use crate::config::QuicOptions;
use crate::connection::{Connection, Hold};
use crate::reason::Refusal;
use crate::tls::TlsInfo;

/// What a server's handshake is made with.
pub(super) struct Terms {
    pub(super) config: Arc<quinn::ServerConfig>,
    /// Of the `client_hello` hook, where there is one.
    pub(super) refuses: Option<Refuses>,
    pub(super) options: QuicOptions,
}

/// The server's side.
pub(super) async fn accept(incoming: Incoming, terms: Terms, hold: Hold) -> Result<Ready, Refused> {
    let connection = Connection::new(hold.shared().clone());
    let early = terms.options.zero_rtt;
    let result = match incoming.accept_with(terms.config) {
        Ok(connecting) => complete(connecting, early).await,
        Err(error) => Err(error),
    };
    let result = result.map_err(|error| match &terms.refuses {
        Some(refuses) if refuses.it() => Refused::from(Refusal::Hook),
        _ => fault::refused(&error),
    });
    let told = match &result {
        Ok(_) => "ok",
        Err(refused) if refused.reason == Refusal::Hook => "refused",
        Err(refused) if refused.detail.is_empty() => refused.reason.label(),
        Err(refused) => refused.detail,
    };
    tell_handshake(&connection, "quic", told);
    let quinn = result?;
    hold.shared().set_quic(quinn.clone());
    if let Some(info) = info(&quinn, None) {
        let _ = hold.shared().details().tls.set(Box::new(info));
    }
    Ok(Ready::Quic(Box::new(Established::new(
        quinn,
        hold,
        &terms.options,
    ))))
}

/// Waits until the handshake is complete; where clients may send early data, until it is known what
/// they ask for (RFC 9001 §4.1.1).
async fn complete(
    mut connecting: Connecting,
    early: bool,
) -> Result<quinn::Connection, quinn::ConnectionError> {
    if !early {
        return connecting.await;
    }
    connecting.handshake_data().await?;
    match connecting.into_0rtt() {
        // A client that never completes it is found by the idle timeout.
        Ok((connection, _)) => Ok(connection),
        Err(connecting) => connecting.await,
    }
}

/// What was agreed on; `server_name` is what a client has asked for.
pub(super) fn info(connection: &quinn::Connection, server_name: Option<&str>) -> Option<TlsInfo> {
    let data = connection
        .handshake_data()?
        .downcast::<HandshakeData>()
        .ok()?;
    let identity = connection.peer_identity();
    let chain = identity.and_then(|any| any.downcast::<Vec<CertificateDer<'static>>>().ok());
    let name = server_name.or(data.server_name.as_deref());
    let leaf = chain.as_ref().and_then(|chain| chain.first());
    TlsInfo::of_quic(name, data.protocol.as_deref(), leaf).ok()
}

impl Established {
    pub(super) fn new(quinn: quinn::Connection, hold: Hold, options: &QuicOptions) -> Self {
        Self {
            quinn,
            hold,
            drain_code: varint(options.drain_code),
            datagram_buffer: usize::try_from(options.datagram_buffer).unwrap_or(usize::MAX),
        }
    }
}
