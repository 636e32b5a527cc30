//! The bare side: a loop that accepts, and a task for each connection. No limit, rule, timeout or
//! counter.

use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;

use tokio::net::{TcpListener, UnixListener};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_websockets::ServerBuilder;

use super::options::{ServerRole, Transport};
use super::serve::{Job, announce, bare_messages, bytes};
use crate::Failure;

/// Accepts until the process ends.
pub(super) async fn run(role: &ServerRole, job: Job) -> Result<(), Failure> {
    let failed = |error| Failure::io(&"bare server", error);
    if role.transport == Transport::Quic {
        super::quic::run(role, job).await
    } else if role.transport == Transport::Unix {
        unix(role, job).await
    } else {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .map_err(failed)?;
        announce(&listener.local_addr().map_err(failed)?.to_string())?;
        tcp(&listener, role, job).await
    }
}

async fn unix(role: &ServerRole, job: Job) -> Result<(), Failure> {
    let path = role
        .folder
        .join(format!("bare-{}.sock", std::process::id()));
    let listener = UnixListener::bind(&path).map_err(|e| Failure::io(&path.display(), e))?;
    announce(&path.display().to_string())?;
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(bytes(stream, job));
        }
    }
}

async fn tcp(listener: &TcpListener, role: &ServerRole, job: Job) -> Result<(), Failure> {
    let tls = match role.transport {
        Transport::Tls => Some(acceptor(role)?),
        _ => None,
    };
    loop {
        // An error of one connection is no reason to stop.
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        let _ = stream.set_nodelay(true);
        match (&tls, role.transport) {
            (Some(tls), _) => {
                let accept = tls.accept(stream);
                tokio::spawn(async move { bytes(accept.await?, job).await });
            }
            (None, Transport::Ws) => {
                tokio::spawn(async move {
                    if let Ok((_, socket)) = ServerBuilder::new().accept(stream).await {
                        bare_messages(socket).await;
                    }
                });
            }
            _ => {
                tokio::spawn(bytes(stream, job));
            }
        }
    }
}

fn acceptor(role: &ServerRole) -> Result<TlsAcceptor, Failure> {
    let refused = |error: &dyn std::fmt::Display| Failure::refused("certificate", error);
    let (cert, key) = (role.folder.join("cert.pem"), role.folder.join("key.pem"));
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(&cert)
        .and_then(Iterator::collect)
        .map_err(|error| refused(&error))?;
    let key = PrivateKeyDer::from_pem_file(&key).map_err(|error| refused(&error))?;
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| Failure::io(&"certificate", io::Error::other(error)))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}
