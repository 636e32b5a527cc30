//! What arrived otherwise than on a socket of its own: a flow of datagrams, or a connection over one.

use std::sync::Arc;

use tokio::time::timeout;
use tracing::Instrument;
use wharf_policy::first_bytes::Protocol;

use super::{Proxied, Ready, Refused, is_behind_proxy, raw, real, serve};
use crate::config::Transport;
use crate::connection::{Arrived, Connection, Hold, Places, Shared};
use crate::hooks::{Admit, Arriving};
use crate::listener::Listener;
use crate::owner::Live;
use crate::path::{Endpoint, Path};
use crate::reason::Refusal;
use crate::sockets::PeerCredentials;

/// Who arrives.
pub(crate) struct Newcomer {
    pub(crate) peer: Endpoint,
    pub(crate) local: Endpoint,
    /// The process that sent the first datagram over a Unix socket.
    pub(crate) credentials: Option<PeerCredentials>,
    /// What a trusted proxy said of it.
    pub(crate) proxied: Option<Proxied>,
    /// What the first datagram was, and what is spoken because of it, where it decides.
    pub(crate) first: Option<(Option<Protocol>, Transport)>,
    pub(crate) standing: Standing,
}

/// Whether a newcomer is where it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    Proven,
    /// It can be asked for a proof.
    Provable,
    /// Its protocol has none.
    Unprovable,
}

/// Why a newcomer does not come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Declined {
    /// It is refused, which has been counted and told: the caller turns it away.
    Refused(Refusal),
    /// The same, and it is to hear nothing.
    Ignored,
    /// It is no arrival before it has proven its address: the caller asks it to, and counts that.
    Unproven,
}

impl Newcomer {
    /// Between whom it is: the ends that the proxy had, or its own.
    fn path(&self, live: &Live) -> Path {
        let transport = self
            .first
            .map_or(live.config.transport, |(_, spoken)| spoken);
        let proxied = self.proxied.as_ref().and_then(Proxied::endpoints);
        let (local, peer) = proxied.unwrap_or_else(|| (self.local.clone(), self.peer.clone()));
        Path::new(transport, local, peer)
    }
}

/// Lets a newcomer in, as [`admit`](super::admit) does an arrival. `handshake` makes it ready, within
/// the deadline for handshakes; it is given the [`Hold`] that keeps the connection counted, for the
/// socket below. Never waits.
///
/// # Errors
/// It does not come in, and nothing is kept of it.
pub(crate) fn admit_newcomer<F>(
    listener: &Arc<Listener>,
    newcomer: Newcomer,
    handshake: impl FnOnce(Hold) -> F,
) -> Result<Arc<Shared>, Declined>
where
    F: Future<Output = Result<Ready, Refused>> + Send + 'static,
{
    admit_placed(listener, newcomer, Places::default(), handshake)
}

/// [`admit_newcomer`], with the places that it has waited for already.
pub(crate) fn admit_placed<F>(
    listener: &Arc<Listener>,
    newcomer: Newcomer,
    places: Places,
    handshake: impl FnOnce(Hold) -> F,
) -> Result<Arc<Shared>, Declined>
where
    F: Future<Output = Result<Ready, Refused>> + Send + 'static,
{
    let owner = &listener.owner;
    let live = owner.live();
    let places = judge(listener, &live, &newcomer, places)?;
    let arrived = Arrived {
        id: owner.next_id(),
        transport: live.config.transport,
        peer: newcomer.peer,
        local: newcomer.local,
        credentials: newcomer.credentials,
        descriptor: None,
    };
    let hold = Shared::arrive(owner, arrived, places);
    let shared = hold.shared().clone();
    if owner.connections.is_closed() {
        shared.refuse(Refusal::Stopped.into());
        return Err(Declined::Refused(Refusal::Stopped));
    }
    let connection = Connection::new(shared.clone());
    if let Some(proxied) = newcomer.proxied {
        let _ = shared.details().proxied.set(Box::new(proxied));
    }
    if let Some(first) = newcomer.first {
        owner.counters.spoken(first.0);
        let _ = shared.details().first.set(first);
    }
    let span = tracing::info_span!(
        "connection",
        listener = %owner.name,
        id = shared.id,
        peer = %shared.socket_peer,
    );
    let limit = live.config.timeouts.handshake;
    let ready = handshake(hold.clone());
    let listener = listener.clone();
    let run = async move {
        // Kept until the end is settled.
        let _hold = hold;
        let ready = match limit {
            None => Box::pin(ready).await,
            Some(limit) => Box::pin(timeout(limit, ready))
                .await
                .unwrap_or_else(|_| Err(Refusal::HandshakeTimeout.into())),
        };
        match ready {
            Ok(ready) => serve(listener, ready, connection).await,
            Err(refused) => connection.shared().refuse(refused),
        }
    };
    let task = tokio::spawn(run.instrument(span));
    let _ = shared.task.set(task.abort_handle());
    Ok(shared)
}

/// All that is decided before anything is kept: the rules, and the user's say.
fn judge(
    listener: &Arc<Listener>,
    live: &Live,
    newcomer: &Newcomer,
    places: Places,
) -> Result<Places, Declined> {
    let owner = &listener.owner;
    let peer = &newcomer.peer;
    let refuse = |refused: Refused| {
        let Refused { reason, detail } = refused;
        owner.counters.refused(reason);
        owner.events.refused(&owner.name, peer, reason, detail);
        Declined::Refused(reason)
    };
    let mut places = raw::check(listener, live, peer, newcomer.credentials, places)
        .map_err(|reason| refuse(reason.into()))?;
    let path = newcomer.path(live);
    if is_behind_proxy(live, peer) {
        real::check(listener, live, &path.peer, &mut places).map_err(refuse)?;
    }
    let arriving = Arriving {
        listener: &owner.name,
        path,
        socket_peer: peer,
        proxied: newcomer.proxied.as_ref(),
        credentials: newcomer.credentials,
        live: listener.gate.inside(),
        pending: listener.handshakes.inside(),
        proven: newcomer.standing == Standing::Proven,
    };
    let by_hook = |detail| Refused {
        reason: Refusal::Hook,
        detail,
    };
    match listener.hooks.admit(&arriving) {
        (Admit::Prove, _) if newcomer.standing == Standing::Provable => {
            listener.return_accept_token();
            Err(Declined::Unproven)
        }
        (Admit::Accept | Admit::Prove, _) => Ok(places),
        (Admit::Refuse, detail) => Err(refuse(by_hook(detail))),
        (Admit::Ignore, _) => {
            refuse(by_hook("ignored"));
            Err(Declined::Ignored)
        }
    }
}
