//! A shutdown that loses no message (RFC 9260 §9.2).
//!
//! The engine goes on as soon as nothing is in flight, and forgets what is still queued. So our own SHUTDOWN is
//! held back until all has been acknowledged, and so is the peer's: what it acknowledges is passed on as a SACK.

use dcsctp::api::{DcSctpSocket, SocketState};

use super::Sending;
use crate::packet::{Packet, chunk, make_chunk};

#[derive(Debug, Default)]
pub(super) struct Closing {
    /// We want to end.
    ours: bool,
    /// The engine has been told.
    told: bool,
    /// The peer's last SHUTDOWN, held back.
    theirs: Option<Vec<u8>>,
}

impl Closing {
    /// Whether a packet may end the association.
    pub(super) fn ends(packet: &Packet<'_>) -> bool {
        use chunk::{ABORT, SHUTDOWN, SHUTDOWN_ACK, SHUTDOWN_COMPLETE};
        packet.chunks().any(|chunk| {
            matches!(
                chunk.kind,
                ABORT | SHUTDOWN | SHUTDOWN_ACK | SHUTDOWN_COMPLETE
            )
        })
    }

    /// Neither end sends new messages.
    pub(super) fn begun(&self) -> bool {
        self.ours || self.theirs.is_some()
    }

    /// The peer owes its part of the shutdown.
    pub(super) fn told(&self) -> bool {
        self.told
    }

    pub(super) fn begin(&mut self) {
        self.ours = true;
    }

    /// What the engine gets of a SHUTDOWN that is to be held back, as messages are on their way: the packet with a
    /// SACK in its place.
    pub(super) fn instead(
        &self,
        packet: &Packet<'_>,
        engine: &dyn DcSctpSocket,
        sending: &Sending,
    ) -> Option<Vec<u8>> {
        if sending.bytes() == 0 || self.told || engine.state() != SocketState::Connected {
            return None;
        }
        let shutdown = packet
            .chunks()
            .find(|chunk| chunk.kind == chunk::SHUTDOWN)?;
        let acknowledged = shutdown.value.get(..4)?;
        let window = engine.get_metrics()?.peer_rwnd_bytes;
        // Cumulative TSN, window, no gaps, no duplicates (RFC 9260 §3.3.4).
        let mut sack = acknowledged.to_vec();
        sack.extend_from_slice(&window.to_be_bytes());
        sack.extend_from_slice(&[0; 4]);
        let sack = make_chunk(chunk::SACK, 0, &sack);
        Some(packet.replacing(shutdown.range, &sack))
    }

    /// Holds a SHUTDOWN back until all has been acknowledged.
    pub(super) fn hold(&mut self, packet: &Packet<'_>) {
        self.theirs = Some(packet.bytes().to_vec());
    }

    /// Tells the engine once all has been acknowledged; whether it did.
    pub(super) fn step(&mut self, engine: &mut dyn DcSctpSocket, sending: &Sending) -> bool {
        if sending.bytes() > 0 || engine.state() != SocketState::Connected {
            return false;
        }
        if let Some(shutdown) = self.theirs.take() {
            self.ours = true;
            self.told = true;
            engine.handle_input(&shutdown);
            return true;
        }
        if self.ours && !self.told {
            self.told = true;
            engine.shutdown();
            return true;
        }
        false
    }
}
