//! The poller, the waker, and what the machine offers.

use std::time::{Duration, Instant};

use crate::common::{V4, bind, plain, send, wait};
use wharf_udp::{
    Event, Events, Poller, ReceiveBatch, SendBatch, Timer, Waker, allowed_cpus,
    interface_addresses, pin_current_thread,
};

#[test]
fn a_waker_ends_a_wait_from_another_thread() {
    let waker = Waker::new().unwrap();
    let other = waker.clone();
    let thread = std::thread::spawn(move || {
        other.wake();
        other.wake();
    });
    assert_eq!(
        wait(&waker),
        Event {
            token: 1,
            readable: true,
            error: false
        }
    );
    thread.join().unwrap();
    waker.drain();
    // Draining once undoes any number of wakes, and draining twice does not wait.
    waker.drain();
    let poller = Poller::new().unwrap();
    poller.add(&waker, 9).unwrap();
    let mut events = Events::new(4);
    assert_eq!(poller.wait(&mut events, Some(Duration::ZERO)).unwrap(), 0);
    waker.wake();
    assert_eq!(poller.wait(&mut events, None).unwrap(), 1);
    assert_eq!(events.iter().next().unwrap().token, 9);
}

#[test]
fn the_poller_reports_until_all_is_read_and_forgets_what_is_removed() {
    let (server, client) = (bind(V4, &plain()), bind(V4, &plain()));
    let poller = Poller::new().unwrap();
    poller.add(&server, u64::MAX).unwrap();
    let mut events = Events::new(4);
    send(&client, server.local_addr(), &[b"x"]);
    wait(&server);
    for _ in 0..2 {
        assert_eq!(poller.wait(&mut events, None).unwrap(), 1);
        let expected = Event {
            token: u64::MAX,
            readable: true,
            error: false,
        };
        assert_eq!(events.iter().collect::<Vec<_>>(), [expected]);
    }
    poller.remove(&server).unwrap();
    assert_eq!(poller.wait(&mut events, Some(Duration::ZERO)).unwrap(), 0);
    assert_eq!(events.iter().count(), 0);
    assert!(poller.remove(&server).is_err());
}

#[test]
fn a_timeout_is_never_cut_short() {
    let poller = Poller::new().unwrap();
    for micros in [1, 300, 1500] {
        let timeout = Duration::from_micros(micros);
        let start = Instant::now();
        assert_eq!(poller.wait(&mut Events::new(1), Some(timeout)).unwrap(), 0);
        assert!(start.elapsed() >= timeout);
    }
}

#[test]
fn loopback_is_among_the_interface_addresses_once() {
    let addresses = interface_addresses().unwrap();
    let loopback = addresses
        .iter()
        .filter(|ip| **ip == std::net::Ipv4Addr::LOCALHOST);
    assert_eq!(loopback.count(), 1);
}

#[test]
fn a_thread_stays_on_the_processor_it_is_pinned_to() {
    let allowed = allowed_cpus();
    let last = *allowed.last().unwrap();
    // Pinning is for good, hence a thread of its own.
    let pinned = std::thread::spawn(move || {
        pin_current_thread(last).unwrap();
        allowed_cpus()
    });
    assert_eq!(pinned.join().unwrap(), [last]);
    assert_eq!(allowed_cpus(), allowed);
    assert!(pin_current_thread(8191).is_err());
    assert!(pin_current_thread(usize::MAX).is_err());
}

#[test]
fn a_worker_can_take_its_sockets_and_batches_along() {
    let (server, client) = (bind(V4, &plain()), bind(V4, &plain()));
    let to = server.local_addr();
    let (mut batch, none) = (SendBatch::new(4, 4), ReceiveBatch::new(1));
    batch
        .push_bytes(to, None, 0, b"staged before the move")
        .unwrap();
    let worker = std::thread::spawn(move || batch.flush(&client, &none).sent);
    assert_eq!(worker.join().unwrap(), 1);

    let mut batch = ReceiveBatch::new(1);
    wait(&server);
    server.receive(&mut batch, 1).unwrap();
    let worker = std::thread::spawn(move || batch.get(0).data.to_vec());
    assert_eq!(worker.join().unwrap(), b"staged before the move");
}

#[test]
fn a_timer_ends_a_wait_once_it_is_due_and_until_it_is_drained() {
    let timer = Timer::new().unwrap();
    let poller = Poller::new().unwrap();
    poller.add(&timer, 5).unwrap();
    let mut events = Events::new(4);
    assert_eq!(poller.wait(&mut events, Some(Duration::ZERO)).unwrap(), 0);

    let start = Instant::now();
    timer.set(Duration::from_mins(10)).unwrap();
    timer.set(Duration::from_millis(20)).unwrap();
    assert_eq!(poller.wait(&mut events, None).unwrap(), 1);
    assert!(start.elapsed() >= Duration::from_millis(20));
    assert!(
        events
            .iter()
            .all(|event| event.token == 5 && event.readable)
    );

    assert_eq!(poller.wait(&mut events, None).unwrap(), 1, "not drained");
    timer.drain();
    assert_eq!(poller.wait(&mut events, Some(Duration::ZERO)).unwrap(), 0);
    timer.set(Duration::ZERO).unwrap();
    assert_eq!(poller.wait(&mut events, None).unwrap(), 1, "at once");
}
