//! Against a name server of the test's own, on a UDP socket.

use std::sync::{Arc, Mutex};

use hickory_resolver::proto::op::{Message, MessageType};
use hickory_resolver::proto::rr::Record;
use hickory_resolver::proto::rr::rdata::{A, AAAA, CNAME, NAPTR, SRV};
use tokio::net::UdpSocket as Socket;
use tokio::time::Instant;

use super::*;

/// What the server says to one question; `None` is silence.
type Script = fn(&str, RecordType) -> Option<(ResponseCode, Vec<Record>)>;

struct Server {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    async fn start(script: Script) -> Self {
        let socket = Socket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = asked.clone();
        tokio::spawn(async move {
            let mut buffer = [0; 1500];
            while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
                let mut message = Message::from_vec(&buffer[..length]).unwrap();
                let query = message.queries[0].clone();
                let name = query.name().to_ascii();
                log.lock()
                    .unwrap()
                    .push(format!("{} {name}", query.query_type()));
                let Some((code, records)) = script(&name, query.query_type()) else {
                    continue;
                };
                message.metadata.message_type = MessageType::Response;
                message.metadata.response_code = code;
                message.metadata.recursion_available = true;
                message.add_answers(records);
                socket
                    .send_to(&message.to_vec().unwrap(), from)
                    .await
                    .unwrap();
            }
        });
        Self { address, asked }
    }

    fn resolver(&self, change: impl FnOnce(&mut DnsOptions)) -> DnsResolver {
        let mut options = DnsOptions {
            servers: vec![self.address],
            ..DnsOptions::default()
        };
        change(&mut options);
        DnsResolver::new(&options).unwrap()
    }

    fn asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }
}

fn name(text: &str) -> Name {
    Name::from_ascii(text).unwrap()
}

fn record(owner: &str, ttl: u32, data: RData) -> Record {
    Record::from_rdata(name(owner), ttl, data)
}

fn a(owner: &str, ttl: u32, last: u8) -> Record {
    record(owner, ttl, RData::A(A::new(192, 0, 2, last)))
}

#[allow(clippy::unnecessary_wraps, reason = "it is what a script returns")]
fn found(records: Vec<Record>) -> Option<(ResponseCode, Vec<Record>)> {
    Some((ResponseCode::NoError, records))
}

fn addresses(of: &str) -> Query {
    let name = of.parse().unwrap();
    let (ipv4, ipv6) = (true, false);
    Query::Addresses { name, ipv4, ipv6 }
}

const MINUTE: Duration = Duration::from_mins(1);

#[tokio::test]
async fn rfc3263_4_1_naptr_records_are_read() {
    let server = Server::start(|_, _| {
        let naptr = |order, service: &str, to: &str| {
            let (flags, service) = (Box::from(*b"s"), Box::from(service.as_bytes()));
            let data = NAPTR::new(order, 7, flags, service, Box::default(), name(to));
            record("example.com.", 60, RData::NAPTR(data))
        };
        found(vec![
            naptr(50, "SIPS+D2T", "_sips._tcp.example.com."),
            naptr(90, "SIP+D2U", "."),
        ])
    });
    let resolver = server.await.resolver(|_| {});
    let query = Query::Naptr("Example.com".parse().unwrap());
    let naptr = |order, service: &str, to: Option<&str>| Naptr {
        order,
        preference: 7,
        flags: "s".to_owned(),
        service: service.to_owned(),
        replacement: to.map(|to| to.parse().unwrap()),
        ttl: MINUTE,
    };
    let expected = vec![
        naptr(50, "SIPS+D2T", Some("_sips._tcp.example.com")),
        naptr(90, "SIP+D2U", None),
    ];
    assert_eq!(resolver.resolve(&query).await, Ok(Records::Naptr(expected)));
}

