//! How many datagrams to ask a socket for.

use crate::{ReceiveBatch, Socket};

/// `recvmmsg` looks once more behind the last datagram, in vain when fewer wait than were asked for, and
/// at a moderate rate one is what waits. So a socket is asked for as many as it had, and for more after
/// it has had all that it was asked for a few times in a row.
#[derive(Debug)]
pub(super) struct Appetite {
    ask: usize,
    full: u8,
}

/// Full reads in a row before a socket is asked for more: three good guesses pay for a bad one.
const FULL_READS: u8 = 3;
const GROWTH: usize = 4;

impl Appetite {
    pub(super) const fn new() -> Self {
        Self { ask: 1, full: 0 }
    }

    /// Reads from a socket, `most` at the most; how many have come. A socket that can't be read has
    /// nothing to say that the next send would not.
    pub(super) fn read(&mut self, socket: &Socket, batch: &mut ReceiveBatch, most: usize) -> usize {
        let got = socket.receive(batch, self.ask.min(most)).unwrap_or(0);
        self.note(got, most);
        got
    }

    fn note(&mut self, got: usize, most: usize) {
        if got < self.ask {
            *self = Self {
                ask: got.max(1),
                full: 0,
            };
            return;
        }
        self.full += 1;
        if self.full == FULL_READS {
            *self = Self {
                ask: (self.ask * GROWTH).min(most),
                full: 0,
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_grows_while_there_is_more_and_shrinks_to_what_there_is() {
        let mut appetite = Appetite::new();
        let mut asked = Vec::new();
        for waiting in [100; 12].into_iter().chain([2, 1, 0, 1]) {
            asked.push(appetite.ask);
            appetite.note(appetite.ask.min(waiting), 64);
        }
        assert_eq!(
            asked,
            [1, 1, 1, 4, 4, 4, 16, 16, 16, 64, 64, 64, 64, 2, 1, 1]
        );
    }

    #[test]
    fn one_at_a_time_costs_a_vain_look_for_every_fourth() {
        let mut appetite = Appetite::new();
        let vain = (0..400).filter(|_| {
            let ask = appetite.ask;
            appetite.note(1, 64);
            ask > 1
        });
        assert_eq!(vain.count(), 100);
    }
}
