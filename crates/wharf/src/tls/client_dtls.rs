//! What a client's sessions of DTLS are made from.

use wharf_dtls::{ClientContext, ClientOptions, Identity, Psk};

use super::client::system_authorities;
use super::client_options::ClientTlsOptions;
use super::error::{TlsError, TlsFault};
use super::load::Loader;
use crate::config::DtlsOptions;

/// Reads every file and checks everything. With a pre-shared key and no authorities of its own, a
/// client trusts the key alone. Reads files synchronously.
pub(crate) fn client_context(
    tls: &ClientTlsOptions,
    dtls: &DtlsOptions,
) -> Result<ClientContext, TlsError> {
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let mut loader = Loader::default();
    let ca = match &tls.ca[..] {
        [] if dtls.psk.is_empty() => system_authorities(&mut loader),
        ca => ca.to_vec(),
    };
    let authorities = loader.each_authority("ca", &ca);
    let own = tls
        .certificate
        .as_ref()
        .and_then(|own| loader.certified("certificate", own, &provider));
    let alpn = loader.protocols(&tls.alpn);
    let options = ClientOptions {
        authorities: authorities.iter().map(|(_, der)| der.to_vec()).collect(),
        identity: own.map(|(certified, key)| Identity {
            chain: certified.cert.iter().map(|der| der.to_vec()).collect(),
            key: key.secret_der().to_vec(),
            names: Vec::new(),
        }),
        alpn,
        psk: dtls.psk.first().map(|psk| {
            // The check of the options has refused what is not hexadecimal.
            Psk::new(psk.identity.as_bytes(), psk.bytes().unwrap_or_default())
        }),
        ciphers: dtls.ciphers.clone(),
        mtu: dtls.mtu,
    };
    let context = match ClientContext::new(&options) {
        _ if loader.has_problems() => None,
        Ok(context) => Some(context),
        Err(error) => {
            loader.problem("dtls", None, TlsFault::Refused(error.to_string()));
            None
        }
    };
    loader.finish()?;
    let Some(context) = context else {
        unreachable!("a missing part is a problem that was noted");
    };
    Ok(context)
}
