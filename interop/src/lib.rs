//! Runs the daemon `wharfd` and real TURN clients against each other; it contains no TURN code.
//!
//! A [`Site`] is one running daemon with a peer behind it, on ports of its own. A test starts a
//! site, points a client of another project at it and checks what that client says it received:
//!
//! ```no_run
//! use wharf_interop::Site;
//!
//! let site = Site::start();
//! site.uclient()
//!     .flags("-c -s")
//!     .to_peer("127.0.0.1")
//!     .run()
//!     .assert_relayed(3, 100);
//! ```
//!
//! Everything here panics with the output of the processes involved, because its only caller is a
//! test. Nothing is skipped: a missing tool is a failure that names the command to install it.
//! Every wait ends at an event or at a deadline, and every process is ended by its own id.

mod authority;
mod config;
mod counters;
mod credentials;
mod daemon;
mod kamailio;
mod peer;
mod ports;
mod process;
mod site;
mod tool;
mod uclient;

pub use authority::Authority;
pub use config::{Config, PASSWORD, REALM, USER};
pub use counters::Counters;
pub use credentials::rest_password;
pub use daemon::Daemon;
pub use kamailio::{Kamailio, KamailioTls};
pub use peer::Peer;
pub use ports::PortBlock;
pub use process::{Finished, Process};
pub use site::Site;
pub use tool::{chromium, node_modules, python, target_directory, tool, usrsctp};
pub use uclient::{Outcome, Running, Uclient};
