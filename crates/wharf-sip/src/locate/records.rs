//! What DNS is asked, and what it answers.

use std::net::IpAddr;
use std::time::Duration;

use crate::Domain;

/// A question for DNS. Names are absolute: no search list applies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Query {
    /// The NAPTR records of a domain (RFC 3263 §4.1); answered with [`Records::Naptr`].
    Naptr(Domain),
    /// The SRV records of a name such as `_sip._udp.example.com` (RFC 2782); answered with
    /// [`Records::Srv`].
    Srv(Domain),
    /// The addresses of a host, answered with [`Records::Addresses`]. A dual-stack element asks for
    /// both families (RFC 7984 §4.1); when one of the two questions fails, the records of the other
    /// are the answer.
    Addresses {
        /// The host.
        name: Domain,
        /// Whether A records are wanted.
        ipv4: bool,
        /// Whether AAAA records are wanted.
        ipv6: bool,
    },
}

impl Query {
    /// The name that is asked for.
    pub fn name(&self) -> &Domain {
        match self {
            Self::Naptr(name) | Self::Srv(name) | Self::Addresses { name, .. } => name,
        }
    }
}

/// The records that answer a [`Query`]. None at all is the same as [`Failure::NoData`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Records {
    /// To [`Query::Naptr`].
    Naptr(Vec<Naptr>),
    /// To [`Query::Srv`].
    Srv(Vec<Srv>),
    /// To [`Query::Addresses`].
    Addresses(Vec<Address>),
}

/// A NAPTR record as far as SIP uses it (RFC 3263 §4.1, RFC 3403 §4.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Naptr {
    /// Lower comes first.
    pub order: u16,
    /// Among records of one order, lower comes first.
    pub preference: u16,
    /// `s` for the services of SIP, in any case; a record with other flags is skipped.
    pub flags: String,
    /// Such as `SIP+D2T`, in any case; a record with an unknown service is skipped.
    pub service: String,
    /// The name to ask SRV records for; `None` for the root, with which the record is skipped.
    pub replacement: Option<Domain>,
    /// How long the record may be kept.
    pub ttl: Duration,
}

/// An SRV record (RFC 2782).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Srv {
    /// Lower comes first, strictly.
    pub priority: u16,
    /// The share among records of one priority; 0 hardly ever comes first.
    pub weight: u16,
    /// The host; `None` for the root, which says that there is no such service here.
    pub target: Option<Domain>,
    /// The port of the service.
    pub port: u16,
    /// How long the record may be kept.
    pub ttl: Duration,
}

/// An A or AAAA record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address {
    /// The address.
    pub ip: IpAddr,
    /// How long the record may be kept.
    pub ttl: Duration,
}

/// Why a [`Query`] has no records. The first two say that there are none; the others say nothing about
/// what there is, and never count as "no records".
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The name does not exist.
    #[error("the name does not exist")]
    NxDomain,
    /// The name exists, without a record of this type.
    #[error("there is no such record")]
    NoData,
    /// The server failed, refused, or answered what cannot be read.
    #[error("the name server failed")]
    ServFail,
    /// No server answered in time.
    #[error("no name server answered in time")]
    Timeout,
}

impl Failure {
    /// Whether it says that there are no records.
    pub fn means_none(self) -> bool {
        matches!(self, Self::NxDomain | Self::NoData)
    }
}
