//! QUIC of bare quinn with its defaults: the load's client, and the bare server.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{self, RootCertStore};
use wharf::quic::quinn::{ClientConfig, Endpoint, Incoming, ServerConfig};

use super::connect::Bytes;
use super::options::ServerRole;
use super::serve::{Job, announce, bytes};
use crate::Failure;

/// An endpoint that connects, and trusts the bench's own certificate.
pub(super) fn client(folder: &Path) -> Result<Endpoint, Failure> {
    let refused = |error: &dyn std::fmt::Display| Failure::refused("certificate", error);
    let cert = CertificateDer::from_pem_file(folder.join("cert.pem")).map_err(|e| refused(&e))?;
    let mut roots = RootCertStore::empty();
    roots.add(cert).map_err(|e| refused(&e))?;
    let config = ClientConfig::with_root_certificates(Arc::new(roots)).map_err(|e| refused(&e))?;
    let mut endpoint =
        Endpoint::client((Ipv4Addr::LOCALHOST, 0).into()).map_err(|e| Failure::io(&"quic", e))?;
    endpoint.set_default_client_config(config);
    Ok(endpoint)
}

/// A stream on a connection of its own.
pub(super) async fn connect(endpoint: &Endpoint, address: &str) -> io::Result<Box<dyn Bytes>> {
    let address: SocketAddr = address.parse().map_err(io::Error::other)?;
    let connecting = endpoint.connect(address, "localhost");
    let connection = connecting.map_err(io::Error::other)?.await?;
    let (send, recv) = connection.open_bi().await?;
    Ok(Box::new(tokio::io::join(recv, send)))
}

/// Accepts until the process ends.
pub(super) async fn run(role: &ServerRole, job: Job) -> Result<(), Failure> {
    let refused = |error: &dyn std::fmt::Display| Failure::refused("certificate", error);
    let chain: Vec<CertificateDer<'static>> =
        CertificateDer::pem_file_iter(role.folder.join("cert.pem"))
            .and_then(Iterator::collect)
            .map_err(|e| refused(&e))?;
    let key = PrivateKeyDer::from_pem_file(role.folder.join("key.pem")).map_err(|e| refused(&e))?;
    let config = ServerConfig::with_single_cert(chain, key)
        .map_err(|error: rustls::Error| refused(&error))?;
    let failed = |error| Failure::io(&"bare server", error);
    let endpoint = Endpoint::server(config, (Ipv4Addr::LOCALHOST, 0).into()).map_err(failed)?;
    announce(&endpoint.local_addr().map_err(failed)?.to_string())?;
    while let Some(incoming) = endpoint.accept().await {
        tokio::spawn(serve(incoming, job));
    }
    Ok(())
}

async fn serve(incoming: Incoming, job: Job) {
    let Ok(connection) = incoming.await else {
        return;
    };
    while let Ok((send, recv)) = connection.accept_bi().await {
        tokio::spawn(bytes(tokio::io::join(recv, send), job));
    }
}
