//! Checks that need more than one key.

use super::section::Reader;
use super::settings::{Algorithm, Auth, Peers, Proof, Settings};
use ipnet::IpNet;
use std::net::SocketAddr;
use wharf_policy::address::{AddressClass, Tier, classify};

pub(super) fn all(settings: &Settings, reader: &mut Reader) {
    listen(settings, reader);
    relay(settings, reader);
    auth(&settings.auth, reader);
    peers(&settings.peers, &settings.listen.udp, reader);
    let allocations = &settings.allocations;
    if allocations.max_lifetime < allocations.default_lifetime {
        reader.problem(
            "allocations.max-lifetime",
            "is below allocations.default-lifetime; raise it or lower the other",
        );
    }
    if let Some(address) = settings.metrics.listen
        && !address.ip().is_loopback()
        && !settings.metrics.allow_remote
    {
        reader.problem(
            "metrics.listen",
            format!("{address} is not loopback; use 127.0.0.1, or set metrics.allow-remote = true"),
        );
    }
}

fn listen(settings: &Settings, reader: &mut Reader) {
    let udp = &settings.listen.udp;
    if udp.is_empty() && !reader.faulty("listen.udp") {
        reader.problem(
            "listen.udp",
            "no address; name at least one, such as \"0.0.0.0:3478\"",
        );
    }
    for (index, address) in udp.iter().enumerate() {
        if udp[..index].contains(address) {
            reader.problem(
                "listen.udp",
                format!("{address} is listed twice; remove one"),
            );
        }
        if let Some(wildcard) = udp.iter().find(|other| covers(other, address)) {
            reader.problem(
                "listen.udp",
                format!("{address} is part of {wildcard}; remove one"),
            );
        }
    }
}

/// Whether one is the wildcard that stands for the other too.
fn covers(wildcard: &SocketAddr, address: &SocketAddr) -> bool {
    wildcard.ip().is_unspecified()
        && !address.ip().is_unspecified()
        && wildcard.is_ipv4() == address.is_ipv4()
        && wildcard.port() == address.port()
}

fn relay(settings: &Settings, reader: &mut Reader) {
    let addresses = &settings.relay.addresses;
    if addresses.is_empty() && !reader.faulty("relay.addresses") && !reader.faulty("listen.udp") {
        reader.problem(
            "relay.addresses",
            "no address, and listen.udp names none to relay from; name at least one",
        );
    }
    for (index, address) in addresses.iter().enumerate() {
        if addresses[..index]
            .iter()
            .any(|other| other.bind == address.bind)
        {
            reader.problem(
                "relay.addresses",
                format!("{} is listed twice; remove one", address.bind),
            );
        }
    }
}

fn auth(auth: &Auth, reader: &mut Reader) {
    if auth.users.is_empty() && auth.secrets.is_empty() && !reader.faulty("auth.") {
        reader.problem(
            "auth",
            "nobody could allocate; set auth.users or auth.secrets",
        );
    }
    if auth.username_anonymity && !auth.secrets.is_empty() {
        reader.problem(
            "auth.username-anonymity",
            "cannot work with auth.secrets: a time-limited credential is verified by its user \
             name, which USERHASH hides; remove one",
        );
    }
    if auth.algorithms.is_empty() && !reader.faulty("auth.algorithms") {
        reader.problem(
            "auth.algorithms",
            "is empty; leave it out, or list \"md5\" or \"sha256\"",
        );
    }
    for (index, algorithm) in auth.algorithms.iter().enumerate() {
        if auth.algorithms[..index].contains(algorithm) {
            reader.problem("auth.algorithms", "lists an algorithm twice; remove one");
        }
    }
    for user in &auth.users {
        let Proof::Keys { md5, sha256 } = &user.proof else {
            continue;
        };
        for algorithm in &auth.algorithms {
            let (name, there) = match algorithm {
                Algorithm::Md5 => ("md5", md5.is_some()),
                Algorithm::Sha256 => ("sha256", sha256.is_some()),
            };
            if !there {
                let reason = format!(
                    "`key-{name}` is missing; add it, or take \"{name}\" out of auth.algorithms"
                );
                reader.problem(&format!("auth.users.{}", user.name), reason);
            }
        }
    }
}

fn peers(peers: &Peers, listen: &[SocketAddr], reader: &mut Reader) {
    if peers.allow_only && peers.allow.is_empty() {
        reader.problem(
            "peers.allow-only",
            "nothing could be relayed to; list networks in peers.allow",
        );
    }
    for network in &peers.allow {
        if let Some(class) = never_relayed(network) {
            let reason = format!("{network} is {class}, which is never relayed to; remove it");
            reader.problem("peers.allow", reason);
        }
    }
    let public = listen.iter().find(|address| !address.ip().is_loopback());
    if let Some(address) = public.filter(|_| peers.allow_loopback) {
        reader.problem(
            "peers.allow-loopback",
            format!(
                "would open this host's own services to the clients of {address}; \
                     listen on loopback only, or remove it"
            ),
        );
    }
}

/// The class of a network that lies wholly in addresses which no rule opens.
fn never_relayed(network: &IpNet) -> Option<AddressClass> {
    let (first, last) = (classify(network.network()), classify(network.broadcast()));
    (first == last && first.tier() == Tier::Never).then_some(first)
}
