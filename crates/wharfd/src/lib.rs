//! The Wharf daemon: configuration, command line, logs and metrics around the TURN server.
//!
//! It decides nothing about packets: that is `wharf-turn-server`'s work. The daemon turns a file
//! into checked settings, starts the server with them, and says what it does.
//!
//! ```
//! let settings = wharfd::config::Settings::parse(
//!     "[listen]
//!      udp = ['127.0.0.1:3478']
//!      [auth]
//!      users = { alice = 'wonderland' }",
//! )?;
//! assert_eq!(settings.relay.ports, 49152..=65535);
//! # Ok::<(), wharfd::problem::Problems>(())
//! ```

pub mod admin;
mod banner;
mod certificates;
pub mod cli;
pub mod config;
pub mod credentials;
mod daemon;
mod descriptors;
mod edge;
mod events;
mod logs;
mod metrics;
mod notify;
mod operations;
pub mod problem;
mod reload;
mod run;
mod signals;
mod sip;
mod streams;
mod succession;

pub use run::run;
