//! Threads that serve datagrams, and which of them gets what.

use super::Checker;
use crate::config::{ListenerConfig, Steering};

const MOST_WORKERS: u32 = 256;
/// Bytes of a number that the kernel can load at once.
const LONGEST_NUMBER: u8 = 4;
/// The longest connection id of QUIC version 1 (RFC 9000 §17.2).
const LONGEST_ID: u8 = 20;

pub(super) fn check(config: &ListenerConfig, checker: &mut Checker<'_>) {
    let options = &config.datagrams;
    checker.range("datagrams.workers", options.workers, 0..=MOST_WORKERS);
    let key = "datagrams.steering";
    match options.steering {
        Steering::Flow => {}
        Steering::Payload { length, .. } => {
            let allowed = format!("expected a length of 1 to {LONGEST_NUMBER}");
            let advice = "Of a longer identifier, take bytes that differ.";
            let holds = (1..=LONGEST_NUMBER).contains(&length);
            checker.expect(holds, key, length, &allowed, advice);
        }
        Steering::QuicConnectionId { byte } => {
            let allowed = format!("expected a byte from 0 to {}", LONGEST_ID - 1);
            checker.expect(byte < LONGEST_ID, key, byte, &allowed, "");
        }
    }
}
