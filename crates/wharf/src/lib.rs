//! Socket servers for Linux.

pub mod config;
pub mod proxy;
pub mod sockets;
pub mod tls;
