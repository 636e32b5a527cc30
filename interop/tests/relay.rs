//! coturn's client relays through the daemon to an echo peer, in each way it knows.

use wharf_interop::{Process, Site, tool};

/// STUN Binding (RFC 8489 section 3): the client learns the address it sends from.
#[test]
fn binding_reports_the_clients_address() {
    let site = Site::start();
    for address in ["127.0.0.1", "::1"] {
        let mut client = tool("turnutils_stunclient");
        client.args(["-p", &site.daemon.port().to_string(), address]);
        let finished = Process::spawn(&client).finish(std::time::Duration::from_secs(10));
        assert!(finished.status.success(), "{}", finished.output);
        let reflexive = format!("UDP reflexive addr: {address}:");
        assert!(finished.output.contains(&reflexive), "{}", finished.output);
    }
}

/// Send and Data indications (RFC 8656 section 11).
#[test]
fn send_indications() {
    let site = Site::start();
    site.uclient()
        .flags("-c -s")
        .to_peer("127.0.0.1")
        .run()
        .assert_relayed(3, 100);
}

/// ChannelData (RFC 8656 section 12).
#[test]
fn channels() {
    let site = Site::start();
    site.uclient()
        .flags("-c")
        .to_peer("127.0.0.1")
        .run()
        .assert_relayed(3, 100);
}

/// Twenty clients at a time: 50 messages of each, none lost.
#[test]
fn several_clients() {
    let site = Site::start();
    let clients = site.uclient().flags("-c -m 20 -n 50").to_peer("127.0.0.1");
    clients.run().assert_relayed(1000, 100);
}

/// A payload that is not a multiple of 4 bytes: DATA is padded, ChannelData over UDP is not
/// (RFC 8656 section 12.5), and neither padding reaches the peer.
#[test]
fn odd_lengths() {
    let site = Site::start();
    for flags in ["-c -s -l 101", "-c -l 101"] {
        site.uclient()
            .flags(flags)
            .to_peer("127.0.0.1")
            .run()
            .assert_relayed(3, 101);
    }
}

/// A channel whose client pads ChannelData over UDP too, which the server accepts
/// (RFC 8656 section 12.5).
#[test]
fn padded_channel_data() {
    let site = Site::start();
    site.uclient()
        .flags("-c -D -l 101")
        .to_peer("127.0.0.1")
        .run()
        .assert_relayed(3, 101);
}

/// EVEN-PORT with the next port reserved, then RESERVATION-TOKEN (RFC 8656 section 7): the tool's
/// pair of RTP and RTCP streams, two streams for one client.
#[test]
fn even_port_and_reservation() {
    let site = Site::start();
    site.uclient()
        .to_peer("127.0.0.1")
        .run()
        .assert_relayed(6, 100);
}

/// DONT-FRAGMENT in Allocate and in each Send indication (RFC 8656 section 11.2).
#[test]
fn dont_fragment() {
    let site = Site::start();
    site.uclient()
        .flags("-c -g -s")
        .to_peer("127.0.0.1")
        .run()
        .assert_relayed(3, 100);
}

/// CreatePermission and ChannelBind repeated during the run (RFC 8656 sections 10 and 12).
#[test]
fn extra_requests() {
    let site = Site::start();
    site.uclient()
        .flags("-c -G")
        .to_peer("127.0.0.1")
        .run()
        .assert_relayed(3, 100);
}
