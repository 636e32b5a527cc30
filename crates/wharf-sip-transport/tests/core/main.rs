//! The transport layer over sockets, and over connections in memory.

mod answers;
mod drain;
mod flows;
mod keep_alive;
mod manager;
mod paused;
mod streams;
mod support;
mod udp;
mod websockets;
