//! Connections that we make: one for each server, over which all streams to it go.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ClientConfig, Connecting, ConnectionError, Endpoint, EndpointConfig, TokioRuntime};
use tokio_util::sync::CancellationToken;

use super::connection::QuicConnection;
use super::handshake::info;
use super::transport::{Takes, transport, varint};
use super::{fault, serve};
use crate::client::AttemptError;
use crate::config::{AcceptOptions, Address, QuicOptions, SocketOptions, Transport, UnixOptions};
use crate::connection::{Arrived, Places, Shared};
use crate::owner::Owner;
use crate::path::Endpoint as End;
use crate::sockets::{self, Listening};

/// The connections of a client, by where they go, and the sockets below. There is one entry for each
/// server with a connection; those without one are dropped when the next server is dialled.
#[derive(Default)]
pub(crate) struct Dialer {
    /// Of IPv4 and of IPv6.
    endpoints: Mutex<[Option<Endpoint>; 2]>,
    slots: Mutex<HashMap<String, Arc<Slot>>>,
}

/// The connection to one server. Who dials holds the lock, so that all others wait for the same one.
#[derive(Default)]
struct Slot(tokio::sync::Mutex<Option<QuicConnection>>);

/// Where to, and how.
pub(crate) struct Wanted<'a> {
    pub(crate) server_name: &'a str,
    pub(crate) tls: &'a Arc<rustls::ClientConfig>,
    pub(crate) quic: &'a QuicOptions,
    pub(crate) socket: &'a SocketOptions,
    pub(crate) local: Option<SocketAddr>,
}

impl Dialer {
    /// The connection to the server of this key: the one that is there, or one that is `dialled`.
    ///
    /// # Errors
    /// What `dialled` tells.
    pub(crate) async fn connection<E>(
        &self,
        key: &str,
        owner: &Arc<Owner>,
        wanted: &Wanted<'_>,
        dialled: impl Future<Output = Result<quinn::Connection, E>>,
    ) -> Result<QuicConnection, E> {
        let slot = self.slot(key);
        let mut there = slot.0.lock().await;
        if let Some(connection) = there.as_ref().filter(|one| !one.is_over()) {
            return Ok(connection.clone());
        }
        let connection = adopt(owner, dialled.await?, wanted, &slot);
        *there = Some(connection.clone());
        Ok(connection)
    }

    fn slot(&self, key: &str) -> Arc<Slot> {
        let mut slots = lock(&self.slots);
        if let Some(slot) = slots.get(key) {
            return slot.clone();
        }
        // Without a connection, and nobody makes one.
        slots.retain(|_, slot| {
            Arc::strong_count(slot) > 1 || slot.0.try_lock().is_ok_and(|there| there.is_some())
        });
        slots.entry(key.to_owned()).or_default().clone()
    }

    /// One address.
    pub(crate) async fn dial(
        &self,
        address: SocketAddr,
        wanted: &Wanted<'_>,
    ) -> Result<quinn::Connection, AttemptError> {
        let connecting = self.begin(address, wanted)?;
        connecting.await.map_err(|e| AttemptError::Io(io_error(e)))
    }

    fn begin(&self, address: SocketAddr, wanted: &Wanted<'_>) -> Result<Connecting, AttemptError> {
        let invalid = |error: &dyn std::fmt::Display| {
            AttemptError::Io(io::Error::new(
                io::ErrorKind::InvalidInput,
                error.to_string(),
            ))
        };
        let crypto = QuicClientConfig::try_from(wanted.tls.clone()).map_err(|e| invalid(&e))?;
        let mut config = ClientConfig::new(Arc::new(crypto));
        config.transport_config(transport(wanted.quic, Takes::ALL));
        let name = wanted.server_name;
        for fresh in [false, true] {
            let endpoint = self.endpoint(address.is_ipv4(), wanted, fresh)?;
            match endpoint.connect_with(config.clone(), address, name) {
                // Its runtime is gone.
                Err(quinn::ConnectError::EndpointStopping) => {}
                result => return result.map_err(|e| invalid(&e)),
            }
        }
        Err(invalid(&quinn::ConnectError::EndpointStopping))
    }

