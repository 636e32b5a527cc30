//! The frame of records (RFC 6347 §4.1), and what cipher suites put around a message.

/// Bytes of a record's header.
pub(crate) const RECORD_HEADER: usize = 13;

/// Types of records (RFC 5246 §6.2.1).
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;

/// The sequence number in a record's header, without the epoch.
pub(crate) fn sequence(header: &[u8]) -> u64 {
    let mut bytes = [0; 8];
    bytes[2..].copy_from_slice(&header[5..11]);
    u64::from_be_bytes(bytes)
}

/// The length of the record at the beginning, header and all; `None` if it is not whole.
pub(crate) fn length(datagram: &[u8]) -> Option<usize> {
    let header = datagram.get(..RECORD_HEADER)?;
    let length = RECORD_HEADER + usize::from(u16::from_be_bytes([header[11], header[12]]));
    (length <= datagram.len()).then_some(length)
}

/// How many bytes of `datagram` are whole records that OpenSSL may see: of those of a later epoch
/// than the first, the ones with at least `least` bytes. On a shorter one, which nobody who has the
/// keys sends, versions of OpenSSL fail instead of dropping it (RFC 6347 §4.1.2.7).
pub(crate) fn sound(datagram: &[u8], least: usize) -> usize {
    let mut at = 0;
    while let Some(length) = length(&datagram[at..]) {
        if datagram[at + 3..at + 5] != [0, 0] && length - RECORD_HEADER < least {
            break;
        }
        at += length;
    }
    at
}

/// How many bytes of `datagram`, which is whole records, have no more than `budget` of those that OpenSSL
/// keeps until it has the keys: handshake messages and alerts of a later epoch. Each that is kept is
/// taken off the budget.
pub(crate) fn within(datagram: &[u8], budget: &mut u8) -> usize {
    let mut at = 0;
    while let Some(length) = length(&datagram[at..]) {
        let (kind, epoch) = (datagram[at], &datagram[at + 3..at + 5]);
        if matches!(kind, ALERT | HANDSHAKE) && epoch != [0, 0] {
            match budget.checked_sub(1) {
                Some(left) => *budget = left,
                None => break,
            }
        }
        at += length;
    }
    at
}

/// What a cipher suite adds to a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Expansion {
    /// The least bytes of a record, without its header.
    pub(crate) least: usize,
    /// The most bytes of a record that are not the message, with its header.
    pub(crate) most: usize,
}

impl Expansion {
    /// By the name that OpenSSL gives the suite.
    pub(crate) fn of(cipher: &str) -> Self {
        let (least, most) = if cipher.contains("CHACHA20") {
            // A tag (RFC 7905 §2).
            (16, 16)
        } else if cipher.contains("CCM8") {
            // An explicit nonce and a short tag (RFC 6655 §4).
            (8 + 8, 8 + 8)
        } else if cipher.contains("GCM") || cipher.contains("CCM") {
            // An explicit nonce and a tag (RFC 5288 §3, RFC 6655 §3).
            (8 + 16, 8 + 16)
        } else {
            // An IV, a MAC and padding (RFC 5246 §6.2.3.2).
            (16 + 20, 16 + 48 + 16)
        };
        Self {
            least,
            most: RECORD_HEADER + most,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(epoch: u8, length: u8) -> Vec<u8> {
        let mut record = vec![23, 0xfe, 0xfd, 0, epoch, 0, 0, 0, 0, 1, 2, 0, length];
        record.resize(RECORD_HEADER + usize::from(length), 7);
        record
    }

    #[test]
    fn only_whole_records_of_a_length_that_can_be_are_sound() {
        let (clear, short, good) = (record(0, 1), record(1, 23), record(1, 24));
        assert_eq!(sequence(&clear), 0x102);
        assert_eq!(sound(&clear, 24), clear.len());
        assert_eq!(sound(&short, 24), 0);
        assert_eq!(sound(&[&good[..], &short, &good].concat(), 24), good.len());
        let both = [&clear[..], &good].concat();
        assert_eq!(sound(&both, 24), both.len());
        assert_eq!(sound(&both, usize::MAX), clear.len());
        for cut in 0..good.len() {
            assert_eq!(sound(&good[..cut], 24), 0);
        }
    }

    #[test]
    fn the_budget_is_for_what_is_kept() {
        let data = record(1, 24);
        let clear = record(0, 24);
        let mut early = record(1, 24);
        early[0] = HANDSHAKE;
        let mut budget = 2;
        let datagram = [
            &data[..],
            &clear,
            &early,
            &data,
            &early,
            &clear,
            &early,
            &clear,
        ]
        .concat();
        assert_eq!(within(&datagram, &mut budget), 6 * data.len());
        assert_eq!(budget, 0);
        assert_eq!(within(&early, &mut budget), 0);
        assert_eq!(within(&data, &mut budget), data.len());
    }

    #[test]
    fn suites_are_known_by_their_names() {
        let most = |cipher| Expansion::of(cipher).most - RECORD_HEADER;
        assert_eq!(most("ECDHE-RSA-AES128-GCM-SHA256"), 24);
        assert_eq!(most("PSK-AES128-CCM"), 24);
        assert_eq!(most("PSK-AES128-CCM8"), 16);
        assert_eq!(most("ECDHE-PSK-CHACHA20-POLY1305"), 16);
        assert_eq!(most("ECDHE-RSA-AES256-SHA384"), 80);
    }
}
