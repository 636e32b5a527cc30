//! From a listener's options to what its sessions are made from.

use rustls::pki_types::CertificateDer;
use wharf_dtls::{ConfigError, Identity, Psk, ServerContext, ServerOptions};

use crate::config::{self, DtlsOptions, Resumption, TlsOptions};

/// The context of `tls` and `dtls`, with certificates and authorities that were read.
pub(crate) fn build(
    tls: &TlsOptions,
    dtls: &DtlsOptions,
    identities: Vec<Identity>,
    authorities: &[CertificateDer<'_>],
) -> Result<ServerContext, ConfigError> {
    let psk = |psk: &config::Psk| {
        // The check of the configuration has refused what is not hexadecimal.
        let key = psk.bytes().unwrap_or_default();
        Psk::new(psk.identity.as_bytes(), key)
    };
    ServerContext::new(&ServerOptions {
        identities,
        strict_sni: tls.strict_sni,
        alpn: tls.alpn.iter().map(|name| name.as_bytes().into()).collect(),
        alpn_required: tls.alpn_required,
        client_auth: match tls.client_auth {
            config::ClientAuth::Off => wharf_dtls::ClientAuth::Off,
            config::ClientAuth::Optional => wharf_dtls::ClientAuth::Optional,
            config::ClientAuth::Required => wharf_dtls::ClientAuth::Required,
        },
        client_authorities: authorities.iter().map(|der| der.to_vec()).collect(),
        psk: dtls.psk.iter().map(psk).collect(),
        resumption: tls.resumption == Resumption::Tickets,
        ciphers: dtls.ciphers.clone(),
        mtu: dtls.mtu,
    })
}
