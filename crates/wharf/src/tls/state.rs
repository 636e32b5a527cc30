//! What a server's TLS is made of at one time: built as a whole, never changed.

use std::sync::Arc;
use std::time::SystemTime;

use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::PrivateKeyDer;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;

use super::chain::ClientChain;
use super::error::{TlsError, TlsFault, TlsProblem};
use super::identity::{Fingerprint, PeerIdentity};
use super::load::{Loader, Stamps};
use super::names::{CertificateMap, covers, is_pattern};
use super::purposes::Purposes;
use super::versions;
use crate::config::{Certificate, ClientAuth, DtlsOptions, Resumption, TlsOptions};

/// One of a server's certificates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateInfo {
    /// The server names that it is for, from the options or from the certificate.
    pub names: Vec<String>,
    /// SHA-256 of the certificate.
    pub fingerprint: Fingerprint,
    /// It is valid from here.
    pub not_before: SystemTime,
    /// It is valid up to here.
    pub not_after: SystemTime,
}

/// There is always a default certificate and a configuration with it, but for DTLS with pre-shared
/// keys, where the context of DTLS is there: no value of this type stands for "no TLS".
#[derive(Debug)]
pub(super) struct State {
    pub(super) options: TlsOptions,
    /// Where DTLS is spoken: its options, and what its sessions are made from.
    #[cfg(feature = "dtls")]
    pub(super) dtls: Option<(DtlsOptions, wharf_dtls::ServerContext)>,
    pub(super) map: Arc<CertificateMap>,
    pub(super) config: Arc<ServerConfig>,
    /// For clients that offer none of our protocols, where that is allowed.
    config_without_alpn: Option<Arc<ServerConfig>>,
    pub(super) certificates: Vec<CertificateInfo>,
    pub(super) stamps: Stamps,
}

impl State {
    /// Reads every file and builds everything, or says everything that is wrong.
    pub(super) fn build(
        options: &TlsOptions,
        dtls: Option<&DtlsOptions>,
    ) -> Result<Self, TlsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut loader = Loader::default();
        let certificates: Vec<_> = options
            .certificates
            .iter()
            .enumerate()
            .filter_map(|(index, certificate)| load(&mut loader, index, certificate, &provider))
            .collect();
        if options.certificates.is_empty() && dtls.is_none_or(|dtls| dtls.psk.is_empty()) {
            loader.problem("certificates", None, TlsFault::NoCertificate);
        }
        let verifier = verifier(&mut loader, options, &provider);
        let protocols = loader.protocols(&options.alpn);
        #[cfg(feature = "dtls")]
        let dtls = match dtls {
            Some(dtls) => for_dtls(&mut loader, options, dtls, &certificates),
            None => None,
        };
        #[cfg(not(feature = "dtls"))]
        let _ = dtls;
        let stamps = loader.finish()?;
        let Some(verifier) = verifier else {
            unreachable!("a missing part is a problem that was noted");
        };

        let default = certificates
            .first()
            .map(|first| Arc::clone(&first.certified));
        let mut map = CertificateMap::new(default, options.strict_sni);
        for certificate in &certificates {
            for name in &certificate.info.names {
                map.add(name, &certificate.certified);
            }
        }
        let map = Arc::new(map);
        let resolver = Arc::clone(&map);
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(versions(options.min_version))
            .map_err(|error| refused("min-version", &error))?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(resolver);
        config.alpn_protocols = protocols;
        set_resumption(&mut config, options.resumption)?;
        let config_without_alpn = (!options.alpn_required && !options.alpn.is_empty()).then(|| {
            let mut config = config.clone();
            config.alpn_protocols = Vec::new();
            Arc::new(config)
        });
        Ok(Self {
            options: options.clone(),
            #[cfg(feature = "dtls")]
            dtls,
            map,
            config: Arc::new(config),
            config_without_alpn,
            certificates: certificates.into_iter().map(|each| each.info).collect(),
            stamps,
        })
    }

    /// The options of DTLS, where it is spoken.
    #[cfg_attr(not(feature = "dtls"), expect(clippy::unused_self))]
    pub(super) fn dtls_options(&self) -> Option<&DtlsOptions> {
        #[cfg(feature = "dtls")]
        return self.dtls.as_ref().map(|(options, _)| options);
        #[cfg(not(feature = "dtls"))]
        None
    }

    /// The configuration for a client that offers these protocols (RFC 7301 §3.2).
    pub(super) fn config_for<'a>(
        &self,
        mut offered: impl Iterator<Item = &'a [u8]>,
    ) -> &Arc<ServerConfig> {
        let ours = &self.config.alpn_protocols;
        match &self.config_without_alpn {
            Some(without) if !offered.any(|name| ours.iter().any(|own| own == name)) => without,
            _ => &self.config,
        }
    }
}

/// A certificate that was read.
struct Loaded {
    certified: Arc<CertifiedKey>,
    #[cfg_attr(not(feature = "dtls"), expect(dead_code))]
    key: PrivateKeyDer<'static>,
    info: CertificateInfo,
}

