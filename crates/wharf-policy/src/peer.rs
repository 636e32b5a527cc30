//! Whether a relay may exchange data with a peer.
//!
//! The same verdict serves every point where a peer address matters: installing a permission,
//! binding a channel, sending, connecting, and what comes in from the peer.

mod refusal;

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;

use ipnet::IpNet;

use crate::address::{AddressClass, Tier, canonical, classify, embedded_v4};
use crate::ranges::IpRanges;

pub use refusal::PeerRefusal;

/// What the operator says about peers. The default is the hardened one: nothing listed, nothing
/// lifted.
///
/// An IPv4 range may also be written as part of `::ffff:0:0/96`. Any other IPv6 range, even `::/0`,
/// says nothing about IPv4.
#[derive(Debug, Clone, Default)]
pub struct PeerRules {
    /// Ranges that are not refused for being private, shared, documentation and the like
    /// ([`Tier::DefaultDeny`]). Does not lift [`Tier::Never`], nor the server's own addresses.
    pub allow: Vec<IpNet>,
    /// Ranges that are refused, whatever `allow` says.
    pub deny: Vec<IpNet>,
    /// Refuse whatever `allow` does not list, for a relay that serves known peers only.
    pub allow_only: bool,
    /// Lift the refusal of loopback peers. Every service that listens on this host's loopback is
    /// then open to every user: for development, on a server that is bound to loopback itself.
    pub allow_loopback: bool,
    /// Refuse peer ports 1 to 1023. Off by default, as media servers use 53 and 443.
    pub deny_ports_below_1024: bool,
    /// The server's own addresses.
    pub own: OwnAddresses,
}

/// The addresses by which the server reaches itself. They are refused as peers, except where two
/// clients meet: on its relay addresses, at relay ports.
#[derive(Debug, Clone, Default)]
pub struct OwnAddresses {
    /// Addresses of the host's interfaces.
    pub interfaces: Vec<IpAddr>,
    /// Listeners, administration and metrics: always refused, also within a relay range. An
    /// unspecified IP stands for every own address of both families, with loopback; any other IP
    /// counts as an own address at its other ports too.
    pub sockets: Vec<SocketAddr>,
    /// Relay addresses, as bound and as advertised, with the ports that allocations use. Peers at
    /// them are not refused for being private, so that two clients can meet on a server in a LAN;
    /// `deny` and `allow_only` still hold.
    pub relays: Vec<(IpAddr, RangeInclusive<u16>)>,
}

/// [`PeerRules`] made ready for look-up: no allocation, one binary search for each list.
///
/// The address is brought into [`canonical`] form first. An IPv6 address that carries an IPv4
/// address ([`embedded_v4`]) is refused if *either* of the two is. The rules of one address, the
/// first that applies:
///
/// 1. [`Tier::Never`]: refused; only `allow_loopback` lifts loopback.
/// 2. An address of the server itself ([`OwnAddresses`]), but for relay ports: refused.
/// 3. `deny`: refused.
/// 4. `allow`: permitted.
/// 5. `allow_only`: refused.
/// 6. A relay address of the server itself, at a relay port: permitted.
/// 7. [`Tier::DefaultDeny`]: refused; anything else: permitted.
#[derive(Debug, Clone)]
pub struct PeerPolicy {
    allow: IpRanges,
    deny: IpRanges,
    allow_only: bool,
    allow_loopback: bool,
    deny_ports_below_1024: bool,
    /// Every IP that [`OwnAddresses`] names: the rest of the world is told apart by one look-up.
    own: IpRanges,
    sockets: Vec<SocketAddr>,
    relays: Vec<(IpAddr, RangeInclusive<u16>)>,
}

/// What is known about an address from [`OwnAddresses`].
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ownership {
    Foreign,
    Relay,
}

