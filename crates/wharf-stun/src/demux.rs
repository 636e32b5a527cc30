//! Telling the protocols of one port apart by the first byte (RFC 7983 §7).

/// What a datagram, or a stream, begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// 0 to 3: a STUN message.
    Stun,
    /// 20 to 63: a DTLS record.
    Dtls,
    /// 64 to 79: TURN ChannelData.
    ChannelData,
    /// Anything else, which a TURN server drops.
    Unknown,
}

/// The protocol that a first byte belongs to.
pub const fn classify(first: u8) -> Protocol {
    match first {
        0..=3 => Protocol::Stun,
        20..=63 => Protocol::Dtls,
        64..=79 => Protocol::ChannelData,
        _ => Protocol::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t68_first_byte() {
        let count = |protocol| {
            (0..=255)
                .filter(|&first| classify(first) == protocol)
                .count()
        };
        assert_eq!(count(Protocol::Stun), 4);
        assert_eq!(count(Protocol::Dtls), 44);
        assert_eq!(count(Protocol::ChannelData), 16);
        for (first, protocol) in [
            (0, Protocol::Stun),
            (3, Protocol::Stun),
            (4, Protocol::Unknown),
            (19, Protocol::Unknown),
            (20, Protocol::Dtls),
            (63, Protocol::Dtls),
            (64, Protocol::ChannelData),
            (79, Protocol::ChannelData),
            (80, Protocol::Unknown),
            (255, Protocol::Unknown),
        ] {
            assert_eq!(classify(first), protocol, "{first}");
        }
    }
}
