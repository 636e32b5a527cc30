use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::*;
use crate::{Host, Uri};
use Transport::{Tcp, Tls, Udp, Ws, Wss};

mod bounds;
mod failures;
mod targets;

/// The world as DNS tells it, and what was asked of it.
#[derive(Default)]
struct World {
    zone: HashMap<String, Result<Records, Failure>>,
    asked: Vec<String>,
}

const TTL: Duration = Duration::from_mins(5);

fn domain(name: &str) -> Domain {
    name.parse().unwrap()
}

fn key(query: &Query) -> String {
    let kind = match query {
        Query::Naptr(_) => "NAPTR",
        Query::Srv(_) => "SRV",
        Query::Addresses { .. } => "A",
    };
    format!("{kind} {}", query.name())
}

impl World {
    /// `name`: `order preference flags service replacement`, each.
    fn naptr(mut self, name: &str, records: &[(u16, u16, &str, &str, &str)]) -> Self {
        let record =
            |&(order, preference, flags, service, replacement): &(_, _, &str, &str, &str)| {
                let replacement = replacement.parse().ok();
                let (flags, service) = (flags.to_owned(), service.to_owned());
                Naptr {
                    order,
                    preference,
                    flags,
                    service,
                    replacement,
                    ttl: TTL,
                }
            };
        let records = Records::Naptr(records.iter().map(record).collect());
        self.zone.insert(format!("NAPTR {name}"), Ok(records));
        self
    }

    /// `name`: `priority weight port target`, each.
    fn srv(mut self, name: &str, records: &[(u16, u16, u16, &str)]) -> Self {
        let record = |&(priority, weight, port, target): &(_, _, _, &str)| Srv {
            priority,
            weight,
            port,
            target: target.parse().ok(),
            ttl: TTL,
        };
        let records = Records::Srv(records.iter().map(record).collect());
        self.zone.insert(format!("SRV {name}"), Ok(records));
        self
    }

    fn host(mut self, name: &str, addresses: &[&str]) -> Self {
        let address = |ip: &&str| Address {
            ip: ip.parse().unwrap(),
            ttl: TTL,
        };
        let records = Records::Addresses(addresses.iter().map(address).collect());
        self.zone.insert(format!("A {name}"), Ok(records));
        self
    }

    fn fails(mut self, question: &str, failure: Failure) -> Self {
        self.zone.insert(question.to_owned(), Err(failure));
        self
    }

    fn answer(&mut self, query: &Query) -> Result<Records, Failure> {
        self.asked.push(key(query));
        self.zone
            .get(&key(query))
            .cloned()
            .unwrap_or(Err(Failure::NxDomain))
    }

    /// All candidates, and how it ends.
    fn search(&mut self, locator: &mut Locator) -> (Vec<Candidate>, Result<(), LocateError>) {
        let mut found = Vec::new();
        loop {
            match locator.next() {
                Next::Ask(query) => {
                    let answer = self.answer(&query);
                    locator.answer(answer);
                }
                Next::Try(candidate) => found.push(candidate),
                Next::End(end) => return (found, end),
            }
        }
    }

    /// All candidates of a target as text, or why there is none.
    fn locate(&mut self, target: &Target, rules: &LocateRules) -> Result<Vec<String>, LocateError> {
        self.asked.clear();
        let mut locator = Locator::new(target, Arc::new(rules.clone()), 1)?;
        let (found, end) = self.search(&mut locator);
        end.map(|()| found.iter().map(ToString::to_string).collect())
    }
}

fn target(uri: &str) -> Target {
    Target::of(&Uri::parse(uri.as_bytes()).unwrap()).unwrap()
}

fn rules(transports: &[Transport]) -> LocateRules {
    LocateRules {
        transports: transports.to_vec(),
        ..LocateRules::default()
    }
}
