//! Batched UDP for Linux: many datagrams a system call, and none of them copied or allocated for.
//!
//! The crate wraps `recvmmsg`, `sendmmsg`, GRO, GSO, packet info, the error queue and `epoll` in
//! safe types. It knows nothing of what the datagrams mean, and decides no policy. It is the only crate
//! of the project with `unsafe` code, and so it also holds the few calls that other listeners need and
//! that no other crate offers safely: TCP options, SCTP messages, [`tcp_info`], [`peer_credentials`], [`UnixBatch`]
//! and [`inherited_descriptor`].
//!
//! A service is a [`BatchHandler`] on a [`Worker`], which is a loop over all of the following on a thread
//! of its own.
//!
//! A [`Socket`] fills the slots of a [`ReceiveBatch`]; the answers, which may refer to bytes in
//! those slots, are staged in a [`SendBatch`] and leave with one [`flush`](SendBatch::flush). A
//! [`Poller`] says when there is something to do.
//!
//! ```
//! use wharf_udp::{Events, Poller, ReceiveBatch, SendBatch, Socket, SocketOptions};
//!
//! let any = "127.0.0.1:0".parse().unwrap();
//! let server = Socket::bind(any, &SocketOptions { gro: true, ..SocketOptions::default() })?;
//! let client = std::net::UdpSocket::bind(any)?;
//! client.send_to(b"hello", server.local_addr())?;
//!
//! let poller = Poller::new()?;
//! poller.add(&server, 7)?;
//! let mut events = Events::new(16);
//! poller.wait(&mut events, None)?;
//! assert!(events.iter().all(|event| event.token == 7 && event.readable));
//!
//! let mut received = ReceiveBatch::new(32);
//! let mut replies = SendBatch::new(32, 256);
//! server.receive(&mut received, 32)?;
//! for slot in 0..received.len() {
//!     let datagrams = received.get(slot);
//!     for range in datagrams.segments() {
//!         // "> " before each payload, which stays where it is.
//!         replies.push(datagrams.from, None, 0, b"> ", Some((slot, range)), 0)?;
//!     }
//! }
//! assert_eq!(replies.flush(&server, &received).sent, 1);
//! received.clear();
//!
//! let mut answer = [0; 16];
//! let length = client.recv(&mut answer)?;
//! assert_eq!(&answer[..length], b"> hello");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod control;
mod errno;
mod fixed;
mod flush;
mod host;
mod icmp;
mod inherited;
mod name;
mod peer;
mod poll;
mod receive;
mod sctp;
mod send;
mod socket;
mod steer;
mod tcp;
mod timer;
mod unix;
mod worker;

pub use host::{allowed_cpus, interface_addresses, pin_current_thread};
pub use icmp::IcmpError;
pub use inherited::inherited_descriptor;
pub use peer::{PeerCredentials, peer_credentials};
pub use poll::{Event, Events, Poller, Waker};
pub use receive::{ReceiveBatch, Received, SLOT_SIZE, Segments};
pub use sctp::{
    ReceivedSctp, SCTP, SctpOptionError, SctpOptions, probe_sctp, receive_sctp, send_sctp,
    set_sctp_options, watch_sctp,
};
pub use send::{Full, MAX_PADDING, SendBatch, SendReport};
pub use socket::{Socket, SocketOptions};
pub use steer::{Steering, steer};
pub use tcp::{
    TcpInfo, TcpState, defer_accept, fast_open, set_defer_accept, set_fast_open, tcp_info,
    tcp_info_of,
};
pub use timer::Timer;
pub use unix::{ReceivedUnix, UnixBatch, pass_credentials};
pub use worker::{
    BatchHandler, Burst, Datagram, Moved, Outgoing, Piece, SocketKey, Traffic, TrafficCount, Turn,
    Via, Worker,
};
