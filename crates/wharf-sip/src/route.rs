//! Which way a message goes: the rules of RFC 3261 §18 as decisions, in the order of their attempts.
//!
//! | what | decides |
//! |---|---|
//! | [`Onward`] | the next hop of a request: Route, target, or a flow (§16.4, §16.6) |
//! | [`RequestRoute`] | UDP or TCP by size, multicast parameters (§18.1.1) |
//! | [`ResponseRoute`] | connection, address, or another look at DNS (§18.2.2, RFC 3581) |
//! | [`SentBy`] | what is written into a Via, and whether a response is for this element (§18.1.2) |
//! | [`SendFailure`] | what an ICMP message means for what was sent (§18.4) |
//!
//! ```
//! use wharf_sip::route::{ResponseRoute, ResponseRules, ResponseStep};
//! use wharf_sip::{Transport, Via};
//!
//! let value = b"SIP/2.0/UDP a.example;branch=z9hG4bK1;received=192.0.2.1;rport=40000";
//! let via = Via::parse(value).unwrap();
//! let mut route = ResponseRoute::new(Transport::Udp, via, ResponseRules::default());
//! let address = "192.0.2.1:40000".parse().unwrap();
//! assert_eq!(route.next(), Some(ResponseStep::Datagram { address, ttl: None }));
//! // Should that elicit an ICMP error, DNS is asked for the name in the Via.
//! assert!(matches!(route.next(), Some(ResponseStep::Locate(_))));
//! assert_eq!(route.next(), None);
//! ```

mod failure;
mod onward;
mod request;
mod response;
mod sent_by;

pub use failure::SendFailure;
pub use onward::{Onward, OnwardError, OwnRoutes};
pub use request::{Attempt, Cause, RequestRoute, SizeSwitch, TooLarge};
pub use response::{ResponseRoute, ResponseRules, ResponseStep};
pub use sent_by::{SentBy, SentByError};
