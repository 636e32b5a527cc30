//! The sockets of one worker: those it listens on, and those that its handler has added.

use std::io;

use crate::worker::appetite::Appetite;
use crate::{Poller, ReceiveBatch, Socket, SocketKey, Via};

/// Datagrams (or bursts) read from one socket at a time, so that a busy one does not starve others.
const LISTENER_BUDGET: usize = 64;
const OWN_BUDGET: usize = 16;

/// Sockets of the handler looked at by one [`Sockets::count_drops`].
const DROPS_BUDGET: usize = 64;

/// Tokens of the worker's waker, its alarm and its first listener; and the bit by which a token tells a
/// socket of the handler's from all these.
pub(super) const WAKER: u64 = 0;
pub(super) const ALARM: u64 = 1;
const FIRST_LISTENER: u64 = 2;
const OWN: u64 = 1 << 63;

pub(super) struct Sockets {
    pub(super) listeners: Vec<Listener>,
    /// By index.
    own: Vec<Option<Own>>,
    paused: bool,
    next_counted: usize,
}

pub(super) struct Listener {
    pub(super) entry: Entry,
    /// Bound to all addresses: what it sends names the address to leave from.
    pub(super) wildcard: bool,
}

struct Own {
    generation: u16,
    entry: Entry,
}

pub(super) struct Entry {
    pub(super) socket: Socket,
    appetite: Appetite,
    drops: u32,
}

impl Entry {
    fn new(socket: Socket) -> Self {
        Self {
            socket,
            appetite: Appetite::new(),
            drops: 0,
        }
    }

    /// Datagrams that the kernel dropped since the last time.
    fn new_drops(&mut self) -> u64 {
        let before = self.drops;
        self.drops = self.socket.drops().unwrap_or(before);
        self.drops.wrapping_sub(before).into()
    }
}

impl Sockets {
    pub(super) fn new() -> Self {
        Self {
            listeners: Vec::new(),
            own: Vec::new(),
            paused: false,
            next_counted: 0,
        }
    }

    /// Listens on these sockets, and on no others any more. What the kernel dropped on those before.
    pub(super) fn listen(&mut self, poller: &Poller, sockets: Vec<Socket>) -> io::Result<u64> {
        if !self.paused {
            watch(poller, sockets.iter())?;
        }
        let new = sockets.into_iter().map(|socket| Listener {
            wildcard: socket.local_addr().ip().is_unspecified(),
            entry: Entry::new(socket),
        });
        let mut old = std::mem::replace(&mut self.listeners, new.collect());
        Ok(old.iter_mut().map(|old| old.entry.new_drops()).sum())
    }

    /// Stops reading from the listening sockets, or begins again.
    pub(super) fn pause(&mut self, poller: &Poller, paused: bool) -> io::Result<()> {
        if std::mem::replace(&mut self.paused, paused) == paused {
            return Ok(());
        }
        let sockets = self.listeners.iter().map(|listener| &listener.entry.socket);
        if !paused {
            return watch(poller, sockets);
        }
        for socket in sockets {
            poller.remove(socket)?;
        }
        Ok(())
    }

    /// Takes over a socket of the handler's.
    pub(super) fn add(
        &mut self,
        poller: &Poller,
        key: SocketKey,
        socket: Socket,
    ) -> io::Result<()> {
        poller.add(&socket, token(key))?;
        let index = key.index as usize;
        if self.own.len() <= index {
            self.own.resize_with(index + 1, || None);
        }
        self.own[index] = Some(Own {
            generation: key.generation,
            entry: Entry::new(socket),
        });
        Ok(())
    }

    /// Takes a socket of the handler's out, and says what the kernel dropped on it.
    pub(super) fn remove(&mut self, poller: &Poller, key: SocketKey) -> Option<(Socket, u64)> {
        let socket = self.get(Via::Own(key))?;
        // It may live on elsewhere; a failure here would only mean that it is not polled.
        let _ = poller.remove(socket);
        let mut own = self.own[key.index as usize].take()?;
        let drops = own.entry.new_drops();
        Some((own.entry.socket, drops))
    }

    pub(super) fn get(&self, via: Via) -> Option<&Socket> {
        match via {
            Via::Listener(index) => {
                let listener = self.listeners.get(index as usize)?;
                Some(&listener.entry.socket)
            }
            Via::Own(key) => {
                let own = self.own.get(key.index as usize)?.as_ref()?;
                (own.generation == key.generation).then_some(&own.entry.socket)
            }
        }
    }

    /// Reads what waits at a socket, as much as is its share; how many slots were filled.
    pub(super) fn read(&mut self, via: Via, batch: &mut ReceiveBatch) -> usize {
        let (entry, most) = match via {
            Via::Listener(index) => match self.listeners.get_mut(index as usize) {
                Some(listener) => (&mut listener.entry, LISTENER_BUDGET),
                None => return 0,
            },
            Via::Own(key) => match self.own.get_mut(key.index as usize) {
                Some(Some(own)) if own.generation == key.generation => (&mut own.entry, OWN_BUDGET),
                _ => return 0,
            },
        };
        entry.appetite.read(&entry.socket, batch, most)
    }

    /// The socket that an event's token is about, if it is still there.
    pub(super) fn by_token(&self, event: u64) -> Option<Via> {
        if event & OWN == 0 {
            let index = event.checked_sub(FIRST_LISTENER)?;
            return Some(Via::Listener(index as u32));
        }
        let index = event as u32;
        let generation = self.own.get(index as usize)?.as_ref()?.generation;
        let key = SocketKey { index, generation };
        (token(key) == event).then_some(Via::Own(key))
    }

    /// What the kernel dropped on the listening sockets and on the next few of the handler's since they
    /// were last looked at.
    pub(super) fn count_drops(&mut self) -> u64 {
        let listeners = self.listeners.iter_mut();
        let mut drops = listeners.map(|listener| listener.entry.new_drops()).sum();
        let count = self.own.len();
        for _ in 0..count.min(DROPS_BUDGET) {
            self.next_counted = (self.next_counted + 1) % count;
            if let Some(own) = &mut self.own[self.next_counted] {
                drops += own.entry.new_drops();
            }
        }
        drops
    }
}

fn watch<'a>(poller: &Poller, sockets: impl Iterator<Item = &'a Socket>) -> io::Result<()> {
    for (index, socket) in sockets.enumerate() {
        poller.add(socket, FIRST_LISTENER + index as u64)?;
    }
    Ok(())
}

/// Whether a token is that of a socket of the handler's.
pub(super) fn is_own(token: u64) -> bool {
    token & OWN != 0
}

fn token(key: SocketKey) -> u64 {
    OWN | u64::from(key.generation) << 32 | u64::from(key.index)
}
