//! coturn's client over IPv6 and between the families.
//!
//! `pairs.rs` has its dual allocations (`-Z`), `aioice.rs` those of a client that asks for them by the
//! attribute number of RFC 8656.

use wharf_interop::Site;

/// REQUESTED-ADDRESS-FAMILY IPv6 from an IPv6 client to an IPv6 peer (RFC 8656 section 7.2).
#[test]
fn ipv6_to_ipv6() {
    let site = Site::start();
    let client = site.uclient().to_server("::1").to_peer("::1");
    client.flags("-c -x").run().assert_relayed(3, 100);
}

/// An IPv4 client that reaches an IPv6 peer, by channel and by Send indication.
#[test]
fn ipv4_to_ipv6() {
    let site = Site::start();
    for flags in ["-c -x", "-c -x -s"] {
        site.uclient()
            .flags(flags)
            .to_peer("::1")
            .run()
            .assert_relayed(3, 100);
    }
}

/// An IPv6 client that reaches an IPv4 peer.
#[test]
fn ipv6_to_ipv4() {
    let site = Site::start();
    let client = site.uclient().to_server("::1").to_peer("127.0.0.1");
    client.flags("-c -X").run().assert_relayed(3, 100);
}
