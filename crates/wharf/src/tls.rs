//! TLS for servers and clients: certificates by server name that change live, client
//! certificates, protocols, resumption.
//!
//! The cryptography is aws-lc-rs, given to rustls with each configuration; what a process has
//! installed as its default plays no part.

mod alert;
mod chain;
mod client;
#[cfg(feature = "dtls")]
mod client_dtls;
mod client_options;
mod error;
mod failure;
mod hello;
mod identity;
mod info;
mod load;
mod names;
mod purposes;
mod server;
mod state;
#[cfg(test)]
mod tests;
mod watch;

pub use alert::AlertReason;
pub use client::{ClientTls, SYSTEM_CA};
#[cfg(feature = "dtls")]
pub(crate) use client_dtls::client_context;
pub use client_options::{ClientTlsOptions, ServerNames};
pub use error::{TlsError, TlsFault, TlsMatter, TlsProblem, TlsWarning};
pub use failure::{CertificateFault, HandshakeError};
pub use hello::{Hello, MAX_HELLO};
pub use identity::{Fingerprint, InvalidCertificate, PeerIdentity};
pub use info::TlsInfo;
pub use load::MAX_PEM;
pub(crate) use purposes::oid;
pub use server::{Reloaded, ServerTls};
pub use state::CertificateInfo;
pub use watch::WatchEvent;

use crate::config::TlsVersion;

/// The versions from the oldest that is spoken.
fn versions(oldest: TlsVersion) -> &'static [&'static rustls::SupportedProtocolVersion] {
    static ONLY_1_3: [&rustls::SupportedProtocolVersion; 1] = [&rustls::version::TLS13];
    match oldest {
        TlsVersion::V1_2 => rustls::ALL_VERSIONS,
        TlsVersion::V1_3 => &ONLY_1_3,
    }
}
