//! What the two processes say to each other: frames of a length (four bytes, big-endian) and that
//! many bytes of JSON, the descriptors beside the first byte.
//!
//! ```text
//! successor                         predecessor
//!     Take { version }       ─▶
//!                            ◀─     Sockets { …, more: true }   + descriptors
//!                            ◀─     Sockets { …, more: false }  + descriptors
//!     … builds its server …         … accepts as before …
//!     Ready                  ─▶
//!                            ◀─     Done: from here on only the successor accepts
//! ```
//!
//! The predecessor may answer `No` at any time, and goes on as before; so it does when the
//! successor hangs up before `Ready`.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The version of this protocol; another one is refused.
pub(super) const VERSION: u32 = 1;

/// Bytes of a message's text.
pub(super) const MAX_MESSAGE: usize = 256 * 1024;

/// Descriptors of a message. The kernel takes 253 (`SCM_MAX_FD`).
pub(super) const MAX_DESCRIPTORS: usize = 64;

/// Sockets of a handover.
pub(super) const MAX_SOCKETS: usize = 4096;

/// How long each message is waited for, but for `Ready`.
pub(super) const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// How long the predecessor waits for `Ready`: as long as a successor may take to build its server.
pub(super) const READY_WITHIN: Duration = Duration::from_mins(1);

/// A message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "kebab-case", deny_unknown_fields)]
pub(super) enum Said {
    /// The successor asks for the sockets.
    Take { version: u32 },
    /// Sockets, in the order of the message's descriptors.
    Sockets { sockets: Vec<Item>, more: bool },
    /// The successor has all that it needs, and begins to accept as soon as it is answered.
    Ready,
    /// The predecessor accepts no more.
    Done,
    /// The predecessor goes on as before.
    No { reason: String },
}

/// What a descriptor is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Item {
    /// The listener that it belongs to; none: handovers are asked for on it, or it is carried for the program.
    pub(super) listener: Option<String>,
    /// The address as it was configured; the name of one that is carried.
    pub(super) address: Option<String>,
    /// The address that it has.
    pub(super) bound: String,
    /// Device and inode of its file, which whoever has it last removes.
    pub(super) file: Option<(u64, u64)>,
}

impl Item {
    /// Whether it is what `listener` binds as `address`.
    pub(super) fn is_named(&self, listener: &str, address: &str) -> bool {
        self.listener.as_deref() == Some(listener) && self.address.as_deref() == Some(address)
    }

    /// Whether it is carried for the program.
    pub(super) fn is_carried(&self) -> bool {
        self.listener.is_none() && self.address.is_some()
    }

    /// Whether it is bound to `address`, whatever its listener was called.
    pub(super) fn is_at(&self, address: &str) -> bool {
        self.listener.is_some() && self.bound == address
    }
}
