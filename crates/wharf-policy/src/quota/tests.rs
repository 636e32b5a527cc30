use super::*;
use proptest::prelude::*;

fn user(name: &str) -> Arc<str> {
    name.into()
}

fn quotas(per_user: u32, total: u32) -> Quotas {
    Quotas::new(QuotaLimits { per_user, total })
}

/// T20: the user's limit counts by user.
#[test]
fn t20_user_limit() {
    let quotas = quotas(2, 0);
    let (alice, bob) = (user("alice"), user("bob"));
    let first = quotas.acquire(&alice).unwrap();
    let _second = quotas.acquire(&alice).unwrap();
    assert_eq!(
        quotas.acquire(&user("alice")).unwrap_err(),
        QuotaRefusal::User { limit: 2 }
    );
    let _other = quotas.acquire(&bob).unwrap();
    assert_eq!(
        (quotas.user("alice"), quotas.user("bob"), quotas.live()),
        (2, 1, 3)
    );
    drop(first);
    assert!(quotas.acquire(&alice).is_ok());
}

/// T21: the server's limit counts them all.
#[test]
fn t21_total_limit() {
    let quotas = quotas(0, 2);
    let _alice = quotas.acquire(&user("alice")).unwrap();
    let _bob = quotas.acquire(&user("bob")).unwrap();
    assert_eq!(
        quotas.acquire(&user("carol")).unwrap_err(),
        QuotaRefusal::Total { limit: 2 }
    );
    assert_eq!(
        (quotas.user("carol"), quotas.users()),
        (0, 2),
        "a refusal leaves no entry"
    );
}

#[test]
fn the_user_limit_is_told_first() {
    let quotas = quotas(1, 1);
    let _permit = quotas.acquire(&user("alice")).unwrap();
    assert_eq!(
        quotas.acquire(&user("alice")).unwrap_err(),
        QuotaRefusal::User { limit: 1 }
    );
}

#[test]
fn limits_change_live() {
    let quotas = quotas(3, 0);
    let alice = user("alice");
    let mut permits: Vec<_> = (0..3).map(|_| quotas.acquire(&alice).unwrap()).collect();
    quotas.set_limits(QuotaLimits {
        per_user: 2,
        total: 0,
    });
    assert_eq!(
        quotas.limits(),
        QuotaLimits {
            per_user: 2,
            total: 0
        }
    );
    assert_eq!(quotas.user("alice"), 3, "held permits stay");
    permits.truncate(2);
    assert!(quotas.acquire(&alice).is_err());
    permits.truncate(1);
    assert!(quotas.acquire(&alice).is_ok());
}

#[test]
fn a_panic_elsewhere_does_not_close_the_books() {
    let quotas = quotas(0, 0);
    let held = quotas.acquire(&user("alice")).unwrap();
    let theirs = quotas.clone();
    let died = std::thread::spawn(move || {
        let _books = theirs.0.lock().unwrap();
        panic!("while holding the lock");
    });
    assert!(died.join().is_err());
    assert!(quotas.0.is_poisoned());
    assert!(quotas.acquire(&user("bob")).is_ok());
    drop(held);
    assert_eq!((quotas.live(), quotas.users()), (0, 0));
}

#[test]
fn workers_share_the_books() {
    let quotas = quotas(0, 100);
    let held: Vec<_> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..4)
            .map(|worker| {
                let quotas = quotas.clone();
                scope.spawn(move || {
                    let name = user(&format!("user{worker}"));
                    (0..50)
                        .filter_map(|_| quotas.acquire(&name).ok())
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        workers
            .into_iter()
            .flat_map(|worker| worker.join().unwrap())
            .collect()
    });
    assert_eq!((held.len(), quotas.live()), (100, 100));
    drop(held);
    assert_eq!((quotas.live(), quotas.users()), (0, 0));
}

proptest! {
    /// The books agree with a plain count after every step, and are empty at the end.
    #[test]
    fn quotas_return_to_zero(
        per_user in 0u32..4,
        total in 0u32..8,
        steps in proptest::collection::vec((any::<bool>(), 0usize..5, any::<usize>()), 0..80),
    ) {
        let quotas = quotas(per_user, total);
        let names: Vec<_> = (0..5).map(|i| user(&format!("user{i}"))).collect();
        let mut held: Vec<QuotaPermit> = Vec::new();
        for (acquire, who, which) in steps {
            if acquire {
                let mine = held.iter().filter(|permit| permit.user() == &names[who]).count();
                let full = per_user > 0 && mine >= per_user as usize;
                let all_full = total > 0 && held.len() >= total as usize;
                match quotas.acquire(&names[who]) {
                    Ok(permit) => {
                        prop_assert!(!full && !all_full);
                        held.push(permit);
                    }
                    Err(QuotaRefusal::User { limit }) => {
                        prop_assert!(full && limit == per_user);
                    }
                    Err(QuotaRefusal::Total { limit }) => {
                        prop_assert!(!full && all_full && limit == total);
                    }
                }
            } else if !held.is_empty() {
                drop(held.swap_remove(which % held.len()));
            }
            prop_assert_eq!(quotas.live() as usize, held.len());
            for name in &names {
                let mine = held.iter().filter(|permit| permit.user() == name).count();
                prop_assert_eq!(quotas.user(name) as usize, mine);
            }
        }
        held.clear();
        prop_assert_eq!((quotas.live(), quotas.users()), (0, 0));
    }
}
