//! What is told by first bytes.

use wharf_policy::first_bytes::{Guess, LONGEST, Protocol, Protocols, of_datagram, of_stream};

/// The first byte says which protocols are wanted. However the rest is cut, the decision is the same,
/// in time, and never for what nobody wants.
pub(super) fn demux(data: &[u8]) {
    let Some((set, bytes)) = data.split_first() else {
        return;
    };
    let wanted: Protocols = Protocol::ALL
        .into_iter()
        .enumerate()
        .filter(|(place, _)| set >> place & 1 == 1)
        .map(|(_, protocol)| protocol)
        .collect();
    let whole = of_stream(bytes, wanted);
    for cut in 0..bytes.len().min(2 * LONGEST) {
        let guess = of_stream(&bytes[..cut], wanted);
        assert!(
            guess == whole || guess == Guess::Undecided,
            "{cut}: {guess:?}, then {whole:?}"
        );
    }
    if let Guess::Is(protocol) = whole {
        assert!(wanted.contains(protocol) && protocol != Protocol::Dtls);
    }
    assert!(whole != Guess::Undecided || bytes.len() < LONGEST);
    if let Some(protocol) = of_datagram(bytes, wanted) {
        assert!(wanted.contains(protocol) && !bytes.is_empty());
    }
}
