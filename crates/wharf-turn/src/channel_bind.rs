//! ChannelBind (RFC 8656 §12.2).

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use wharf_stun::Message;
use wharf_stun::attribute::{ChannelNumber, XorPeerAddress};

use crate::auth::Authenticated;
use crate::flows::{Channel, Channels};
use crate::reply::{Refusal, Request};
use crate::server::Server;
use crate::{ClientPath, Output};

/// How long a channel binding lasts (RFC 8656 §12).
const CHANNEL_LIFETIME: Duration = Duration::from_mins(10);

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

        let known = self.bound(now, index, path, number, (relay.index, peer))?;
        if known.is_none() && self.allocations.get(index).channels.len() >= self.config.max_channels
        {
            self.sweep(now, index);
            if self.allocations.get(index).channels.len() >= self.config.max_channels {
                return Err(Refusal::Capacity);
            }
        }
        if !self.channels.has_room_for(path) {
            return Err(Refusal::Capacity);
        }
        self.make_room(now, index, &[peer.ip()])?;

        let expires = now + CHANNEL_LIFETIME;
        let channel = if let Some(channel) = known {
            channel
        } else {
            let channel = self.channels.insert(Channel {
                send_to: self.bound_address(peer),
                hairpin: self.is_own_relay(peer),
                ..Channel::new(*path, number, relay, peer, expires)
            });
            self.allocations.get_mut(index).channels.push(channel);
            channel
        };
        self.channels.set_expires(channel, expires);
        self.permit(now, index, peer.ip());
        self.update_channels(index, Some(&[peer.ip()]));
        self.schedule(index, expires);
        Ok(())
    }

    /// The channel that binds this number and this peer, if they are bound to each other; an error if
    /// one of them is bound otherwise. Bindings that have expired do not count.
    fn bound(
        &mut self,
        now: Instant,
        index: u32,
        path: &ClientPath,
        number: u16,
        (relay, peer): (u32, SocketAddr),
    ) -> Result<Option<u32>, Refusal> {
        let find = |channels: &Channels| {
            let by_peer = channels.by_peer(relay, peer).map(|(at, _)| at);
            [channels.by_client(path, number), by_peer]
        };
        let found = find(&self.channels);
        if found
            .iter()
            .flatten()
            .any(|&at| self.channels.get(at).expires <= now)
        {
            self.sweep(now, index);
        }
        match find(&self.channels) {
            [None, None] => Ok(None),
            [Some(a), Some(b)] if a == b => Ok(Some(a)),
            _ => Err(Refusal::BadRequest),
        }
    }
}
