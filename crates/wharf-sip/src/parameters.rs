//! The parameters behind a Via or a URI: `;name=value` or `;name` alone (RFC 3261 §25.1).

use std::ops::Range;

use crate::text;

/// Parameters as they are written; they are read when they are asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parameters<'a>(&'a [u8]);

/// One parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameter<'a> {
    /// The name, as it is written: compare it without regard to case.
    pub name: &'a [u8],
    /// The value, quotation marks included; `None` when there is no `=`.
    pub value: Option<&'a [u8]>,
}

impl<'a> Parameters<'a> {
    /// `bytes` begins with the first `;` or is empty.
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The bytes, from the first `;`.
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.0
    }

    /// The first parameter of this name, in any case.
    pub fn get(&self, name: &str) -> Option<Parameter<'a>> {
        self.iter()
            .find(|parameter| parameter.name.eq_ignore_ascii_case(name.as_bytes()))
    }

    /// The value of the first parameter of this name; `None` when it has none.
    pub fn value(&self, name: &str) -> Option<&'a [u8]> {
        self.get(name)?.value
    }

    /// All of them in order. A semicolon with nothing behind it is no parameter
    /// (RFC 4475 §3.1.2.1).
    pub fn iter(&self) -> impl Iterator<Item = Parameter<'a>> + use<'a> {
        self.located().map(|(_, parameter)| parameter)
    }

    /// All of them in order, with the place of each in these bytes, from its name to its value.
    pub(crate) fn located(&self) -> impl Iterator<Item = (Range<usize>, Parameter<'a>)> + use<'a> {
        let bytes = self.0;
        let mut at = 0;
        std::iter::from_fn(move || {
            while let Some(after) = bytes.get(at + 1..) {
                let end = text::find_outside(after, b';', false).unwrap_or(after.len());
                let space = after[..end]
                    .iter()
                    .take_while(|&&byte| text::is_lws(byte))
                    .count();
                let (start, one) = (at + 1 + space, text::trim(&after[..end]));
                at += 1 + end;
                if !one.is_empty() {
                    return Some((start..start + one.len(), Parameter::split(one)));
                }
            }
            None
        })
    }
}

impl<'a> Parameter<'a> {
    fn split(bytes: &'a [u8]) -> Self {
        let Some(equals) = bytes.iter().position(|&byte| byte == b'=') else {
            return Self {
                name: bytes,
                value: None,
            };
        };
        let (name, value) = (
            text::trim(&bytes[..equals]),
            text::trim(&bytes[equals + 1..]),
        );
        Self {
            name,
            value: Some(value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_read_in_order_and_found_in_any_case() {
        let parameters = Parameters::new(b";Branch=z9hG4bK1 ;rport; q = \"a;b\" ;;ttl=;x");
        let read: Vec<_> = parameters.iter().map(|one| (one.name, one.value)).collect();
        let expected: [(&[u8], Option<&[u8]>); 5] = [
            (b"Branch", Some(b"z9hG4bK1")),
            (b"rport", None),
            (b"q", Some(b"\"a;b\"")),
            (b"ttl", Some(b"")),
            (b"x", None),
        ];
        assert_eq!(read, expected);
        assert_eq!(parameters.value("bRANCH"), Some(&b"z9hG4bK1"[..]));
        assert!(
            parameters
                .get("rport")
                .is_some_and(|rport| rport.value.is_none())
        );
        assert_eq!(parameters.get("received"), None);
    }
}
