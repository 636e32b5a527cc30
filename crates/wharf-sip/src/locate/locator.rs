//! The search itself: a list of steps, each of which asks one question.

use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::{Candidate, Failure, LocateError, LocateRules, Next, Query, Records, Target};
use crate::{Domain, OwnedHost, Transport};

/// Locates one target. The decisions, in the order of RFC 3263 §4.1 and §4.2:
///
/// 1. a target that is an address is the only candidate;
/// 2. a port with a name means that only addresses are asked for;
/// 3. a transport that is written means that SRV is asked for it and no other;
/// 4. otherwise NAPTR says which transports there are, and where; records of unknown services and of
///    transports not in use are skipped, and for a `sips` URI all that are not over TLS;
/// 5. without NAPTR records SRV is asked for each transport in use;
/// 6. without SRV records the addresses of the domain itself are candidates, on the default port.
///
/// SRV records come in strict order of priority, by chance within one, and all addresses of one
/// server before the next. A failure of DNS never counts as "no records". When all that one NAPTR
/// record leads to has failed, the next one is followed.
#[derive(Debug)]
pub struct Locator {
    pub(super) rules: Arc<LocateRules>,
    pub(super) domain: Option<Domain>,
    pub(super) secure: bool,
    pub(super) seed: u64,
    /// What is still to be asked, first things first.
    pub(super) steps: VecDeque<Step>,
    asked: Option<Step>,
    pub(super) ready: VecDeque<Candidate>,
    /// All candidates so far: a second way to one of them is no other candidate.
    pub(super) seen: BTreeSet<(Transport, SocketAddr)>,
    queries: u32,
    pub(super) rank: u32,
    /// Whether a service record was found: then the domain itself is no candidate.
    pub(super) serviced: bool,
    pub(super) trouble: Option<LocateError>,
}

/// A question, and what its answer is for.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) name: Domain,
    pub(super) what: What,
    /// The shortest life of the records that led here; none where none did.
    pub(super) ttl: Option<Duration>,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum What {
    Naptr,
    /// `labels` are those to ask for when these have no records.
    Srv {
        transport: Transport,
        labels: &'static [&'static str],
    },
    /// `itself`: these are the addresses of the domain itself, of use unless it has services.
    Addresses {
        transport: Transport,
        port: u16,
        rank: u32,
        itself: bool,
    },
}

impl Locator {
    /// A locator for `target`. `seed` decides among SRV records of one priority and among addresses:
    /// any random number, or that of [`seed_of`](super::seed_of) where retransmissions are to go the
    /// same way.
    pub fn new(target: &Target, rules: Arc<LocateRules>, seed: u64) -> Result<Self, LocateError> {
        let written = target.written_transport()?;
        match written {
            Some(transport) if !rules.transports.contains(&transport) => {
                return Err(LocateError::Unsupported(transport));
            }
            None if rules.suitable(target.secure).next().is_none() => {
                return Err(LocateError::NoTransport);
            }
            _ => {}
        }
        let domain = target.host.name().cloned();
        let mut locator = Self::empty(domain, target.secure, rules, seed);
        locator.begin(target, written)?;
        Ok(locator)
    }

    /// A locator for candidates that are known: those of a configuration, or those that another locator
    /// has found and [`Balancer`](crate::balance::Balancer) has arranged. It asks nothing. Of candidates with
    /// one transport and address it yields the first.
    pub fn listed(candidates: impl IntoIterator<Item = Candidate>) -> Self {
        let mut locator = Self::empty(None, false, Arc::default(), 0);
        for candidate in candidates {
            let place = (candidate.transport, candidate.address);
            if locator.seen.insert(place) {
                locator.ready.push_back(candidate);
            }
        }
        locator
    }

    fn empty(domain: Option<Domain>, secure: bool, rules: Arc<LocateRules>, seed: u64) -> Self {
        Self {
            domain,
            secure,
            seed,
            steps: VecDeque::new(),
            asked: None,
            ready: VecDeque::new(),
            seen: BTreeSet::new(),
            queries: 0,
            rank: 0,
            serviced: false,
            trouble: None,
            rules,
        }
    }

