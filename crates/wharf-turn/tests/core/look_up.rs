//! Credentials that end or change, and the back-end that knows them.

use std::sync::Arc;

use wharf_stun::Method;
use wharf_stun::attribute::RequestedTransport;
use wharf_turn::{
    AuthFailure, Config, Credential, CredentialAnswer, DropReason, Event, FreedBy, UserId,
};

use crate::credential::failed;
use crate::support::{Client, Did, Host, Reaction, config, secs};

fn allocate(client: &mut Client) -> Vec<u8> {
    client.request(Method::ALLOCATE, |w| {
        w.push(&RequestedTransport::UDP).map(drop)
    })
}

fn with_expiry(strict: bool) -> (Host, Client) {
    let mut host = Host::new(Config {
        strict_expiry: strict,
        ..config()
    });
    let mut client = Client::new(&mut host, "alice", 1);
    let expiring = Credential::from_password("1800000100:x", "x".into(), "wharf", "p")
        .valid_until(host.now + secs(100));
    host.add_user(expiring);
    client.name = "1800000100:x".into();
    client.password = "p".into();
    (host, client)
}

#[test]
fn l11_an_expired_credential_makes_no_allocation() {
    let (mut host, mut client) = with_expiry(false);
    assert_eq!(client.allocate_with(&mut host, |_| Ok(())).error, None);
    assert_eq!(
        host.quotas.user("x"),
        1,
        "the user of quotas is not the USERNAME"
    );
    host.forget();
    host.wait(secs(100));
    assert_eq!(
        client.refresh(&mut host, 600).error,
        None,
        "a live one goes on"
    );

    let mut other = Client::new(&mut host, "alice", 2);
    (other.name, other.password) = (client.name.clone(), client.password.clone());
    assert_eq!(other.allocate_with(&mut host, |_| Ok(())).error, Some(401));
    assert_eq!(
        host.events(),
        [failed(
            &other,
            Some("1800000100:x"),
            AuthFailure::UnknownUser
        )]
    );

    // Nor does it on the five-tuple of an allocation that has ended and was not cleaned up yet.
    host.now += secs(601);
    assert_eq!(client.allocate_with(&mut host, |_| Ok(())).error, Some(401));
    host.wait(secs(0));
    host.forget();
    host.assert_initial();
}

#[test]
pub(crate) fn l11_strict_expiry_refuses_a_live_allocation_too() {
    let (mut host, mut client) = with_expiry(true);
    assert_eq!(client.allocate_with(&mut host, |_| Ok(())).error, None);
    host.forget();
    host.wait(secs(99));
    assert_eq!(client.refresh(&mut host, 600).error, None);
    host.wait(secs(1));
    assert_eq!(client.refresh(&mut host, 600).error, Some(401));
    assert_eq!(client.permit(&mut host, &[crate::support::PEER]), Some(401));
    host.forget();
}

#[test]
fn l11_both_secrets_serve_during_rotation() {
    let mut host = Host::default();
    let keys = ["old", "new"].map(|password| {
        Arc::new(Credential::from_password(
            "alice",
            "alice".into(),
            "wharf",
            password,
        ))
    });
    let found = CredentialAnswer::Found(keys.to_vec());
    host.users.insert(UserId::Name("alice".into()), found);
    for (port, password, expected) in [(1, "old", None), (2, "new", None), (3, "no", Some(401))] {
        host.server.forget_credentials();
        let mut client = Client::new(&mut host, "alice", port);
        client.password = password.into();
        assert_eq!(client.allocate_with(&mut host, |_| Ok(())).error, expected);
    }
    host.forget();
}

#[test]
fn a_changed_password_serves_a_live_allocation() {
    let mut host = Host::default();
    let mut client = Client::new(&mut host, "alice", 1);
    client.allocate(&mut host);
    host.add_user(Credential::from_password(
        "alice",
        "alice".into(),
        "wharf",
        "changed",
    ));
    client.password = "changed".into();
    assert_eq!(client.refresh(&mut host, 0).error, None);
    assert_eq!(
        host.take_did()[0],
        Did::LookUp(UserId::Name("alice".into()))
    );
    let freed = Event::Freed {
        path: client.path,
        user: "alice".into(),
        by: FreedBy::Client,
    };
    assert_eq!(host.events(), [freed]);
}

#[test]
fn a_back_end_that_fails_is_a_server_error() {
    let mut host = Host::default();
    let mut client = Client::new(&mut host, "alice", 1);
    host.users
        .insert(UserId::Name("alice".into()), CredentialAnswer::Unavailable);
    assert_eq!(client.allocate_with(&mut host, |_| Ok(())).error, Some(500));
    host.take_did();
    host.assert_initial();
}

#[test]
fn a_slow_back_end_holds_up_only_who_waits_for_it() {
    let mut host = Host::default();
    let mut alice = Client::new(&mut host, "alice", 1);
    let mut bob = Client::new(&mut host, "bob", 2);
    bob.allocate(&mut host);
    host.answers_look_ups = false;
    let request = allocate(&mut alice);
    assert_eq!(host.client(&alice.path, &request), Reaction::Waiting);
    assert_eq!(
        host.client(&alice.path, &request),
        Reaction::Waiting,
        "sent again"
    );
    assert_eq!(bob.refresh(&mut host, 600).error, None);
    let answers = [host.release_look_up(), host.release_look_up()].map(|reaction| {
        let answer = reaction.expect("held").reply();
        alice.check(&answer);
        answer
    });
    assert_eq!(answers[0].error, None);
    assert_eq!(answers[0], answers[1]);
    assert_eq!(host.server.allocations(), 2);
    host.forget();
}

#[test]
pub(crate) fn look_ups_are_bounded_and_half_of_them_want_a_valid_nonce() {
    let mut host = Host::new(Config {
        max_look_ups: 4,
        ..config()
    });
    host.answers_look_ups = false;
    let mut known = Client::new(&mut host, "alice", 1);
    let mut spoofed = Client::new(&mut host, "bob", 2);
    spoofed.nonce.clone_from(&known.nonce);
    for _ in 0..2 {
        let request = allocate(&mut spoofed);
        assert_eq!(host.client(&spoofed.path, &request), Reaction::Waiting);
    }
    assert_eq!(
        spoofed.allocate_with(&mut host, |_| Ok(())).error,
        Some(438)
    );
    for _ in 0..2 {
        let request = allocate(&mut known);
        assert_eq!(host.client(&known.path, &request), Reaction::Waiting);
    }
    let request = allocate(&mut known);
    let full = Reaction::Dropped(DropReason::LookUpsFull);
    assert_eq!(host.client(&known.path, &request), full);
    assert_eq!(host.server.pending(), 4);
    while host.release_look_up().is_some() {}
    assert_eq!(host.server.pending(), 0);
    // There is room again.
    host.server.forget_credentials();
    let request = allocate(&mut spoofed);
    assert_eq!(host.client(&spoofed.path, &request), Reaction::Waiting);
    assert!(host.release_look_up().is_some());
    host.forget();
}

#[test]
fn a_request_too_long_to_keep_is_not_kept() {
    let mut host = Host::default();
    let mut client = Client::new(&mut host, "alice", 1);
    let request = client.request(Method::ALLOCATE, |w| {
        w.push(&RequestedTransport::UDP)?;
        w.push(&crate::support::Raw::<0x8777>(&[0; 1_500]))
            .map(drop)
    });
    let full = Reaction::Dropped(DropReason::LookUpsFull);
    assert_eq!(host.client(&client.path, &request), full);
}
