//! Every interleaving of those who enter, wait and leave, and of those who suspend and drain.
//!
//! The source of `gate` and `registry` itself is compiled here, with loom's primitives.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "a part of a crate, without its users"
)]

#[path = "../../src/gate.rs"]
mod gate;
#[path = "../../src/registry.rs"]
mod registry;
mod sync;

/// What a registry lists.
mod connection {
    pub(crate) struct Shared;
}

use std::pin::pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Wake, Waker};

use gate::Gate;
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;
use registry::Registry;

/// Wakes a thread that waits in [`block_on`].
struct Unpark(thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Runs a future on this thread, which sleeps while it waits: a wake-up that is lost is a deadlock
/// that loom reports.
fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut cx = Context::from_waker(&waker);
    loop {
        match future.as_mut().poll(&mut cx) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

/// Two wait for the place of one who leaves: both get in, one after the other.
#[test]
fn who_waits_is_woken_and_the_limit_holds() {
    loom::model(|| {
        let gate = Gate::new(1);
        let inside = gate.try_enter().unwrap();
        let waiting = {
            let gate = gate.clone();
            thread::spawn(move || {
                let pass = block_on(gate.enter());
                assert!(gate.inside() <= 1);
                drop(pass);
            })
        };
        drop(inside);
        let pass = block_on(gate.enter());
        assert!(gate.inside() <= 1);
        drop(pass);
        waiting.join().unwrap();
        assert_eq!(gate.inside(), 0);
    });
}

#[test]
fn a_raised_limit_wakes_who_waits() {
    loom::model(|| {
        let gate = Gate::new(1);
        let _inside = gate.try_enter().unwrap();
        let raise = {
            let gate = gate.clone();
            thread::spawn(move || gate.set_limit(2))
        };
        let pass = block_on(gate.enter());
        assert_eq!(gate.inside(), 2);
        raise.join().unwrap();
        drop(pass);
    });
}

#[test]
fn two_who_come_at_once_do_not_share_the_last_place() {
    loom::model(|| {
        let gate = Gate::new(1);
        let other = {
            let gate = gate.clone();
            thread::spawn(move || gate.try_enter())
        };
        let mine = gate.try_enter();
        let theirs = other.join().unwrap();
        assert!(mine.is_some() != theirs.is_some());
        assert_eq!(gate.inside(), 1);
    });
}

/// A listener that is suspended drops the wait of its acceptor: the wake-up goes to the next.
#[test]
fn a_wake_up_is_handed_on_by_who_gives_up() {
    loom::model(|| {
        let gate = Gate::new(1);
        let inside = gate.try_enter().unwrap();
        let leaving = thread::spawn(move || drop(inside));
        let mut gives_up = Box::pin(gate.enter());
        let mut cx = Context::from_waker(Waker::noop());
        let entered = gives_up.as_mut().poll(&mut cx);
        let waiting = {
            let gate = gate.clone();
            thread::spawn(move || drop(block_on(gate.enter())))
        };
        drop((entered, gives_up));
        waiting.join().unwrap();
        leaving.join().unwrap();
        assert_eq!(gate.inside(), 0);
    });
}

#[test]
fn the_last_who_leaves_ends_the_wait_of_a_drain() {
    loom::model(|| {
        let registry = Arc::new(Registry::default());
        let slots = [registry.insert(Weak::new()), registry.insert(Weak::new())];
        let leaving = slots.map(|slot| {
            let registry = registry.clone();
            thread::spawn(move || registry.remove(slot))
        });
        block_on(registry.empty());
        assert_eq!(registry.len(), 0);
        for thread in leaving {
            thread.join().unwrap();
        }
    });
}

/// An arrival in the middle of the start of a drain is turned away, or waited for.
#[test]
fn no_arrival_outlives_a_drain() {
    loom::model(|| {
        let registry = Arc::new(Registry::default());
        let served = Arc::new(AtomicBool::new(false));
        let arrival = {
            let (registry, served) = (registry.clone(), served.clone());
            thread::spawn(move || {
                let slot = registry.insert(Weak::new());
                if !registry.is_closed() {
                    served.store(true, Ordering::SeqCst);
                    thread::yield_now();
                    served.store(false, Ordering::SeqCst);
                }
                registry.remove(slot);
            })
        };
        registry.close();
        block_on(registry.empty());
        assert!(!served.load(Ordering::SeqCst), "served after the drain");
        arrival.join().unwrap();
        assert!(!served.load(Ordering::SeqCst));
    });
}
