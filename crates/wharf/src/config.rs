//! Configuration: the same values whether they come from the builder, from TOML or from a URL.

mod address;
mod health;
mod limits;
mod listener;
mod rules;
mod security;
mod server;
mod sockets;
pub mod units;

pub use address::{Address, InvalidAddress};
pub use health::HealthOptions;
pub use limits::{
    Buffers, Limits, MinimumRate, OnFull, Rate, Rates, ServerLimits, SlowPeer, Timeouts,
};
pub use listener::{ListenerConfig, Transport};
pub use rules::{IdentityRule, Rule};
pub use security::{
    Certificate, ClientAuth, Pem, ProxyMode, ProxyOptions, Resumption, TlsOptions, TlsVersion,
};
pub use server::ServerConfig;
pub use sockets::{
    AcceptOptions, DualStack, KeepAlive, SocketOptions, UnixOptions, WebSocketOptions,
};
