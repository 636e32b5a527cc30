//! Those who listen to events.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::broadcast::error::RecvError;
use wharf::config::Transport;
use wharf::events::Event;
use wharf::{Server, testkit};

use crate::support::echo;

#[tokio::test(start_paused = true)]
async fn a_receiver_that_is_behind_is_told_how_many_it_lost() {
    let (listen, _connector) = testkit::memory(Transport::Tcp);
    let server = Server::builder().listen("web", listen, echo).build();
    let server = server.unwrap();
    let handle = server.handle();
    let mut events = handle.events();
    for _ in 0..600 {
        handle.suspend("web").unwrap();
        handle.resume("web").unwrap();
    }
    // 1,200 events in a room for 1,024, and the last ones are there.
    let Err(RecvError::Lagged(lost)) = events.recv().await else {
        panic!("nothing was lost");
    };
    assert_eq!(lost, 1200 - 1024);
    for index in 0..1024 {
        let event = events.recv().await.unwrap();
        let Event::ListenerSuspended { suspended, .. } = event else {
            panic!("{event:?}");
        };
        assert_eq!(suspended, index % 2 == 0);
    }
    assert!(events.try_recv().is_err());
}

#[tokio::test(start_paused = true)]
async fn functions_are_called_with_every_event_even_beside_one_that_panics() {
    let (listen, _connector) = testkit::memory(Transport::Tcp);
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    let server = Server::builder()
        .listen("web", listen, echo)
        .on_event(|_| panic!("an observer fails"))
        .on_event(move |event| {
            assert!(matches!(event, Event::ListenerSuspended { .. }));
            counted.fetch_add(1, Ordering::Relaxed);
        })
        .build()
        .unwrap();
    let handle = server.handle();
    let mut events = handle.events();
    handle.suspend("web").unwrap();
    handle.resume("web").unwrap();
    assert_eq!(calls.load(Ordering::Relaxed), 2);
    assert!(events.try_recv().is_ok() && events.try_recv().is_ok());
}
