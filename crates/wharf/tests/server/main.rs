//! The server as its users see it.

mod basics;
mod quic;

#[path = "../options/quic_site.rs"]
mod quic_site;
