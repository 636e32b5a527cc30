use std::time::Duration;

use wharf_policy::{PeerPolicy, PeerRules, Quotas};

use super::*;
use crate::{Config, Shared};

/// Whoever makes and drops allocations, or changes lifetimes, leaves no timers behind without bound.
#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "a test needs some instant to count from"
)]
fn timers_that_no_longer_count_are_dropped() {
    let now = Instant::now();
    let shared = Shared {
        nonce_secret: [0; 32],
        quotas: Quotas::default(),
        peers: Arc::new(PeerPolicy::new(PeerRules::default())),
    };
    let mut server = Server::new(Config::default(), shared, now, Duration::ZERO, [1; 32]);
    for n in 0..10 * STALE as u64 {
        server.schedule_reservation(n.to_be_bytes(), now + Duration::from_secs(n));
        assert!(server.timers.heap.len() <= STALE + 1);
    }
}
