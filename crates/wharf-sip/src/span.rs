//! Where a part of a message stands.

use std::ops::Range;

/// A part of a message: offsets in bytes from the first byte of the message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// The first byte.
    pub start: u32,
    /// Behind the last byte.
    pub end: u32,
}

impl Span {
    /// The bytes of the part in its `message`; none when the message is another, shorter one.
    pub fn of(self, message: &[u8]) -> &[u8] {
        message.get(self.range()).unwrap_or_default()
    }

    /// As a range, for [`bytes::Bytes::slice`] and its like.
    ///
    /// [`bytes::Bytes::slice`]: https://docs.rs/bytes/latest/bytes/struct.Bytes.html#method.slice
    pub const fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }

    /// Offsets within a head fit: its limit is a `u32`.
    pub(crate) const fn new(range: Range<usize>) -> Self {
        Self {
            start: range.start as u32,
            end: range.end as u32,
        }
    }
}
