//! The lines of a head: one header field each (RFC 3261 §7.3.1).

use std::ops::Range;

use crate::text;

/// One header field of a scanned message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// The name, as it is written: long or compact, in any case.
    pub name: &'a [u8],
    /// The value without white space at its ends; line ends of a folded value stand in it.
    pub value: &'a [u8],
}

impl Field<'_> {
    /// Whether it is named `long` or `compact` (RFC 3261 §20, table 2) in any case.
    pub fn is(&self, long: &str, compact: Option<u8>) -> bool {
        match *self.name {
            [letter] => compact.is_some_and(|compact| letter.eq_ignore_ascii_case(&compact)),
            _ => self.name.eq_ignore_ascii_case(long.as_bytes()),
        }
    }
}

/// The name of the field and where its value begins, behind the colon (RFC 3261 §25.1 `HCOLON`).
pub(crate) fn split(line: &[u8]) -> Option<(&[u8], usize)> {
    let end = line
        .iter()
        .position(|&byte| !text::is_token(byte))
        .filter(|&end| end > 0)?;
    let space = line[end..]
        .iter()
        .take_while(|byte| matches!(byte, b' ' | b'\t'))
        .count();
    (line.get(end + space) == Some(&b':')).then(|| (&line[..end], end + space + 1))
}

/// The lines of a complete head from `start`, each with its field and with its line end.
pub(crate) fn lines(
    message: &[u8],
    start: usize,
) -> impl Iterator<Item = (Range<usize>, Field<'_>)> {
    let mut start = start;
    std::iter::from_fn(move || {
        let line = start..start + line_len(message.get(start..)?)?;
        let bytes = &message[line.clone()];
        let (name, value) = split(bytes)?;
        start = line.end;
        Some((
            line,
            Field {
                name,
                value: text::trim(&bytes[value..]),
            },
        ))
    })
}

/// The length of the first line with the lines that fold it and its line end.
fn line_len(bytes: &[u8]) -> Option<usize> {
    let mut ends = memchr::memchr_iter(b'\n', bytes).map(|at| at + 1);
    ends.find(|&end| !matches!(bytes.get(end), Some(b' ' | b'\t')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_ends_at_its_colon() {
        assert_eq!(split(b"Via:x"), Some((&b"Via"[..], 4)));
        assert_eq!(split(b"TO \t :x"), Some((&b"TO"[..], 6)));
        for line in [
            &b"no colon"[..],
            b":x",
            b" Via: x",
            b"Via",
            b"V\xc3\xadA: x",
            b"a b: c",
            b"",
        ] {
            assert_eq!(split(line), None);
        }
    }

    #[test]
    fn lines_stop_at_the_empty_one_and_keep_their_folds() {
        let message = b"x\r\nVia: a,\r\n b\r\nl : 0 \r\n\r\nno: field";
        let read: Vec<_> = lines(message, 3).collect();
        let via = Field {
            name: b"Via",
            value: b"a,\r\n b",
        };
        let length = Field {
            name: b"l",
            value: b"0",
        };
        assert_eq!(read, [(3..16, via), (16..24, length)]);
        assert!(length.is("Content-Length", Some(b'l')) && !length.is("Via", Some(b'v')));
        assert!(via.is("via", None) && !length.is("l", None));
    }
}
