//! The server's own addresses, which are part of any peer rules: nobody reaches the host's services
//! through its relays.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use wharf_policy::{OwnAddresses, PeerPolicy, PeerRules};
use wharf_udp::interface_addresses;

use crate::{Handle, RelayAddress};

/// How often the host's addresses are read again: one may come by DHCP, a floating address or a change
/// of an IPv6 privacy address.
const PERIOD: Duration = Duration::from_secs(5);

/// What the operator says about peers, and what the server adds.
#[derive(Debug)]
pub(crate) struct Own {
    sockets: Vec<SocketAddr>,
    relays: Vec<RelayAddress>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    rules: PeerRules,
    interfaces: Vec<IpAddr>,
}

impl Own {
    pub(crate) fn new(
        rules: PeerRules,
        relays: &[RelayAddress],
        listeners: &[SocketAddr],
    ) -> io::Result<Self> {
        // Behind a 1:1 NAT a listener is also reached at the address that stands for its own.
        let advertised = relays.iter().flat_map(|relay| {
            let same = move |ip: IpAddr| {
                ip == relay.bind || ip.is_unspecified() && ip.is_ipv4() == relay.bind.is_ipv4()
            };
            let here = listeners.iter().filter(move |listener| same(listener.ip()));
            here.map(|listener| SocketAddr::new(relay.advertised, listener.port()))
        });
        Ok(Self {
            sockets: listeners.iter().copied().chain(advertised).collect(),
            relays: relays.to_vec(),
            state: Mutex::new(State {
                rules,
                interfaces: interface_addresses()?,
            }),
        })
    }

    /// The rules in force.
    pub(crate) fn policy(&self) -> Arc<PeerPolicy> {
        self.make(&self.state())
    }

    /// Other rules of the operator's.
    pub(crate) fn set_rules(&self, rules: PeerRules) -> Arc<PeerPolicy> {
        let mut state = self.state();
        state.rules = rules;
        self.make(&state)
    }

    /// Reads the host's addresses again; other rules if they have changed.
    pub(crate) fn rescan(&self) -> io::Result<Option<Arc<PeerPolicy>>> {
        let interfaces = interface_addresses()?;
        let mut state = self.state();
        if state.interfaces == interfaces {
            return Ok(None);
        }
        state.interfaces = interfaces;
        Ok(Some(self.make(&state)))
    }

    fn make(&self, state: &State) -> Arc<PeerPolicy> {
        let mut rules = state.rules.clone();
        let OwnAddresses {
            interfaces,
            sockets,
            relays,
        } = &mut rules.own;
        interfaces.extend_from_slice(&state.interfaces);
        sockets.extend_from_slice(&self.sockets);
        for relay in &self.relays {
            relays.extend([relay.bind, relay.advertised].map(|ip| (ip, relay.ports.clone())));
        }
        Arc::new(PeerPolicy::new(rules))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends the thread that watches the host's addresses.
#[derive(Debug, Default)]
pub(crate) struct Ended {
    ended: Mutex<bool>,
    changed: Condvar,
}

impl Ended {
    pub(crate) fn set(&self) {
        *self.ended.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_all();
    }

    /// Waits for the end, at most for `limit`. True when it has come.
    fn wait(&self, limit: Duration) -> bool {
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self
            .changed
            .wait_timeout_while(ended, limit, |ended| !*ended);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

/// Keeps the peer rules true to the host's addresses until the end.
pub(crate) fn watch(handle: &Handle, ended: &Ended) {
    while !ended.wait(PERIOD) {
        // When the list can't be read, the last one stays in force until the next time.
        let _ = handle.rescan_addresses();
    }
}
