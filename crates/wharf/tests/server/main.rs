//! The server as its users see it.

mod basics;
mod quic;

#[path = "../quic_site.rs"]
mod quic_site;
