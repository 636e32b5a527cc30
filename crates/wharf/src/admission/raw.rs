//! The first stage: what can be said of the socket's own peer, without reading a byte.

use std::sync::Arc;

use wharf_policy::access::{Identity, Verdict};

use super::{handshake, is_behind_proxy};
use crate::config::ProxyMode;
use crate::connection::Places;
use crate::listener::Listener;
use crate::owner::Live;
use crate::path::Endpoint;
use crate::reason::Refusal;
use crate::sockets::PeerCredentials;

/// Access, then rates, then room: who is not welcome takes no token and no place.
///
/// Behind a trusted proxy the limits for each prefix wait for the real peer: all connections come
/// from the proxy's own address.
pub(super) fn check(
    listener: &Arc<Listener>,
    live: &Live,
    peer: &Endpoint,
    credentials: Option<PeerCredentials>,
    mut places: Places,
) -> Result<Places, Refusal> {
    let behind_proxy = is_behind_proxy(live, peer);
    access(live, peer, credentials)?;
    if live.config.proxy.mode == ProxyMode::Required && !behind_proxy {
        return Err(Refusal::ProxyUntrusted);
    }
    // With `wait` the acceptor has taken the token, and both places.
    if places.listener.is_none() {
        listener.take_accept_token().map_err(|_| Refusal::Rate)?;
        places.listener = Some(listener.gate.try_enter().ok_or(Refusal::ListenerFull)?);
        places.server = Some(
            listener
                .server_gate
                .try_enter()
                .ok_or(Refusal::ServerFull)?,
        );
    }
    if listener.owner.memory.is_spent() {
        return Err(Refusal::Memory);
    }
    let handshakes = handshake::is_due(live);
    if handshakes {
        places.handshake = Some(
            listener
                .handshakes
                .try_enter()
                .ok_or(Refusal::HandshakesFull)?,
        );
    }
    if !behind_proxy {
        super::real::enter_prefix(listener, peer, handshakes, &mut places)?;
    }
    Ok(places)
}

fn access(
    live: &Live,
    peer: &Endpoint,
    credentials: Option<PeerCredentials>,
) -> Result<(), Refusal> {
    match (peer, credentials) {
        (Endpoint::Ip(peer), _) => match live.access.check(peer.ip()) {
            Verdict::Allow => Ok(()),
            Verdict::Deny => Err(Refusal::Access),
        },
        (Endpoint::Unix(_), Some(peer)) => {
            match live.identities.check(Identity {
                uid: peer.uid,
                gid: peer.gid,
            }) {
                Verdict::Allow => Ok(()),
                Verdict::Deny => Err(Refusal::Identity),
            }
        }
        // Who is not known cannot be judged; with rules that is a no.
        (Endpoint::Unix(_), None) if !live.config.unix.peers.is_empty() => Err(Refusal::Identity),
        (Endpoint::Unix(_), None) => Ok(()),
    }
}
