//! Datagrams: flows, their queues, and what is answered without them.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::units::{off_duration, size};

/// How datagrams are received, and how they are made into flows (`udp`, `unixgram`, and what runs
/// over UDP).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct DatagramOptions {
    /// Bytes of datagrams that may wait for the handler of one flow, 1 KiB to 1 GiB; each counts
    /// 128 more than its payload. One that finds no room is dropped and counted. Default 64 KiB.
    #[serde(with = "size")]
    #[schemars(with = "super::units::SizeText")]
    pub queue: u64,
    /// A flow from which nothing came for so long is over, 1 ms to 365 d: its handler receives no
    /// more. Judged while the handler receives. Default 60 s.
    #[serde(with = "off_duration")]
    #[schemars(with = "super::units::OffDurationText")]
    pub idle: Option<Duration>,
    /// The longest datagram that is received, 64 B to 1 MiB. A longer one is dropped and counted,
    /// never cut. Default 65,535 bytes, which every UDP datagram has room in.
    #[serde(with = "size")]
    #[schemars(with = "super::units::SizeText")]
    pub max_size: u64,
    /// A burst of one sender is taken from the kernel at once (`UDP_GRO`), where it can. Default
    /// true.
    pub gro: bool,
    /// The kernel notes when it took each datagram from the device (`SO_TIMESTAMPNS`; costs a little
    /// with every packet of the host). Default false.
    pub timestamps: bool,
    /// A request that is answered at once, without a flow or a handler, as load balancers ask.
    pub health_check: Option<HealthCheck>,
    /// A flow is known by bytes of its datagrams instead of its peer's address, which may change: it
    /// is answered where its last datagram came from. The protocol above must prove its datagrams,
    /// as anybody can send these bytes.
    pub flow_key: Option<FlowKey>,
    /// Threads of a batch handler for each address, 0 to 256, each with a socket of its own
    /// (`SO_REUSEPORT`). 0 stands for one on each processor that the process may use. Default 0.
    pub workers: u32,
    /// Ties each thread of a batch handler to a processor. Default false.
    pub pin_workers: bool,
    /// Which of several sockets on one address gets a datagram. Default by its addresses.
    pub steering: Steering,
}

impl Default for DatagramOptions {
    fn default() -> Self {
        Self {
            queue: 64 << 10,
            idle: Some(Duration::from_mins(1)),
            max_size: 65_535,
            gro: true,
            timestamps: false,
            health_check: None,
            flow_key: None,
            workers: 0,
            pin_workers: false,
            steering: Steering::Flow,
        }
    }
}

/// A datagram that is answered without state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct HealthCheck {
    /// The whole payload of the request, 1 to 1,024 bytes.
    pub request: String,
    /// The answer, 1 to 1,024 bytes and at most three times as long as the request, so that forged
    /// senders gain little (as RFC 9000 §8.1 has it).
    pub answer: String,
}

/// How the kernel spreads datagrams over the sockets of one address, where there are several:
/// `datagrams.workers`, or `accept.acceptors` with `accept.reuse-port`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub enum Steering {
    /// By a hash of the addresses and ports.
    #[default]
    Flow,
    /// By a number in the payload, big-endian, modulo the number of sockets. What is too short for it
    /// goes by its addresses.
    #[serde(rename_all = "kebab-case")]
    Payload {
        /// Bytes before the number, 0 to 65,535.
        offset: u16,
        /// Bytes of the number, 1 to 4.
        length: u8,
    },
    /// By one byte of the destination connection id of QUIC, modulo the number of sockets (RFC 8999).
    /// What has no such byte goes by its addresses.
    #[serde(rename_all = "kebab-case")]
    QuicConnectionId {
        /// Which byte of the id, 0 to 19.
        byte: u8,
    },
}

/// Where the bytes are that name a flow. A datagram that ends before them is dropped and counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct FlowKey {
    /// Bytes before them, 0 to 1,024.
    pub offset: u32,
    /// How many they are, 1 to 64.
    pub length: u32,
}
