//! Who may allocate: users, keys and REST secrets.

use std::sync::mpsc;
use std::time::{Duration, SystemTime};

use wharf_stun::{Method, credential};
use wharf_turn_server::{
    AuthFailure, Config, CoreConfig, Counter, Credentials, Event, EventHook, PrefixLimits,
    QuotaLimits, TurnServer, rest_password,
};

use crate::client::{Client, Login, udp};
use crate::support::{PATIENCE, REALM, config, peer_v4, start, users};

fn with(credentials: Credentials) -> TurnServer {
    start(Config {
        credentials,
        ..config()
    })
}

/// The code of an Allocate with these credentials.
fn allocate(server: &TurnServer, login: Login) -> u16 {
    Client::at(server.local_addrs()[0], login)
        .try_allocate(&|_| {})
        .code()
}

fn both_algorithms(login: Login) -> [Login; 2] {
    let modern = Login {
        sha256: true,
        ..login.clone()
    };
    [login, modern]
}

/// A user name of the REST scheme that expires this many seconds from now.
fn rest_name(seconds: i64, user: &str) -> String {
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap();
    format!(
        "{}{user}",
        now.as_secs().checked_add_signed(seconds).unwrap()
    )
}

#[test]
fn a_user_with_a_password() {
    let server = start(config());
    for login in both_algorithms(Login::alice()) {
        assert_eq!(allocate(&server, login), 0);
    }
    assert_eq!(allocate(&server, Login::new("mallory", "wonderland")), 401);
    assert_eq!(allocate(&server, Login::new("alice", "builder")), 401);
    let counters = server.handle().counters();
    assert_eq!(counters.get(Counter::UnknownUser), 1);
    assert_eq!(counters.get(Counter::WrongPassword), 1);
    assert_eq!(counters.replies(Method::ALLOCATE, 0), 2);
    // Four challenges and two refusals.
    assert_eq!(counters.replies(Method::ALLOCATE, 401), 6);
}

#[test]
fn nobody_may_by_default() {
    let server = with(Credentials::default());
    assert_eq!(allocate(&server, Login::alice()), 401);
}

#[test]
fn a_user_with_keys_alone_has_the_algorithms_of_these_keys() {
    let md5 = credential::long_term_md5("alice", REALM, "wonderland");
    let sha256 = credential::long_term_sha256("alice", REALM, "wonderland");
    let cases = [
        (Some(md5), None, [0, 401]),
        (None, Some(sha256), [401, 0]),
        (Some(md5), Some(sha256), [0, 0]),
    ];
    for (md5, sha256, expected) in cases {
        let mut credentials = Credentials::new(REALM);
        credentials.add_keys("alice", md5, sha256);
        let server = with(credentials);
        let codes = both_algorithms(Login::alice()).map(|login| allocate(&server, login));
        assert_eq!(codes, expected);
    }
}

#[test]
fn a_user_known_by_hash() {
    let server = start(Config {
        core: CoreConfig {
            username_anonymity: true,
            ..CoreConfig::default()
        },
        ..config()
    });
    let hashed = |name, password| Login {
        sha256: true,
        hashed: true,
        ..Login::new(name, password)
    };
    assert_eq!(allocate(&server, hashed("alice", "wonderland")), 0);
    assert_eq!(allocate(&server, hashed("alice", "builder")), 401);
    assert_eq!(allocate(&server, hashed("mallory", "wonderland")), 401);
}

#[test]
fn each_secret_of_a_rotation_is_good_until_the_name_expires() {
    let mut credentials = users();
    credentials.add_secret(b"old");
    credentials.add_secret(b"new");
    let server = with(credentials);
    let login = |name: &str, secret: &[u8]| Login::new(name, &rest_password(secret, name));
    for user in [":carol", ""] {
        for (seconds, secret) in [(600, &b"old"[..]), (700, b"new")] {
            let name = rest_name(seconds, user);
            for login in both_algorithms(login(&name, secret)) {
                assert_eq!(allocate(&server, login), 0);
            }
            assert_eq!(allocate(&server, login(&name, b"stolen")), 401);
        }
    }
    for expired in [rest_name(-1, ":carol"), "0:carol".into(), "0".into()] {
        assert_eq!(allocate(&server, login(&expired, b"new")), 401);
    }
    // Seconds that no clock counts to are no reason to fail.
    let never = format!("{}:carol", u64::MAX);
    assert_eq!(allocate(&server, login(&never, b"new")), 0);
    let no_number = "carol:600";
    assert_eq!(allocate(&server, login(no_number, b"new")), 401);
    // Users with passwords are there as well.
    assert_eq!(allocate(&server, Login::alice()), 0);
}

