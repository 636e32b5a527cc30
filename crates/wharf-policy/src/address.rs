//! What kind of address this is.
//!
//! The classes follow the IANA special-purpose address registries (RFC 6890) as far as they matter
//! to a relay. Every decision is taken on the canonical form, so that an IPv4 address is the same
//! address however it is written.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The one form in which an address is compared: an IPv4-mapped IPv6 address (`::ffff:0:0/96`,
/// RFC 4291 §2.5.5.2) becomes the IPv4 address that the kernel would send to; any other address is
/// returned as it is.
pub fn canonical(ip: IpAddr) -> IpAddr {
    ip.to_canonical()
}

/// The IPv4 address inside an IPv6 address of a transition mechanism, where its place is fixed:
/// IPv4-compatible `::/96` (RFC 4291 §2.5.5.1), IPv4-mapped, IPv4-translated `::ffff:0:0:0/96`
/// (RFC 2765 §2.1), NAT64 `64:ff9b::/96` (RFC 6052 §2.1) and 6to4 `2002::/16` (RFC 3056 §2).
///
/// `None` for `::` and `::1`, which are addresses of their own, for Teredo (`2001::/32`) and for
/// local-use NAT64 (`64:ff9b:1::/48`, whose layout is chosen by its operator, RFC 8215 §5): these
/// two are refused whole by default.
pub fn embedded_v4(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    let join = |high: u16, low: u16| Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low));
    match ip.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => None,
        [0, 0, 0, 0, 0 | 0xffff, 0, high, low]
        | [0, 0, 0, 0, 0, 0xffff, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x2002, high, low, ..] => Some(join(high, low)),
        _ => None,
    }
}

/// What an address is for. Classes do not overlap: the most specific one that matches is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AddressClass {
    /// "This host on this network": `0.0.0.0/8` (RFC 1122 §3.2.1.3), `::` (RFC 4291 §2.5.2).
    /// Linux delivers to `0.0.0.0` and `::` on the host itself.
    Unspecified,
    /// The host itself: `127.0.0.0/8` (RFC 1122 §3.2.1.3), `::1` (RFC 4291 §2.5.3).
    Loopback,
    /// One link: `169.254.0.0/16` (RFC 3927), `fe80::/10` (RFC 4291 §2.5.6). Holds the metadata
    /// service of most clouds, `169.254.169.254`.
    LinkLocal,
    /// A cloud's control address outside the link-local ranges: `fd00:ec2::254` (AWS),
    /// `fd20:ce::254` (Google), `fd00:42::42` (Scaleway), `100.100.100.200` (Alibaba),
    /// `192.0.0.192` (Oracle), `168.63.129.16` (Azure). It hands out credentials to whoever asks
    /// from the right machine.
    CloudMetadata,
    /// A group: `224.0.0.0/4` (RFC 5771), `ff00::/8` (RFC 4291 §2.7).
    Multicast,
    /// Every host of the link: `255.255.255.255` (RFC 919 §7).
    Broadcast,
    /// A site's own: `10.0.0.0/8`, `172.16.0.0/12`, `192.168.0.0/16` (RFC 1918).
    Private,
    /// A provider's own, behind carrier-grade NAT: `100.64.0.0/10` (RFC 6598).
    SharedCgnat,
    /// A site's own: `fc00::/7` (RFC 4193) and the deprecated `fec0::/10` (RFC 3879).
    UniqueLocal,
    /// For examples: `192.0.2.0/24`, `198.51.100.0/24`, `203.0.113.0/24` (RFC 5737),
    /// `2001:db8::/32` (RFC 3849), `3fff::/20` (RFC 9637).
    Documentation,
    /// For laboratories: `198.18.0.0/15` (RFC 2544), `2001:2::/48` (RFC 5180).
    Benchmarking,
    /// Another address in disguise: IPv4-compatible `::/96`, IPv4-translated `::ffff:0:0:0/96`,
    /// NAT64 `64:ff9b::/96` and `64:ff9b:1::/48`, Teredo `2001::/32`, 6to4 `2002::/16` and its
    /// relays `192.88.99.0/24` (RFC 7526).
    Transition,
    /// Assigned to a protocol, or to nothing: `192.0.0.0/24` (RFC 6890), `240.0.0.0/4` (RFC 1112
    /// §4), `2001::/23` (RFC 2928), and all of IPv6 that is not global unicast `2000::/3`, with it
    /// the discard prefix `100::/64` (RFC 6666) and segment routing's `5f00::/16` (RFC 9602).
    Reserved,
    /// A unicast address of the Internet.
    Global,
}

