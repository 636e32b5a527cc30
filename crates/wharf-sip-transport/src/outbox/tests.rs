use std::future::poll_fn;

use super::*;

const LIMIT: usize = 100;

fn message(length: usize, fill: u8) -> Bytes {
    vec![fill; length].into()
}

#[tokio::test]
async fn the_most_urgent_leaves_first_and_equals_in_order() {
    let outbox = Outbox::new();
    for (fill, priority) in [
        (1, Priority::Low),
        (2, Priority::Normal),
        (3, Priority::High),
        (4, Priority::Critical),
        (5, Priority::High),
    ] {
        outbox.push(message(5, fill), priority, LIMIT).unwrap();
    }
    for fill in [4, 3, 5, 2] {
        assert_eq!(outbox.next().unwrap()[0], fill);
    }
    assert_eq!(poll_fn(|cx| outbox.poll_next(cx)).await[0], 1);
    assert!(outbox.next().is_none());
}

#[test]
fn the_least_urgent_is_refused_first() {
    let outbox = Outbox::new();
    let push = |priority| outbox.push(message(10, 0), priority, LIMIT);
    for priority in [
        Priority::Low,
        Priority::Normal,
        Priority::High,
        Priority::Critical,
    ] {
        while push(priority).is_ok() {}
        assert_eq!(outbox.state().bytes, share(priority, LIMIT) / 10 * 10);
    }
    assert_eq!(push(Priority::Critical), Err(SendError::Full));
}

#[test]
fn an_empty_outbox_takes_any_message() {
    let outbox = Outbox::new();
    let long = outbox.push(message(1_000, 0), Priority::Low, LIMIT);
    assert_eq!(long, Ok(true), "nothing waited");
    let short = outbox.push(message(1, 0), Priority::Critical, LIMIT);
    assert_eq!(short, Err(SendError::Full));
}

#[test]
fn a_closed_one_says_so_and_counts_what_is_lost() {
    let outbox = Outbox::new();
    outbox.push(message(5, 0), Priority::Low, LIMIT).unwrap();
    let second = outbox.push(message(5, 0), Priority::High, LIMIT);
    assert_eq!(second, Ok(false));
    assert_eq!(outbox.close(), 2);
    let late = outbox.push(message(5, 0), Priority::High, LIMIT);
    assert_eq!(late, Err(SendError::FlowGone));
}

#[test]
fn messages_without_a_byte_are_bounded_too() {
    let outbox = Outbox::new();
    let push = || outbox.push(Bytes::new(), Priority::Critical, LIMIT);
    let taken = (0..=LIMIT).take_while(|_| push().is_ok()).count();
    assert_eq!(taken, LIMIT);
}
