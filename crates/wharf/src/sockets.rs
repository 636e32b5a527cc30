//! From configuration to sockets: binding, socket options, and what the kernel says of a connection.
//!
//! Everything here is synchronous and knows no runtime: [`bind`] makes the listening sockets of one
//! address, [`connect_socket`] one that is ready to connect. Both apply every option of
//! [`SocketOptions`](crate::config::SocketOptions); one that the host lacks is an error that names
//! its key.
//!
//! ```
//! use wharf::config::{AcceptOptions, SocketOptions, Transport, UnixOptions};
//! use wharf::sockets::{Listening, bind};
//!
//! let address = "127.0.0.1:0".parse()?;
//! let accept = AcceptOptions { reuse_port: true, acceptors: 2, ..AcceptOptions::default() };
//! let socket = SocketOptions { dscp: Some(46), ..SocketOptions::default() };
//! let bound = bind(&address, Transport::Tcp, &accept, &socket, &UnixOptions::default())?;
//! // One socket for each acceptor, all on the port that the kernel chose for the first.
//! let ports: Vec<u16> = bound
//!     .iter()
//!     .map(|socket| match socket {
//!         Listening::Tcp(listener) => Ok(listener.local_addr()?.port()),
//!         _ => unreachable!("TCP was bound"),
//!     })
//!     .collect::<std::io::Result<_>>()?;
//! assert_eq!(ports, [ports[0]; 2]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod bind;
mod connect;
mod datagrams;
mod error;
mod exhaustion;
mod inherited;
mod options;
mod owner;
mod quic;
mod sctp;
mod unix;
mod unixgram;

pub(crate) use bind::share;
pub use bind::{Listening, bind, from_tcp, from_udp, from_unix};
pub use connect::connect_socket;
pub(crate) use connect::{connect_sctp, connect_udp, named_unixgram};
pub(crate) use datagrams::share as share_datagrams;
pub use datagrams::{BoundDatagrams, bind_datagrams, from_udp_datagrams, from_unixgram};
pub(crate) use datagrams::{change as change_datagrams, steer, steer_all};
pub use error::{BindError, Occupant};
pub use exhaustion::{AcceptError, Backoff, ReservedDescriptor, classify};
#[cfg(any(feature = "quic", feature = "sctp"))]
pub(crate) use options::apply_to_datagrams;
pub use options::{OptionError, apply_to_connection, needs_apply, reset_on_close};
pub(crate) use quic::steer_quic;
pub use sctp::has_kernel_sctp;
pub(crate) use sctp::{adopt as adopt_sctp, bind_sctp, from_sctp, in_kernel as sctp_in_kernel};
pub use unix::SocketFile;
pub use wharf_udp::{PeerCredentials, TcpInfo, TcpState, peer_credentials, tcp_info, tcp_info_of};
