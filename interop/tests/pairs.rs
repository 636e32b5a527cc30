//! Clients of the daemon whose peers are other clients of the same daemon (hairpin): every datagram
//! goes through two allocations.

use wharf_interop::Site;

#[test]
fn client_to_client_by_channel() {
    let site = Site::start();
    site.uclient().flags("-c -y").run().assert_relayed(6, 100);
}

#[test]
fn client_to_client_by_send_indication() {
    let site = Site::start();
    site.uclient()
        .flags("-c -y -s")
        .run()
        .assert_relayed(6, 100);
}

#[test]
fn client_to_client_over_ipv6() {
    let site = Site::start();
    site.uclient()
        .to_server("::1")
        .flags("-c -y -x")
        .run()
        .assert_relayed(6, 100);
}

/// Ten pairs at a time: the streams land on all workers, so that some pairs span two of them.
#[test]
fn several_pairs() {
    let site = Site::start();
    site.uclient()
        .flags("-c -y -m 20 -n 20")
        .run()
        .assert_relayed(400, 100);
}

/// Each client has an IPv4 and an IPv6 relayed address and sends to both of the other's; it asks for
/// them by the attribute number of a draft of RFC 8656.
#[test]
fn dual_allocations() {
    let site = Site::start();
    site.uclient()
        .flags("-c -y -Z")
        .run()
        .assert_relayed(6, 100);
}
