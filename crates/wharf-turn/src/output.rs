//! What one input leads to at once: at most one datagram, described by ranges and borrowed bytes.

use std::net::SocketAddr;
use std::ops::Range;

use wharf_stun::Method;

use crate::{ClientPath, RelayId};

/// The result of one input. Borrowed parts live until the next call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output<'a> {
    /// Nothing leaves, and why; a driver counts it.
    Dropped(DropReason),
    /// Send a part of the input to a peer, from a relay socket.
    ToPeer(ToPeer),
    /// Send a part of the input to a client, behind a header.
    ToClient(ToClient<'a>),
    /// Send these bytes to a client.
    Reply(Reply<'a>),
    /// The input is kept; commands are to be answered, or nothing more is to be done.
    Waiting,
}

/// A datagram from a relay socket to a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToPeer {
    /// The socket to send from.
    pub relay: RelayId,
    /// Where to.
    pub peer: SocketAddr,
    /// The part of the input that is the payload.
    pub payload: Range<usize>,
    /// Whether the IPv4 DF bit is asked for (RFC 8656 §11.2); always false over channels and IPv6.
    pub dont_fragment: bool,
}

/// A datagram to a client: `header`, the payload, and `padding` zero bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToClient<'a> {
    /// Where to, and from which of the server's addresses.
    pub path: &'a ClientPath,
    /// ChannelData header (4 bytes) or the Data indication up to its data; at most 64 bytes.
    pub header: &'a [u8],
    /// The part of the input that is the payload.
    pub payload: Range<usize>,
    /// Zero bytes behind the payload: 0 to 3.
    pub padding: usize,
}

/// A STUN response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply<'a> {
    /// Where to, and from which of the server's addresses.
    pub path: ClientPath,
    /// The whole message.
    pub bytes: &'a [u8],
    /// The method answered.
    pub method: Method,
    /// The error code of an error response, `None` for success.
    pub error: Option<u16>,
}

macro_rules! drop_reasons {
    ($($(#[doc = $doc:literal])+ $name:ident => $label:literal,)+) => {
        /// Why an input was dropped. Silence is what the RFCs ask for in most of these cases.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum DropReason { $($(#[doc = $doc])+ $name,)+ }

        impl DropReason {
            /// Every reason, in the order of its index.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// A short name for counters and logs.
            pub const fn label(self) -> &'static str {
                match self { $(Self::$name => $label,)+ }
            }

            /// Position in [`DropReason::ALL`].
            pub const fn index(self) -> usize {
                self as usize
            }
        }
    };
}

drop_reasons! {
    /// The first byte belongs to no protocol spoken here (RFC 7983).
    UnknownProtocol => "unknown_protocol",
    /// Not a well-formed STUN message (RFC 8489 §6.3).
    Malformed => "malformed",
    /// The FINGERPRINT does not match (RFC 8489 §14.7).
    BadFingerprint => "bad_fingerprint",
    /// A method that this server does not have, or one not allowed in this class.
    UnsupportedMethod => "unsupported_method",
    /// A response, which no client sends to a server.
    UnexpectedResponse => "unexpected_response",
    /// A Binding indication: a keep-alive that wants no answer.
    KeepAlive => "keep_alive",
    /// An indication without an attribute that it needs, or with a malformed one.
    BadIndication => "bad_indication",
    /// An indication with a comprehension-required attribute that is not understood.
    UnknownAttribute => "unknown_attribute",
    /// An indication or ChannelData without an allocation.
    NoAllocation => "no_allocation",
    /// ChannelData that is shorter than it says, or outside the range of channel numbers.
    BadChannelData => "bad_channel_data",
    /// ChannelData on a channel that is not bound.
    UnboundChannel => "unbound_channel",
    /// No permission for the peer, in either direction.
    NoPermission => "no_permission",
    /// The peer policy refuses the peer.
    PeerRefused => "peer_refused",
    /// A datagram for a relay that is gone.
    NoRelay => "no_relay",
    /// A reply that the per-prefix limit on unauthenticated answers withholds.
    RateLimited => "rate_limited",
    /// The request waits already: a retransmission while its answer is being made.
    InProgress => "in_progress",
    /// Too many credential look-ups are under way, or the request is too long to keep.
    LookUpsFull => "lookups_full",
    /// An answer to a command that is not outstanding.
    UnknownCommand => "unknown_command",
    /// The reply to a request of a client whose connection has ended since.
    ClientGone => "client_gone",
    /// An ICMP error of a type that is not passed on (RFC 8656 §11.5).
    IcmpIgnored => "icmp_ignored",
    /// An ICMP error above the allocation's rate.
    IcmpLimited => "icmp_limited",
    /// A payload larger than the header leaves room for.
    TooLarge => "too_large",
}
