//! Cutting a byte stream into STUN messages and ChannelData (RFC 8489 §6.2.2, RFC 8656 §12.5).

#[cfg(test)]
mod tests;

use thiserror::Error;

use crate::{ChannelData, HEADER_LEN, MAGIC_COOKIE, Protocol, classify, padded};

/// Finds the frames in the bytes received on a stream, over TCP or TLS.
///
/// The caller keeps the buffer: it appends what it receives, asks for a [`Step`], handles the
/// frame and removes the bytes that the step consumed. Nothing is copied and nothing allocated.
/// An error is final: the stream has lost its frames, close it.
///
/// ```
/// use wharf_stun::{ChannelData, Frame, Framer, Step};
///
/// let framer = Framer::new(1500);
/// assert_eq!(framer.step(&[0x40])?, Step::Need(3));
/// let frame = Frame::ChannelData(ChannelData { number: 0x4000, data: b"abc" });
/// assert_eq!(framer.step(b"\x40\x00\x00\x03abc\0rest")?, Step::Frame { frame, consumed: 8 });
/// # Ok::<(), wharf_stun::FrameError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Framer {
    max: usize,
    last_channel: u8,
}

/// What the bytes at hand amount to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// No frame yet: at least this many bytes more, one or above. The number never reaches past
    /// the end of the frame.
    Need(usize),
    /// The first frame.
    Frame {
        /// The frame, without padding.
        frame: Frame<'a>,
        /// Bytes to remove from the buffer, padding included.
        consumed: usize,
    },
}

/// One unit of the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// The bytes of one STUN message, for [`Message::parse`](crate::Message::parse).
    Stun(&'a [u8]),
    /// One ChannelData message.
    ChannelData(ChannelData<'a>),
}

/// Why a stream cannot be read any further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum FrameError {
    /// A frame begins with neither STUN nor a channel number.
    #[error("a frame begins with {0:#04x}")]
    FirstByte(u8),
    /// A STUN header without the magic cookie.
    #[error("no magic cookie")]
    NoCookie,
    /// A STUN length that is not a multiple of four.
    #[error("a message length of {0} bytes is not a multiple of four")]
    Length(u16),
    /// A frame longer than the limit.
    #[error("a frame of {len} bytes exceeds the limit of {max}")]
    TooLong {
        /// Length of the frame in bytes, header and padding included.
        len: usize,
        /// The limit in bytes.
        max: usize,
    },
}

impl Framer {
    /// `max` is the longest frame that is let in, in bytes, header and padding included: the
    /// buffer never needs more.
    pub const fn new(max: usize) -> Self {
        Self {
            max,
            last_channel: 79,
        }
    }

    /// Takes channel numbers up to 0x7fff for ChannelData, as RFC 5766 §11 had them. Default up to
    /// 0x4fff (RFC 8656 §12).
    #[must_use]
    pub const fn rfc5766_channels(mut self) -> Self {
        self.last_channel = 127;
        self
    }

    /// Looks at the bytes that have been received and not yet consumed.
    pub fn step<'a>(&self, input: &'a [u8]) -> Result<Step<'a>, FrameError> {
        let Some(&first) = input.first() else {
            return Ok(Step::Need(4));
        };
        let protocol = match classify(first) {
            Protocol::Unknown if (80..=self.last_channel).contains(&first) => Protocol::ChannelData,
            protocol @ (Protocol::Stun | Protocol::ChannelData) => protocol,
            _ => return Err(FrameError::FirstByte(first)),
        };
        // Both headers give a length in bytes 2 and 3.
        let Some(&[n0, n1, l0, l1]) = input.first_chunk() else {
            return Ok(Step::Need(4 - input.len()));
        };
        let len = u16::from_be_bytes([l0, l1]);
        let consumed = if protocol == Protocol::Stun {
            check_stun(input, len)?;
            HEADER_LEN + usize::from(len)
        } else {
            // RFC 8656 §12.5: over a stream the payload is padded.
            ChannelData::HEADER_LEN + padded(usize::from(len))
        };
        if consumed > self.max {
            return Err(FrameError::TooLong {
                len: consumed,
                max: self.max,
            });
        }
        let Some(bytes) = input.get(..consumed) else {
            return Ok(Step::Need(consumed - input.len()));
        };
        let frame = if protocol == Protocol::Stun {
            Frame::Stun(bytes)
        } else {
            let number = u16::from_be_bytes([n0, n1]);
            let data = &bytes[ChannelData::HEADER_LEN..][..usize::from(len)];
            Frame::ChannelData(ChannelData { number, data })
        };
        Ok(Step::Frame { frame, consumed })
    }
}

/// Ends a stream of something else as early as its bytes allow.
fn check_stun(input: &[u8], len: u16) -> Result<(), FrameError> {
    if !len.is_multiple_of(4) {
        return Err(FrameError::Length(len));
    }
    let cookie = &input[4..input.len().min(8)];
    if !MAGIC_COOKIE.to_be_bytes().starts_with(cookie) {
        return Err(FrameError::NoCookie);
    }
    Ok(())
}
