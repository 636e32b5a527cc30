//! The stage that judges the real peer: the one in the PROXY header, where there is one.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use tokio::time::Instant;
use wharf_policy::access::Verdict;

use super::Refused;
use crate::connection::{Connection, Places};
use crate::hooks::{Admit, Arriving};
use crate::listener::Listener;
use crate::owner::Live;
use crate::path::Endpoint;
use crate::reason::Refusal;

/// Takes the places of a prefix, within its rate.
pub(super) fn enter_prefix(
    listener: &Listener,
    peer: &Endpoint,
    handshakes: bool,
    places: &mut Places,
) -> Result<(), Refusal> {
    let Some(peer) = peer.ip() else { return Ok(()) };
    let prefixes = listener.prefixes();
    prefixes.within_rate(Instant::now().into_std(), peer.ip())?;
    places.prefix = Some(prefixes.enter(peer.ip())?);
    if handshakes {
        places.prefix_handshake = Some(prefixes.enter_handshake(peer.ip())?);
    }
    Ok(())
}

/// Judges a peer that came with a PROXY header.
pub(super) fn check(
    listener: &Listener,
    live: &Live,
    connection: &Connection,
) -> Result<(), Refused> {
    let peer = connection.peer();
    if let Some(ip) = peer.ip()
        && live.access.check(ip.ip()) == Verdict::Deny
    {
        return Err(Refusal::ProxiedAccess.into());
    }
    let handshakes = super::handshake::is_due(live);
    let mut places = connection.shared().places();
    enter_prefix(listener, &peer, handshakes, &mut places)?;
    Ok(())
}

/// Asks the user.
pub(super) fn hook(listener: &Arc<Listener>, connection: &Connection) -> Result<(), Refused> {
    let Some(hook) = &listener.hooks.admit else {
        return Ok(());
    };
    let arriving = Arriving {
        listener: &listener.owner.name,
        path: connection.path(),
        socket_peer: connection.socket_peer(),
        proxied: connection.proxied(),
        credentials: connection.credentials(),
        live: listener.gate.inside(),
        pending: listener.handshakes.inside(),
    };
    // A hook that panics has not said yes.
    match std::panic::catch_unwind(AssertUnwindSafe(|| hook(&arriving))) {
        Ok(Admit::Accept) => Ok(()),
        Ok(Admit::Refuse) => Err(Refusal::Hook.into()),
        Err(_) => Err(Refused {
            reason: Refusal::Hook,
            detail: "panic",
        }),
    }
}