/// Against OpenSSL's answer.
#[test]
fn the_password_of_a_rest_name() {
    // printf 1433895918:user | openssl dgst -sha1 -hmac secret -binary | base64
    let password = rest_password(b"secret", "1433895918:user");
    assert_eq!(password, "duY86vsmGEXM+Ma7pGS//SXJIv0=");
}

/// Quotas count the part behind the colon, so that a new name is no new quota.
#[test]
fn rest_names_of_one_user_share_a_quota() {
    let mut credentials = Credentials::new(REALM);
    credentials.add_secret(b"secret");
    let server = start(Config {
        credentials,
        quotas: QuotaLimits {
            per_user: 1,
            total: 0,
        },
        ..config()
    });
    let login = |seconds, user| {
        let name = rest_name(seconds, user);
        Login::new(&name, &rest_password(b"secret", &name))
    };
    assert_eq!(allocate(&server, login(600, ":carol")), 0);
    assert_eq!(allocate(&server, login(700, ":carol")), 486);
    assert_eq!(allocate(&server, login(700, ":dave")), 0);
}

#[test]
fn an_expired_name_cannot_allocate_but_what_it_has_lives() {
    let mut credentials = Credentials::new(REALM);
    credentials.add_secret(b"secret");
    let server = start(Config {
        credentials,
        core: CoreConfig {
            // The test asks as often as it can.
            unauthenticated: PrefixLimits {
                per_second: 0,
                ..PrefixLimits::default()
            },
            ..CoreConfig::default()
        },
        ..config()
    });
    let name = rest_name(3, ":carol");
    let login = Login::new(&name, &rest_password(b"secret", &name));
    let mut client = Client::at(server.local_addrs()[0], login.clone());
    let (relayed, peer) = (client.allocate(), peer_v4());
    crate::support::wait_until("the name expires", || {
        let mut other = Client::at(server.local_addrs()[0], login.clone());
        match other.try_allocate(&|_| {}).code() {
            0 => other.release(),
            code => assert_eq!(code, 401),
        }
        server.handle().counters().get(Counter::UnknownUser) > 0
    });
    assert_eq!(client.permit(peer.local_addr().unwrap()), 0);
    client.round_trip(&peer, relayed);
}

/// Who guesses passwords is known by address, for the operator to shut out.
#[test]
fn the_hook_is_told_who_failed() {
    let (sender, events) = mpsc::channel();
    let server = start(Config {
        events: Some(EventHook::new(move |event| {
            // The test may be over.
            let _ = sender.send(event.clone());
        })),
        ..config()
    });
    for (login, expected) in [
        (Login::new("alice", "guess"), AuthFailure::WrongPassword),
        (Login::new("mallory", "guess"), AuthFailure::UnknownUser),
    ] {
        let name = login.name.clone();
        let mut client = Client::at(server.local_addrs()[0], login);
        assert_eq!(client.try_allocate(&|_| {}).code(), 401);
        match events.recv_timeout(PATIENCE).unwrap() {
            Event::AuthenticationFailed { path, user, why } => {
                assert_eq!(path.client, client.address());
                assert_eq!(path.server, server.local_addrs()[0]);
                assert_eq!(user.as_deref(), Some(&*name));
                assert_eq!(why, expected);
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(events.try_recv().is_err(), "a challenge is no failure");
}

/// 441: right credentials, another user's allocation.
#[test]
fn an_allocation_is_its_users_alone() {
    let server = start(config());
    let mut client = Client::new(&server);
    client.allocate();
    client.log_in(Login::bob());
    let refresh = client.request(Method::REFRESH, &|_| {});
    assert_eq!(refresh.code(), 441);
    assert_eq!(server.handle().counters().get(Counter::WrongUser), 1);
}

#[test]
fn nonces_are_renewed_when_they_are_old() {
    let server = start(Config {
        core: CoreConfig {
            nonce_lifetime: Duration::from_secs(1),
            ..CoreConfig::default()
        },
        ..config()
    });
    let mut client = Client::new(&server);
    client.allocate();
    crate::support::wait_until("the nonce is stale", || {
        client.ask(Method::REFRESH, &|_| {}).code() == 438
    });
    // The client takes the new nonce from the 438.
    assert_eq!(client.request(Method::REFRESH, &|_| {}).code(), 0);
    assert_eq!(client.ask(Method::ALLOCATE, &udp).code(), 437);
}
