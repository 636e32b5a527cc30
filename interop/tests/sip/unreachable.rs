//! What the kernel's firewall answers to a connection, and what a dialer makes of it.

use std::time::Duration;

use wharf_sip::Transport;
use wharf_sip::pool::PoolKey;
use wharf_sip::route::SendFailure;
use wharf_sip_transport::{DialOptions, Dialer};

use crate::namespace;
use crate::responder::Responder;
use crate::served::Served;

/// One port for each answer.
const ANSWERS: &str = "nft add table inet told && \
    nft 'add chain inet told input { type filter hook input priority 0; }' && \
    nft add rule inet told input tcp dport 5060 reject with icmp type prot-unreachable && \
    nft add rule inet told input tcp dport 5061 reject with icmp type host-unreachable && \
    nft add rule inet told input tcp dport 5062 reject with icmp type admin-prohibited && \
    nft add rule inet told input tcp dport 5063 reject with tcp reset && \
    nft add rule inet told input tcp dport 5064 drop";

#[test]
fn c2_e1_what_ends_an_attempt_is_told_apart() {
    let test = "unreachable::c2_e1_what_ends_an_attempt_is_told_apart";
    if !namespace::is_within(test, ANSWERS) {
        return;
    }
    let (responder, _record) = Responder::new();
    let served = Served::plain(responder);
    let mut options = DialOptions::default();
    options.client.timeouts.connect = Some(Duration::from_secs(2));
    let dialer = Dialer::new(served.sip.clone(), options).expect("a dialer");
    for (port, expected) in [
        // RFC 3261 §18.1.1: this one and the reset have UDP tried in place of TCP.
        (5060, SendFailure::ProtocolUnreachable),
        (5061, SendFailure::Unreachable),
        (5062, SendFailure::Unreachable),
        (5063, SendFailure::Reset),
        (5064, SendFailure::TimedOut),
    ] {
        let key = PoolKey {
            transport: Transport::Tcp,
            address: ([127, 0, 0, 1], port).into(),
            domain: None,
            local: None,
        };
        let dialled = served.runtime.block_on(dialer.dial(&key));
        let error = dialled.expect_err("a firewall");
        assert_eq!(error.failure(), expected, "{port}: {error}");
        assert!(error.is_recoverable(), "{port}: {error}");
    }
}