    /// The endpoint of a family; another one if the old one is no good.
    fn endpoint(
        &self,
        is_ipv4: bool,
        wanted: &Wanted<'_>,
        fresh: bool,
    ) -> Result<Endpoint, AttemptError> {
        let mut endpoints = lock(&self.endpoints);
        let place = &mut endpoints[usize::from(!is_ipv4)];
        if let Some(endpoint) = place.as_ref().filter(|_| !fresh) {
            return Ok(endpoint.clone());
        }
        let any = if is_ipv4 {
            SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0))
        } else {
            SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0))
        };
        let address = Address::Ip(wanted.local.unwrap_or(any));
        let (accept, unix) = (AcceptOptions::default(), UnixOptions::default());
        let bound = sockets::bind(&address, Transport::Quic, &accept, wanted.socket, &unix);
        let bound = bound.map_err(AttemptError::Socket)?.into_iter().next();
        let Some(Listening::Udp(socket)) = bound else {
            return Err(AttemptError::Io(io::ErrorKind::Unsupported.into()));
        };
        let runtime = Arc::new(TokioRuntime);
        let endpoint = Endpoint::new(EndpointConfig::default(), None, socket, runtime);
        let endpoint = endpoint.map_err(AttemptError::Io)?;
        Ok(place.insert(endpoint).clone())
    }
}

/// A connection that was made, counted from here on, and watched until it ends.
fn adopt(
    owner: &Arc<Owner>,
    quinn: quinn::Connection,
    wanted: &Wanted<'_>,
    slot: &Arc<Slot>,
) -> QuicConnection {
    let peer = quinn.remote_address();
    let local = quinn.local_ip().map(|ip| SocketAddr::from((ip, 0)));
    let arrived = Arrived {
        id: owner.next_id(),
        transport: Transport::Quic,
        peer: End::from_socket(peer),
        local: End::from_socket(local.or(wanted.local).unwrap_or_else(|| unknown(peer))),
        credentials: None,
        descriptor: None,
    };
    let hold = Shared::arrive(owner, arrived, Places::default());
    let shared = hold.shared().clone();
    shared.set_quic(quinn.clone());
    if let Some(info) = info(&quinn, Some(wanted.server_name)) {
        let _ = shared.details().tls.set(Box::new(info));
    }
    shared.accept();
    let unused = CancellationToken::new();
    let connection = QuicConnection::new(quinn.clone(), hold.clone()).kept(&unused);
    let streams = connection.streams();
    let drain_code = varint(wanted.quic.drain_code);
    let slot = Arc::downgrade(slot);
    tokio::spawn(async move {
        let shared = hold.shared();
        tokio::select! {
            biased;
            _ = quinn.closed() => {}
            reason = serve::ending(shared) => quinn.close(drain_code, reason.label().as_bytes()),
            () = over(shared, &unused, &slot) => {
                streams.close();
                tokio::select! {
                    () = streams.wait() => {}
                    reason = serve::ending(shared) => {
                        quinn.close(drain_code, reason.label().as_bytes());
                    }
                }
                quinn.close(0u32.into(), b"");
            }
        }
        if let Some(error) = quinn.close_reason() {
            fault::note(shared, &error);
        }
        forget(&slot).await;
    });
    connection
}

/// Ends when nobody has the connection any more. A drain makes the client forget it.
async fn over(shared: &Shared, unused: &CancellationToken, slot: &Weak<Slot>) {
    tokio::select! {
        () = unused.cancelled() => return,
        () = shared.owner.draining.cancelled() => forget(slot).await,
    }
    unused.cancelled().await;
}

async fn forget(slot: &Weak<Slot>) {
    if let Some(slot) = slot.upgrade() {
        let mut there = slot.0.lock().await;
        // Another one may stand there already.
        if there.as_ref().is_some_and(QuicConnection::is_over) {
            *there = None;
        }
    }
}

/// Our end, where nobody says which address it has.
fn unknown(peer: SocketAddr) -> SocketAddr {
    if peer.is_ipv4() {
        (Ipv4Addr::UNSPECIFIED, 0).into()
    } else {
        (Ipv6Addr::UNSPECIFIED, 0).into()
    }
}

/// Sorted by who must act: refused, broken protocol (certificates among it), or silent.
fn io_error(error: ConnectionError) -> io::Error {
    use quinn::TransportErrorCode;
    let kind = match &error {
        // RFC 9000 §20.1.
        ConnectionError::ConnectionClosed(close)
            if close.error_code == TransportErrorCode::CONNECTION_REFUSED =>
        {
            io::ErrorKind::ConnectionRefused
        }
        ConnectionError::TransportError(_)
        | ConnectionError::ConnectionClosed(_)
        | ConnectionError::VersionMismatch => io::ErrorKind::InvalidData,
        _ => return error.into(),
    };
    io::Error::new(kind, error)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
