//! A view over one SCTP packet (RFC 9260 §3): length, checksum and the walk over its chunks are checked once,
//! here, so that whoever holds a [`Packet`] can read it without another thought.

use std::ops::Range;

use crate::Ignored;

/// Source port, destination port, verification tag, checksum (RFC 9260 §3.1).
pub(crate) const HEADER: usize = 12;
/// Type, flags, length (RFC 9260 §3.2).
pub(crate) const CHUNK_HEADER: usize = 4;

/// Chunk types this crate itself looks at (RFC 9260 §3.2; RFC 8260 §2.1 for I-DATA).
pub(crate) mod chunk {
    pub(crate) const DATA: u8 = 0;
    pub(crate) const INIT: u8 = 1;
    pub(crate) const INIT_ACK: u8 = 2;
    pub(crate) const SACK: u8 = 3;
    pub(crate) const ABORT: u8 = 6;
    pub(crate) const SHUTDOWN: u8 = 7;
    pub(crate) const SHUTDOWN_ACK: u8 = 8;
    pub(crate) const ERROR: u8 = 9;
    pub(crate) const COOKIE_ECHO: u8 = 10;
    pub(crate) const COOKIE_ACK: u8 = 11;
    pub(crate) const SHUTDOWN_COMPLETE: u8 = 14;
    pub(crate) const I_DATA: u8 = 64;
}

/// The flag of ABORT and SHUTDOWN COMPLETE that says the tag is the sender's own, sent back (RFC 9260 §8.5.1).
pub(crate) const REFLECTED: u8 = 1;

/// A packet whose checksum is right and whose chunks fill it exactly.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Packet<'a> {
    bytes: &'a [u8],
}

/// One chunk of a [`Packet`].
#[derive(Clone, Debug)]
pub(crate) struct Chunk<'a> {
    pub(crate) kind: u8,
    pub(crate) value: &'a [u8],
    /// Where the chunk lies in the packet, its header and padding with it.
    pub(crate) range: Range<usize>,
}

impl<'a> Packet<'a> {
    /// Checks a datagram: a header and at least one chunk, the checksum (RFC 9260 §6.8), and chunks that end where
    /// the datagram ends, those that begin an association before all others.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, Ignored> {
        if bytes.len() < HEADER + CHUNK_HEADER || bytes.len() > usize::from(u16::MAX) {
            return Err(Ignored::Length);
        }
        if checksum(bytes).to_le_bytes() != bytes[8..12] {
            return Err(Ignored::Checksum);
        }
        let packet = Self { bytes };
        let mut at = HEADER;
        while at < bytes.len() {
            let chunk = packet.chunk_at(at).ok_or(Ignored::Malformed)?;
            if at > HEADER && chunk.comes_first() {
                return Err(Ignored::Malformed);
            }
            at = chunk.range.end;
        }
        Ok(packet)
    }

    pub(crate) fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    pub(crate) fn source_port(&self) -> u16 {
        u16_at(self.bytes, 0)
    }

    pub(crate) fn destination_port(&self) -> u16 {
        u16_at(self.bytes, 2)
    }

    pub(crate) fn tag(&self) -> u32 {
        u32_at(self.bytes, 4)
    }

    pub(crate) fn chunks(&self) -> impl Iterator<Item = Chunk<'a>> + use<'a> {
        let packet = *self;
        let mut at = HEADER;
        std::iter::from_fn(move || {
            let chunk = packet.chunk_at(at)?;
            at = chunk.range.end;
            Some(chunk)
        })
    }

    /// The first chunk: a packet that parsed has one.
    pub(crate) fn first(&self) -> Chunk<'a> {
        self.chunks()
            .next()
            .expect("a parsed packet has at least one chunk")
    }

    pub(crate) fn has(&self, kind: u8) -> bool {
        self.chunks().any(|chunk| chunk.kind == kind)
    }

    /// The packet with a chunk replaced and the checksum made anew.
    pub(crate) fn replacing(&self, range: Range<usize>, chunk: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.bytes.len() + chunk.len());
        bytes.extend_from_slice(&self.bytes[..range.start]);
        bytes.extend_from_slice(chunk);
        bytes.extend_from_slice(&self.bytes[range.end..]);
        seal(&mut bytes);
        bytes
    }

    /// The packet without its first chunk; `None` if that is all there is.
    pub(crate) fn without_first(&self) -> Option<Vec<u8>> {
        let first = self.first().range;
        (first.end < self.bytes.len()).then(|| self.replacing(first, &[]))
    }

    fn chunk_at(&self, at: usize) -> Option<Chunk<'a>> {
        let rest = self.bytes.get(at..)?;
        let header = rest.get(..CHUNK_HEADER)?;
        let length = usize::from(u16_at(header, 2));
        let value = rest.get(CHUNK_HEADER..length)?;
        // The padding of the last chunk may be missing (RFC 9260 §3.2: receivers should take that).
        let padded = length.next_multiple_of(4).min(rest.len());
        Some(Chunk {
            kind: header[0],
            value,
            range: at..at + padded,
        })
    }
}

