//! Masking of payloads (RFC 6455 §5.3).

use bytes::BytesMut;

/// XORs `data` with the repeated key, and returns the key for the byte that follows `data`.
pub(crate) fn apply(key: [u8; 4], data: &mut [u8]) -> [u8; 4] {
    let [a, b, c, d] = key;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, rest) = data.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip(key.iter().cycle()) {
        *byte ^= mask;
    }
    let mut next = key;
    next.rotate_left(rest.len() % 4);
    next
}

/// Keys for the frames of a client. RFC 6455 §10.3 wants them from a strong source; they are taken
/// from the kernel 64 at a time, so that a frame does not cost a system call.
#[derive(Debug)]
pub(super) struct Keys {
    pool: [u8; 256],
    used: usize,
}

impl Keys {
    pub(super) fn new() -> Keys {
        Keys {
            pool: [0; 256],
            used: 256,
        }
    }

    /// A fresh key; fails when the kernel has no entropy to give.
    pub(super) fn next(&mut self) -> Result<[u8; 4], getrandom::Error> {
        if self.used == self.pool.len() {
            getrandom::fill(&mut self.pool)?;
            self.used = 0;
        }
        let mut key = [0; 4];
        key.copy_from_slice(&self.pool[self.used..self.used + 4]);
        self.used += 4;
        Ok(key)
    }
}

/// Appends `payload` masked with `key`.
pub(super) fn append(key: [u8; 4], payload: &[u8], buffer: &mut BytesMut) {
    let start = buffer.len();
    buffer.extend_from_slice(payload);
    apply(key, &mut buffer[start..]);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn unmasks_the_example_of_the_rfc() {
        // RFC 6455 §5.7: a single-frame masked text message "Hello".
        let mut data = [0x7f, 0x9f, 0x4d, 0x51, 0x58];
        apply([0x37, 0xfa, 0x21, 0x3d], &mut data);
        assert_eq!(&data, b"Hello");
    }

    #[test]
    fn keys_are_not_used_twice() {
        let mut keys = Keys::new();
        let drawn: Vec<[u8; 4]> = (0..200).map(|_| keys.next().expect("entropy")).collect();
        let distinct: std::collections::HashSet<_> = drawn.iter().collect();
        // Two of 200 random keys are equal once in 200,000 runs.
        assert!(distinct.len() >= 199);
    }

    proptest! {
        #[test]
        fn words_equal_bytes_and_parts_equal_the_whole(
            key: [u8; 4], data in proptest::collection::vec(any::<u8>(), 0..200), cut in 0_usize..200,
        ) {
            let expected: Vec<u8> =
                data.iter().enumerate().map(|(i, byte)| byte ^ key[i % 4]).collect();
            let mut parts = data;
            let cut = cut.min(parts.len());
            let next = apply(key, &mut parts[..cut]);
            apply(next, &mut parts[cut..]);
            prop_assert_eq!(parts, expected);
        }
    }
}
