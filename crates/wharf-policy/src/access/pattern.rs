//! Whom a rule is about.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::address;
use crate::ranges::canonical_net;

/// Whom a rule may be about, and how that is written.
pub trait Pattern: Copy + Eq + fmt::Display {
    /// What is matched against it.
    type Peer: Copy;

    /// What its text may be, in words, for an error.
    const EXPECTED: &'static str;

    /// The pattern that a text means; `None` where it means none.
    fn parse(text: &str) -> Option<Self>;

    /// The one form in which patterns that match the same peers are equal.
    #[must_use]
    fn canonical(self) -> Self;

    /// The one form in which a peer is matched.
    fn canonical_peer(peer: Self::Peer) -> Self::Peer;

    /// Whether the pattern, in canonical form, matches a peer in canonical form.
    fn matches(&self, peer: Self::Peer) -> bool;
}

/// Source addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    /// Every address of both families.
    All,
    /// The addresses of a range. Bits behind the prefix do not count: `10.1.2.3/8` is `10.0.0.0/8`.
    /// A range within `::ffff:0:0/96` is the IPv4 range it stands for; any other IPv6 range, even
    /// `::/0`, says nothing about IPv4.
    Cidr(IpNet),
}

impl Pattern for Source {
    /// An IPv4-mapped IPv6 address counts as the IPv4 address in it.
    type Peer = IpAddr;

    const EXPECTED: &'static str = "\"all\", an address, or a range like 10.0.0.0/8 or fd00::/8";

    fn parse(text: &str) -> Option<Self> {
        if text == "all" {
            return Some(Self::All);
        }
        let net = text.parse().or_else(|_| text.parse().map(IpAddr::into));
        net.ok().map(|net| Self::Cidr(net).canonical())
    }

    fn canonical(self) -> Self {
        match self {
            Self::All => Self::All,
            Self::Cidr(net) => Self::Cidr(canonical_net(net).trunc()),
        }
    }

    fn canonical_peer(peer: IpAddr) -> IpAddr {
        address::canonical(peer)
    }

    fn matches(&self, peer: IpAddr) -> bool {
        match self {
            Self::All => true,
            Self::Cidr(net) => net.contains(&peer),
        }
    }
}

impl fmt::Display for Source {
    /// A range of one address is written as that address.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Cidr(net) if net.prefix_len() == net.max_prefix_len() => net.addr().fmt(f),
            Self::Cidr(net) => net.fmt(f),
        }
    }
}

/// The user and group under which a Unix peer made its connection, as `SO_PEERCRED` gives them
/// (unix(7)): the effective ones. Supplementary groups are not among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The peer's user id.
    pub uid: u32,
    /// The peer's group id.
    pub gid: u32,
}

/// Peers of a Unix socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Principal {
    /// Every peer.
    All,
    /// Peers of this user id, whatever their group.
    Uid(u32),
    /// Peers of this group id, whatever their user.
    Gid(u32),
}

impl Pattern for Principal {
    type Peer = Identity;

    const EXPECTED: &'static str = "\"all\", \"uid\" and a number, or \"gid\" and a number";

    fn parse(text: &str) -> Option<Self> {
        let mut words = text.split_whitespace();
        let principal = match words.next()? {
            "all" => Self::All,
            "uid" => Self::Uid(words.next()?.parse().ok()?),
            "gid" => Self::Gid(words.next()?.parse().ok()?),
            _ => return None,
        };
        words.next().is_none().then_some(principal)
    }

    fn canonical(self) -> Self {
        self
    }

    fn canonical_peer(peer: Identity) -> Identity {
        peer
    }

    fn matches(&self, peer: Identity) -> bool {
        match *self {
            Self::All => true,
            Self::Uid(uid) => uid == peer.uid,
            Self::Gid(gid) => gid == peer.gid,
        }
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Uid(uid) => write!(f, "uid {uid}"),
            Self::Gid(gid) => write!(f, "gid {gid}"),
        }
    }
}
