//! The header of a frame (RFC 6455 §5.2).

use bytes::{BufMut, BytesMut};

use super::error::Violation;

/// What a frame carries (RFC 6455 §11.8).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opcode {
    Continuation = 0x0,
    Text = 0x1,
    Binary = 0x2,
    Close = 0x8,
    Ping = 0x9,
    Pong = 0xa,
}

impl Opcode {
    fn from_bits(bits: u8) -> Option<Opcode> {
        Some(match bits {
            0x0 => Opcode::Continuation,
            0x1 => Opcode::Text,
            0x2 => Opcode::Binary,
            0x8 => Opcode::Close,
            0x9 => Opcode::Ping,
            0xa => Opcode::Pong,
            _ => return None,
        })
    }

    /// Close, ping and pong, which may stand between the fragments of a message (RFC 6455 §5.5).
    pub(super) fn is_control(self) -> bool {
        self as u8 & 0x8 != 0
    }
}

/// The largest payload of a control frame (RFC 6455 §5.5).
pub(super) const MAX_CONTROL: usize = 125;

/// A header that has been read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    /// The last frame of its message.
    pub(super) fin: bool,
    pub(super) opcode: Opcode,
    /// Bytes of the payload.
    pub(super) length: u64,
    /// The masking key; zero for a frame without one, which leaves the payload as it is.
    pub(super) key: [u8; 4],
    /// Bytes of the header.
    pub(super) size: usize,
}

impl Header {
    /// Reads the header at the start of `input`; `None` when it is not whole yet. What can be judged
    /// from its first two bytes is judged from them. `masked`: frames must be masked, as a client's
    /// are; otherwise they must not be (RFC 6455 §5.1).
    pub(super) fn parse(input: &[u8], masked: bool) -> Result<Option<Header>, Violation> {
        let [first, second, rest @ ..] = input else {
            return Ok(None);
        };
        // No extension is ever negotiated, so the reserved bits are zero (RFC 6455 §5.2).
        if first & 0x70 != 0 {
            return Err(Violation::ReservedBits);
        }
        let opcode = Opcode::from_bits(first & 0xf).ok_or(Violation::Opcode)?;
        let fin = first & 0x80 != 0;
        if (second & 0x80 != 0) != masked {
            return Err(Violation::Masking);
        }
        let short = second & 0x7f;
        // RFC 6455 §5.5: control frames are short and whole.
        if opcode.is_control() && (!fin || usize::from(short) > MAX_CONTROL) {
            return Err(Violation::ControlFrame);
        }
        let (length, rest) = match short {
            126 => match rest.split_first_chunk() {
                Some((length, rest)) => (u64::from(u16::from_be_bytes(*length)), rest),
                None => return Ok(None),
            },
            127 => match rest.split_first_chunk() {
                Some((length, rest)) => (u64::from_be_bytes(*length), rest),
                None => return Ok(None),
            },
            _ => (u64::from(short), rest),
        };
        // RFC 6455 §5.2: the fewest bytes that hold the length, and no more than 63 bits.
        let least = match short {
            126 => 126,
            127 => 1 << 16,
            _ => 0,
        };
        if length < least || length >> 63 != 0 {
            return Err(Violation::Length);
        }
        let (key, rest) = match rest.split_first_chunk() {
            _ if !masked => ([0; 4], rest),
            Some((key, rest)) => (*key, rest),
            None => return Ok(None),
        };
        Ok(Some(Header {
            fin,
            opcode,
            length,
            key,
            size: input.len() - rest.len(),
        }))
    }

    /// Appends the header of a whole message or a control frame; a client gives a key.
    pub(super) fn append(opcode: Opcode, length: usize, key: Option<[u8; 4]>, to: &mut BytesMut) {
        let mask = if key.is_some() { 128 } else { 0 };
        to.put_u8(0x80 | opcode as u8);
        match length {
            0..=125 => to.put_u8(mask + length as u8),
            126..=0xffff => {
                to.put_u8(mask + 126);
                to.put_u16(length as u16);
            }
            _ => {
                to.put_u8(mask + 127);
                to.put_u64(length as u64);
            }
        }
        if let Some(key) = key {
            to.put_slice(&key);
        }
    }
}

/// Bytes of the longest header.
pub(super) const MAX_HEADER: usize = 14;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_at_every_border_of_the_length() {
        for length in [0, 1, 125, 126, 127, 65_535, 65_536, 1 << 30] {
            for key in [None, Some([1, 2, 3, 4])] {
                let mut bytes = BytesMut::new();
                Header::append(Opcode::Binary, length, key, &mut bytes);
                assert!(bytes.len() <= MAX_HEADER);
                for end in 0..bytes.len() {
                    assert_eq!(Header::parse(&bytes[..end], key.is_some()), Ok(None));
                }
                let header = Header {
                    fin: true,
                    opcode: Opcode::Binary,
                    length: length as u64,
                    key: key.unwrap_or_default(),
                    size: bytes.len(),
                };
                assert_eq!(Header::parse(&bytes, key.is_some()), Ok(Some(header)));
                let other_role = Header::parse(&bytes, key.is_none());
                assert_eq!(other_role, Err(Violation::Masking));
            }
        }
    }

    #[test]
    fn refuses_what_the_rfc_forbids() {
        let cases: [(&[u8], Violation); 9] = [
            (&[0xc2, 0], Violation::ReservedBits),
            (&[0xa2, 0], Violation::ReservedBits),
            (&[0x92, 0], Violation::ReservedBits),
            (&[0x83, 0], Violation::Opcode),
            (&[0x8b, 0], Violation::Opcode),
            (&[0x09, 0], Violation::ControlFrame),
            (&[0x88, 126], Violation::ControlFrame),
            (&[0x82, 126, 0, 125], Violation::Length),
            (
                &[0x82, 127, 0, 0, 0, 0, 0, 0, 0xff, 0xff],
                Violation::Length,
            ),
        ];
        for (input, violation) in cases {
            assert_eq!(Header::parse(input, false), Err(violation), "{input:x?}");
        }
        let enormous = [0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(Header::parse(&enormous, false), Err(Violation::Length));
    }
}
