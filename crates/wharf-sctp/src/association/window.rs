//! The receive window as the peer sees it (RFC 9260 §6.2).
//!
//! The engine tells its window only in answer to data it takes. While the window is closed it takes none and says
//! nothing, and a reader that makes room is not told of at all. Both leave the peer to its timers, and a peer whose
//! probes are not answered ends the association. The SACKs that are missing are written here: what was acknowledged
//! last, and the room there is now.

use crate::packet::{Packet, chunk, make_chunk, u32_at, write_packet};

#[derive(Debug)]
pub(super) struct Window {
    size: usize,
    /// The last SACK: the peer's tag, the last TSN in order, the window.
    told: Option<(u32, u32, usize)>,
    /// Bytes the reader has taken since.
    taken: usize,
    /// Data came that no SACK has answered.
    owed: bool,
}

impl Window {
    pub(super) fn new(size: usize) -> Self {
        Self {
            size,
            told: None,
            taken: 0,
            owed: false,
        }
    }

    pub(super) fn received(&mut self, packet: &Packet<'_>) {
        self.owed = packet.chunks().any(|chunk| chunk.stream().is_some());
    }

    pub(super) fn sent(&mut self, packet: &[u8]) {
        let Ok(packet) = Packet::parse(packet) else {
            return;
        };
        for sack in packet.chunks().filter(|chunk| chunk.kind == chunk::SACK) {
            if sack.value.len() >= 8 {
                let room = u32_at(sack.value, 4) as usize;
                self.told = Some((packet.tag(), u32_at(sack.value, 0), room));
                self.taken = 0;
                self.owed = false;
            }
        }
    }

    /// The answer to data that found the window closed, once the engine has had its say.
    pub(super) fn answer(&mut self, ports: (u16, u16)) -> Option<Vec<u8>> {
        let (_, _, room) = self.told?;
        (std::mem::take(&mut self.owed) && room + self.taken < self.size / 8)
            .then(|| self.sack(ports))?
    }

    /// Counts what the reader took: news for the peer when it knows of little room and half is free again.
    pub(super) fn taken(&mut self, bytes: usize, ports: (u16, u16)) -> Option<Vec<u8>> {
        self.taken += bytes;
        let (_, _, room) = self.told?;
        let half = self.size / 2;
        (room < half && self.taken >= half).then(|| self.sack(ports))?
    }

    fn sack(&mut self, (from, to): (u16, u16)) -> Option<Vec<u8>> {
        let (tag, acknowledged, room) = self.told.as_mut()?;
        *room += std::mem::take(&mut self.taken);
        // Cumulative TSN, window, no gaps, no duplicates (RFC 9260 §3.3.4).
        let mut value = acknowledged.to_be_bytes().to_vec();
        value.extend_from_slice(&u32::try_from(*room).unwrap_or(u32::MAX).to_be_bytes());
        value.extend_from_slice(&[0; 4]);
        let mut packet = Vec::new();
        write_packet(
            from,
            to,
            *tag,
            &make_chunk(chunk::SACK, 0, &value),
            &mut packet,
        );
        Some(packet)
    }
}
