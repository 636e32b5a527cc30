//! TLS of connections that we make.

use std::path::Path;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::client::Resumption as ClientResumption;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::ServerName;
use rustls::sign::SingleCertAndKey;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::alert::finish;
use super::chain::ServerChain;
use super::client_options::{ClientTlsOptions, ServerNames};
use super::error::{TlsError, TlsFault};
use super::failure::{HandshakeError, Side};
use super::load::Loader;
use super::purposes::Purposes;
use super::state::refused;
use super::versions;
use crate::config::{Pem, Resumption};

/// Where systems keep the authorities that they trust, in the order of search: Debian and its
/// kin, Fedora and its kin, SUSE, Alpine.
pub const SYSTEM_CA: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// TLS of the client side.
///
/// ```no_run
/// # use wharf::tls::{ClientTls, ClientTlsOptions};
/// # async fn one(tcp: tokio::net::TcpStream) -> Result<(), Box<dyn std::error::Error>> {
/// let tls = ClientTls::new(&ClientTlsOptions {
///     alpn: vec!["h2".into()],
///     ..Default::default()
/// })?;
/// let stream = tls.connect(tcp, "example.org").await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct ClientTls {
    config: Arc<ClientConfig>,
    server_name: Option<String>,
}

impl ClientTls {
    /// Reads every file and checks everything. All problems are reported at once. Reads files
    /// synchronously.
    pub fn new(options: &ClientTlsOptions) -> Result<Self, TlsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut loader = Loader::default();
        let ca = if options.ca.is_empty() {
            system_authorities(&mut loader)
        } else {
            options.ca.clone()
        };
        let roots = loader.authorities("ca", &ca);
        let own = options
            .certificate
            .as_ref()
            .and_then(|own| loader.certified("certificate", own, &provider))
            .map(|(own, _)| own);
        if let Some(name) = &options.server_name
            && ServerName::try_from(name.as_str()).is_err()
        {
            loader.problem("server-name", None, TlsFault::BadName(name.clone()));
        }
        let protocols = loader.protocols(&options.alpn);
        let purposes = Purposes::read(&mut loader, "purposes", &options.purposes);
        loader.finish()?;

        let algorithms = provider.signature_verification_algorithms;
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions(options.min_version))
            .map_err(|error| refused("min-version", &error))?;
        let builder = if options.names == ServerNames::Handshake && purposes.is_empty() {
            builder.with_root_certificates(roots)
        } else {
            let chain = ServerChain {
                roots,
                algorithms,
                names: options.names,
                purposes,
            };
            builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(chain))
        };
        let mut config = match own {
            Some(own) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(own))),
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = protocols;
        if options.resumption == Resumption::Off {
            config.resumption = ClientResumption::disabled();
        }
        Ok(Self {
            config: Arc::new(config),
            server_name: options.server_name.clone(),
        })
    }

    /// The configuration, for a protocol that brings its own records.
    #[cfg(feature = "quic")]
    pub(crate) fn config(&self) -> Arc<ClientConfig> {
        self.config.clone()
    }

    /// Makes the handshake with the server `name`, a host name or an IP address, over `io`. There
    /// is no deadline: put one around it.
    ///
    /// With TLS 1.3 a server may refuse our certificate only after this has returned; the first
    /// read tells.
    pub async fn connect<IO>(&self, io: IO, name: &str) -> Result<TlsStream<IO>, HandshakeError>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        let name = self.server_name.as_deref().unwrap_or(name);
        let target = ServerName::try_from(name.to_owned())
            .map_err(|_| HandshakeError::InvalidName(name.to_owned()))?;
        let connector = TlsConnector::from(Arc::clone(&self.config));
        match connector.connect(target, io).into_fallible().await {
            Ok(stream) => Ok(stream),
            Err((error, mut io)) => {
                finish(&mut io).await;
                Err(HandshakeError::from_io(error, Side::Client))
            }
        }
    }
}

/// Where the system's authorities are; a problem if they are nowhere.
pub(super) fn system_authorities(loader: &mut Loader) -> Vec<Pem> {
    let found = SYSTEM_CA.iter().find(|path| Path::new(path).exists());
    if found.is_none() {
        loader.problem("ca", None, TlsFault::NoSystemAuthorities);
    }
    found
        .map(|path| Pem::File(path.into()))
        .into_iter()
        .collect()
}
