//! What the daemon refuses, as coturn's client reports it.

use wharf_interop::{PASSWORD, Site, USER};

/// 401 to each attempt (RFC 8489 section 9.2.4), until the client gives up. The log has the
/// client's address.
#[test]
fn a_wrong_password() {
    let site = Site::start();
    let client = site
        .uclient()
        .user(USER, "wrong horse")
        .flags("-c")
        .to_peer("127.0.0.1");
    client.run().assert_refused("Cannot complete Allocation");
    site.daemon.logged(&["127.0.0.1:", USER]);
}

/// The same answer as for a wrong password: the reply does not tell which users exist.
#[test]
fn an_unknown_user() {
    let site = Site::start();
    let client = site
        .uclient()
        .user("mallory", PASSWORD)
        .flags("-c")
        .to_peer("127.0.0.1");
    client.run().assert_refused("Cannot complete Allocation");
    site.daemon.logged(&["127.0.0.1:", "mallory"]);
}

/// After the failures of one client the right password still opens the daemon.
#[test]
fn a_refused_client_can_try_again() {
    let site = Site::start();
    let client = site
        .uclient()
        .user(USER, "wrong horse")
        .flags("-c")
        .to_peer("127.0.0.1");
    client.run().assert_refused("Cannot complete Allocation");
    site.uclient()
        .flags("-c")
        .to_peer("127.0.0.1")
        .run()
        .assert_relayed(3, 100);
}

/// 403 to ChannelBind and to CreatePermission for a loopback peer, which is denied unless the
/// configuration says otherwise (RFC 8656 sections 10.2 and 12.2).
#[test]
fn a_loopback_peer_by_default() {
    let site = Site::start_with(|config| {
        config.set("peers.allow-loopback", false);
    });
    for (flags, peer) in [
        ("-c -v", "127.0.0.1"),
        ("-c -v -s", "127.0.0.1"),
        ("-c -v -x", "::1"),
    ] {
        site.uclient()
            .flags(flags)
            .to_peer(peer)
            .run()
            .assert_refused("error 403");
    }
}

/// 403 for a peer in a denied range.
#[test]
fn a_denied_peer() {
    let site = Site::start_with(|config| {
        config.set("peers.deny", vec!["192.0.2.0/24"]);
    });
    let client = site.uclient().flags("-c -v").to_peer("192.0.2.7");
    client.run().assert_refused("error 403");
}

/// 486 to the allocation beyond the user's quota (RFC 8656 section 7.2).
#[test]
fn the_quota_of_a_user() {
    let site = Site::start_with(|config| {
        config.set("allocations.per-user", 2);
    });
    let clients = site.uclient().flags("-c -v -m 4").to_peer("127.0.0.1");
    clients.run().assert_refused("error 486");
}

/// 400 to a channel number outside 0x4000 to 0x4FFF (RFC 8656 section 12) unless those of RFC 5766
/// are allowed. Of forty numbers that the clients pick, one at least lies outside.
#[test]
fn a_channel_number_of_rfc_5766_by_default() {
    let site = Site::start_with(|config| {
        config.set("allocations.rfc5766-channels", false);
    });
    let clients = site.uclient().flags("-c -v -m 40").to_peer("127.0.0.1");
    clients.run().assert_refused("error 400");
}
