//! The rules for single datagrams.

use std::sync::Arc;
use std::time::Instant;

use wharf_policy::access::{Identity, Verdict as Access};

use super::intake::Side;
use super::socket::Source;
use crate::admission::{Proxied, is_behind_proxy};
use crate::config::ProxyMode;
use crate::listener::Listener;
use crate::owner::Live;
use crate::proxy::{self, Step};
use crate::reason::Dropped;

/// What becomes of a datagram.
pub(crate) enum Verdict<'a> {
    Pass,
    /// Without its PROXY header, which has this many bytes.
    PassBehind {
        proxied: Proxied,
        header: usize,
    },
    /// It asked for the listener's health.
    Answer(&'a str),
    Drop(Dropped),
}

/// The rules in force, looked up once for a batch.
pub(crate) struct Rules {
    live: Arc<Live>,
    version: u32,
    /// The time of the batch.
    pub(crate) now: Instant,
}

impl Rules {
    pub(crate) fn new(listener: &Listener) -> Self {
        Self {
            version: listener.owner.version(),
            live: listener.owner.live(),
            now: tokio::time::Instant::now().into_std(),
        }
    }

    /// Takes over rules that have changed.
    pub(crate) fn refresh(&mut self, listener: &Listener) -> &Live {
        let version = listener.owner.version();
        if version != self.version {
            self.version = version;
            self.live = listener.owner.live();
        }
        &self.live
    }

    pub(crate) fn live(&self) -> &Live {
        &self.live
    }

    /// Access, then size, then rate: who is not welcome takes no token.
    pub(crate) fn judge(&self, listener: &Listener, side: &Side, payload: &[u8]) -> Verdict<'_> {
        match self.admit(listener, side, payload) {
            Err(reason) => Verdict::Drop(reason),
            Ok(()) => self.open(side, payload),
        }
    }

    fn admit(&self, listener: &Listener, side: &Side, payload: &[u8]) -> Result<(), Dropped> {
        let config = &self.live.config;
        match &side.source {
            Source::Ip(peer) if self.live.access.check(peer.ip()) == Access::Deny => {
                return Err(Dropped::Access);
            }
            Source::Ip(_) => {}
            Source::Unix(_) if config.unix.peers.is_empty() => {}
            Source::Unix(_) => {
                let known = side.credentials.map(|peer| Identity {
                    uid: peer.uid,
                    gid: peer.gid,
                });
                // Who is not known cannot be judged; with rules that is a no.
                if known.is_none_or(|peer| self.live.identities.check(peer) == Access::Deny) {
                    return Err(Dropped::Identity);
                }
            }
        }
        if payload.len() as u64 > config.datagrams.max_size {
            return Err(Dropped::Oversized);
        }
        match &side.source {
            Source::Ip(peer)
                if config.rates.datagrams_per_prefix.is_some()
                    && !listener.prefixes().takes_datagram(self.now, peer.ip()) =>
            {
                Err(Dropped::PrefixRate)
            }
            _ => Ok(()),
        }
    }

    /// Looks into the payload: for a request of health, and for a PROXY header.
    fn open(&self, side: &Side, payload: &[u8]) -> Verdict<'_> {
        let config = &self.live.config;
        if let Some(check) = &config.datagrams.health_check
            && check.request.as_bytes() == payload
        {
            return Verdict::Answer(&check.answer);
        }
        // Version 1 cannot speak of datagrams (section 2.1), and what is cut off cannot be completed.
        let may_have_header = config.proxy.mode != ProxyMode::Off
            && proxy::begins_v2(payload)
            && is_behind_proxy(&self.live, &side.source.endpoint());
        if !may_have_header {
            return Verdict::Pass;
        }
        match proxy::parse(payload, proxy::MAX_BYTES) {
            Ok(Step::Done { header, consumed }) => {
                let proxied = Proxied { header };
                let client = proxied.endpoints().and_then(|(_, client)| client.ip());
                match client {
                    Some(client) if self.live.access.check(client.ip()) == Access::Deny => {
                        Verdict::Drop(Dropped::Access)
                    }
                    _ => Verdict::PassBehind {
                        proxied,
                        header: consumed,
                    },
                }
            }
            _ => Verdict::Drop(Dropped::Proxy),
        }
    }
}
