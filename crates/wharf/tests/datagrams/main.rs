//! Datagram listeners.

#[cfg(feature = "dtls")]
#[allow(dead_code, reason = "other tests use the rest")]
#[path = "../options/dtls_site.rs"]
mod dtls_site;
mod flows;
mod inherited;
#[cfg(feature = "quic")]
#[allow(dead_code, reason = "other tests use the rest")]
#[path = "../options/quic_site.rs"]
mod quic_site;
mod rules;
#[cfg(feature = "sctp")]
#[allow(dead_code, reason = "other tests use the rest")]
#[path = "../common/sctp.rs"]
mod sctp_peer;
mod single;
mod support;
