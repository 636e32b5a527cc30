//! The bodies of the targets for the socket library, which the tests of `wharf` replay: each takes any
//! bytes and panics when something is wrong.

#[path = "admission.rs"]
mod admission;
#[path = "config.rs"]
mod config;
#[path = "demux.rs"]
mod demux;
#[path = "dtls_front.rs"]
mod dtls_front;
#[path = "dtls_session.rs"]
mod dtls_session;
#[path = "proxy.rs"]
mod proxy;
#[path = "sctp_association.rs"]
mod sctp_association;
#[path = "sctp_front.rs"]
mod sctp_front;
#[path = "sctp_packet.rs"]
mod sctp_packet;
#[path = "steps.rs"]
mod steps;
#[path = "websocket.rs"]
mod websocket;

/// A target: it takes any bytes.
type Target = fn(&[u8]);

pub(crate) const ALL: &[(&str, Target)] = &[
    ("proxy_v1", proxy::proxy_v1),
    ("proxy_v2", proxy::proxy_v2),
    ("proxy_datagrams", proxy::proxy_datagrams),
    ("ws_upgrade", websocket::ws_upgrade),
    ("ws_frames", websocket::ws_frames),
    ("config_toml", config::config_toml),
    ("config_url", config::config_url),
    ("first_bytes", admission::first_bytes),
    ("dtls_front", dtls_front::dtls_front),
    ("dtls_session", dtls_session::dtls_session),
    ("sctp_front", sctp_front::sctp_front),
    ("sctp_association", sctp_association::sctp_association),
    ("demux", demux::demux),
];
