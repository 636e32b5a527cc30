//! ChannelBind (RFC 8656 §12.2).

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use wharf_stun::Message;
use wharf_stun::attribute::{ChannelNumber, XorPeerAddress};

use crate::auth::Authenticated;
use crate::flows::Channel;
use crate::path::PathKey;
use crate::reply::{Refusal, Request};
use crate::server::Server;
use crate::{ClientPath, Output};

/// How long a channel binding lasts (RFC 8656 §12).
const CHANNEL_LIFETIME: Duration = Duration::from_secs(600);

impl Server {
    pub(crate) fn channel_bind(
        &mut self,
        now: Instant,
        request: &Request,
        message: &Message<'_>,
        user: &Authenticated,
    ) -> Output<'_> {
        match self.bind_channel(now, &request.path, message, user) {
            Ok(()) => self.success(request, user, |_| Ok(())),
            Err(refusal) => self.refuse(request, user, refusal),
        }
    }

    fn bind_channel(
        &mut self,
        now: Instant,
        path: &ClientPath,
        message: &Message<'_>,
        user: &Authenticated,
    ) -> Result<(), Refusal> {
        let index = self.own_allocation(now, path, user)?;
        let (Some(Ok(ChannelNumber(number))), Some(Ok(XorPeerAddress(peer)))) = (
            message.get::<ChannelNumber>(),
            message.get::<XorPeerAddress>(),
        ) else {
            return Err(Refusal::BadRequest);
        };
        let last = if self.config.rfc5766_channels {
            0x7FFE
        } else {
            0x4FFF
        };
        if !(0x4000..=last).contains(&number) {
            return Err(Refusal::BadRequest);
        }
        let relay = self.relay_for(now, index, peer.ip())?;
        self.peers
            .check(peer)
            .map_err(|why| self.forbid(path, peer, why))?;

        let known = self.bound(now, index, PathKey::new(path, number), relay.index, peer)?;
        if known.is_none() && self.allocations.get(index).channels.len() >= self.config.max_channels
        {
            self.sweep(now, index);
            if self.allocations.get(index).channels.len() >= self.config.max_channels {
                return Err(Refusal::Capacity);
            }
        }
        self.make_room(now, index, &[peer.ip()])?;

        let expires = now + CHANNEL_LIFETIME;
        let channel = match known {
            Some(channel) => channel,
            None => {
                let channel = self.channels.insert(Channel {
                    client: PathKey::new(path, number),
                    usable_until: None,
                    send_to: self.bound_address(peer),
                    relay,
                    number,
                    hairpin: self.is_own_relay(peer),
                    peer,
                    expires,
                });
                self.allocations.get_mut(index).channels.push(channel);
                channel
            }
        };
        self.channels.get_mut(channel).expires = expires;
        self.permit(now, index, peer.ip());
        self.update_channels(index);
        self.schedule(index, expires);
        Ok(())
    }

    /// The channel that binds this number and this peer, if they are bound to each other; an error if
    /// one of them is bound otherwise. Bindings that have expired do not count.
    fn bound(
        &mut self,
        now: Instant,
        index: u32,
        client: PathKey,
        relay: u32,
        peer: SocketAddr,
    ) -> Result<Option<u32>, Refusal> {
        let stale = |channel: &Channel| channel.expires <= now;
        if self.channels.by_client(client).is_some_and(stale)
            || self
                .channels
                .by_peer(relay, peer)
                .is_some_and(|(_, channel)| stale(channel))
        {
            self.sweep(now, index);
        }
        match (
            self.channels.by_client(client),
            self.channels.by_peer(relay, peer),
        ) {
            (None, None) => Ok(None),
            (Some(a), Some((at, b))) if a.client == b.client => Ok(Some(at)),
            _ => Err(Refusal::BadRequest),
        }
    }
}