/// How firmly a class is refused as a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Tier {
    /// Refused; an allow list does not change that.
    Never,
    /// Refused unless an allow list names it.
    DefaultDeny,
    /// Not refused for what it is.
    Open,
}

impl AddressClass {
    /// How firmly this class is refused as a peer.
    pub const fn tier(self) -> Tier {
        match self {
            Self::Unspecified
            | Self::Loopback
            | Self::LinkLocal
            | Self::CloudMetadata
            | Self::Multicast
            | Self::Broadcast => Tier::Never,
            Self::Private
            | Self::SharedCgnat
            | Self::UniqueLocal
            | Self::Documentation
            | Self::Benchmarking
            | Self::Transition
            | Self::Reserved => Tier::DefaultDeny,
            Self::Global => Tier::Open,
        }
    }

    /// The class in lower case with hyphens, for metrics and logs.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Unspecified => "unspecified",
            Self::Loopback => "loopback",
            Self::LinkLocal => "link-local",
            Self::CloudMetadata => "cloud-metadata",
            Self::Multicast => "multicast",
            Self::Broadcast => "broadcast",
            Self::Private => "private",
            Self::SharedCgnat => "shared-cgnat",
            Self::UniqueLocal => "unique-local",
            Self::Documentation => "documentation",
            Self::Benchmarking => "benchmarking",
            Self::Transition => "transition",
            Self::Reserved => "reserved",
            Self::Global => "global",
        }
    }
}

impl fmt::Display for AddressClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

/// The class of an address, after [`canonical`]. An address of a transition mechanism is
/// [`AddressClass::Transition`]; classify [`embedded_v4`] as well to know what it leads to.
pub fn classify(ip: IpAddr) -> AddressClass {
    match canonical(ip) {
        IpAddr::V4(ip) => classify_v4(ip),
        IpAddr::V6(ip) => classify_v6(ip),
    }
}

fn classify_v4(ip: Ipv4Addr) -> AddressClass {
    use AddressClass as C;
    match ip.octets() {
        [0, ..] => C::Unspecified,
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => C::Private,
        [100, 100, 100, 200] | [168, 63, 129, 16] | [192, 0, 0, 192] => C::CloudMetadata,
        [100, 64..=127, ..] => C::SharedCgnat,
        [127, ..] => C::Loopback,
        [169, 254, ..] => C::LinkLocal,
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => C::Documentation,
        [192, 88, 99, _] => C::Transition,
        [198, 18..=19, ..] => C::Benchmarking,
        [224..=239, ..] => C::Multicast,
        [255, 255, 255, 255] => C::Broadcast,
        [192, 0, 0, _] | [240..=255, ..] => C::Reserved,
        _ => C::Global,
    }
}

fn classify_v6(ip: Ipv6Addr) -> AddressClass {
    use AddressClass as C;
    match ip.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0] => C::Unspecified,
        [0, 0, 0, 0, 0, 0, 0, 1] => C::Loopback,
        [0, 0, 0, 0, 0 | 0xffff, 0, ..]
        | [0x64, 0xff9b, 0, 0, 0, 0, ..]
        | [0x64, 0xff9b, 1, ..]
        | [0x2001, 0, ..]
        | [0x2002, ..] => C::Transition,
        [0x2001, 2, 0, ..] => C::Benchmarking,
        [0x2001, 0..=0x1ff, ..] => C::Reserved,
        [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => C::Documentation,
        [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254]
        | [0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254]
        | [0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42] => C::CloudMetadata,
        [0x2000..=0x3fff, ..] => C::Global,
        [0xfc00..=0xfdff | 0xfec0..=0xfeff, ..] => C::UniqueLocal,
        [0xfe80..=0xfebf, ..] => C::LinkLocal,
        [0xff00..=0xffff, ..] => C::Multicast,
        _ => C::Reserved,
    }
}

#[cfg(test)]
mod tests;
