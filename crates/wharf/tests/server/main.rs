//! The server as its users see it.

mod basics;
mod batch;
mod dtls;
mod quic;
mod quic_streams;

#[allow(dead_code, reason = "each group of tests uses a part")]
#[path = "../options/dtls_site.rs"]
mod dtls_site;
#[allow(dead_code, reason = "each group of tests uses a part")]
#[path = "../options/quic_site.rs"]
mod quic_site;
