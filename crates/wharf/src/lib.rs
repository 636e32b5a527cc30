//! Socket servers for Linux.

pub mod config;
pub mod message;
pub mod proxy;
pub mod sockets;
pub mod tls;
pub mod websocket;
