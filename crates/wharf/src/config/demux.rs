//! One port, several protocols: the first bytes decide.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::units::duration;

/// What a connection may bring along, beside what the listener's transport has anyway.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum DemuxLayer {
    /// TLS, where a ClientHello comes first. On `tcp` and `unix`.
    Tls,
    /// A WebSocket, where a request of HTTP comes first. On `tcp`, `unix` and `tls`, and within the TLS
    /// of another layer.
    Websocket,
    /// DTLS, for the datagrams that are DTLS (RFC 7983 §7). On `udp`.
    Dtls,
}

impl DemuxLayer {
    /// The name in configuration.
    pub fn label(self) -> &'static str {
        match self {
            Self::Tls => "tls",
            Self::Websocket => "websocket",
            Self::Dtls => "dtls",
        }
    }
}

/// What becomes of a peer that has not said by `deadline` what it speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Silent {
    /// The handler of all others gets it, as protocols want in which the server speaks first.
    #[default]
    Default,
    /// It is refused.
    Refuse,
}

/// One port for several protocols, on `tcp`, `unix`, `tls`, `udp` and `unixgram`. It is in use where
/// there are `layers`, or the program has handlers by first bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct DemuxOptions {
    /// What is taken off where the first bytes say that it is there. Its options are those of the
    /// sections `tls`, `websocket` and `dtls`. Default none.
    pub layers: Vec<DemuxLayer>,
    /// How long the first bytes of a stream are waited for, and again those within its TLS, 1 ms to
    /// 1 h. Default 3 s. `timeouts.handshake` counts on.
    #[serde(with = "duration")]
    #[schemars(with = "super::units::DurationText")]
    pub deadline: Duration,
    /// What becomes of a stream whose first bytes have not come by then.
    pub silent: Silent,
}

impl Default for DemuxOptions {
    fn default() -> Self {
        Self {
            layers: Vec::new(),
            deadline: Duration::from_secs(3),
            silent: Silent::Default,
        }
    }
}

impl DemuxOptions {
    /// Whether connections may bring `layer` along.
    pub(crate) fn has(&self, layer: DemuxLayer) -> bool {
        self.layers.contains(&layer)
    }
}
