//! What follows from records: the next steps, and candidates.

use std::net::SocketAddr;
use std::time::Duration;

use super::choice::{self, Chance};
use super::locator::{Locator, Step, What};
use super::service::{labels_of, transport_of};
use super::{Address, Candidate, Failure, LocateError, LocateRules, Naptr, Query, Srv};
use crate::{Domain, Transport};

impl Step {
    /// The question for the service of `domain` over this transport; none where the name is too long.
    pub(super) fn service(domain: &Domain, transport: Transport) -> Option<Self> {
        Self::labelled(domain, transport, labels_of(transport))
    }

    /// The same under the first of `labels`.
    pub(super) fn labelled(
        domain: &Domain,
        transport: Transport,
        labels: &'static [&'static str],
    ) -> Option<Self> {
        let (first, labels) = labels.split_first()?;
        let name = domain.with_labels(first)?;
        Some(Self {
            name,
            what: What::Srv { transport, labels },
            ttl: None,
        })
    }

    /// The addresses of the domain itself, for the case that it has no services (RFC 3263 §4.2).
    pub(super) fn itself(domain: &Domain, transport: Transport) -> Self {
        let port = transport.default_port();
        let what = What::Addresses {
            transport,
            port,
            rank: 0,
            itself: true,
        };
        Self {
            name: domain.clone(),
            what,
            ttl: None,
        }
    }

    pub(super) fn is_itself(&self) -> bool {
        matches!(self.what, What::Addresses { itself: true, .. })
    }

    pub(super) fn query(&self, rules: &LocateRules) -> Query {
        let name = self.name.clone();
        match self.what {
            What::Naptr => Query::Naptr(name),
            What::Srv { .. } => Query::Srv(name),
            What::Addresses { .. } => {
                let (ipv4, ipv6) = (rules.addresses.ipv4(), rules.addresses.ipv6());
                Query::Addresses { name, ipv4, ipv6 }
            }
        }
    }
}

impl Locator {
    /// Without NAPTR: SRV for each transport in use, then the domain itself (RFC 3263 §4.1).
    pub(super) fn ask_each_transport(&mut self, domain: &Domain) {
        let services = self.rules.suitable(self.secure);
        self.steps
            .extend(services.filter_map(|transport| Step::service(domain, transport)));
        if let Some(transport) = self.rules.usual(self.secure) {
            self.steps.push_back(Step::itself(domain, transport));
        }
    }

    /// The services that the domain offers and this element can use, in the domain's order
    /// (RFC 3263 §4.1, RFC 3403 §4.1).
    pub(super) fn take_naptr(&mut self, mut records: Vec<Naptr>) -> Result<(), Failure> {
        records.sort_by(|a, b| {
            let key = |naptr: &Naptr| (naptr.order, naptr.preference);
            key(a)
                .cmp(&key(b))
                .then_with(|| a.replacement.cmp(&b.replacement))
        });
        let mut first = None;
        for record in records.into_iter().take(self.rules.max_records) {
            let in_use = |&transport: &Transport| {
                self.rules
                    .suitable(self.secure)
                    .any(|suitable| suitable == transport)
            };
            let transport = transport_of(&record.service).filter(in_use);
            let (Some(transport), Some(name), true) = (
                transport,
                record.replacement,
                record.flags.eq_ignore_ascii_case("s"),
            ) else {
                continue;
            };
            first.get_or_insert(transport);
            let what = What::Srv {
                transport,
                labels: &[],
            };
            self.steps.push_back(Step {
                name,
                what,
                ttl: Some(record.ttl),
            });
        }
        let first = first.ok_or(Failure::NoData)?;
        self.steps.extend(
            self.domain
                .as_ref()
                .map(|domain| Step::itself(domain, first)),
        );
        Ok(())
    }

    /// The servers of one service, before anything else that is still to be asked (RFC 2782).
    pub(super) fn take_srv(
        &mut self,
        step: &Step,
        transport: Transport,
        mut records: Vec<Srv>,
    ) -> Result<(), Failure> {
        if records.is_empty() {
            return Err(Failure::NoData);
        }
        self.serviced = true;
        // RFC 2782: a target of "." means that the service is decidedly not available here.
        records.retain(|srv| srv.target.is_some());
        if records.is_empty() {
            self.trouble.get_or_insert(LocateError::NoService);
        }
        let chance = Chance::new(self.seed, step.name.as_str());
        choice::order(&mut records, self.rules.max_records, chance);
        let mut priority = None;
        let mut steps = Vec::with_capacity(records.len());
        for Srv {
            priority: its,
            target,
            port,
            ttl,
            ..
        } in records
        {
            if priority.replace(its) != Some(its) {
                self.rank += 1;
            }
            let what = What::Addresses {
                transport,
                port,
                rank: self.rank,
                itself: false,
            };
            let ttl = Some(shorter(step.ttl, ttl));
            steps.extend(target.map(|name| Step { name, what, ttl }));
        }
        for step in steps.into_iter().rev() {
            self.steps.push_front(step);
        }
        Ok(())
    }

    /// The addresses of one server.
    pub(super) fn take_addresses(
        &mut self,
        step: &Step,
        transport: Transport,
        port: u16,
        rank: u32,
        mut found: Vec<Address>,
    ) -> Result<(), Failure> {
        self.rules
            .addresses
            .apply(&mut found, Chance::new(self.seed, step.name.as_str()));
        found.truncate(self.rules.max_records);
        for Address { ip, ttl } in &found {
            let ttl = Some(shorter(step.ttl, *ttl));
            self.offer(transport, SocketAddr::new(*ip, port), ttl, rank);
        }
        if found.is_empty() {
            Err(Failure::NoData)
        } else {
            Ok(())
        }
    }

    /// One more candidate, unless it was one before or there are enough.
    pub(super) fn offer(
        &mut self,
        transport: Transport,
        address: SocketAddr,
        ttl: Option<Duration>,
        rank: u32,
    ) {
        if self.seen.len() >= self.rules.max_candidates.max(1) {
            self.steps.clear();
        } else if self.seen.insert((transport, address)) {
            let domain = self.domain.clone();
            self.ready.push_back(Candidate {
                transport,
                address,
                domain,
                ttl,
                rank,
            });
        }
    }
}

fn shorter(one: Option<Duration>, other: Duration) -> Duration {
    one.map_or(other, |one| one.min(other))
}
