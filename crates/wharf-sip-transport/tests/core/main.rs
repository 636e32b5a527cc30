//! The transport layer over sockets, and over connections in memory.

mod drain;
mod flows;
mod keep_alive;
mod manager;
mod streams;
mod support;
mod udp;
mod websockets;
