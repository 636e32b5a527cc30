//! The wire as OpenSSL sees it: one datagram to read, and those that it has written.

use std::io::{self, Read, Write};

use bytes::Bytes;

use crate::record::{length, sequence};

/// The most bytes that wait to be sent, of which a flight of a handshake is a part. What does not
/// fit is lost, as datagrams may be.
const MAX_OUTGOING: usize = 1 << 17;

/// A datagram each way.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    incoming: Option<Bytes>,
    outgoing: Vec<u8>,
    /// Where each datagram in `outgoing` ends.
    ends: Vec<usize>,
    /// How many of `ends` were taken.
    taken: usize,
    /// How far the numbers of our records of epoch 0 are ahead of OpenSSL's.
    ahead: u64,
}

impl Memory {
    /// Puts a datagram in place of one that was not read.
    pub(crate) fn put(&mut self, datagram: Bytes) {
        self.incoming = Some(datagram);
    }

    /// The next datagram to send.
    pub(crate) fn next(&self) -> Option<&[u8]> {
        let end = *self.ends.get(self.taken)?;
        let start = self.taken.checked_sub(1).map_or(0, |last| self.ends[last]);
        Some(&self.outgoing[start..end])
    }

    /// The next datagram was sent.
    pub(crate) fn sent(&mut self) {
        self.taken += 1;
        if self.taken >= self.ends.len() {
            self.clear();
        }
    }

    /// How many datagrams were written since the last time that all were taken.
    pub(crate) fn written(&self) -> usize {
        self.ends.len()
    }

    pub(crate) fn clear(&mut self) {
        self.ends.clear();
        self.taken = 0;
        // The buffer of a handshake's flights is not kept for a session's life.
        if self.outgoing.capacity() > 4096 {
            self.outgoing = Vec::new();
        } else {
            self.outgoing.clear();
        }
    }

    /// Numbers the records of epoch 0 from now on so much higher than OpenSSL does.
    pub(crate) fn set_ahead(&mut self, ahead: u64) {
        self.ahead = ahead;
    }
}

impl Read for Memory {
    /// A whole datagram; what `buffer` cannot hold of it is lost.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let datagram = self.incoming.take().ok_or(io::ErrorKind::WouldBlock)?;
        let length = datagram.len().min(buffer.len());
        buffer[..length].copy_from_slice(&datagram[..length]);
        Ok(length)
    }
}

impl Write for Memory {
    /// A whole datagram.
    fn write(&mut self, datagram: &[u8]) -> io::Result<usize> {
        if self.outgoing.len() + datagram.len() <= MAX_OUTGOING {
            let start = self.outgoing.len();
            self.outgoing.extend_from_slice(datagram);
            self.ends.push(self.outgoing.len());
            if self.ahead > 0 {
                renumber(&mut self.outgoing[start..], self.ahead);
            }
        }
        Ok(datagram.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Adds `ahead` to the numbers of the records of epoch 0, which nothing protects.
fn renumber(mut datagram: &mut [u8], ahead: u64) {
    while let Some(length) = length(datagram) {
        let (record, rest) = datagram.split_at_mut(length);
        if record[3..5] == [0, 0] {
            let number = sequence(record).wrapping_add(ahead);
            record[5..11].copy_from_slice(&number.to_be_bytes()[2..]);
        }
        datagram = rest;
    }
}
