//! UTF-8 checked as it arrives, so that a bad text fails at its first bad byte (RFC 6455 §8.1).

/// The text so far is not UTF-8, whatever follows.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NotUtf8;

/// The start of a character that the last part ended within.
#[derive(Debug, Default)]
pub(super) struct Utf8 {
    begun: [u8; 4],
    length: usize,
}

impl Utf8 {
    /// Takes the next part of a text.
    pub(super) fn feed(&mut self, mut part: &[u8]) -> Result<(), NotUtf8> {
        while self.length > 0 {
            let Some((&byte, rest)) = part.split_first() else {
                return Ok(());
            };
            // Four bytes are a character or an error, so `begun` never overflows.
            self.begun[self.length] = byte;
            self.length += 1;
            part = rest;
            match std::str::from_utf8(&self.begun[..self.length]) {
                Ok(_) => self.length = 0,
                Err(error) if error.error_len().is_some() => return Err(NotUtf8),
                Err(_) => {}
            }
        }
        match simdutf8::compat::from_utf8(part) {
            Ok(_) => Ok(()),
            Err(error) if error.error_len().is_some() => Err(NotUtf8),
            Err(error) => {
                let begun = &part[error.valid_up_to()..];
                self.length = begun.len();
                self.begun[..begun.len()].copy_from_slice(begun);
                Ok(())
            }
        }
    }

    /// Ends the text: an error within a character. The next part begins another text.
    pub(super) fn finish(&mut self) -> Result<(), NotUtf8> {
        match std::mem::take(&mut self.length) {
            0 => Ok(()),
            _ => Err(NotUtf8),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Result<(), NotUtf8> {
        let mut utf8 = Utf8::default();
        for part in parts {
            utf8.feed(part)?;
        }
        utf8.finish()
    }

    #[test]
    fn fails_at_the_first_byte_that_cannot_be() {
        let mut utf8 = Utf8::default();
        // U+110000 would be F4 90 80 80: the second byte already says so.
        assert_eq!(utf8.feed(&[0xf4]), Ok(()));
        assert_eq!(utf8.feed(&[0x90]), Err(NotUtf8));
    }

    #[test]
    fn a_text_that_ends_within_a_character_is_refused() {
        assert_eq!(check([&b"\xe2\x82"[..]]), Err(NotUtf8));
        assert_eq!(check([&b"\xe2\x82"[..], b"", b"\xac"]), Ok(()));
    }

    proptest! {
        #[test]
        fn parts_are_judged_as_the_whole(
            text in prop_oneof![
                any::<String>().prop_map(String::into_bytes),
                proptest::collection::vec(any::<u8>(), 0..12),
                proptest::collection::vec(0x7e_u8..=0xff, 0..6),
            ],
            size in 1_usize..5,
        ) {
            let expected = std::str::from_utf8(&text).is_ok();
            prop_assert_eq!(check(text.chunks(size)).is_ok(), expected);
        }
    }
}
