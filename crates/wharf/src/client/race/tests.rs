use std::sync::Mutex;

use tokio::time::{Instant, sleep};

use super::*;

const STEP: Duration = Duration::from_millis(250);

fn v4(last: u8) -> SocketAddr {
    ([192, 0, 2, last], 1).into()
}

fn v6(last: u16) -> SocketAddr {
    ([0x2001, 0xdb8, 0, 0, 0, 0, 0, last], 1).into()
}

#[test]
fn families_take_turns_and_each_address_comes_once() {
    let found = [v6(1), v6(2), v4(1), v6(3), v4(1), v4(2)];
    let expected = [v6(1), v4(1), v6(2), v4(2), v6(3)];
    assert_eq!(interleave(&found), expected);
    assert_eq!(
        interleave(&[v4(1), v4(2), v6(1), v6(2)]),
        [v4(1), v6(1), v4(2), v6(2)]
    );
    assert_eq!(interleave(&[v4(1), v4(2)]), [v4(1), v4(2)]);
    assert_eq!(interleave(&[]), []);
}

/// What becomes of an attempt, and after how many milliseconds.
type Fate = (Option<u64>, bool);

/// Runs a race, and tells when each address was tried.
async fn run(
    fates: &[(SocketAddr, Fate)],
    delay: Option<Duration>,
) -> (
    Result<SocketAddr, Vec<SocketAddr>>,
    Vec<(u64, SocketAddr)>,
    Tries,
) {
    let began = Instant::now();
    let tried = Mutex::new(Vec::new());
    let tries = Tries::default();
    let order: Vec<_> = fates.iter().map(|(address, _)| *address).collect();
    let connect = |address| {
        let at = u64::try_from(began.elapsed().as_millis()).unwrap();
        tried.lock().unwrap().push((at, address));
        let (after, reached) = fates.iter().find(|(a, _)| *a == address).unwrap().1;
        async move {
            match after {
                Some(after) => sleep(Duration::from_millis(after)).await,
                None => std::future::pending().await,
            }
            let refused = std::io::ErrorKind::ConnectionRefused.into();
            if reached {
                Ok(())
            } else {
                Err(AttemptError::Io(refused))
            }
        }
    };
    let result = match race(&order, delay, &tries, connect).await {
        Ok(((), address)) => Ok(address),
        Err(failed) => Err(failed.iter().map(|one| one.address.ip().unwrap()).collect()),
    };
    (result, tried.into_inner().unwrap(), tries)
}

#[tokio::test(start_paused = true)]
async fn the_next_is_tried_beside_one_that_is_silent() {
    let fates = [
        (v6(1), (None, false)),
        (v4(1), (Some(10), true)),
        (v6(2), (Some(0), true)),
    ];
    let (result, tried, tries) = run(&fates, Some(STEP)).await;
    assert_eq!(result, Ok(v4(1)));
    assert_eq!(tried, [(0, v6(1)), (250, v4(1))]);
    let told = tries.snapshot();
    assert_eq!(
        (told.begun, told.reached, told.failed, told.abandoned),
        (2, 1, 0, 1)
    );
}

#[tokio::test(start_paused = true)]
async fn one_that_was_tried_first_may_still_win() {
    let fates = [(v6(1), (Some(300), true)), (v4(1), (Some(100), true))];
    let (result, tried, tries) = run(&fates, Some(STEP)).await;
    assert_eq!(result, Ok(v6(1)));
    assert_eq!(tried.len(), 2);
    assert_eq!(tries.snapshot().abandoned, 1);
}

#[tokio::test(start_paused = true)]
async fn after_a_failure_the_next_is_tried_at_once() {
    let fates = [
        (v6(1), (Some(20), false)),
        (v4(1), (Some(400), false)),
        (v6(2), (Some(10), false)),
    ];
    let (result, tried, tries) = run(&fates, Some(STEP)).await;
    assert_eq!(result, Err(vec![v6(1), v6(2), v4(1)]));
    assert_eq!(tried, [(0, v6(1)), (20, v4(1)), (270, v6(2))]);
    assert_eq!((tries.snapshot().begun, tries.snapshot().failed), (3, 3));
}

#[tokio::test(start_paused = true)]
async fn without_a_delay_they_are_tried_one_after_another() {
    let fates = [(v6(1), (Some(5000), false)), (v4(1), (Some(1), true))];
    let (result, tried, _) = run(&fates, None).await;
    assert_eq!(result, Ok(v4(1)));
    assert_eq!(tried, [(0, v6(1)), (5000, v4(1))]);
}

#[tokio::test(start_paused = true)]
async fn nowhere_to_go_is_told_at_once() {
    let (result, ..) = run(&[], Some(STEP)).await;
    assert_eq!(result, Err(vec![]));
}