/// `None` after a problem was noted.
#[cfg(feature = "dtls")]
fn for_dtls(
    loader: &mut Loader,
    options: &TlsOptions,
    dtls: &DtlsOptions,
    certificates: &[Loaded],
) -> Option<(DtlsOptions, wharf_dtls::ServerContext)> {
    if loader.has_problems() {
        return None;
    }
    let identities = certificates
        .iter()
        .map(|each| wharf_dtls::Identity {
            chain: each.certified.cert.iter().map(|der| der.to_vec()).collect(),
            key: each.key.secret_der().to_vec(),
            names: each
                .info
                .names
                .iter()
                .map(|name| name.to_ascii_lowercase())
                .collect(),
        })
        .collect();
    let authorities: Vec<_> = loader
        .each_authority("client-ca", &options.client_ca)
        .into_iter()
        .map(|(_, certificate)| certificate)
        .collect();
    match crate::dtls::build(options, dtls, identities, &authorities) {
        Ok(context) => Some((dtls.clone(), context)),
        Err(error) => {
            loader.problem("dtls", None, TlsFault::Refused(error.to_string()));
            None
        }
    }
}

fn load(
    loader: &mut Loader,
    index: usize,
    certificate: &Certificate,
    provider: &CryptoProvider,
) -> Option<Loaded> {
    let key = format!("certificates[{index}]");
    let certified = loader.certified(&key, certificate, provider);
    for (at, name) in certificate.names.iter().enumerate() {
        if !is_pattern(name) {
            let fault = TlsFault::BadName(name.clone());
            loader.problem(&format!("{key}.names[{at}]"), None, fault);
        }
    }
    let (certified, key_der) = certified?;
    let identity = match PeerIdentity::from_der(&certified.cert[0]) {
        Ok(identity) => identity,
        Err(error) => {
            let fault = TlsFault::BadCertificate(error.to_string());
            loader.problem(&format!("{key}.cert"), Some(&certificate.cert), fault);
            return None;
        }
    };
    let own = identity.server_names();
    for (at, name) in certificate.names.iter().enumerate() {
        if is_pattern(name) && !covers(&own, name) {
            let fault = TlsFault::NameNotCovered(name.clone());
            loader.problem(&format!("{key}.names[{at}]"), None, fault);
        }
    }
    let names = if certificate.names.is_empty() {
        own
    } else {
        certificate.names.clone()
    };
    if names.is_empty() && index > 0 {
        loader.problem(&key, None, TlsFault::NoName);
    }
    let info = CertificateInfo {
        names,
        fingerprint: identity.fingerprint,
        not_before: identity.not_before,
        not_after: identity.not_after,
    };
    Some(Loaded {
        certified,
        key: key_der,
        info,
    })
}

/// `None` after a problem was noted.
fn verifier(
    loader: &mut Loader,
    options: &TlsOptions,
    provider: &Arc<CryptoProvider>,
) -> Option<Arc<dyn ClientCertVerifier>> {
    let purposes = Purposes::read(loader, "client-purposes", &options.client_purposes);
    if options.client_auth == ClientAuth::Off {
        return Some(WebPkiClientVerifier::no_client_auth());
    }
    if options.client_ca.is_empty() {
        loader.problem("client-ca", None, TlsFault::NoAuthority);
        return None;
    }
    let roots = loader.authorities("client-ca", &options.client_ca);
    if roots.is_empty() {
        return None;
    }
    let roots = Arc::new(roots);
    let builder = WebPkiClientVerifier::builder_with_provider(roots.clone(), Arc::clone(provider));
    let builder = match options.client_auth {
        ClientAuth::Optional => builder.allow_unauthenticated(),
        ClientAuth::Off | ClientAuth::Required => builder,
    };
    match builder.build() {
        Ok(verifier) if purposes.is_empty() => Some(verifier),
        Ok(inner) => Some(Arc::new(ClientChain {
            inner,
            roots,
            algorithms: provider.signature_verification_algorithms,
            purposes,
        })),
        Err(error) => {
            loader.problem("client-ca", None, TlsFault::Refused(error.to_string()));
            None
        }
    }
}

/// The keys of tickets are made anew with each state, so that a ticket never carries a client past
/// authorities that have changed since; such a client makes a full handshake.
fn set_resumption(config: &mut ServerConfig, resumption: Resumption) -> Result<(), TlsError> {
    // Nothing is kept for a session, whether tickets are sent or not.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    match resumption {
        Resumption::Tickets => {
            config.ticketer =
                aws_lc_rs::Ticketer::new().map_err(|error| refused("resumption", &error))?;
        }
        Resumption::Off => config.send_tls13_tickets = 0,
    }
    Ok(())
}

pub(super) fn refused(key: &str, error: &rustls::Error) -> TlsError {
    TlsError(vec![TlsProblem {
        key: key.to_owned(),
        file: None,
        fault: TlsFault::Refused(error.to_string()),
    }])
}
