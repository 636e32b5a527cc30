//! Checked options of one worker's core.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use wharf_policy::{PeerPolicy, PrefixLimits, Quotas};

/// Options that stay as they are while the server runs. The values are taken as checked; what each may
/// be stands beside it.
#[derive(Clone, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is an option of its own"
)]
pub struct Config {
    /// REALM of the long-term credentials, 1 to 127 characters. Default `wharf`. Short is good: it is
    /// part of every 401.
    pub realm: String,
    /// Addresses to relay from, at least one. Default none.
    pub relays: Vec<RelayAddress>,
    /// Which worker this is. Default the only one.
    pub worker: Worker,
    /// Lifetime of an allocation whose client asks for less or nothing. Default 600 s (RFC 8656 §7.2).
    pub default_lifetime: Duration,
    /// Longest lifetime granted. Default 3,600 s.
    pub max_lifetime: Duration,
    /// How long a nonce is good for. Default 3,600 s (RFC 8656 §5 asks for at most an hour).
    pub nonce_lifetime: Duration,
    /// How long a port reserved by EVEN-PORT is held. Default 30 s (RFC 8656 §7.2).
    pub reservation_lifetime: Duration,
    /// Password algorithms offered, at least one. Default MD5 and SHA-256.
    pub algorithms: Algorithms,
    /// Offer USERHASH instead of USERNAME (RFC 8489 §9.2). Default off; of no use with back-ends that
    /// can't look a hash up.
    pub username_anonymity: bool,
    /// Refuse requests on a live allocation once its credential has expired. Default off: an allocation
    /// may be refreshed past the expiry, but no new one can be made.
    pub strict_expiry: bool,
    /// Permissions per allocation. Default 1,000; one more is a 508.
    pub max_permissions: usize,
    /// Channels per allocation. Default 4,096; one more is a 508.
    pub max_channels: usize,
    /// Accept channel numbers up to 0x7FFE, as RFC 5766 had them. Default off (RFC 8656 §12).
    pub rfc5766_channels: bool,
    /// Where an Allocate is sent with a 300 while this server drains, the first of the client's family.
    /// Default none: it gets a 508.
    pub alternate_servers: Vec<SocketAddr>,
    /// Answer an unauthenticated request that can only fail with a bare 437 or 400 of 28 bytes instead of
    /// a 401 three times its size. Default on; a deliberate change to the order of RFC 8656 §5 and §7.2.
    /// With it and the default realm, no answer to a source without an allocation is larger than 22/7 of
    /// the request: a 401 of 88 bytes to an Allocate of 28. Without it the ratio is 4.4.
    pub early_refusal: bool,
    /// Limit on answers to unauthenticated requests, per source prefix: one over UDP and one as large
    /// over connections.
    pub unauthenticated: PrefixLimits,
    /// Credentials kept after a look-up; the oldest half is forgotten when full. Default 8,192.
    pub credential_cache: usize,
    /// How long a credential is kept after a look-up. Default 60 s.
    pub credential_ttl: Duration,
    /// Credential look-ups under way at once. Default 1,024. When half of them are taken, only requests
    /// with a valid nonce are admitted, the others get a 438; when all are, requests are dropped, or
    /// answered 500 over a stream.
    pub max_look_ups: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            realm: "wharf".into(),
            relays: Vec::new(),
            worker: Worker { index: 0, count: 1 },
            default_lifetime: Duration::from_mins(10),
            max_lifetime: Duration::from_hours(1),
            nonce_lifetime: Duration::from_hours(1),
            reservation_lifetime: Duration::from_secs(30),
            algorithms: Algorithms {
                md5: true,
                sha256: true,
            },
            username_anonymity: false,
            strict_expiry: false,
            max_permissions: 1_000,
            max_channels: 4_096,
            rfc5766_channels: false,
            alternate_servers: Vec::new(),
            early_refusal: true,
            unauthenticated: PrefixLimits::default(),
            credential_cache: 8_192,
            credential_ttl: Duration::from_mins(1),
            max_look_ups: 1_024,
        }
    }
}

/// What all workers of a server share.
#[derive(Clone, Debug)]
pub struct Shared {
    /// Secret that nonces are derived from: random per process, or one for a fleet of servers.
    pub nonce_secret: [u8; 32],
    /// Allocations per user and in total.
    pub quotas: Quotas,
    /// Which peers may be reached.
    pub peers: Arc<PeerPolicy>,
}

/// A worker's place among the workers. Ports are dealt out in pairs, so that each worker owns its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Worker {
    /// From 0.
    pub index: u8,
    /// At least 1.
    pub count: u8,
}

/// An address to relay from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelayAddress {
    /// The address that sockets are bound to.
    pub bind: IpAddr,
    /// The address that clients are told, of the same family; another than `bind` behind a 1:1 NAT.
    pub advertised: IpAddr,
    /// The ports that may be used, not below 1024.
    pub ports: RangeInclusive<u16>,
}

impl RelayAddress {
    /// An address that is bound and advertised as it is.
    pub const fn new(address: IpAddr, ports: RangeInclusive<u16>) -> Self {
        Self {
            bind: address,
            advertised: address,
            ports,
        }
    }
}

/// Password algorithms (RFC 8489 §18.5), offered in the order MD5, SHA-256.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Algorithms {
    /// MD5, which every client knows.
    pub md5: bool,
    /// SHA-256. When it is off, PASSWORD-ALGORITHMS is not sent and a 401 is 12 bytes shorter.
    pub sha256: bool,
}
