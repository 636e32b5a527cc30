//! What an operator changes while the server runs.

use wharf_stun::Method;
use wharf_turn_server::{
    Config, CoreConfig, Counter, Credentials, DropReason, PeerRules, PrefixLimits, QuotaLimits,
};

use crate::client::{Client, Login, udp};
use crate::support::{REALM, config, loopback_peers, peer_v4, read, start, wait_for, wait_until};

#[test]
fn new_quotas_hold_at_once() {
    let limits = |per_user, total| QuotaLimits { per_user, total };
    let server = start(Config {
        quotas: limits(1, 2),
        workers: 2,
        ..config()
    });
    let handle = server.handle();
    let allocate = |login: Login| {
        let mut client = Client::at(server.local_addrs()[0], login);
        (client.try_allocate(&|_| {}).code(), client)
    };
    let (code, mut first) = allocate(Login::alice());
    assert_eq!(code, 0);
    assert_eq!(allocate(Login::alice()).0, 486);
    assert_eq!(allocate(Login::bob()).0, 0);
    handle.set_quotas(limits(2, 2));
    assert_eq!(allocate(Login::alice()).0, 508);
    handle.set_quotas(limits(2, 3));
    assert_eq!(allocate(Login::alice()).0, 0);
    // Those above a lower limit stay until they end.
    handle.set_quotas(limits(1, 1));
    assert_eq!(first.request(Method::REFRESH, &|_| {}).code(), 0);
    assert_eq!(handle.allocations(), 3);
    first.release();
    assert_eq!(allocate(Login::alice()).0, 486);
}

#[test]
fn new_peer_rules_end_what_they_refuse() {
    let server = start(Config {
        workers: 2,
        ..config()
    });
    let handle = server.handle();
    let (mut client, peer) = (Client::new(&server), peer_v4());
    let (relayed, address) = (client.allocate(), peer.local_addr().unwrap());
    assert_eq!(client.bind(0x4000, address), 0);
    client.send_on(0x4000, b"allowed");
    assert_eq!(read(&peer).0, b"allowed");
    wait_for(&handle, Counter::Channels, 1);

    handle.set_peers(PeerRules {
        deny: vec![address.ip().into()],
        ..loopback_peers()
    });
    wait_for(&handle, Counter::Channels, 0);
    wait_for(&handle, Counter::Permissions, 0);
    client.send_on(0x4000, b"refused");
    client.send_to(address, b"refused");
    peer.send_to(b"refused", relayed).unwrap();
    wait_until("both ways are closed", || {
        let counters = handle.counters();
        counters.drops(DropReason::UnboundChannel) == 1
            && counters.drops(DropReason::NoPermission) == 2
    });
    assert_eq!(client.permit(address), 403);
    assert_eq!(client.bind(0x4000, address), 403);

    handle.set_peers(loopback_peers());
    // The change has been made when a worker takes a request after it.
    wait_until("the peer is allowed again", || client.permit(address) == 0);
    client.round_trip(&peer, relayed);
    // The server's own sockets are part of any rules.
    assert_eq!(client.bind(0x4001, server.local_addrs()[0]), 403);
}

#[test]
fn new_credentials_leave_live_allocations_alone() {
    // One worker, which remembers the old password.
    let server = start(config());
    let handle = server.handle();
    let (mut old, peer) = (Client::new(&server), peer_v4());
    let relayed = old.allocate();
    let mut credentials = Credentials::new(REALM);
    credentials.add_user("alice", "looking-glass").unwrap();
    handle.set_credentials(credentials);
    wait_until("the old password is refused", || {
        let mut client = Client::new(&server);
        let code = client.try_allocate(&|_| {}).code();
        if code == 0 {
            client.release();
        }
        code == 401
    });
    let login = Login::new("alice", "looking-glass");
    let mut new = Client::at(server.local_addrs()[0], login);
    new.allocate();
    assert_eq!(old.permit(peer.local_addr().unwrap()), 0);
    old.round_trip(&peer, relayed);
    assert_eq!(old.request(Method::REFRESH, &|_| {}).code(), 0);
    old.release();
    assert_eq!(old.try_allocate(&|_| {}).code(), 401);
}

const ONE: PrefixLimits = PrefixLimits {
    per_second: 1,
    burst: 1,
    ipv4_prefix: 32,
    ipv6_prefix: 56,
    slots: 1 << 10,
};

#[test]
fn unauthenticated_requests_are_limited_from_the_start() {
    let server = start(Config {
        core: CoreConfig {
            unauthenticated: ONE,
            ..CoreConfig::default()
        },
        ..config()
    });
    let mut client = Client::new(&server);
    let first = client.post(Method::ALLOCATE, &udp);
    for _ in 0..9 {
        client.post(Method::ALLOCATE, &udp);
    }
    let limited = || server.handle().counters().drops(DropReason::RateLimited);
    wait_until("one is answered, the others are not", || limited() >= 8);
    assert_eq!(client.answer(first).code(), 401);
}

#[test]
fn another_limit_on_unauthenticated_requests_holds_at_once() {
    let server = start(config());
    let handle = server.handle();
    let mut client = Client::new(&server);
    client.allocate();
    for _ in 0..100 {
        client.ask_unsigned();
    }
    assert_eq!(handle.counters().drops(DropReason::RateLimited), 0);
    handle.set_unauthenticated_limit(ONE);
    let other = Client::new(&server);
    wait_until("requests are withheld", || {
        other.send(
            &other
                .account
                .write(Method::ALLOCATE, crate::client::transaction_id(), &udp),
        );
        handle.counters().drops(DropReason::RateLimited) > 0
    });
    // Who has shown a password is not concerned.
    assert_eq!(client.request(Method::REFRESH, &|_| {}).code(), 0);
    handle.set_unauthenticated_limit(PrefixLimits {
        per_second: 0,
        ..ONE
    });
    // At one a second this would take longer than the test waits.
    let answered = || handle.counters().replies(Method::ALLOCATE, 401);
    let before = answered();
    wait_until("requests are answered again", || {
        other.send(
            &other
                .account
                .write(Method::ALLOCATE, crate::client::transaction_id(), &udp),
        );
        answered() > before + 100
    });
}
