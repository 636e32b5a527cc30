//! The relay sockets of one worker, by the core's names for them.

use std::io;
use std::net::SocketAddr;

use wharf_turn::{BindError, RelayId};
use wharf_udp::{Poller, ReceiveBatch, Socket, SocketOptions};

use crate::Tos;
use crate::appetite::Appetite;

/// Sockets looked at by one [`RelaySockets::count_drops`].
const DROPS_BUDGET: usize = 64;

/// Sockets by index; the generation tells whether an event is for the socket that is there now.
#[derive(Debug)]
pub(crate) struct RelaySockets {
    slots: Vec<Option<Slot>>,
    options: SocketOptions,
    next_counted: usize,
}

#[derive(Debug)]
struct Slot {
    generation: u16,
    socket: Socket,
    appetite: Appetite,
    drops: u32,
}

impl Slot {
    /// Datagrams that the kernel dropped since the last time.
    fn new_drops(&mut self) -> u64 {
        let before = self.drops;
        self.drops = self.socket.drops().unwrap_or(before);
        self.drops.wrapping_sub(before).into()
    }
}

impl RelaySockets {
    pub(crate) fn new(tos: Tos) -> Self {
        let options = SocketOptions {
            gro: true,
            receive_tos: tos == Tos::Copy,
            errors: true,
            ..SocketOptions::default()
        };
        Self {
            slots: Vec::new(),
            options,
            next_counted: 0,
        }
    }

    pub(crate) fn bind(
        &mut self,
        poller: &Poller,
        relay: RelayId,
        local: SocketAddr,
    ) -> Result<(), BindError> {
        let socket = Socket::bind(local, &self.options).map_err(|error| match error.kind() {
            io::ErrorKind::AddrInUse => BindError::AddressInUse,
            _ => BindError::Failed,
        })?;
        self.adopt(poller, relay, socket)
    }

    /// Takes over a socket that is bound already.
    pub(crate) fn adopt(
        &mut self,
        poller: &Poller,
        relay: RelayId,
        socket: Socket,
    ) -> Result<(), BindError> {
        poller
            .add(&socket, token(relay))
            .map_err(|_| BindError::Failed)?;
        let index = relay.index as usize;
        if self.slots.len() <= index {
            self.slots.resize_with(index + 1, || None);
        }
        self.slots[index] = Some(Slot {
            generation: relay.generation,
            socket,
            appetite: Appetite::new(),
            drops: 0,
        });
        Ok(())
    }

    pub(crate) fn get(&self, relay: RelayId) -> Option<&Socket> {
        let slot = self.slots.get(relay.index as usize)?.as_ref()?;
        (slot.generation == relay.generation).then_some(&slot.socket)
    }

    /// Reads what waits at a relay, `most` datagrams at the most; how many have come.
    pub(crate) fn read(&mut self, relay: RelayId, batch: &mut ReceiveBatch, most: usize) -> usize {
        match self.slots.get_mut(relay.index as usize) {
            Some(Some(slot)) if slot.generation == relay.generation => {
                slot.appetite.read(&slot.socket, batch, most)
            }
            _ => 0,
        }
    }

    /// The relay that an event's token is about, if its socket is still there.
    pub(crate) fn by_token(&self, event: u64) -> Option<RelayId> {
        let index = event as u32;
        let generation = self.slots.get(index as usize)?.as_ref()?.generation;
        let relay = RelayId { index, generation };
        (token(relay) == event).then_some(relay)
    }

    /// Takes a socket out, to be closed or given away, and says what the kernel dropped on it.
    pub(crate) fn remove(&mut self, poller: &Poller, relay: RelayId) -> Option<(Socket, u64)> {
        let socket = self.get(relay)?;
        // It may live on at another worker; a failure here would only mean that it is not polled.
        let _ = poller.remove(socket);
        let mut slot = self.slots[relay.index as usize].take()?;
        let drops = slot.new_drops();
        Some((slot.socket, drops))
    }

    /// What the kernel dropped on the next few sockets since they were last looked at.
    pub(crate) fn count_drops(&mut self) -> u64 {
        let count = self.slots.len();
        let mut drops = 0;
        for _ in 0..count.min(DROPS_BUDGET) {
            self.next_counted = (self.next_counted + 1) % count;
            if let Some(slot) = &mut self.slots[self.next_counted] {
                drops += slot.new_drops();
            }
        }
        drops
    }
}

/// The bit by which an event's token tells a relay from the worker's other descriptors.
pub(crate) const RELAY: u64 = 1 << 63;

fn token(relay: RelayId) -> u64 {
    RELAY | u64::from(relay.generation) << 32 | u64::from(relay.index)
}