#[tokio::test]
async fn rfc2782_srv_records_are_read_and_the_root_is_no_target() {
    let server = Server::start(|owner, _| {
        let srv = |to: &str| record(owner, 60, RData::SRV(SRV::new(1, 2, 5070, name(to))));
        match owner {
            "_sip._udp.example.com." => found(vec![srv("a.example.com."), srv(".")]),
            // A name that no host has is not the root: it does not say that there is no service.
            _ => found(vec![srv("192.0.2.1.")]),
        }
    });
    let resolver = server.await.resolver(|_| {});
    let srv = |target: Option<&str>| Srv {
        priority: 1,
        weight: 2,
        target: target.map(|target| target.parse().unwrap()),
        port: 5070,
        ttl: MINUTE,
    };
    let query = Query::Srv("_sip._udp.example.com".parse().unwrap());
    let expected = vec![srv(Some("a.example.com")), srv(None)];
    assert_eq!(resolver.resolve(&query).await, Ok(Records::Srv(expected)));
    let query = Query::Srv("_sip._tcp.example.com".parse().unwrap());
    assert_eq!(resolver.resolve(&query).await, Err(Failure::ServFail));
}

#[tokio::test]
async fn rfc3263_servfail_is_not_the_same_as_no_records() {
    let server = Server::start(|owner, _| match owner {
        "gone.example.com." => Some((ResponseCode::NXDomain, vec![])),
        "empty.example.com." => found(vec![]),
        "broken.example.com." => Some((ResponseCode::ServFail, vec![])),
        "refused.example.com." => Some((ResponseCode::Refused, vec![])),
        _ => None,
    });
    let server = server.await;
    let resolver = server.resolver(|options| {
        options.timeout = Duration::from_millis(50);
        options.retries = 0;
    });
    let cases = [
        ("gone.example.com", Failure::NxDomain),
        ("empty.example.com", Failure::NoData),
        ("broken.example.com", Failure::ServFail),
        ("refused.example.com", Failure::ServFail),
        ("silent.example.com", Failure::Timeout),
    ];
    for (of, failure) in cases {
        let answer = resolver.resolve(&addresses(of)).await;
        assert_eq!(answer, Err(failure), "{of}");
    }
}

