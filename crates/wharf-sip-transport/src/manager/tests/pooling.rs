//! Connections: shared, bounded, and made anew.

use wharf_sip::pool::{PoolClose, PoolError};

use super::*;

const TCP: &str = "sip:192.0.2.1;transport=tcp";

#[tokio::test(start_paused = true)]
async fn c5_requests_at_once_open_one_connection() {
    let desk = Arc::new(Desk::new(|_| {}));
    let sends = (0..50).map(|_| {
        let desk = desk.clone();
        tokio::spawn(async move { desk.send(TCP).await.unwrap().flow })
    });
    let sends: Vec<_> = sends.collect();
    let mut flows = Vec::new();
    for send in sends {
        flows.push(send.await.unwrap());
    }
    flows.dedup();
    assert_eq!((flows.len(), desk.net.dialled()), (1, 1));
    assert_eq!(desk.net.sent().len(), 50);
    // And the next ones use it.
    assert_eq!(desk.send(TCP).await.unwrap().flow, flows[0]);
    assert_eq!((desk.net.dialled(), desk.manager.connections()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn c5_a_connection_that_the_other_side_has_opened_is_used() {
    let desk = Desk::new(|_| {});
    let inbound = desk
        .net
        .connection(Transport::Tcp, address("192.0.2.1:5060"));
    desk.net.world().inbound = Some(inbound);
    assert_eq!(desk.send(TCP).await.unwrap().flow, inbound);
    assert_eq!(desk.net.dialled(), 0);
    // Over another transport it is of no use.
    desk.send("sips:192.0.2.1:5060").await.unwrap();
    assert_eq!(desk.net.dialled(), 1);
}

#[tokio::test(start_paused = true)]
async fn c5_one_who_gives_up_takes_nothing_from_the_others() {
    let desk = Arc::new(Desk::new(|_| {}));
    let hasty = tokio::time::timeout(CONNECT / 2, desk.send(TCP)).await;
    assert!(hasty.is_err());
    desk.send(TCP).await.unwrap();
    assert_eq!(desk.net.dialled(), 1);
}

#[tokio::test(start_paused = true)]
async fn c5_a_dial_that_fails_fails_for_all_who_wait_and_a_slow_one_for_nobody_else() {
    let desk = Arc::new(Desk::new(|_| {}));
    desk.net.door("192.0.2.1:5060", Door::Silent);
    let slow = [desk.clone(), desk.clone()];
    let slow = slow.map(|desk| tokio::spawn(async move { desk.send(TCP).await }));
    let start = tokio::time::Instant::now();
    desk.send("sip:192.0.2.2;transport=tcp").await.unwrap();
    assert_eq!(start.elapsed(), CONNECT);
    for send in slow {
        let error = send.await.unwrap().unwrap_err();
        assert!(error.is_timeout(), "{error}");
    }
    assert_eq!(desk.net.dialled(), 2);
}

#[tokio::test(start_paused = true)]
async fn e3_a_connection_found_dead_costs_one_more_and_no_request() {
    let desk = Desk::new(|_| {});
    let mut events = desk.manager.events();
    let dead = desk.send(TCP).await.unwrap().flow;
    desk.net.cut(&dead);
    let sent = desk.send(TCP).await.unwrap();
    assert_ne!(sent.flow, dead);
    // The request is the same attempt at the same server.
    assert_eq!((sent.number, desk.net.dialled()), (1, 2));
    let stats = desk.manager.stats();
    assert_eq!(
        (
            stats.redialled,
            desk.manager.connections(),
            desk.manager.unwell().len()
        ),
        (1, 1, 0)
    );
    let mut told = false;
    while let Ok(event) = events.try_recv() {
        told |= matches!(event, ManagerEvent::Redialled { dead: flow } if flow == dead);
    }
    assert!(told);
    // Where there is no other, the server has failed.
    desk.net.cut(&sent.flow);
    desk.net.door("192.0.2.1:5060", Door::Refuses);
    let error = desk.send(TCP).await.unwrap_err();
    assert!(matches!(error, SipError::Dial { .. }), "{error}");
    assert_eq!(desk.manager.unwell().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn e3_a_connection_that_has_closed_is_not_used_again() {
    let desk = Desk::new(|_| {});
    let flow = desk.send(TCP).await.unwrap().flow;
    desk.close(flow);
    assert_eq!(desk.manager.connections(), 0);
    desk.send(TCP).await.unwrap();
    assert_eq!((desk.net.dialled(), desk.manager.stats().redialled), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn e4_a_connection_stays_for_32_seconds_whatever_the_rules() {
    let desk = Desk::new(|options| options.pool.idle = Duration::from_secs(1));
    let mut events = desk.manager.events();
    let mut sending = desk.to(TCP);
    let flow = sending.next(message(500)).await.unwrap().flow;
    tokio::time::sleep(Duration::from_secs(30)).await;
    // From the last message on, whichever way it goes.
    sending.again(&message(500)).unwrap();
    tokio::time::sleep(Duration::from_secs(30)).await;
    desk.manager.0.used(&flow);
    tokio::time::sleep(Duration::from_secs(31)).await;
    assert_eq!(desk.net.world().closed, []);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(desk.net.world().closed, [flow]);
    let stats = desk.manager.stats();
    assert_eq!((desk.manager.connections(), stats.expired), (0, 1));
    while let Ok(event) = events.try_recv() {
        if let ManagerEvent::Expired { why, .. } = event {
            assert_eq!(why, PoolClose::Idle);
        }
    }
    // The next request opens another, whose end is looked after as well.
    desk.send(TCP).await.unwrap();
    tokio::time::sleep(Duration::from_secs(33)).await;
    assert_eq!(desk.manager.stats().expired, 2);
}

#[tokio::test(start_paused = true)]
async fn a_connection_takes_requests_for_its_lifetime() {
    let desk = Desk::new(|options| options.pool.lifetime = Some(Duration::from_mins(1)));
    let first = desk.send(TCP).await.unwrap().flow;
    tokio::time::sleep(Duration::from_secs(59)).await;
    assert_eq!(desk.send(TCP).await.unwrap().flow, first);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let second = desk.send(TCP).await.unwrap().flow;
    assert_ne!(second, first);
    // Answers may be waited for on the first.
    assert_eq!(desk.net.world().closed, []);
    tokio::time::sleep(Duration::from_secs(31)).await;
    assert_eq!(desk.net.world().closed, [first]);
}

#[tokio::test(start_paused = true)]
async fn connections_are_bounded_and_the_one_idle_for_longest_makes_room() {
    let desk = Desk::new(|options| options.pool.total = 2);
    let uri = |last: u8| format!("sip:192.0.2.{last};transport=tcp");
    let first = desk.send(&uri(1)).await.unwrap().flow;
    desk.send(&uri(2)).await.unwrap();
    let error = desk.send(&uri(3)).await.unwrap_err();
    assert!(matches!(error, SipError::Pool(PoolError::Full)), "{error}");
    // That says nothing of the server.
    assert_eq!(desk.manager.unwell().len(), 0);
    tokio::time::sleep(Duration::from_secs(33)).await;
    desk.send(&uri(3)).await.unwrap();
    assert_eq!(desk.net.world().closed, [first]);
    let stats = desk.manager.stats();
    assert_eq!((desk.manager.connections(), stats.evicted), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn several_connections_to_one_server_are_used_in_turn_where_the_rules_say_so() {
    let desk = Desk::new(|options| options.pool.per_key = 2);
    for _ in 0..2 {
        desk.send(TCP).await.unwrap();
    }
    tokio::time::sleep(CONNECT * 2).await;
    desk.net.sent();
    let mut flows = Vec::new();
    for _ in 0..4 {
        flows.push(desk.send(TCP).await.unwrap().flow);
    }
    assert_eq!((flows[0], flows[1]), (flows[2], flows[3]));
    assert_ne!(flows[0], flows[1]);
    assert_eq!(desk.net.dialled(), 2);
}

#[tokio::test(start_paused = true)]
async fn those_who_wait_for_a_connection_are_bounded() {
    let desk = Arc::new(Desk::new(|options| options.pool.waiting = 1));
    let first = desk.clone();
    let first = tokio::spawn(async move { first.send(TCP).await });
    tokio::task::yield_now().await;
    let error = desk.send(TCP).await.unwrap_err();
    assert!(matches!(error, SipError::Pool(PoolError::TooManyWaiting)));
    first.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_is_no_failure_of_the_server() {
    let desk = Desk::new(|_| {});
    desk.net.world().full = Some(SendError::Full);
    let error = desk.send(TCP).await.unwrap_err();
    assert!(matches!(error, SipError::Send(SendError::Full)) && error.is_recoverable());
    let stats = desk.manager.stats();
    assert_eq!(
        (
            desk.manager.unwell().len(),
            desk.manager.connections(),
            stats.requests
        ),
        (0, 1, 0)
    );
}

#[tokio::test(start_paused = true)]
async fn a_manager_that_is_gone_leaves_no_connection_behind() {
    let desk = Desk::new(|_| {});
    let mut sending = desk.to(TCP);
    let flow = sending.next(message(500)).await.unwrap().flow;
    let Desk { manager, net, ears } = desk;
    drop(manager);
    // Something is still under way.
    assert_eq!(net.world().closed, []);
    drop(sending);
    assert_eq!(net.world().closed, [flow]);
    ears.event(Event::Closed(flow, CloseReason::Peer));
}
