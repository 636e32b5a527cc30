//! The stage that judges the real peer: the one in the PROXY header, where there is one.

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
    peer: &Endpoint,
    places: &mut Places,
) -> Result<(), Refused> {
    if let Some(ip) = peer.ip()
        && live.access.check(ip.ip()) == Verdict::Deny
    {
        return Err(Refusal::ProxiedAccess.into());
    }
    enter_prefix(listener, peer, super::handshake::is_due(live), places)?;
    Ok(())
}

/// Asks the user about a connection, whose peer has proven its address by it.
pub(super) fn hook(listener: &Listener, connection: &Connection) -> Result<(), Refused> {
    let arriving = Arriving {
        listener: &listener.owner.name,
        path: connection.path(),
        socket_peer: connection.socket_peer(),
        proxied: connection.proxied(),
        credentials: connection.credentials(),
        live: listener.gate.inside(),
        pending: listener.handshakes.inside(),
        proven: true,
    };
    match listener.hooks.admit(&arriving) {
        (Admit::Accept | Admit::Prove, _) => Ok(()),
        (Admit::Refuse | Admit::Ignore, detail) => Err(Refused {
            reason: Refusal::Hook,
            detail,
        }),
    }
}
