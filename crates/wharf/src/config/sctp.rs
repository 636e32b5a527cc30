//! SCTP.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::units::{duration, off_duration, off_size, size};

/// The packet's header and that of an I-DATA chunk (RFC 9260 §3.1, RFC 8260 §2.1).
#[cfg(feature = "sctp")]
const HEADERS: usize = 12 + 20;

/// Which SCTP a listener or client uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SctpVia {
    /// The kernel's where it has one, else the one over UDP.
    #[default]
    Auto,
    /// The kernel's: SCTP is carried by IP itself (RFC 9260). An error where the host lacks it.
    Kernel,
    /// This library's, with each packet in a UDP datagram (RFC 6951), on every host.
    Udp,
}

/// SCTP, for `sctp`. What is for one of both ways only has no effect on the other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct SctpOptions {
    /// `"auto"`, `"kernel"` or `"udp"`. Over UDP the port of the address is the UDP port and the SCTP port.
    /// Default `"auto"`.
    pub via: SctpVia,
    /// Streams that the peer may send on, 1 to 65,535. Default 64.
    pub streams_in: u16,
    /// Streams to send on, as many as the peer allows, 1 to 65,535. Default 64.
    pub streams_out: u16,
    /// A connection without a message in either direction for so long is shut down, 100 ms to 365 d. Default off.
    #[serde(with = "off_duration")]
    #[schemars(with = "super::units::OffDurationText")]
    pub autoclose: Option<Duration>,
    /// The longest message sent or received, 1 B to 16 MiB; who sends a longer one is closed. Default 256 KiB.
    #[serde(with = "size")]
    #[schemars(with = "super::units::SizeText")]
    pub max_message: u64,
    /// The longest piece of a message in a packet, 400 B to 65,000 B (in the kernel `SCTP_MAXSEG`). Default: over
    /// UDP what fits every IPv6 path, in the kernel what fits the path.
    #[serde(with = "off_size")]
    #[schemars(with = "super::units::OffSizeText")]
    pub max_segment: Option<u64>,
    /// Over UDP: bytes received and not yet taken by the handler, and as many sent and not yet acknowledged; at
    /// least 8 KiB and 1.25 times `max-message`, up to 1 GiB. Default 1 MiB. (In the kernel the socket's buffers.)
    #[serde(with = "size")]
    #[schemars(with = "super::units::SizeText")]
    pub window: u64,
    /// Over UDP: silence before a HEARTBEAT, 1 s to 1 d. Default 30 s.
    #[serde(with = "off_duration")]
    #[schemars(with = "super::units::OffDurationText")]
    pub heartbeat: Option<Duration>,
    /// Over UDP: how long a peer that owes an answer is silent before it counts as gone, 1 s to 1 d; an idle one
    /// has two heartbeats more. Default 60 s.
    #[serde(with = "duration")]
    #[schemars(with = "super::units::DurationText")]
    pub peer_timeout: Duration,
    /// Over UDP: large messages do not hold up others, where the peer offers it too (RFC 8260). Default true.
    pub interleaving: bool,
}

impl Default for SctpOptions {
    fn default() -> Self {
        Self {
            via: SctpVia::Auto,
            streams_in: 64,
            streams_out: 64,
            autoclose: None,
            max_message: 256 << 10,
            max_segment: None,
            window: 1 << 20,
            heartbeat: Some(Duration::from_secs(30)),
            peer_timeout: Duration::from_mins(1),
            interleaving: true,
        }
    }
}

impl SctpOptions {
    /// In the words of the engine over UDP.
    #[cfg(feature = "sctp")]
    pub(crate) fn engine(&self) -> wharf_sctp::Options {
        let bytes = |size: u64| usize::try_from(size).unwrap_or(usize::MAX);
        let engine = wharf_sctp::Options::default();
        wharf_sctp::Options {
            streams_in: self.streams_in,
            streams_out: self.streams_out,
            peer_timeout: self.peer_timeout,
            max_message: bytes(self.max_message),
            receive_window: bytes(self.window),
            send_queue: bytes(self.window),
            heartbeat: self.heartbeat.unwrap_or(Duration::ZERO),
            mtu: self
                .max_segment
                .map_or(engine.mtu, |size| bytes(size) + HEADERS),
            autoclose: self.autoclose,
            interleaving: self.interleaving,
            ..engine
        }
    }

    /// In the words of the kernel's sockets.
    pub(crate) fn kernel(&self, nodelay: bool) -> wharf_udp::SctpOptions {
        wharf_udp::SctpOptions {
            nodelay,
            max_segment: self
                .max_segment
                .map(|size| u32::try_from(size).unwrap_or(u32::MAX)),
            streams_out: self.streams_out,
            streams_in: self.streams_in,
            // `timeouts.connect` of a client ends an attempt before these do.
            init_attempts: 8,
            init_timeout: Duration::from_mins(1),
        }
    }
}