    /// The first step (RFC 3263 §4.1, §4.2).
    fn begin(&mut self, target: &Target, written: Option<Transport>) -> Result<(), LocateError> {
        let usual = self.rules.usual(self.secure);
        let transport = written.or(usual).ok_or(LocateError::NoTransport);
        match (&target.host, target.port, written) {
            (&OwnedHost::Ip(ip), port, _) => {
                let transport = transport?;
                let address = SocketAddr::new(ip, port.unwrap_or(transport.default_port()));
                self.offer(transport, address, None, 0);
            }
            (OwnedHost::Name(name), ..) if name.is_invalid() => {
                return Err(LocateError::Invalid(name.clone()));
            }
            (OwnedHost::Name(name), Some(port), _) => {
                let transport = transport?;
                let what = What::Addresses {
                    transport,
                    port,
                    rank: 0,
                    itself: false,
                };
                self.steps.push_back(Step {
                    name: name.clone(),
                    what,
                    ttl: None,
                });
            }
            (OwnedHost::Name(name), None, Some(transport)) => {
                self.steps.extend(Step::service(name, transport));
                self.steps.push_back(Step::itself(name, transport));
            }
            (OwnedHost::Name(name), None, None) if self.rules.naptr => {
                self.steps.push_back(Step {
                    name: name.clone(),
                    what: What::Naptr,
                    ttl: None,
                });
            }
            (OwnedHost::Name(name), None, None) => self.ask_each_transport(name),
        }
        Ok(())
    }

    /// What to do next.
    #[allow(
        clippy::should_implement_trait,
        reason = "it asks questions between its items"
    )]
    pub fn next(&mut self) -> Next {
        loop {
            if let Some(candidate) = self.ready.pop_front() {
                return Next::Try(candidate);
            }
            if let Some(step) = &self.asked {
                return Next::Ask(step.query(&self.rules));
            }
            let settled = self.serviced || self.trouble.is_some();
            match self.steps.pop_front() {
                None => return Next::End(self.outcome()),
                // §4.2: "if no SRV records were found", and not if DNS failed to say.
                Some(step) if settled && step.is_itself() => {}
                Some(_) if self.queries >= self.rules.max_queries => {
                    self.steps.clear();
                    self.trouble = Some(LocateError::TooManyQueries);
                }
                step => {
                    self.queries += 1;
                    self.asked = step;
                }
            }
        }
    }

    /// The questions that come after the one that is asked now, unless an answer changes that. A driver
    /// may ask as many of them as it likes at the same time, so that its cache knows the answers when
    /// they are wanted: a domain without records then costs two rounds and not one for each transport.
    pub fn ahead(&self) -> impl Iterator<Item = Query> + use<'_> {
        self.steps.iter().map(|step| step.query(&self.rules))
    }

    fn outcome(&self) -> Result<(), LocateError> {
        if self.seen.is_empty() {
            Err(self.trouble.clone().unwrap_or(LocateError::NoAddress))
        } else {
            Ok(())
        }
    }

    /// The answer to the question that [`next`](Self::next) asked last; without one, it counts for
    /// nothing. Records of another kind than those asked for are a [`Failure::ServFail`].
    pub fn answer(&mut self, answer: Result<Records, Failure>) {
        let Some(step) = self.asked.take() else {
            return;
        };
        let taken = match (step.what, answer) {
            (_, Err(failure)) => Err(failure),
            (What::Naptr, Ok(Records::Naptr(records))) => self.take_naptr(records),
            (What::Srv { transport, .. }, Ok(Records::Srv(records))) => {
                self.take_srv(&step, transport, records)
            }
            (
                What::Addresses {
                    transport,
                    port,
                    rank,
                    ..
                },
                Ok(Records::Addresses(found)),
            ) => self.take_addresses(&step, transport, port, rank, found),
            _ => Err(Failure::ServFail),
        };
        let Err(failure) = taken else { return };
        match step.what {
            // §4.1: "if no NAPTR records are found", and not if DNS failed to say.
            What::Naptr if failure.means_none() => self.ask_each_transport(&step.name),
            What::Srv { transport, labels } => {
                let next = self
                    .domain
                    .as_ref()
                    .and_then(|of| Step::labelled(of, transport, labels));
                if let Some(next) = next {
                    self.steps.push_front(next);
                }
            }
            _ => {}
        }
        if !failure.means_none() {
            self.trouble.get_or_insert(LocateError::Dns {
                name: step.name,
                failure,
            });
        }
    }
}
