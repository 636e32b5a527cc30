//! The core held to the RFCs, item by item, in virtual time.

mod allocate;
mod amplification;
mod capacity;
mod channel;
mod corpus;
mod credential;
mod data;
mod drain;
mod dtls;
mod even_port;
mod look_up;
mod model;
mod options;
mod permission;
mod policy;
mod refresh;
mod sim;
mod stream;
mod stun;
mod support;

#[path = "../../../../fuzz/src/targets/mod.rs"]
mod targets;
