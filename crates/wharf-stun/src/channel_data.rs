//! ChannelData: four bytes of header and a payload (RFC 8656 §12.4).

use thiserror::Error;

/// A ChannelData message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChannelData<'a> {
    /// The channel number, 0x4000 to 0x4fff.
    pub number: u16,
    /// The payload, without padding; may be empty.
    pub data: &'a [u8],
}

/// Why bytes are not a ChannelData message. It is dropped silently (RFC 8656 §12.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ChannelDataError {
    /// The channel number is outside 0x4000 to 0x4fff (RFC 8656 §12).
    #[error("{0:#06x} is not a channel number")]
    Number(u16),
    /// The datagram is shorter than the header and the length in it.
    #[error("{needed} bytes are needed, {available} are there")]
    Short {
        /// Bytes of the header and the payload.
        needed: usize,
        /// Bytes of the datagram.
        available: usize,
    },
}

impl<'a> ChannelData<'a> {
    /// Bytes in the header.
    pub const HEADER_LEN: usize = 4;

    /// Reads a datagram. What follows the stated length is ignored: a client may pad
    /// (RFC 8656 §12.5).
    pub fn parse_datagram(datagram: &'a [u8]) -> Result<Self, ChannelDataError> {
        let available = datagram.len();
        let Some((&[n0, n1, l0, l1], rest)) = datagram.split_first_chunk() else {
            return Err(ChannelDataError::Short {
                needed: Self::HEADER_LEN,
                available,
            });
        };
        let number = u16::from_be_bytes([n0, n1]);
        // RFC 8656 §12: 0x5000 and above are reserved.
        if !(0x4000..=0x4fff).contains(&number) {
            return Err(ChannelDataError::Number(number));
        }
        let len = usize::from(u16::from_be_bytes([l0, l1]));
        match rest.get(..len) {
            Some(data) => Ok(Self { number, data }),
            None => Err(ChannelDataError::Short {
                needed: Self::HEADER_LEN + len,
                available,
            }),
        }
    }

    /// The header for `len` bytes of payload on channel `number`.
    pub const fn header(number: u16, len: u16) -> [u8; 4] {
        let ([n0, n1], [l0, l1]) = (number.to_be_bytes(), len.to_be_bytes());
        [n0, n1, l0, l1]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t65_length_and_datagram() {
        let parse = ChannelData::parse_datagram;
        let short = |needed, available| Err(ChannelDataError::Short { needed, available });
        assert_eq!(parse(b""), short(4, 0));
        assert_eq!(parse(b"\x40\x00\x00"), short(4, 3));
        assert_eq!(parse(b"\x40\x00\x00\x03ab"), short(7, 6));
        assert_eq!(parse(b"\x40\x00\xff\xffab"), short(65539, 6));
        assert_eq!(
            parse(b"\x40\x00\x00\x00"),
            Ok(ChannelData {
                number: 0x4000,
                data: b""
            })
        );
        assert_eq!(
            parse(b"\x40\x01\x00\x02abXX"),
            Ok(ChannelData {
                number: 0x4001,
                data: b"ab"
            })
        );
    }

    #[test]
    fn t69_numbers() {
        for number in 0..=u16::MAX {
            let header = ChannelData::header(number, 0);
            let expected = match number {
                0x4000..=0x4fff => Ok(ChannelData { number, data: b"" }),
                _ => Err(ChannelDataError::Number(number)),
            };
            assert_eq!(ChannelData::parse_datagram(&header), expected);
        }
    }

    #[test]
    fn t65_every_length() {
        let mut datagram = vec![7; 65539];
        for len in 0..=u16::MAX {
            datagram[..4].copy_from_slice(&ChannelData::header(0x4abc, len));
            let end = 4 + usize::from(len);
            let data = ChannelData::parse_datagram(&datagram[..end])
                .expect("complete")
                .data;
            assert_eq!(data, &datagram[4..end]);
            let short = ChannelDataError::Short {
                needed: end,
                available: end - 1,
            };
            if len > 0 {
                assert_eq!(
                    ChannelData::parse_datagram(&datagram[..end - 1]),
                    Err(short)
                );
            }
        }
    }
}
