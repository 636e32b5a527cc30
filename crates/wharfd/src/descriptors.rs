//! Open files: every relay socket takes one, and the usual soft limit of 1,024 is for programs that
//! call `select`.

use crate::config::Settings;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::warn;

/// Open files besides relay sockets: listeners and timers of the workers, scrapes, the log.
const OTHERS: u64 = 256;

/// Raises the soft limit to the hard one. Where the system refuses, the soft limit stays, and
/// [`warn_if_few`] judges that.
pub(crate) fn raise() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    let _ = setrlimit(Resource::Nofile, raised);
}

/// Logs a line when the allocations that the settings permit could exhaust the open files.
pub(crate) fn warn_if_few(settings: &Settings) {
    let needed = needed(settings);
    if let Some(limit) = getrlimit(Resource::Nofile).current
        && limit < needed
    {
        warn!(
            target: "wharfd",
            limit,
            needed,
            "the limit of open files is too low for allocations.total; raise it (LimitNOFILE in systemd)"
        );
    }
}

/// What the allocations may take: a socket for each family, within the quotas and the relay ports.
fn needed(settings: &Settings) -> u64 {
    let relay = &settings.relay;
    let families = [true, false].into_iter().filter(|&ipv4| {
        let mut addresses = relay.addresses.iter();
        addresses.any(|address| address.bind.is_ipv4() == ipv4)
    });
    let by_quota = allocations(settings) * families.count() as u64;
    let by_ports = relay.ports.len() as u64 * relay.addresses.len() as u64;
    by_quota.min(by_ports) + connections(settings) + sip(settings) + OTHERS
}

/// Connections of clients: one for each allocation if all come over TCP or TLS, as far as a limit
/// lets them.
fn connections(settings: &Settings) -> u64 {
    let limit = match settings.stream.limits.max_connections {
        0 => u64::MAX,
        limit => limit,
    };
    let listen = &settings.listen;
    let listeners = [&listen.tcp, &listen.tls].into_iter();
    let listeners = listeners.filter(|addresses| !addresses.is_empty()).count() as u64;
    limit.saturating_mul(listeners).min(allocations(settings))
}

/// Connections of SIP, as far as a limit lets them.
fn sip(settings: &Settings) -> u64 {
    let sip = &settings.sip;
    if sip.is_on() {
        u64::from(sip.max_connections)
    } else {
        0
    }
}

/// The most allocations that the quotas let live. Shared secrets make any number of users.
fn allocations(settings: &Settings) -> u64 {
    let total = u64::from(settings.allocations.total);
    let per_user = u64::from(settings.allocations.per_user);
    if per_user == 0 || !settings.auth.secrets.is_empty() {
        return total;
    }
    total.min(per_user * settings.auth.users.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needs(addresses: &str, ports: &str, quotas: &str) -> u64 {
        let settings = Settings::parse(&format!(
            "[listen]
             udp = ['127.0.0.1:3478']
             [relay]
             addresses = {addresses}
             ports = '{ports}'
             [auth]
             users = {{ alice = 'wonderland' }}
             [allocations]
             {quotas}"
        ));
        needed(&settings.unwrap())
    }

    #[test]
    fn an_allocation_takes_a_socket_for_each_family() {
        let quotas = "total = 1000\nper-user = 0";
        assert_eq!(needs("['127.0.0.1']", "2000-4999", quotas), 1256);
        assert_eq!(needs("['127.0.0.1', '::1']", "2000-4999", quotas), 2256);
        let two = "['127.0.0.1', '127.0.0.2']";
        assert_eq!(needs(two, "2000-4999", quotas), 1256);
    }

    #[test]
    fn a_client_over_tcp_takes_a_connection_too() {
        let over_tcp = |limits: &str| {
            let settings = Settings::parse(&format!(
                "[listen]
                 udp = ['127.0.0.1:3478']
                 tcp = ['127.0.0.1:3478']
                 [stream]
                 limits = {{ {limits} }}
                 [auth]
                 secrets = ['north']
                 [allocations]
                 total = 1000"
            ));
            needed(&settings.unwrap())
        };
        assert_eq!(over_tcp(""), 2256);
        assert_eq!(over_tcp("max-connections = 100"), 1356);
    }

    #[test]
    fn there_are_no_more_sockets_than_ports() {
        let quotas = "total = 1000\nper-user = 0";
        assert_eq!(needs("['127.0.0.1', '::1']", "2000-2099", quotas), 456);
    }

    #[test]
    fn static_users_have_no_more_than_their_quota() {
        let quotas = "total = 1000\nper-user = 7";
        assert_eq!(needs("['127.0.0.1']", "2000-4999", quotas), 263);
    }
}
