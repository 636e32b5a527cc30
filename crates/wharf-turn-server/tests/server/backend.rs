//! A credential back-end of the caller's own.

use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex};

use wharf_stun::Method;
use wharf_turn_server::{
    Config, CoreConfig, Counter, Credential, CredentialAnswer, Credentials, DropReason, LookUp,
    TurnServer, UserId,
};

use crate::client::{Client, Login, udp};
use crate::support::{PATIENCE, REALM, config, peer_v4, start, users, wait_until};

/// A server whose back-end leaves the questions to the test.
fn asking(core: CoreConfig) -> (TurnServer, Receiver<LookUp>) {
    let (sender, questions) = mpsc::channel();
    let mut credentials = users();
    // A test that is over drops the question, which answers it.
    credentials.set_backend(move |look_up| drop(sender.send(look_up)));
    let server = start(Config {
        credentials,
        core,
        ..config()
    });
    (server, questions)
}

fn found(name: &str, password: &str) -> CredentialAnswer {
    let credential = Credential::from_password(name, name.into(), REALM, password);
    CredentialAnswer::Found(vec![Arc::new(credential)])
}

fn carol(server: &TurnServer) -> Client {
    let mut client = Client::at(server.local_addrs()[0], Login::new("carol", "christmas"));
    // A nonce, so that the next request is one that asks the back-end.
    client.challenge();
    client
}

#[test]
fn a_slow_answer_holds_up_nobody_else() {
    let (server, questions) = asking(CoreConfig::default());
    let (mut alice, peer) = (Client::new(&server), peer_v4());
    let relayed = alice.allocate();
    assert_eq!(alice.permit(peer.local_addr().unwrap()), 0);

    let mut carol = carol(&server);
    let id = carol.post(Method::ALLOCATE, &udp);
    let question = questions.recv_timeout(PATIENCE).unwrap();
    assert_eq!(*question.user(), UserId::Name("carol".into()));
    assert_eq!(question.path().client, carol.address());
    for _ in 0..100 {
        alice.round_trip(&peer, relayed);
    }
    let mut bob = Client::at(server.local_addrs()[0], Login::bob());
    bob.allocate();
    let answered = std::thread::spawn(move || question.answer(found("carol", "christmas")));
    assert_eq!(carol.answer(id).code(), 0);
    answered.join().unwrap();
    assert_eq!(server.handle().allocations(), 3);
    // What was answered is remembered; users that are listed are not asked for.
    carol.release();
    carol.allocate();
    assert!(questions.try_recv().is_err());
}

#[test]
fn what_the_answer_says_is_what_the_client_gets() {
    let (server, questions) = asking(CoreConfig::default());
    let several = || match (found("carol", "easter"), found("carol", "christmas")) {
        (CredentialAnswer::Found(old), CredentialAnswer::Found(new)) => {
            CredentialAnswer::Found([old, new].concat())
        }
        _ => unreachable!(),
    };
    let cases = [
        (CredentialAnswer::Unknown, 401),
        (CredentialAnswer::Unavailable, 500),
        (found("carol", "easter"), 401),
        (found("dave", "christmas"), 401),
        (CredentialAnswer::Found(Vec::new()), 401),
        (several(), 0),
    ];
    for (answer, code) in cases {
        let mut carol = carol(&server);
        let id = carol.post(Method::ALLOCATE, &udp);
        questions
            .recv_timeout(PATIENCE)
            .unwrap()
            .answer(answer.clone());
        assert_eq!(carol.answer(id).code(), code, "{answer:?}");
    }
}

#[test]
fn a_question_that_is_dropped_is_a_500() {
    let (server, questions) = asking(CoreConfig::default());
    let mut carol = carol(&server);
    let id = carol.post(Method::ALLOCATE, &udp);
    drop(questions.recv_timeout(PATIENCE).unwrap());
    assert_eq!(carol.answer(id).code(), 500);
    assert_eq!(server.handle().counters().replies(Method::ALLOCATE, 500), 1);
}

#[test]
fn a_back_end_that_panics_is_a_500_and_a_number() {
    let mut credentials = Credentials::new(REALM);
    credentials.set_backend(|_| panic!("a defect of the back-end"));
    credentials.add_user("alice", "wonderland").unwrap();
    let server = start(Config {
        credentials,
        ..config()
    });
    for panics in 1..=3 {
        let mut carol = carol(&server);
        assert_eq!(carol.ask(Method::ALLOCATE, &udp).code(), 500);
        assert_eq!(server.handle().counters().get(Counter::Panics), panics);
    }
    Client::new(&server).allocate();
}

/// What may wait for a back-end is bounded, and what does not fit is dropped and counted.
#[test]
fn too_many_questions_are_dropped() {
    let (server, questions) = asking(CoreConfig {
        max_look_ups: 2,
        ..CoreConfig::default()
    });
    let mut clients: Vec<_> = (0..3).map(|_| carol(&server)).collect();
    let ids: Vec<_> = clients
        .iter_mut()
        .map(|c| c.post(Method::ALLOCATE, &udp))
        .collect();
    wait_until("one is dropped", || {
        server.handle().counters().drops(DropReason::LookUpsFull) == 1
    });
    for _ in 0..2 {
        let question = questions.recv_timeout(PATIENCE).unwrap();
        question.answer(found("carol", "christmas"));
    }
    for (client, id) in clients.iter_mut().zip(ids).take(2) {
        assert_eq!(client.answer(id).code(), 0);
    }
    clients[2].allocate();
}

/// An answer for a server that has ended goes nowhere.
#[test]
fn an_answer_after_the_end_is_harmless() {
    let kept = Arc::new(Mutex::new(None));
    let place = Arc::clone(&kept);
    let mut credentials = Credentials::new(REALM);
    credentials.set_backend(move |look_up| *place.lock().unwrap() = Some(look_up));
    let server = start(Config {
        credentials,
        ..config()
    });
    let mut carol = carol(&server);
    carol.post(Method::ALLOCATE, &udp);
    wait_until("the question is there", || kept.lock().unwrap().is_some());
    server.stop();
    kept.lock()
        .unwrap()
        .take()
        .unwrap()
        .answer(found("carol", "christmas"));
}
