//! The transport layer of SIP (RFC 3261 §18) over UDP, TCP, TLS, WS and WSS.

mod alias;
mod clock;
mod counters;
mod datagram;
mod dial;
pub mod edge;
mod error;
pub mod events;
pub mod factory;
mod flows;
mod identity;
mod keep_alive;
mod layer;
mod manager;
mod options;
mod outbound;
mod outbox;
mod outgoing;
mod pace;
mod ports;
mod resolver;
mod room;
mod session;
mod stun;
mod upper;
mod websocket;

pub use counters::SipStats;
pub use dial::{DialError, DialOptions, Dialer};
pub use error::{AttachError, ForwardError, SendError, SipError};
pub use flows::FlowRef;
pub use identity::{PURPOSES, identities};
pub use keep_alive::KeepAliveError;
pub use layer::Sip;
pub use manager::{
    Answering, Dialling, Manager, ManagerEvent, ManagerOptions, ManagerStats, Request, Sending,
    Sent, Throttle, Transports, Watched,
};
pub use options::SipOptions;
pub use outbound::{Outbound, OutboundEvent, OutboundFailure, OutboundRules};
pub use outgoing::Outgoing;
pub use resolver::{Answer, DnsError, DnsOptions, DnsResolver, Resolver, TableResolver};
pub use upper::{CloseReason, Event, Incoming, Taken, Upper};
pub use wharf_sip::Priority;
