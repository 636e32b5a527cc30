//! The body of the target for the decisions of `wharf-sip`: ways of messages, DNS, tokens and names.
//! The tests of `wharf-sip` replay it too.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use wharf_sip::flow::{FlowError, FlowTokens};
use wharf_sip::identity::{CertificateNames, Identities, Wildcards};
use wharf_sip::locate::{
    self, Address, Failure, LocateRules, Locator, Naptr, Next, Query, Records, Srv,
};
use wharf_sip::route::{Onward, ResponseRoute, ResponseRules, ResponseStep};
use wharf_sip::{Host, Limits, Rport, Scan, Transport, Uri, Via};

/// A target: it takes any bytes.
type Target = fn(&[u8]);

pub(crate) const ALL: &[(&str, Target)] = &[("sip_ways", sip_ways)];

/// Four bytes that steer and one that says how many follow as the answers of DNS; then a message.
fn sip_ways(data: &[u8]) {
    let Some((&[seed, rules, maddr, elsewhere, length], rest)) = data.split_first_chunk() else {
        return;
    };
    let (answers, message) = rest.split_at(usize::from(length).min(rest.len()));
    names(message);
    let Ok(scan) = Scan::of(message, &Limits::default()) else {
        return;
    };
    if let Some(via) = scan
        .via
        .and_then(|via| Via::parse(via.top.of(message)).ok())
    {
        let rules = ResponseRules {
            follow_maddr: maddr.is_multiple_of(2),
            try_elsewhere: elsewhere.is_multiple_of(2),
        };
        response(&via, rules);
    }
    let is_own = |uri: &Uri<'_>| uri.host == Host::Name("edge.example.com");
    let Ok(onward) = Onward::of(message, &scan, is_own) else {
        return;
    };
    assert!(
        onward.own > 0 || onward.token.is_none(),
        "a token stands in an own Route"
    );
    assert!(
        !onward.strict || scan.route.is_some(),
        "only a Route is strict"
    );
    if let Ok(target) = locate::Target::of(&onward.next) {
        search(&target, seed, rules, answers);
    }
}

/// What a text claims as a token and as names in a certificate.
fn names(text: &[u8]) {
    let Ok(text) = str::from_utf8(text) else {
        return;
    };
    let opened = FlowTokens::new(&[7; 32]).open(text);
    assert_eq!(opened, Err(FlowError::Forged), "nobody knows the key");
    let lines: Vec<_> = text.lines().collect();
    let wanted = "sip.example.com".parse().expect("a domain");
    let names = CertificateNames {
        has_alternatives: true,
        uris: &lines,
        dns: &[],
        common_name: Some("sip.example.com"),
    };
    if Identities::of(&names).prove(&wanted, Wildcards::OneLabel) {
        let lower = text.to_ascii_lowercase();
        assert!(
            lower.contains("sip:sip.example.com"),
            "a SIP URI says so, whole"
        );
    }
}

/// A response goes where the Via says, and never to a port that a connection came from.
fn response(via: &Via<'_>, rules: ResponseRules) {
    let transport = via.transport().unwrap_or(Transport::Udp);
    let steps: Vec<_> = ResponseRoute::new(transport, *via, rules).collect();
    assert!(steps.len() <= 3);
    assert_eq!(
        steps.first() == Some(&ResponseStep::Connection),
        transport.is_reliable(),
        "a connection comes first where there is one"
    );
    assert!(steps.len() == 1 || !transport.is_websocket());
    for step in &steps {
        match step {
            ResponseStep::Connection => assert!(transport.is_reliable()),
            ResponseStep::Connect { address, .. } => {
                let port = via.port.unwrap_or(transport.default_port());
                assert!(address.port() == port && rules.try_elsewhere);
            }
            ResponseStep::Datagram { address, ttl } => {
                assert!(!transport.is_reliable());
                assert!(ttl.is_none() || address.ip().is_multicast());
                let rport = match via.rport() {
                    Some(Rport::Port(port)) => port,
                    _ => via.port_or_default(),
                };
                assert!([via.port_or_default(), rport].contains(&address.port()));
            }
            ResponseStep::Locate(target) => {
                assert!(target.host.name().is_none_or(|name| !name.is_invalid()));
            }
        }
    }
}

/// Whatever DNS answers, the search ends within its bounds.
fn search(target: &locate::Target, seed: u8, rules: u8, answers: &[u8]) {
    let rules = LocateRules {
        naptr: rules.is_multiple_of(2),
        max_queries: u32::from(rules / 16),
        max_candidates: usize::from(rules / 8 % 8),
        ..LocateRules::default()
    };
    let (most, candidates) = (rules.max_queries, rules.max_candidates.max(1));
    let Ok(mut locator) = Locator::new(target, Arc::new(rules), seed.into()) else {
        return;
    };
    let mut answers = answers.iter().copied();
    let (mut questions, mut found) = (0, BTreeSet::new());
    loop {
        match locator.next() {
            Next::Ask(query) => {
                questions += 1;
                assert!(questions <= most, "more questions than allowed");
                locator.answer(answer(&query, &mut answers));
            }
            Next::Try(candidate) => {
                assert!(candidate.transport.is_secure() || !target.secure);
                assert!(target.transport.is_none_or(|written| {
                    [Some(written), written.secured()].contains(&Some(candidate.transport))
                }));
                assert!(
                    found.insert((candidate.transport, candidate.address)),
                    "one twice"
                );
                assert!(found.len() <= candidates, "more candidates than allowed");
            }
            Next::End(end) => return assert_eq!(end.is_ok(), !found.is_empty()),
        }
    }
}

fn answer(query: &Query, bytes: &mut impl Iterator<Item = u8>) -> Result<Records, Failure> {
    let mut byte = || bytes.next().unwrap_or_default();
    let count = match byte() {
        0 => return Err(Failure::NxDomain),
        1 => return Err(Failure::ServFail),
        2 => return Ok(Records::Srv(Vec::new())),
        other => other % 8,
    };
    let mut number = || (u16::from(byte()), Duration::from_secs(u64::from(byte())));
    Ok(match query {
        Query::Naptr(_) => Records::Naptr(
            (0..count)
                .map(|_| {
                    let (order, ttl) = number();
                    let service = ["SIP+D2U", "SIP+D2T", "SIPS+D2T", "x"][usize::from(order % 4)];
                    Naptr {
                        order,
                        preference: order / 2,
                        flags: if order == 255 { "u" } else { "s" }.to_owned(),
                        service: service.to_owned(),
                        replacement: format!("n{order}.example").parse().ok(),
                        ttl,
                    }
                })
                .collect(),
        ),
        Query::Srv(_) => Records::Srv(
            (0..count)
                .map(|_| {
                    let (priority, ttl) = number();
                    Srv {
                        priority: priority / 64,
                        weight: priority % 8,
                        target: format!("h{priority}.example").parse().ok(),
                        port: priority,
                        ttl,
                    }
                })
                .collect(),
        ),
        Query::Addresses { .. } => Records::Addresses(
            (0..count)
                .map(|_| {
                    let (last, ttl) = number();
                    let ip = [192, 0, 2, last as u8].into();
                    Address { ip, ttl }
                })
                .collect(),
        ),
    })
}
