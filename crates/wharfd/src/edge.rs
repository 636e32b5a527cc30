//! From the daemon's settings to the server's.

use crate::config::{Algorithm, Auth, Proof, Settings, Tos};
use crate::problem::Problem;
use wharf_turn_server::wharf_dtls::ServerContext;
use wharf_turn_server::{
    Algorithms, Config, CoreConfig, Credentials, DtlsOptions, EventHook, PeerRules, PrefixLimits,
    QuotaLimits, RelayAddress, StreamOptions,
};

/// What the server is started with; `context` is what sessions of DTLS are made from, where it is
/// spoken.
pub(crate) fn config(
    settings: &Settings,
    context: Option<ServerContext>,
    events: EventHook,
) -> Result<Config, Problem> {
    let Settings {
        server,
        listen,
        dtls,
        relay,
        auth,
        allocations,
        limits,
        ..
    } = settings;
    let relay_address = |address: &crate::config::RelayAddress| RelayAddress {
        bind: address.bind,
        advertised: address.advertise,
        ports: relay.ports.clone(),
    };
    Ok(Config {
        listen: listen.udp.clone(),
        dtls: context.map(|context| DtlsOptions {
            max_sessions: dtls.max_sessions as usize,
            max_handshakes: dtls.max_handshakes as usize,
            max_sessions_per_prefix: dtls.max_sessions_per_prefix,
            max_handshakes_per_prefix: dtls.max_handshakes_per_prefix,
            handshake_timeout: dtls.handshake_timeout,
            ..DtlsOptions::new(listen.dtls.clone(), context)
        }),
        relays: relay.addresses.iter().map(relay_address).collect(),
        workers: server.workers.map_or(0, usize::from),
        pin_workers: server.pin_workers,
        receive_buffer: listen.receive_buffer,
        send_buffer: listen.send_buffer,
        tos: match relay.tos {
            Tos::Copy => wharf_turn_server::Tos::Copy,
            Tos::Clear => wharf_turn_server::Tos::Clear,
        },
        streams: StreamOptions::default(),
        core: CoreConfig {
            realm: server.realm.clone(),
            default_lifetime: allocations.default_lifetime,
            max_lifetime: allocations.max_lifetime,
            nonce_lifetime: auth.nonce_lifetime,
            reservation_lifetime: allocations.reservation_lifetime,
            algorithms: Algorithms {
                md5: auth.algorithms.contains(&Algorithm::Md5),
                sha256: auth.algorithms.contains(&Algorithm::Sha256),
            },
            username_anonymity: auth.username_anonymity,
            strict_expiry: auth.strict_expiry,
            max_permissions: allocations.permissions as usize,
            max_channels: allocations.channels as usize,
            rfc5766_channels: allocations.rfc5766_channels,
            alternate_servers: allocations.alternate_servers.clone(),
            early_refusal: limits.early_refusal,
            unauthenticated: unauthenticated(settings),
            ..CoreConfig::default()
        },
        credentials: credentials(auth, &server.realm)?,
        nonce_secret: auth.fleet_key.as_ref().map(|key| key.0),
        quotas: quotas(settings),
        peers: peers(settings),
        // Of a predecessor, if there is one.
        legacy: None,
        events: Some(events),
    })
}

pub(crate) fn credentials(auth: &Auth, realm: &str) -> Result<Credentials, Problem> {
    let mut credentials = Credentials::new(realm);
    for user in &auth.users {
        match &user.proof {
            Proof::Password(password) => {
                let added = credentials.add_user(&user.name, &password.0);
                let key = || format!("auth.users.{}", user.name);
                added.map_err(|error| Problem::new(key(), error.to_string()))?;
            }
            Proof::Keys { md5, sha256 } => credentials.add_keys(&user.name, *md5, *sha256),
        }
    }
    for secret in &auth.secrets {
        credentials.add_secret(secret.0.as_bytes());
    }
    Ok(credentials)
}

pub(crate) fn quotas(settings: &Settings) -> QuotaLimits {
    QuotaLimits {
        per_user: settings.allocations.per_user,
        total: settings.allocations.total,
    }
}

pub(crate) fn peers(settings: &Settings) -> PeerRules {
    let mut rules = PeerRules {
        allow: settings.peers.allow.clone(),
        deny: settings.peers.deny.clone(),
        allow_only: settings.peers.allow_only,
        allow_loopback: settings.peers.allow_loopback,
        deny_ports_below_1024: settings.peers.deny_low_ports,
        ..PeerRules::default()
    };
    rules.own.sockets.extend(settings.metrics.listen);
    let listen = &settings.listen;
    rules
        .own
        .sockets
        .extend(listen.tcp.iter().chain(&listen.tls));
    let sip = settings.sip.listening().into_iter();
    let sip = sip.flat_map(|listening| listening.addresses);
    rules.own.sockets.extend(sip);
    rules
}

pub(crate) fn unauthenticated(settings: &Settings) -> PrefixLimits {
    PrefixLimits {
        per_second: settings.limits.unauthenticated_per_second,
        burst: settings.limits.unauthenticated_burst,
        ipv4_prefix: settings.limits.ipv4_prefix,
        ipv6_prefix: settings.limits.ipv6_prefix,
        ..PrefixLimits::default()
    }
}

#[cfg(test)]
mod tests;
