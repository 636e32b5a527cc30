//! DNS, asked by way of the name servers of the system or of others.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig};
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError as Said, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use hickory_resolver::{Resolver as Hickory, TokioResolver};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use wharf_sip::Domain;
use wharf_sip::locate::{Address, Failure, Naptr, Query, Records, Srv};

use super::{Answer, Resolver};

/// The settings of a [`DnsResolver`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DnsOptions {
    /// The name servers, asked over UDP, and over TCP for what UDP has no room for. Default none: those
    /// of `/etc/resolv.conf`, and `/etc/hosts` before them.
    pub servers: Vec<SocketAddr>,
    /// How long one name server may take for one question. Default 2 s.
    pub timeout: Duration,
    /// How often a question that got no answer is asked again. Default 2.
    pub retries: usize,
    /// How long a question may take in all, waiting for its turn included. Default 10 s; after it the
    /// answer is [`Failure::Timeout`].
    pub deadline: Duration,
    /// Answers that are kept, each for its TTL at most, whether it has records or says that there are
    /// none. Default 8192. When there are more, those that are asked for least go. 0 keeps none.
    pub cache: u64,
    /// Questions asked at the same time; further ones wait for their turn. Default 256.
    pub at_once: usize,
    /// Records of one answer that are read, the first in order. Default 64.
    pub max_records: usize,
}

impl Default for DnsOptions {
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            timeout: Duration::from_secs(2),
            retries: 2,
            deadline: Duration::from_secs(10),
            cache: 8192,
            at_once: 256,
            max_records: 64,
        }
    }
}

/// The name servers of the system cannot be known: `/etc/resolv.conf` is missing or malformed.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the system's resolver configuration: {0}")]
pub struct DnsError(String);

/// Asks DNS.
///
/// NAPTR, SRV, A and AAAA records are kept for their TTL and then asked for anew. Of a host with addresses
/// of both families, those of a family that no route leads to come last (RFC 6724 §6, rule 1), and
/// otherwise those of IPv6 first; within a family the order is that of the answer.
pub struct DnsResolver {
    hickory: TokioResolver,
    turns: Semaphore,
    deadline: Duration,
    max_records: usize,
}

impl DnsResolver {
    /// A resolver with these settings. It asks nobody yet.
    pub fn new(options: &DnsOptions) -> Result<Self, DnsError> {
        let wrong = |error: NetError| DnsError(error.to_string());
        let mut builder = if options.servers.is_empty() {
            TokioResolver::builder_tokio().map_err(wrong)?
        } else {
            let servers = options.servers.iter().map(|&server| name_server(server));
            let config = ResolverConfig::from_name_servers(servers.collect());
            Hickory::builder_with_config(config, TokioRuntimeProvider::default())
        };
        let settings = builder.options_mut();
        settings.timeout = options.timeout;
        settings.attempts = options.retries;
        settings.cache_size = options.cache;
        if !options.servers.is_empty() {
            settings.use_hosts_file = ResolveHosts::Never;
        }
        Ok(Self {
            hickory: builder.build().map_err(wrong)?,
            turns: Semaphore::new(options.at_once.clamp(1, Semaphore::MAX_PERMITS)),
            deadline: options.deadline,
            max_records: options.max_records,
        })
    }

    async fn answer(&self, query: &Query) -> Result<Records, Failure> {
        let turn = self.turns.acquire().await;
        let _turn = turn.map_err(|_| Failure::ServFail)?;
        match query {
            Query::Naptr(name) => {
                let found = self.lookup(name, RecordType::NAPTR).await?;
                self.read(&found, naptr).map(Records::Naptr)
            }
            Query::Srv(name) => {
                let found = self.lookup(name, RecordType::SRV).await?;
                self.read(&found, srv).map(Records::Srv)
            }
            Query::Addresses { name, ipv4, ipv6 } => {
                let (v6, v4) = tokio::join!(
                    self.family(name, RecordType::AAAA, *ipv6),
                    self.family(name, RecordType::A, *ipv4),
                );
                either(v6, v4).map(Records::Addresses)
            }
        }
    }

    async fn family(
        &self,
        name: &Domain,
        kind: RecordType,
        wanted: bool,
    ) -> Result<Vec<Address>, Failure> {
        if !wanted {
            return Err(Failure::NoData);
        }
        let found = self.lookup(name, kind).await?;
        self.read(&found, address)
    }

    async fn lookup(&self, name: &Domain, kind: RecordType) -> Result<Lookup, Failure> {
        // With its dot it is absolute.
        let name = Name::from_ascii(format!("{name}.")).map_err(|_| Failure::ServFail)?;
        let found = self.hickory.lookup(name, kind).await;
        found.map_err(|error| failure(&error))
    }

