//! No two sockets may have one address.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};

use super::Checker;
use crate::config::key::quoted;
use crate::config::{Address, DualStack, ListenerConfig};

/// An address with what decides whether another may stand beside it.
struct Bound<'a> {
    /// Its key path.
    key: String,
    address: &'a Address,
    listener: &'a ListenerConfig,
}

/// Says of each address that an earlier one has it already, whole or in part.
pub(super) fn overlaps(listeners: &BTreeMap<String, ListenerConfig>, checker: &mut Checker<'_>) {
    // Only addresses of one port, or with the same text, can meet.
    let mut earlier: HashMap<String, Vec<Bound<'_>>> = HashMap::new();
    for (name, listener) in listeners {
        for (index, address) in listener.bind.iter().enumerate() {
            let group = match address {
                Address::Ip(ip) if ip.port() == 0 => continue,
                // Datagrams have ports of their own.
                Address::Ip(ip) if listener.transport.on_datagrams() => {
                    format!("udp {}", ip.port())
                }
                Address::Ip(ip) => ip.port().to_string(),
                other => other.to_string(),
            };
            let key = format!("listeners.{}.bind[{index}]", quoted(name));
            let bound = Bound {
                key,
                address,
                listener,
            };
            let group = earlier.entry(group).or_default();
            if let Some(taken) = group.iter().find(|taken| meet(taken, &bound)) {
                let allowed = format!(
                    "is taken by {} = \"{}\"",
                    checker.path(&taken.key),
                    taken.address
                );
                let advice = "Two sockets cannot have one address: change or remove one.";
                checker.problem(&bound.key, Some(address), &allowed, advice);
            } else {
                group.push(bound);
            }
        }
    }
}

fn meet(one: &Bound<'_>, other: &Bound<'_>) -> bool {
    let (Address::Ip(a), Address::Ip(b)) = (one.address, other.address) else {
        return one.address == other.address;
    };
    let devices = (&one.listener.socket.device, &other.listener.socket.device);
    if matches!(devices, (Some(a), Some(b)) if a != b) {
        return false;
    }
    a.ip().to_canonical() == b.ip().to_canonical() && same_zone(*a, *b)
        || takes(one, *a, *b)
        || takes(other, *b, *a)
}

/// Link-local addresses are apart when their zones are.
fn same_zone(a: SocketAddr, b: SocketAddr) -> bool {
    match (a, b) {
        (SocketAddr::V6(a), SocketAddr::V6(b)) => a.scope_id() == b.scope_id(),
        _ => true,
    }
}

/// Whether the first address is a wildcard that takes what comes to the other.
fn takes(bound: &Bound<'_>, address: SocketAddr, other: SocketAddr) -> bool {
    let is_v4 = other.ip().to_canonical().is_ipv4();
    match address.ip() {
        IpAddr::V4(wildcard) => wildcard.is_unspecified() && is_v4,
        IpAddr::V6(wildcard) => {
            let both = bound.listener.socket.dual_stack == DualStack::Both;
            wildcard.is_unspecified() && (both || !is_v4)
        }
    }
}
