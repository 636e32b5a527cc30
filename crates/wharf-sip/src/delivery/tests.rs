use std::sync::Arc;

use super::*;
use crate::destinations::DestinationRules;
use crate::locate::{Address, LocateRules, Srv, Target};
use crate::route::Cause;
use crate::{Transport, Uri};

#[allow(
    clippy::disallowed_methods,
    reason = "an origin for the test's own time"
)]
fn origin() -> Instant {
    Instant::now()
}

const TTL: Duration = Duration::from_mins(1);

/// A domain with three servers, one after the other, at 192.0.2.1 to 192.0.2.3.
fn answer(query: &Query) -> Result<Records, Failure> {
    match query {
        Query::Srv(name) if name.as_str() == "_sip._udp.example.com" => {
            let srv = |number: u16| Srv {
                priority: number,
                weight: 0,
                target: format!("s{number}.example.com").parse().ok(),
                port: 5060,
                ttl: TTL,
            };
            Ok(Records::Srv((1..=3).map(srv).collect()))
        }
        Query::Addresses { name, .. } => {
            let last = name
                .as_str()
                .strip_prefix('s')
                .and_then(|rest| rest[..1].parse().ok());
            let last: u8 = last.ok_or(Failure::NxDomain)?;
            Ok(Records::Addresses(vec![Address {
                ip: [192, 0, 2, last].into(),
                ttl: TTL,
            }]))
        }
        _ => Err(Failure::NxDomain),
    }
}

struct Driver {
    delivery: Delivery,
    destinations: Destinations,
    now: Instant,
}

impl Driver {
    fn new(uri: &str, bytes: usize) -> Self {
        let target = Target::of(&Uri::parse(uri.as_bytes()).unwrap()).unwrap();
        let locator = Locator::new(&target, Arc::new(LocateRules::default()), 1).unwrap();
        Self {
            delivery: Delivery::new(locator, bytes, SizeSwitch::default()),
            destinations: Destinations::new(DestinationRules::default()),
            now: origin(),
        }
    }

    /// The same destinations for another request.
    fn again(self, uri: &str, bytes: usize) -> Self {
        Self {
            destinations: self.destinations,
            now: self.now,
            ..Self::new(uri, bytes)
        }
    }

    /// The next attempt, as `number transport last-byte-of-the-address`, or the error.
    fn attempt(&mut self) -> Result<String, DeliveryError> {
        loop {
            match self
                .delivery
                .next(self.now, &mut self.destinations, |_| None)
            {
                DeliveryStep::Ask(query) => self.delivery.answer(answer(&query)),
                DeliveryStep::Send(Transmission {
                    attempt, number, ..
                }) => {
                    let address = attempt.destination.ip().to_string();
                    let last = address.rsplit('.').next().unwrap();
                    return Ok(format!("{number} {} {last}", attempt.transport));
                }
                DeliveryStep::Failed(error) => return Err(error),
            }
        }
    }

    fn fail(&mut self, failure: SendFailure) {
        self.delivery
            .failed(self.now, &mut self.destinations, failure, 0);
    }
}

const URI: &str = "sip:example.com;transport=udp";

#[test]
fn rfc3263_4_3_each_server_is_tried_until_one_answers() {
    let mut driver = Driver::new(URI, 500);
    assert_eq!(driver.attempt().unwrap(), "1 UDP 1");
    driver.fail(SendFailure::PortUnreachable);
    assert_eq!(driver.attempt().unwrap(), "2 UDP 2");
    // A 503 is a reason to go on as well.
    driver
        .delivery
        .refused(driver.now, &mut driver.destinations, None, 0);
    assert_eq!(driver.attempt().unwrap(), "3 UDP 3");
    driver
        .delivery
        .succeeded(driver.now, &mut driver.destinations);
    assert_eq!(driver.destinations.unwell().count(), 2);
}

#[test]
fn rfc3263_4_3_the_last_failure_is_the_requests() {
    let mut driver = Driver::new(URI, 500);
    for number in 1..=3 {
        assert_eq!(driver.attempt().unwrap(), format!("{number} UDP {number}"));
        driver.fail(SendFailure::TimedOut);
    }
    assert_eq!(
        driver.attempt(),
        Err(DeliveryError::Server(SendFailure::TimedOut))
    );
    assert_eq!(
        driver.attempt(),
        Err(DeliveryError::Server(SendFailure::TimedOut))
    );
    let mut driver = Driver::new("sip:192.0.2.9", 500);
    assert_eq!(driver.attempt().unwrap(), "1 UDP 9");
    let (now, wait) = (driver.now, Some(Duration::from_secs(5)));
    driver
        .delivery
        .refused(now, &mut driver.destinations, wait, 0);
    assert_eq!(driver.attempt(), Err(DeliveryError::Unavailable));
    let blocked = driver.destinations.unwell().next().unwrap();
    assert_eq!(blocked.1, now + Duration::from_secs(5));
}

