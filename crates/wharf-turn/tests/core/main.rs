//! The core held to the RFCs, item by item, in virtual time.

mod allocate;
mod channel;
mod credential;
mod data;
mod drain;
mod even_port;
mod permission;
mod policy;
mod refresh;
mod sim;
mod stun;
mod support;
