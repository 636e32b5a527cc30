//! Checks that need more than one key.

use super::listeners::{dtls_listener, tls_defaults};
use super::section::Reader;
use super::settings::{Algorithm, Auth, Dtls, Proof, Settings, Stream};
use super::{listeners, problem_in_file, sip};
use crate::problem::Problem;
use crate::succession;
use ipnet::IpNet;
use std::net::SocketAddr;
use wharf::config::{Address, UnixOptions};
use wharf_policy::address::{AddressClass, Tier, classify};

pub(super) fn all(settings: &Settings, reader: &mut Reader) {
    listen(settings, reader);
    handover(settings, reader);
    streams(settings, reader);
    sip::check(settings, reader);
    relay(settings, reader);
    auth(&settings.auth, reader);
    peers(settings, reader);
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
    let dtls = &settings.listen.dtls;
    for (index, address) in udp.iter().enumerate() {
        if udp[..index].contains(address) {
            let reason = format!("{address} is listed twice; remove one");
            reader.problem("listen.udp", reason);
        }
        covered(address, "listen.udp", udp.iter().chain(dtls), reader);
    }
    // The library finds what is wrong within `listen.dtls`.
    for address in dtls {
        covered(address, "listen.dtls", udp.iter(), reader);
    }
}

/// Says so when one of `others` is a wildcard that stands for this address of `key` too.
fn covered<'a>(
    address: &SocketAddr,
    key: &str,
    mut others: impl Iterator<Item = &'a SocketAddr>,
    reader: &mut Reader,
) {
    if let Some(wildcard) = others.find(|other| covers(other, address)) {
        let reason = format!("{address} is part of {wildcard}; remove one");
        reader.problem(key, reason);
    }
}

/// The tools' socket is neither of the two on which successors ask.
fn handover(settings: &Settings, reader: &mut Reader) {
    let (Some(path), Some(Address::Path(admin))) =
        (&settings.server.handover, &settings.admin.listen)
    else {
        return;
    };
    let beside = succession::beside(path);
    if admin == path || *admin == beside {
        let taken = admin.display();
        reader.problem(
            "server.handover",
            format!("admin.listen has \"{taken}\", where successors would ask; name another path"),
        );
    }
}

/// Whether one is the wildcard that stands for the other too.
fn covers(wildcard: &SocketAddr, address: &SocketAddr) -> bool {
    wildcard.ip().is_unspecified()
        && !address.ip().is_unspecified()
        && wildcard.is_ipv4() == address.is_ipv4()
        && wildcard.port() == address.port()
}

/// What the library finds in the listeners for TCP and TLS, and options that nothing would use.
fn streams(settings: &Settings, reader: &mut Reader) {
    let Settings {
        listen,
        stream,
        tls,
        dtls,
        ..
    } = settings;
    let unused = [
        (
            "stream",
            listen.tcp.is_empty() && listen.tls.is_empty() && *stream != Stream::default(),
            "listen.tcp or listen.tls",
        ),
        (
            "tls",
            listen.tls.is_empty()
                && listen.dtls.is_empty()
                && settings.sip.tls.is_empty()
                && settings.sip.wss.is_empty()
                && *tls != tls_defaults(),
            "listen.tls or listen.dtls",
        ),
        (
            "dtls",
            listen.dtls.is_empty() && *dtls != Dtls::default(),
            "listen.dtls",
        ),
        (
            "admin.unix",
            settings.admin.listen.is_none() && settings.admin.unix != UnixOptions::default(),
            "admin.listen",
        ),
    ];
    for (section, is_unused, needed) in unused {
        if is_unused && !reader.faulty("listen.") && !reader.faulty("admin.") {
            let reason = format!("nothing would use it; set {needed}, or remove it");
            reader.problem(section, reason);
        }
    }
    let found = [listeners(settings), dtls_listener(settings)];
    let found = found.into_iter().filter_map(|config| config.check().err());
    let mut told: Vec<Problem> = Vec::new();
    for problem in found.flat_map(|problems| problems.0) {
        let problem = problem_in_file(problem);
        // Neither what follows from another problem, nor the same of several listeners.
        if !reader.faulty(&problem.at) && !told.contains(&problem) {
            told.push(problem);
        }
    }
    reader.extend(told);
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

fn peers(settings: &Settings, reader: &mut Reader) {
    let Settings { peers, listen, .. } = settings;
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
    let datagrams = listen.udp.iter().chain(&listen.dtls);
    let mut listened = datagrams.chain(&listen.tcp).chain(&listen.tls);
    let public = listened.find(|address| !address.ip().is_loopback());
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
