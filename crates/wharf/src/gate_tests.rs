//! Tests of `gate`, apart from it because `tests/model` compiles its source for loom.

use crate::gate::Gate;

#[test]
fn a_limit_is_never_exceeded_and_zero_is_none() {
    let gate = Gate::new(2);
    let first = gate.try_enter().unwrap();
    let _second = gate.try_enter().unwrap();
    assert!(gate.try_enter().is_none());
    drop(first);
    assert!(gate.try_enter().is_some());
    let open = Gate::new(0);
    let passes: Vec<_> = (0..10_000).map(|_| open.try_enter().unwrap()).collect();
    assert_eq!((open.inside(), passes.len()), (10_000, 10_000));
}

#[test]
fn a_lowered_limit_leaves_those_inside() {
    let gate = Gate::new(3);
    let passes = [gate.try_enter(), gate.try_enter(), gate.try_enter()];
    gate.set_limit(1);
    assert!(gate.try_enter().is_none());
    assert_eq!(gate.inside(), 3);
    drop(passes);
    assert!(gate.try_enter().is_some());
}

#[tokio::test]
async fn who_waits_enters_when_another_leaves_or_the_limit_rises() {
    let gate = Gate::new(1);
    let inside = gate.enter().await;
    let mut waiting = Box::pin(gate.enter());
    assert!(futures_util::poll!(&mut waiting).is_pending());
    drop(inside);
    let _second = waiting.await;
    let mut waiting = Box::pin(gate.enter());
    assert!(futures_util::poll!(&mut waiting).is_pending());
    gate.set_limit(2);
    drop(waiting.await);
}
