//! Which of several endpoints of one address a packet is for: the connection ids that an endpoint hands out
//! tell the kernel.

use std::io;
use std::time::Duration;

use quinn::{ConnectionId, ConnectionIdGenerator, EndpointConfig};

/// Bytes of a connection id.
const LENGTH: usize = 8;

/// The place of one endpoint among those of its address, which is its socket's among these in the order in
/// which they were bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seat {
    pub(crate) number: usize,
    pub(crate) count: usize,
}

impl Seat {
    /// As many as one byte tells apart.
    pub(crate) const MOST: usize = 256;

    /// The configuration of the endpoint in this place.
    ///
    /// # Errors
    /// More endpoints than [`MOST`](Self::MOST).
    pub(super) fn config(self) -> io::Result<EndpointConfig> {
        let mut config = EndpointConfig::default();
        if self.count > Self::MOST {
            let text = format!("{} sockets for QUIC, of at most {}", self.count, Self::MOST);
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        if self.count > 1 {
            config.cid_generator(move || Box::new(Numbered(self)));
        }
        Ok(config)
    }

    /// A first byte that is this place modulo the number of places, which is how sockets are steered, and
    /// otherwise as `random` says.
    fn first_byte(self, random: u8) -> u8 {
        let choices = (Self::MOST - 1 - self.number) / self.count + 1;
        let byte = self.number + self.count * (usize::from(random) % choices);
        u8::try_from(byte).unwrap_or(u8::MAX)
    }
}

/// Connection ids whose first byte leads to one endpoint. Who watches learns which endpoint it is, and nothing
/// else (RFC 9000 §5.1).
struct Numbered(Seat);

impl ConnectionIdGenerator for Numbered {
    fn generate_cid(&mut self) -> ConnectionId {
        let mut id = [0; LENGTH];
        // The system's source does not fail once it has given a byte, and has given the endpoint's keys.
        getrandom::fill(&mut id).expect("the system has randomness");
        id[0] = self.0.first_byte(id[0]);
        ConnectionId::new(&id)
    }

    fn cid_len(&self) -> usize {
        LENGTH
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_byte_leads_to_the_endpoint_and_varies() {
        for count in [2, 3, 7, 64, 255, 256] {
            for number in 0..count {
                let seat = Seat { number, count };
                let bytes = (0..=255).map(|random| usize::from(seat.first_byte(random)));
                let mut bytes: Vec<_> = bytes.collect();
                assert!(bytes.iter().all(|byte| byte % count == number), "{seat:?}");
                bytes.sort_unstable();
                bytes.dedup();
                let all = (number..256).step_by(count).collect::<Vec<_>>();
                assert_eq!(bytes, all, "{seat:?}");
            }
        }
    }

    #[test]
    fn ids_differ_and_one_byte_tells_no_more_than_256_apart() {
        let seat = Seat {
            number: 1,
            count: 2,
        };
        let mut ids = Numbered(seat);
        let (one, other) = (ids.generate_cid(), ids.generate_cid());
        assert_ne!(one, other);
        assert!(one.len() == LENGTH && one[0] % 2 == 1 && other[0] % 2 == 1);
        let seat = Seat {
            number: 0,
            count: 257,
        };
        let said = seat.config().err().unwrap().to_string();
        assert!(
            said.contains("257 sockets for QUIC, of at most 256"),
            "{said}"
        );
    }
}