#[test]
fn a_blocked_server_is_passed_over_and_tried_last() {
    let mut driver = Driver::new(URI, 500);
    assert_eq!(driver.attempt().unwrap(), "1 UDP 1");
    driver.fail(SendFailure::TimedOut);
    let mut driver = driver.again(URI, 500);
    assert_eq!(driver.attempt().unwrap(), "1 UDP 2");
    driver.fail(SendFailure::TimedOut);
    assert_eq!(driver.attempt().unwrap(), "2 UDP 3");
    driver.fail(SendFailure::TimedOut);
    // All are blocked now, and the request is worth a try all the same.
    assert_eq!(driver.attempt().unwrap(), "3 UDP 1");
    driver
        .delivery
        .succeeded(driver.now, &mut driver.destinations);
    let mut driver = driver.again(URI, 500);
    assert_eq!(driver.attempt().unwrap(), "1 UDP 1", "it is well again");
}

#[test]
fn c1_c2_a_long_request_tries_both_transports_of_a_server() {
    let mut driver = Driver::new(URI, 2000);
    assert_eq!(driver.attempt().unwrap(), "1 TCP 1");
    driver.fail(SendFailure::Reset);
    assert_eq!(driver.attempt().unwrap(), "2 UDP 1");
    assert_eq!(
        driver.destinations.unwell().count(),
        0,
        "the server is well so far"
    );
    driver.fail(SendFailure::Reset);
    assert_eq!(driver.attempt().unwrap(), "3 TCP 2");
    driver.fail(SendFailure::TimedOut);
    assert_eq!(driver.attempt().unwrap(), "4 TCP 3");
    let unwell: Vec<_> = driver
        .destinations
        .unwell()
        .map(|(to, _)| to.transport)
        .collect();
    assert_eq!(unwell, [Transport::Udp, Transport::Tcp]);
}

#[test]
fn c1_a_path_that_is_too_narrow_is_left_for_tcp() {
    let mut driver = Driver::new("sip:192.0.2.9", 1200);
    assert_eq!(driver.attempt().unwrap(), "1 UDP 9");
    driver.fail(SendFailure::TooBig);
    assert_eq!(driver.attempt().unwrap(), "2 TCP 9");
    driver.fail(SendFailure::TooBig);
    assert_eq!(
        driver.attempt(),
        Err(DeliveryError::Server(SendFailure::TooBig))
    );
    // One that is known to be narrow is not tried with a datagram.
    let mut driver = Driver::new("sip:192.0.2.9", 1200);
    let step = driver
        .delivery
        .next(driver.now, &mut driver.destinations, |_| Some(1280));
    let DeliveryStep::Send(send) = step else {
        panic!("{step:?}")
    };
    assert_eq!(
        (send.attempt.transport, send.attempt.cause),
        (Transport::Tcp, Cause::Size)
    );
}

#[test]
fn a_request_without_a_way_says_why() {
    let nowhere = Driver::new("sip:nowhere.example", 500).attempt();
    assert_eq!(nowhere, Err(DeliveryError::Locate(LocateError::NoAddress)));
    let too_long = Driver::new("sip:224.0.1.75", 70_000).attempt();
    assert_eq!(
        too_long,
        Err(DeliveryError::TooLarge(TooLarge { bytes: 70_000 }))
    );
}

#[test]
fn what_comes_after_the_end_has_no_effect() {
    let mut driver = Driver::new("sip:192.0.2.9", 500);
    driver.fail(SendFailure::TimedOut);
    assert_eq!(driver.attempt().unwrap(), "1 UDP 9");
    driver
        .delivery
        .succeeded(driver.now, &mut driver.destinations);
    driver.fail(SendFailure::TimedOut);
    driver
        .delivery
        .refused(driver.now, &mut driver.destinations, None, 0);
    assert_eq!(driver.destinations.unwell().count(), 0);
}

#[test]
fn an_attempt_that_was_not_made_counts_against_nobody() {
    let mut driver = Driver::new(URI, 500);
    assert_eq!(driver.attempt().unwrap(), "1 UDP 1");
    driver.delivery.skipped();
    assert_eq!(driver.attempt().unwrap(), "2 UDP 2");
    assert_eq!(driver.destinations.unwell().count(), 0);
    // Nor is there anything to say of it afterwards.
    driver.delivery.skipped();
    driver.fail(SendFailure::TimedOut);
    assert_eq!(driver.destinations.unwell().count(), 0);
}

#[test]
fn candidates_that_are_listed_are_tried_in_their_order() {
    let candidate = |last: u8| Candidate {
        transport: Transport::Tcp,
        address: ([192, 0, 2, last], 5060).into(),
        domain: None,
        ttl: None,
        rank: 0,
    };
    let mut driver = Driver::new(URI, 500);
    let locator = Locator::listed([candidate(9), candidate(4), candidate(9)]);
    driver.delivery = Delivery::new(locator, 500, SizeSwitch::default());
    assert_eq!(driver.attempt().unwrap(), "1 TCP 9");
    driver.fail(SendFailure::Reset);
    assert_eq!(driver.attempt().unwrap(), "2 TCP 4");
    driver.fail(SendFailure::TimedOut);
    assert_eq!(driver.attempt(), Err(SendFailure::TimedOut.into()));
    driver.delivery = Delivery::new(Locator::listed([]), 500, SizeSwitch::default());
    assert_eq!(driver.attempt(), Err(LocateError::NoAddress.into()));
}
