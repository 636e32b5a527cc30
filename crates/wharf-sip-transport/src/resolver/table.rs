//! Answers that are known beforehand.

use std::collections::HashMap;

use wharf_sip::Domain;
use wharf_sip::locate::{Failure, Query, Records};

use super::{Answer, Resolver};

/// A resolver that asks nobody: for networks without DNS, and for tests.
///
/// A name of which it knows nothing does not exist ([`Failure::NxDomain`]); one that it has other records
/// of has none of this type ([`Failure::NoData`]).
///
/// ```
/// use std::time::Duration;
/// use wharf_sip::locate::{Address, Query, Records};
/// use wharf_sip_transport::{Resolver, TableResolver};
///
/// let name = "proxy.example.com".parse().unwrap();
/// let query = Query::Addresses { name, ipv4: true, ipv6: true };
/// let address = Address { ip: [192, 0, 2, 1].into(), ttl: Duration::from_secs(60) };
/// let records = Records::Addresses(vec![address]);
/// let table = TableResolver::default().with(&query, Ok(records.clone()));
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// assert_eq!(table.resolve(&query).await, Ok(records));
/// # });
/// ```
#[derive(Debug, Default, Clone)]
pub struct TableResolver {
    known: HashMap<Domain, Vec<Known>>,
}

type Known = (Kind, Result<Records, Failure>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Naptr,
    Srv,
    Addresses,
}

impl Kind {
    fn of(query: &Query) -> Self {
        match query {
            Query::Naptr(_) => Self::Naptr,
            Query::Srv(_) => Self::Srv,
            Query::Addresses { .. } => Self::Addresses,
        }
    }
}

impl TableResolver {
    /// With this answer to a question; it replaces an earlier one. Which families a question for
    /// addresses names does not matter here: an answer has those of both, and is cut when it is asked for.
    #[must_use]
    pub fn with(mut self, query: &Query, answer: Result<Records, Failure>) -> Self {
        let kind = Kind::of(query);
        let known = self.known.entry(query.name().clone()).or_default();
        known.retain(|(one, _)| *one != kind);
        known.push((kind, answer));
        self
    }

    fn find(&self, query: &Query) -> Result<Records, Failure> {
        let known = self.known.get(query.name()).ok_or(Failure::NxDomain)?;
        let kind = Kind::of(query);
        let answer = known.iter().find(|(one, _)| *one == kind);
        let mut answer = answer.map_or(Err(Failure::NoData), |(_, answer)| answer.clone());
        if let (Ok(Records::Addresses(found)), &Query::Addresses { ipv4, ipv6, .. }) =
            (&mut answer, query)
        {
            found.retain(|address| if address.ip.is_ipv4() { ipv4 } else { ipv6 });
        }
        answer
    }
}

impl Resolver for TableResolver {
    fn resolve<'a>(&'a self, query: &'a Query) -> Answer<'a> {
        Box::pin(std::future::ready(self.find(query)))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use wharf_sip::locate::{Address, Srv};

    use super::*;

    #[test]
    fn what_is_not_in_the_table_does_not_exist() {
        let name: Domain = "example.com".parse().unwrap();
        let ttl = Duration::from_secs(9);
        let ips = ["192.0.2.1", "2001:db8::1"].map(|ip| Address {
            ip: ip.parse().unwrap(),
            ttl,
        });
        let ask = |ipv4, ipv6| Query::Addresses {
            name: name.clone(),
            ipv4,
            ipv6,
        };
        let table = TableResolver::default()
            .with(&ask(true, true), Err(Failure::ServFail))
            .with(&ask(true, true), Ok(Records::Addresses(ips.to_vec())));
        let only = |address| Ok(Records::Addresses(vec![address]));
        assert_eq!(table.find(&ask(true, false)), only(ips[0]));
        assert_eq!(table.find(&ask(false, true)), only(ips[1]));
        assert_eq!(table.find(&Query::Srv(name.clone())), Err(Failure::NoData));
        let none: Domain = "example.org".parse().unwrap();
        assert_eq!(table.find(&Query::Naptr(none)), Err(Failure::NxDomain));

        let srv = Srv {
            priority: 1,
            weight: 1,
            target: None,
            port: 5060,
            ttl,
        };
        let records = Ok(Records::Srv(vec![srv]));
        let table = table.with(&Query::Srv(name.clone()), records.clone());
        assert_eq!(table.find(&Query::Srv(name)), records);
    }
}