    /// The records of an answer; `None` of `read` for one of another type, or one that cannot be read.
    fn read<T>(
        &self,
        found: &Lookup,
        read: impl Fn(&RData, Duration) -> Option<T>,
    ) -> Result<Vec<T>, Failure> {
        let aliases = found.answers().iter();
        let aliases = aliases.filter(|record| record.record_type() == RecordType::CNAME);
        // What an alias leads to lives no longer than the alias.
        let longest = aliases.map(|record| record.ttl).min().unwrap_or(u32::MAX);
        let wanted = found.query().query_type();
        let records = found.answers().iter();
        let records = records.filter(|record| record.record_type() == wanted);
        let mut there = false;
        let read: Vec<T> = records
            .take(self.max_records)
            .inspect(|_| there = true)
            .filter_map(|record| {
                let ttl = Duration::from_secs(record.ttl.min(longest).into());
                read(&record.data, ttl)
            })
            .collect();
        match (read.is_empty(), there) {
            (true, true) => Err(Failure::ServFail),
            (true, false) => Err(Failure::NoData),
            _ => Ok(read),
        }
    }
}

impl Resolver for DnsResolver {
    fn resolve<'a>(&'a self, query: &'a Query) -> Answer<'a> {
        Box::pin(async move {
            let answer = timeout(self.deadline, self.answer(query)).await;
            answer.unwrap_or(Err(Failure::Timeout))
        })
    }
}

impl std::fmt::Debug for DnsResolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DnsResolver").finish_non_exhaustive()
    }
}

fn name_server(server: SocketAddr) -> NameServerConfig {
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
        connection.port = server.port();
        connection
    });
    // That a name does not exist is what this server says, and no other is asked.
    NameServerConfig::new(server.ip(), true, connections.to_vec())
}

/// Why there are no records.
fn failure(error: &NetError) -> Failure {
    match error {
        NetError::Timeout => Failure::Timeout,
        NetError::Dns(Said::NoRecordsFound(none)) => match none.response_code {
            ResponseCode::NXDomain => Failure::NxDomain,
            ResponseCode::NoError => Failure::NoData,
            _ => Failure::ServFail,
        },
        _ => Failure::ServFail,
    }
}

/// The addresses of both families; those of one where the other has none or is not known
/// (RFC 7984 §4.1).
fn either(
    v6: Result<Vec<Address>, Failure>,
    v4: Result<Vec<Address>, Failure>,
) -> Result<Vec<Address>, Failure> {
    match (v6, v4) {
        (Ok(v6), Ok(v4)) => {
            let usable = v6.first().is_some_and(|first| has_route(first.ip));
            let (first, second) = if usable { (v6, v4) } else { (v4, v6) };
            Ok([first, second].concat())
        }
        (Ok(found), Err(_)) | (Err(_), Ok(found)) => Ok(found),
        // "No records" only where both say so.
        (Err(one), Err(other)) if one.means_none() => Err(other),
        (Err(one), Err(_)) => Err(one),
    }
}

/// Whether this host has a route to an address, and so one of its own to send from. A UDP socket that is
/// connected sends nothing.
fn has_route(ip: IpAddr) -> bool {
    let any: IpAddr = match ip {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    UdpSocket::bind((any, 0)).is_ok_and(|socket| socket.connect((ip, 9)).is_ok())
}

/// A name as SIP uses it; `None` for the root, and for one that no host has.
fn domain(name: &Name) -> Option<Domain> {
    name.to_ascii().parse().ok()
}

fn naptr(data: &RData, ttl: Duration) -> Option<Naptr> {
    let RData::NAPTR(naptr) = data else {
        return None;
    };
    Some(Naptr {
        order: naptr.order,
        preference: naptr.preference,
        flags: String::from_utf8_lossy(&naptr.flags).into_owned(),
        service: String::from_utf8_lossy(&naptr.services).into_owned(),
        replacement: domain(&naptr.replacement),
        ttl,
    })
}

fn srv(data: &RData, ttl: Duration) -> Option<Srv> {
    let RData::SRV(srv) = data else {
        return None;
    };
    let target = domain(&srv.target);
    // Only the root says that there is no such service (RFC 2782); another name that is none says nothing.
    (target.is_some() || srv.target.is_root()).then_some(Srv {
        priority: srv.priority,
        weight: srv.weight,
        target,
        port: srv.port,
        ttl,
    })
}

fn address(data: &RData, ttl: Duration) -> Option<Address> {
    let ip = match data {
        RData::A(a) => IpAddr::V4(a.0),
        RData::AAAA(aaaa) => IpAddr::V6(aaaa.0),
        _ => return None,
    };
    Some(Address { ip, ttl })
}

#[cfg(test)]
mod tests;