#[tokio::test]
async fn rfc3263_an_answer_is_kept_for_its_ttl_and_then_asked_for_again() {
    let server = Server::start(|owner, _| {
        let ttl = if owner == "short.example.com." { 1 } else { 60 };
        found(vec![a(owner, ttl, 1)])
    });
    let server = server.await;
    let resolver = server.resolver(|_| {});
    for _ in 0..3 {
        resolver
            .resolve(&addresses("long.example.com"))
            .await
            .unwrap();
    }
    assert_eq!(server.asked(), 1);
    let (begun, short) = (Instant::now(), addresses("short.example.com"));
    while server.asked() < 3 {
        assert!(begun.elapsed() < Duration::from_secs(10));
        resolver.resolve(&short).await.unwrap();
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(begun.elapsed() >= Duration::from_millis(900));
    // Without a cache each question is asked.
    let forgetful = server.resolver(|options| options.cache = 0);
    for asked in [4, 5] {
        forgetful
            .resolve(&addresses("long.example.com"))
            .await
            .unwrap();
        assert_eq!(server.asked(), asked);
    }
}

#[tokio::test]
async fn rfc7984_addresses_of_one_family_do_when_the_other_fails() {
    let server = Server::start(|owner, kind| match (owner, kind) {
        (_, RecordType::A) if owner.starts_with("v4") => found(vec![a(owner, 60, 1)]),
        ("v6.example.com.", RecordType::AAAA) => {
            let ip = "2001:db8::1".parse().unwrap();
            found(vec![record(owner, 60, RData::AAAA(AAAA(ip)))])
        }
        ("none.example.com.", RecordType::AAAA) | ("v4only.example.com.", _) => found(vec![]),
        _ => Some((ResponseCode::ServFail, vec![])),
    });
    let resolver = server.await.resolver(|_| {});
    let both = |of: &str| Query::Addresses {
        name: of.parse().unwrap(),
        ipv4: true,
        ipv6: true,
    };
    let only = |ip: &str| {
        let (ip, ttl) = (ip.parse().unwrap(), MINUTE);
        Ok(Records::Addresses(vec![Address { ip, ttl }]))
    };
    for of in ["v4.example.com", "v4only.example.com"] {
        let answer = resolver.resolve(&both(of)).await;
        assert_eq!(answer, only("192.0.2.1"), "{of}");
    }
    let answer = resolver.resolve(&both("v6.example.com")).await;
    assert_eq!(answer, only("2001:db8::1"));
    // One says that there are none, the other nothing: nobody knows.
    let answer = resolver.resolve(&both("none.example.com")).await;
    assert_eq!(answer, Err(Failure::ServFail));
}

#[tokio::test]
async fn an_alias_bounds_the_life_of_what_it_leads_to() {
    let server = Server::start(|owner, _| {
        let alias = RData::CNAME(CNAME(name("host.example.com.")));
        found(vec![record(owner, 5, alias), a("host.example.com.", 60, 9)])
    });
    let resolver = server.await.resolver(|_| {});
    let answer = resolver.resolve(&addresses("alias.example.com")).await;
    let (ip, ttl) = ([192, 0, 2, 9].into(), Duration::from_secs(5));
    assert_eq!(answer, Ok(Records::Addresses(vec![Address { ip, ttl }])));
}

#[tokio::test]
async fn an_answer_is_read_up_to_its_bound() {
    let server = Server::start(|owner, _| found((1..=20).map(|last| a(owner, 60, last)).collect()));
    let resolver = server.await.resolver(|options| options.max_records = 3);
    let answer = resolver.resolve(&addresses("example.com")).await;
    let Ok(Records::Addresses(found)) = answer else {
        panic!("{answer:?}");
    };
    assert_eq!(found.len(), 3);
}

#[tokio::test]
async fn a_question_that_gets_no_turn_ends_at_its_deadline() {
    let server = Server::start(|_, _| None).await;
    let resolver = server.resolver(|options| {
        options.at_once = 1;
        options.timeout = MINUTE;
        options.deadline = Duration::from_millis(100);
    });
    let (one, other) = (addresses("one.example"), addresses("other.example"));
    let answers = tokio::join!(resolver.resolve(&one), resolver.resolve(&other));
    let late = Err(Failure::Timeout);
    assert_eq!(answers, (late.clone(), late));
    assert_eq!(server.asked(), 1);
}

#[tokio::test]
async fn a_name_server_that_is_silent_is_asked_again_and_given_up() {
    let server = Server::start(|_, _| None).await;
    let begun = Instant::now();
    for (retries, asked) in [(0, 1), (1, 3)] {
        let resolver = server.resolver(|options| {
            options.timeout = Duration::from_millis(100);
            options.retries = retries;
        });
        let answer = resolver.resolve(&addresses("silent.example.com")).await;
        assert_eq!((answer, server.asked()), (Err(Failure::Timeout), asked));
    }
    assert!(begun.elapsed() < DnsOptions::default().timeout);
}

#[test]
fn without_servers_those_of_the_system_are_asked() {
    let there = std::fs::metadata("/etc/resolv.conf").is_ok();
    assert_eq!(DnsResolver::new(&DnsOptions::default()).is_ok(), there);
}

#[test]
fn rfc6724_addresses_without_a_route_come_last() {
    let ttl = MINUTE;
    let v4 = Address {
        ip: [127, 0, 0, 1].into(),
        ttl,
    };
    let v6 = Address {
        ip: "::1".parse().unwrap(),
        ttl,
    };
    // 0::/128 and the discard prefix of RFC 6666 are reached from nowhere.
    let nowhere = Address {
        ip: "100::1".parse().unwrap(),
        ttl,
    };
    assert!(has_route(v4.ip));
    let first = |one: Address| either(Ok(vec![one]), Ok(vec![v4])).unwrap()[0];
    let expected = if has_route(v6.ip) { v6 } else { v4 };
    assert_eq!(first(v6), expected);
    let expected = if has_route(nowhere.ip) { nowhere } else { v4 };
    assert_eq!(first(nowhere), expected);
}
