//! Configuration: the same values whether they come from the builder, from TOML or from a URL.

mod address;
mod check;
mod datagrams;
mod demux;
mod dtls;
mod health;
mod key;
mod limits;
mod listener;
mod options;
mod plan;
mod problem;
mod quic;
mod read;
mod rules;
mod schema;
mod sctp;
mod security;
mod server;
mod sockets;
mod suggest;
pub mod units;
mod url;

pub use address::{Address, InvalidAddress};
pub(crate) use check::{is_name, shared_problems};
pub use datagrams::{DatagramOptions, FlowKey, HealthCheck, Steering};
pub use demux::{DemuxLayer, DemuxOptions, Silent};
pub use dtls::{DtlsOptions, Psk};
pub use health::HealthOptions;
pub use limits::{
    Buffers, Limits, MinimumRate, OnFull, Rate, Rates, ServerLimits, SlowPeer, Timeouts,
};
pub use listener::{ListenerConfig, Transport};
pub use options::{Change, OPTIONS, OptionInfo, options_markdown};
pub use plan::{Plan, PlannedChange, plan};
pub use problem::{Problem, Problems};
pub use quic::{QuicOptions, Retry};
pub use read::read;
pub use rules::{IdentityRule, Rule};
pub use schema::json_schema;
pub use sctp::{SctpOptions, SctpVia};
pub use security::{
    Certificate, ClientAuth, Pem, ProxyMode, ProxyOptions, Resumption, TlsOptions, TlsVersion,
};
pub use server::ServerConfig;
pub use sockets::{
    AcceptOptions, DualStack, KeepAlive, SocketOptions, UnixOptions, WebSocketOptions,
};
pub(crate) use url::decoded;
