//! Refresh (RFC 8656 §8).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Instant;

use wharf_stun::attribute::{AddressFamily, Lifetime, RequestedAddressFamily};
use wharf_stun::{AttributeError, Message};

use crate::allocate::optional;
use crate::auth::Authenticated;
use crate::permission::PERMISSION_LIFETIME;
use crate::reply::{Refusal, Request};
use crate::server::Server;
use crate::{ClientPath, FreedBy, Output};

impl Server {
    pub(crate) fn refresh(
        &mut self,
        now: Instant,
        request: &Request,
        message: &Message<'_>,
        user: &Authenticated,
    ) -> Output<'_> {
        match self.refreshed(now, &request.path, message, user) {
            Ok(lifetime) => self.success(request, user, |writer| writer.push(&lifetime).map(drop)),
            Err(refusal) => self.refuse(request, user, refusal),
        }
    }

    fn refreshed(
        &mut self,
        now: Instant,
        path: &ClientPath,
        message: &Message<'_>,
        user: &Authenticated,
    ) -> Result<Lifetime, Refusal> {
        let index = self.own_allocation(now, path, user)?;
        let lifetime = optional::<Lifetime>(message)?;
        let families: &[usize] = match message.get::<RequestedAddressFamily>() {
            None => &[0, 1],
            Some(Ok(RequestedAddressFamily(family))) => {
                let (at, any): (&[usize], IpAddr) = match family {
                    AddressFamily::V4 => (&[0], Ipv4Addr::UNSPECIFIED.into()),
                    AddressFamily::V6 => (&[1], Ipv6Addr::UNSPECIFIED.into()),
                };
                self.relay_for(now, index, any)?;
                at
            }
            Some(Err(AttributeError::Value { .. })) => return Err(Refusal::PeerFamilyMismatch),
            Some(Err(_)) => return Err(Refusal::BadRequest),
        };
        if lifetime == Some(Lifetime(0)) {
            for family in families {
                self.free_relay(index, *family);
            }
            if self
                .allocations
                .get(index)
                .relays
                .iter()
                .all(Option::is_none)
            {
                self.free(index, FreedBy::Client);
            }
            return Ok(Lifetime(0));
        }
        let granted = self.granted_lifetime(lifetime);
        let expires = now + granted;
        let allocation = self.allocations.get_mut(index);
        // No channel passes data for longer than its permission, so that the end of the allocation
        // matters only if it is nearer, now or before.
        let mut earliest = expires;
        for family in families {
            // A family whose lifetime has run out stays so.
            if let Some(relay) = allocation.relays[*family]
                .as_mut()
                .filter(|r| now < r.expires)
            {
                earliest = earliest.min(relay.expires);
                relay.expires = expires;
            }
        }
        if earliest < now + PERMISSION_LIFETIME {
            self.update_channels(index, None);
        }
        self.schedule(index, expires);
        Ok(Lifetime(granted.as_secs() as u32))
    }
}