impl PeerPolicy {
    /// Prepares the rules.
    pub fn new(rules: PeerRules) -> Self {
        let OwnAddresses {
            interfaces,
            mut sockets,
            mut relays,
        } = rules.own;
        for socket in &mut sockets {
            socket.set_ip(canonical(socket.ip()));
        }
        for (ip, _) in &mut relays {
            *ip = canonical(*ip);
        }
        let socket_ips = sockets.iter().map(SocketAddr::ip);
        let relay_ips = relays.iter().map(|(ip, _)| *ip);
        let own = interfaces.into_iter().chain(socket_ips).chain(relay_ips);
        let own: Vec<_> = own.map(IpNet::from).collect();
        Self {
            allow: IpRanges::new(&rules.allow),
            deny: IpRanges::new(&rules.deny),
            allow_only: rules.allow_only,
            allow_loopback: rules.allow_loopback,
            deny_ports_below_1024: rules.deny_ports_below_1024,
            own: IpRanges::new(&own),
            sockets,
            relays,
        }
    }

    /// The verdict where only the IP counts, as for a permission (RFC 8656 §9). A relay address of
    /// the server itself passes here: which of its ports may be reached is for [`check`](Self::check)
    /// to say, so that a sender must ask that as well.
    pub fn check_ip(&self, ip: IpAddr) -> Result<(), PeerRefusal> {
        self.check_both(ip, None)
    }

    /// The verdict on a peer's transport address.
    pub fn check(&self, peer: SocketAddr) -> Result<(), PeerRefusal> {
        match peer.port() {
            0 => Err(PeerRefusal::PortZero),
            1..1024 if self.deny_ports_below_1024 => Err(PeerRefusal::LowPort),
            port => self.check_both(peer.ip(), Some(port)),
        }
    }

    /// The embedded address goes first: its refusal is the one that says where the peer leads.
    fn check_both(&self, ip: IpAddr, port: Option<u16>) -> Result<(), PeerRefusal> {
        let ip = canonical(ip);
        if let IpAddr::V6(v6) = ip
            && let Some(v4) = embedded_v4(v6)
        {
            self.check_one(v4.into(), port)?;
        }
        self.check_one(ip, port)
    }

    fn check_one(&self, ip: IpAddr, port: Option<u16>) -> Result<(), PeerRefusal> {
        let class = classify(ip);
        let tier = match class {
            AddressClass::Loopback if self.allow_loopback => Tier::Open,
            _ => class.tier(),
        };
        if tier == Tier::Never {
            return Err(PeerRefusal::Never(class));
        }
        let ownership = self.check_own(ip, class, port)?;
        if self.deny.contains(ip) {
            return Err(PeerRefusal::Denied);
        }
        if self.allow.contains(ip) {
            return Ok(());
        }
        if self.allow_only {
            return Err(PeerRefusal::NotAllowed);
        }
        if tier == Tier::DefaultDeny && ownership == Ownership::Foreign {
            return Err(PeerRefusal::DefaultDeny(class));
        }
        Ok(())
    }

    /// Without a port an own relay address passes; loopback gets here only when it is allowed, and
    /// then as a foreign host would, but for the server's sockets.
    fn check_own(
        &self,
        ip: IpAddr,
        class: AddressClass,
        port: Option<u16>,
    ) -> Result<Ownership, PeerRefusal> {
        let loopback = class == AddressClass::Loopback;
        if !loopback && !self.own.contains(ip) {
            return Ok(Ownership::Foreign);
        }
        let reached = |socket: &SocketAddr| {
            Some(socket.port()) == port && (socket.ip() == ip || socket.ip().is_unspecified())
        };
        if self.sockets.iter().any(reached) {
            return Err(PeerRefusal::OwnSocket);
        }
        if loopback {
            return Ok(Ownership::Foreign);
        }
        let mut relays = self.relays.iter().filter(|(relay, _)| *relay == ip);
        if relays.any(|(_, range)| port.is_none_or(|port| range.contains(&port))) {
            return Ok(Ownership::Relay);
        }
        Err(PeerRefusal::OwnAddress)
    }
}

#[cfg(test)]
mod tests;