impl Chunk<'_> {
    /// Whether nothing may stand before it (RFC 9260 §3.3.2, §3.3.3, §3.3.11, §3.3.13): who looks at a packet's first
    /// chunk has seen all of these.
    fn comes_first(&self) -> bool {
        matches!(
            self.kind,
            chunk::INIT | chunk::INIT_ACK | chunk::COOKIE_ECHO | chunk::SHUTDOWN_COMPLETE
        )
    }

    /// The stream and whether the payload is empty, of a DATA or I-DATA chunk (RFC 9260 §3.3.1, RFC 8260 §2.1).
    pub(crate) fn stream(&self) -> Option<u16> {
        let is_data = matches!(self.kind, chunk::DATA | chunk::I_DATA);
        (is_data && self.value.len() >= 6).then(|| u16_at(self.value, 4))
    }
}

/// A packet of one chunk.
pub(crate) fn write_packet(
    source: u16,
    destination: u16,
    tag: u32,
    chunk: &[u8],
    into: &mut Vec<u8>,
) {
    into.clear();
    into.extend_from_slice(&source.to_be_bytes());
    into.extend_from_slice(&destination.to_be_bytes());
    into.extend_from_slice(&tag.to_be_bytes());
    into.extend_from_slice(&[0; 4]);
    into.extend_from_slice(chunk);
    seal(into);
}

/// A chunk with its length and padding.
pub(crate) fn make_chunk(kind: u8, flags: u8, value: &[u8]) -> Vec<u8> {
    let length = CHUNK_HEADER + value.len();
    let mut bytes = Vec::with_capacity(length.next_multiple_of(4));
    bytes.extend_from_slice(&[kind, flags]);
    bytes.extend_from_slice(&(length as u16).to_be_bytes());
    bytes.extend_from_slice(value);
    bytes.resize(length.next_multiple_of(4), 0);
    bytes
}

/// Writes the checksum.
pub(crate) fn seal(bytes: &mut [u8]) {
    let sum = checksum(bytes);
    bytes[8..12].copy_from_slice(&sum.to_le_bytes());
}

/// CRC32C over the packet with a checksum field of zeros; it stands in the packet with its low byte first
/// (RFC 9260 §6.8 and appendix A).
fn checksum(bytes: &[u8]) -> u32 {
    let sum = crc32c::crc32c(&bytes[..8]);
    let sum = crc32c::crc32c_append(sum, &[0; 4]);
    crc32c::crc32c_append(sum, &bytes[HEADER..])
}

pub(crate) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_reads_back_and_every_flipped_bit_shows() {
        let mut bytes = Vec::new();
        write_packet(
            7,
            9,
            0xdead_beef,
            &make_chunk(chunk::ERROR, 0, b"abc"),
            &mut bytes,
        );
        let read = Packet::parse(&bytes).unwrap();
        assert_eq!((read.source_port(), read.destination_port()), (7, 9));
        assert_eq!(read.tag(), 0xdead_beef);
        assert_eq!(read.first().value, b"abc");
        assert_eq!(read.chunks().count(), 1);
        for bit in 0..bytes.len() * 8 {
            let mut broken = bytes.clone();
            broken[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Packet::parse(&broken).unwrap_err(), Ignored::Checksum);
        }
    }

    #[test]
    fn chunks_that_do_not_fill_the_packet_are_malformed() {
        for chunk in [
            &[0u8, 0, 0, 3][..],
            &[0, 0, 0, 9, 1, 2, 3, 4],
            &[0, 0, 0, 4, 1, 2],
            &[0, 0, 0, 0],
        ] {
            let mut bytes = Vec::new();
            write_packet(1, 2, 3, chunk, &mut bytes);
            assert_eq!(Packet::parse(&bytes).unwrap_err(), Ignored::Malformed);
        }
        // A COOKIE ECHO behind another chunk.
        let mut bytes = Vec::new();
        write_packet(1, 2, 3, &[11, 0, 0, 4, 10, 0, 0, 4], &mut bytes);
        assert_eq!(Packet::parse(&bytes).unwrap_err(), Ignored::Malformed);
        assert_eq!(Packet::parse(&[0; 15]).unwrap_err(), Ignored::Length);
        // A last chunk without its padding is taken.
        let mut bytes = Vec::new();
        write_packet(1, 2, 3, &[9, 0, 0, 5, 1], &mut bytes);
        assert_eq!(Packet::parse(&bytes).unwrap().first().value, [1]);
    }
}
