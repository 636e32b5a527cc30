//! Long-term credentials (RFC 8489 §9.2.4).

use wharf_stun::attribute::{
    Nonce, PasswordAlgorithm, PasswordAlgorithms, Realm, RequestedTransport, Username,
};
use wharf_stun::security_features::SecurityFeatures;
use wharf_stun::{AttributeType, Class, Method, Sha1Key, Writer, credential};
use wharf_turn::{Algorithms, AuthFailure, Config, Event, UserId};

use crate::support::{Algorithm, Client, Did, Host, config, secs};

const MD5: PasswordAlgorithm<'_> = PasswordAlgorithm::MD5;
const SHA256: PasswordAlgorithm<'_> = PasswordAlgorithm::SHA256;
const OTHER: PasswordAlgorithm<'_> = PasswordAlgorithm {
    algorithm: 7,
    parameters: &[],
};

/// The error code of an Allocate whose credentials are written by `sign`.
fn refused(
    host: &mut Host,
    client: &mut Client,
    sign: impl FnOnce(&Client, &mut Writer<'_>) -> Result<(), wharf_stun::WriteError>,
) -> Option<u16> {
    let me = client.clone();
    let request = client.message(Method::ALLOCATE, Class::Request, |w| {
        w.push(&RequestedTransport::UDP)?;
        sign(&me, w)
    });
    let answer = host.client(&client.path, &request).reply();
    if answer.error == Some(400) {
        assert_eq!(answer.types(), [AttributeType::ERROR_CODE]);
    }
    answer.error
}

pub(crate) fn failed(client: &Client, user: Option<&str>, why: AuthFailure) -> Event {
    Event::AuthenticationFailed {
        path: client.path,
        user: user.map(Into::into),
        why,
    }
}

#[test]
fn l1_without_integrity_there_is_a_challenge_and_no_event() {
    let mut host = Host::default();
    let mut client = Client::new(&mut host, "alice", 1);
    let request = client.message(Method::ALLOCATE, Class::Request, |w| {
        w.push(&RequestedTransport::UDP)?
            .push(&Username("alice"))
            .map(drop)
    });
    let answer = host.client(&client.path, &request).reply();
    assert_eq!(
        answer.types(),
        [
            AttributeType::ERROR_CODE,
            AttributeType::REALM,
            AttributeType::NONCE,
            AttributeType::PASSWORD_ALGORITHMS,
        ]
    );
    assert_eq!(answer.get(), Some(Realm("wharf")));
    let other = Client::new(&mut host, "alice", 2);
    assert_ne!(answer.nonce(), other.nonce);
    host.assert_initial();
}

#[test]
fn l2_integrity_without_the_rest_is_malformed() {
    let mut host = Host::default();
    let mut client = Client::new(&mut host, "alice", 1);
    for missing in 0..3 {
        let code = refused(&mut host, &mut client, |me, w| {
            if missing != 0 {
                w.push(&Username("alice"))?;
            }
            if missing != 1 {
                w.push(&Realm("wharf"))?;
            }
            if missing != 2 {
                w.push(&Nonce(&me.nonce))?;
            }
            w.integrity_sha256(&me.sha256_key()).map(drop)
        });
        assert_eq!(code, Some(400), "{missing}");
    }
    assert_eq!(host.take_did(), []);
}

#[test]
pub(crate) fn l3_the_nonce_tells_the_security_features() {
    for (sha256, anonymity, cookie) in [
        (true, false, "obMatJos2gAAA"),
        (true, true, "obMatJos2wAAA"),
        (false, false, "obMatJos2AAAA"),
        (false, true, "obMatJos2QAAA"),
    ] {
        let mut host = Host::new(Config {
            algorithms: Algorithms { md5: true, sha256 },
            username_anonymity: anonymity,
            ..config()
        });
        let client = Client::new(&mut host, "alice", 1);
        assert!(client.nonce.starts_with(cookie.as_bytes()));
        assert!(client.nonce.len() < 128);
        let features = SecurityFeatures::decode(&client.nonce).expect("features");
        assert_eq!(features.password_algorithms, sha256);
        assert_eq!(features.username_anonymity, anonymity);
    }
}

#[test]
fn l4_a_choice_must_be_one_that_was_offered() {
    let mut host = Host::default();
    let mut client = Client::new(&mut host, "alice", 1);
    let lists: [(
        Option<PasswordAlgorithm<'_>>,
        Option<&[PasswordAlgorithm<'_>]>,
    ); 6] = [
        (Some(SHA256), None),
        (None, Some(&[MD5, SHA256])),
        // A list that somebody on the way has shortened, reordered or prolonged.
        (Some(MD5), Some(&[MD5])),
        (Some(SHA256), Some(&[SHA256, MD5])),
        (Some(SHA256), Some(&[MD5, SHA256, OTHER])),
        (Some(OTHER), Some(&[MD5, SHA256])),
    ];
    for (choice, list) in lists {
        let code = refused(&mut host, &mut client, |me, w| {
            w.push(&Username("alice"))?
                .push(&Realm("wharf"))?
                .push(&Nonce(&me.nonce))?;
            if let Some(choice) = choice {
                w.push(&choice)?;
            }
            if let Some(list) = list {
                w.push(&PasswordAlgorithms::new(list))?;
            }
            w.integrity_sha256(&me.sha256_key()).map(drop)
        });
        assert_eq!(code, Some(400), "{choice:?} {list:?}");
    }
    assert_eq!(host.take_did(), []);
    // Neither of them is MD5.
    client.algorithm = Algorithm::Legacy;
    client.allocate(&mut host);
}

#[test]
pub(crate) fn l4_algorithms_that_are_not_offered_are_refused() {
    let mut host = Host::new(Config {
        algorithms: Algorithms {
            md5: false,
            sha256: true,
        },
        ..config()
    });
    let mut client = Client::new(&mut host, "alice", 1);
    let code = refused(&mut host, &mut client, |me, w| {
        let mut me = me.clone();
        me.algorithm = Algorithm::Legacy;
        me.sign(w)
    });
    assert_eq!(code, Some(400), "RFC 8489: as though MD5 had been chosen");
    client.offered = vec![PasswordAlgorithm::SHA256];
    client.allocate(&mut host);
}

#[test]
fn l5_an_unknown_user_is_challenged_again() {
    let mut host = Host::default();
    let mut client = Client::new(&mut host, "mallory", 1);
    let answer = client.allocate_with(&mut host, |_| Ok(()));
    assert_eq!(answer.error, Some(401));
    assert_eq!(
        host.take_did(),
        [Did::LookUp(UserId::Name("mallory".into()))]
    );
    assert_eq!(
        host.events(),
        [failed(&client, Some("mallory"), AuthFailure::UnknownUser)]
    );

    client.anonymous = true;
    let answer = client.allocate_with(&mut host, |_| Ok(()));
    assert_eq!(answer.error, Some(401));
    let hash = credential::userhash("mallory", "wharf");
    assert_eq!(host.take_did(), [Did::LookUp(UserId::Hash(hash))]);
    assert_eq!(
        host.events(),
        [failed(&client, None, AuthFailure::UnknownUser)]
    );

    client.name = "alice".into();
    client.password = "alice-password".into();
    client.allocate(&mut host);
}

#[test]
fn l6_a_wrong_password_is_answered_like_an_unknown_user() {
    let mut host = Host::default();
    let mut client = Client::new(&mut host, "alice", 1);
    let mut stranger = Client::new(&mut host, "alicf", 2);
    client.password = "wrong".into();
    let wrong = client.allocate_with(&mut host, |_| Ok(()));
    let unknown = stranger.allocate_with(&mut host, |_| Ok(()));
    assert_eq!((wrong.error, unknown.error), (Some(401), Some(401)));
    assert_eq!(wrong.types(), unknown.types());
    assert_eq!(wrong.bytes.len(), unknown.bytes.len());
    assert_eq!(
        host.events(),
        [
            failed(&client, Some("alice"), AuthFailure::WrongPassword),
            failed(&stranger, Some("alicf"), AuthFailure::UnknownUser),
        ]
    );
    host.forget();

    // With both, only MESSAGE-INTEGRITY-SHA256 counts.
    client.password = "alice-password".into();
    let (right, wrong) = (client.sha256_key(), stranger.sha256_key());
    let right_sha1 = credential::long_term_sha256("alice", "wharf", "alice-password");
    for (sha1, sha256, expected) in [(right_sha1, &wrong, Some(401)), ([0; 32], &right, None)] {
        let code = refused(&mut host, &mut client, |me, w| {
            w.push(&Username("alice"))?
                .push(&Realm("wharf"))?
                .push(&Nonce(&me.nonce))?
                .push(&PasswordAlgorithm::SHA256)?
                .push(&PasswordAlgorithms::new(&me.offered))?;
            w.integrity_sha1(&Sha1Key::new(&sha1))?;
            w.integrity_sha256(sha256).map(drop)
        });
        assert_eq!(code, expected);
    }
    host.forget();
}

#[test]
pub(crate) fn l7_a_stale_nonce_is_renewed_but_only_for_who_knows_the_password() {
    let mut host = Host::new(Config {
        nonce_lifetime: secs(100),
        ..config()
    });
    let mut client = Client::new(&mut host, "alice", 1);
    client.allocate(&mut host);
    host.wait(secs(99));
    assert_eq!(client.refresh(&mut host, 600).error, None);
    host.wait(secs(1));
    let answer = client.refresh(&mut host, 600);
    assert_eq!(answer.error, Some(438));
    // Wrong in both: RFC 8489 looks at the integrity first.
    let mut wrong = client.clone();
    wrong.password = "wrong".into();
    assert_eq!(wrong.refresh(&mut host, 600).error, Some(401));
    assert_eq!(
        host.events(),
        [failed(&client, Some("alice"), AuthFailure::WrongPassword)]
    );
    assert_eq!(host.take_did().len(), 1, "the back-end was asked again");

    client.nonce = answer.nonce();
    assert_eq!(client.refresh(&mut host, 600).error, None);
    client.nonce = b"not of this server".to_vec();
    client.algorithm = Algorithm::Legacy;
    assert_eq!(client.refresh(&mut host, 600).error, Some(438));
}

#[test]
fn l8_replies_are_protected_as_the_request_was() {
    for algorithm in [Algorithm::Legacy, Algorithm::Md5, Algorithm::Sha256] {
        for anonymous in [false, true] {
            let mut host = Host::new(Config {
                username_anonymity: true,
                ..config()
            });
            let mut client = Client::new(&mut host, "alice", 1);
            (client.algorithm, client.anonymous) = (algorithm, anonymous);
            // `Client::send` checks each of these replies.
            client.allocate(&mut host);
            assert_eq!(client.refresh(&mut host, 600).error, None);
            assert_eq!(client.permit(&mut host, &[]), Some(400));
            assert_eq!(client.refresh(&mut host, 0).error, None);
            assert_eq!(client.refresh(&mut host, 0).error, Some(437));
            host.forget();
            host.assert_initial();
        }
    }
}

#[test]
fn l10_a_nonce_serves_one_address_and_many_requests() {
    let mut host = Host::default();
    let mut client = Client::new(&mut host, "alice", 1);
    let mut thief = Client::new(&mut host, "alice", 2);
    client.allocate(&mut host);
    for _ in 0..3 {
        assert_eq!(client.refresh(&mut host, 600).error, None);
    }
    thief.nonce.clone_from(&client.nonce);
    let answer = thief.allocate_with(&mut host, |_| Ok(()));
    assert_eq!(answer.error, Some(438));
    thief.nonce = answer.nonce();
    thief.allocate(&mut host);
}

#[test]
fn l13_a_failure_is_no_obstacle_to_what_follows() {
    let mut host = Host::default();
    let mut client = Client::new(&mut host, "alice", 1);
    client.password = "wrong".into();
    assert_eq!(client.allocate_with(&mut host, |_| Ok(())).error, Some(401));
    client.nonce = b"x".to_vec();
    assert_eq!(client.allocate_with(&mut host, |_| Ok(())).error, Some(401));
    host.forget();
    client.password = "alice-password".into();
    client.challenge(&mut host);
    client.allocate(&mut host);
}
