//! The measured datagram: which flow it belongs to, which run sent it, and when.

/// Bytes of the stamp at the head of the payload: run (4), flow (4), sending time (8).
pub(crate) const STAMP_LEN: usize = 16;

/// What the sender wrote into a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// Number of the run; a datagram of an earlier run is late, not delivered.
    pub(crate) run: u32,
    /// The flow it was sent on.
    pub(crate) flow: u32,
    /// Sending time in nanoseconds since the generator started.
    pub(crate) sent: u64,
}

/// Why a datagram that arrived is not the one that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Damage {
    /// Another length than the one sent.
    Length,
    /// The bytes after the stamp differ from the pattern sent.
    Pattern,
}

/// Datagrams of one length with one filling.
#[derive(Debug, Clone)]
pub(crate) struct Payload {
    bytes: Vec<u8>,
}

impl Payload {
    /// Datagrams of `len` bytes; lengths below [`STAMP_LEN`] are raised to it.
    pub(crate) fn new(len: usize) -> Self {
        let bytes = (0..len.max(STAMP_LEN))
            .map(|i| (i * 31 % 251) as u8)
            .collect();
        Self { bytes }
    }

    /// Bytes of one datagram.
    pub(crate) const fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The datagram for a stamp.
    pub(crate) fn stamped(&mut self, stamp: Stamp) -> &[u8] {
        self.bytes[0..4].copy_from_slice(&stamp.run.to_be_bytes());
        self.bytes[4..8].copy_from_slice(&stamp.flow.to_be_bytes());
        self.bytes[8..16].copy_from_slice(&stamp.sent.to_be_bytes());
        &self.bytes
    }

    /// Reads the stamp of a datagram that arrived and compares the rest with what was sent.
    pub(crate) fn read(&self, datagram: &[u8]) -> Result<Stamp, Damage> {
        if datagram.len() != self.bytes.len() {
            return Err(Damage::Length);
        }
        let (stamp, filling) = datagram.split_at(STAMP_LEN);
        if filling != &self.bytes[STAMP_LEN..] {
            return Err(Damage::Pattern);
        }
        let word = |at: usize| {
            u32::from_be_bytes([stamp[at], stamp[at + 1], stamp[at + 2], stamp[at + 3]])
        };
        Ok(Stamp {
            run: word(0),
            flow: word(4),
            sent: u64::from(word(8)) << 32 | u64::from(word(12)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_survives_and_damage_is_seen() {
        let mut payload = Payload::new(172);
        let stamp = Stamp {
            run: 7,
            flow: 0x0102_0304,
            sent: 0x1122_3344_5566_7788,
        };
        let mut datagram = payload.stamped(stamp).to_vec();
        assert_eq!(datagram.len(), 172);
        assert_eq!(payload.read(&datagram), Ok(stamp));
        assert_eq!(payload.read(&datagram[..171]), Err(Damage::Length));
        datagram[171] ^= 1;
        assert_eq!(payload.read(&datagram), Err(Damage::Pattern));
    }

    #[test]
    fn a_payload_always_has_room_for_its_stamp() {
        assert_eq!(Payload::new(3).len(), STAMP_LEN);
    }
}
