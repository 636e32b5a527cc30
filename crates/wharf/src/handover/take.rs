//! The successor's side.

use std::os::fd::OwnedFd;
use std::path::Path;

use socket2::{SockRef, Type};
use tokio::net::UnixStream;

use super::HandoverError;
use super::channel::{Channel, failed};
use super::protocol::{ANSWER_WITHIN, Item, MAX_SOCKETS, Said, VERSION};
use crate::config::Address;
use crate::sockets::SocketFile;

/// The sockets of a server that runs, for [`Builder::inherit`](crate::Builder::inherit). It goes on
/// to accept until the server that is built with them is ready. Dropping this leaves it as it was.
#[derive(Debug)]
pub struct Handover {
    channel: Channel,
    sockets: Vec<Shared>,
    /// How many there were.
    count: usize,
}

/// What a socket is for, beside its address: UDP, TCP and SCTP know the same ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Carries {
    Streams,
    Datagrams,
    /// SCTP of the kernel.
    Sctp,
}

/// A socket that two processes have.
#[derive(Debug)]
pub(crate) struct Shared {
    item: Item,
    carries: Carries,
    pub(crate) socket: OwnedFd,
    pub(crate) file: Option<SocketFile>,
}

impl Handover {
    /// Asks the server that offers its sockets at `path`
    /// ([`Handle::offer_handover`](crate::Handle::offer_handover)) for them. `None` when nobody does:
    /// there is no such file, or nobody listens on it.
    ///
    /// # Errors
    /// The other process is not to be trusted, not understood, refuses, or does not answer within
    /// 5 s.
    pub async fn take(path: impl AsRef<Path>) -> Result<Option<Self>, HandoverError> {
        use std::io::ErrorKind::{ConnectionRefused, NotFound};
        let stream = match UnixStream::connect(path).await {
            Ok(stream) => stream,
            Err(error) if matches!(error.kind(), ConnectionRefused | NotFound) => return Ok(None),
            Err(error) => return Err(failed("connecting")(error)),
        };
        let channel = Channel::new(stream);
        channel.judge()?;
        // Who refuses has said why before it hung up.
        let asked = channel.send(&Said::Take { version: VERSION }, &[]).await;
        let mut sockets = Vec::new();
        loop {
            let answer = channel.recv(ANSWER_WITHIN, "sockets").await;
            let (items, descriptors, more) = match answer? {
                (Said::Sockets { sockets, more }, descriptors) => (sockets, descriptors, more),
                (said, _) => return Err(unexpected(said)),
            };
            if items.len() != descriptors.len() {
                let (named, sent) = (items.len(), descriptors.len());
                let garbage = format!("{sent} descriptors for {named} sockets");
                return Err(HandoverError::Garbage(garbage));
            }
            for (item, socket) in items.into_iter().zip(descriptors) {
                sockets.push(Shared::new(item, socket)?);
            }
            if sockets.len() > MAX_SOCKETS {
                return Err(HandoverError::TooMuch);
            }
            if !more {
                break;
            }
        }
        asked?;
        let count = sockets.len();
        Ok(Some(Self {
            channel,
            sockets,
            count,
        }))
    }

    /// What is offered and not taken yet: the name of the listener and where it listens.
    pub fn sockets(&self) -> impl Iterator<Item = (&str, &str)> {
        self.sockets.iter().filter_map(|shared| {
            let listener = shared.item.listener.as_deref()?;
            Some((listener, shared.item.bound.as_str()))
        })
    }

    /// Takes the descriptors that the predecessor's program carries for its successors
    /// ([`Handle::carry`](crate::Handle::carry)), with their names, in the order in which it gave them.
    pub fn carried(&mut self) -> Vec<(String, OwnedFd)> {
        let carried = self.extract(|shared| shared.item.is_carried());
        let named = carried.into_iter();
        named
            .filter_map(|shared| Some((shared.item.address?, shared.socket)))
            .collect()
    }

    /// Takes the sockets for an address of a listener: its own, or else those that are bound there.
    pub(super) fn listening(
        &mut self,
        listener: &str,
        address: &Address,
        carries: Carries,
    ) -> Vec<Shared> {
        let address = address.to_string();
        let fits = |shared: &Shared| shared.carries == carries;
        let named = |one: &Shared| fits(one) && one.item.is_named(listener, &address);
        let found = self.extract(named);
        if found.is_empty() {
            return self.extract(|one| fits(one) && one.item.is_at(&address));
        }
        found
    }

    /// Takes the socket on which handovers are asked for.
    pub(super) fn asked_on(&mut self, path: &Path) -> Option<Shared> {
        let path = path.to_string_lossy();
        let mut found = self.extract(|Shared { item, carries, .. }| {
            let asked_on = item.listener.is_none() && item.address.is_none();
            asked_on && item.bound == path && *carries == Carries::Streams
        });
        found.pop()
    }

    fn extract(&mut self, wanted: impl Fn(&Shared) -> bool) -> Vec<Shared> {
        let taken = self.sockets.extract_if(.., |shared| wanted(shared));
        taken.collect()
    }

    /// Says that the server is ready, and waits for the predecessor to stop. The files that `visit`
    /// is shown are then this process's. Says how many sockets there were.
    ///
    /// A predecessor that has died, or does not answer, is as good as one that has stopped: the
    /// sockets are served in any case, and by two processes no worse than by one.
    pub(super) async fn complete(
        mut self,
        files: impl Fn(
            &mut dyn FnMut(&SocketFile) -> Result<(), HandoverError>,
        ) -> Result<(), HandoverError>,
    ) -> Result<usize, HandoverError> {
        // Who has hung up may have said why before; the answer tells.
        let _ = self.channel.send(&Said::Ready, &[]).await;
        match self.channel.recv(ANSWER_WITHIN, "answer").await {
            Ok((Said::Done, _)) => {}
            Ok((said, _)) => return Err(unexpected(said)),
            Err(error) => {
                tracing::warn!(%error, "the predecessor is gone; serving without its word");
                files(&mut |file| {
                    if file.is_there() {
                        return Ok(());
                    }
                    let path = file.path().display().to_string();
                    Err(HandoverError::Withdrawn(path))
                })?;
            }
        }
        files(&mut |file| {
            file.own(true);
            Ok(())
        })?;
        for (listener, address) in self.sockets() {
            tracing::warn!(
                listener,
                address,
                "a socket of the predecessor is not wanted"
            );
        }
        for shared in self.sockets.drain(..) {
            // Nobody else removes it now.
            shared.file.inspect(|file| file.own(true));
        }
        Ok(self.count)
    }
}

impl Shared {
    fn new(item: Item, socket: OwnedFd) -> Result<Self, HandoverError> {
        // Whatever it is, the program knows.
        if item.is_carried() {
            return Ok(Self {
                item,
                carries: Carries::Streams,
                socket,
                file: None,
            });
        }
        let garbage = |error| HandoverError::Garbage(format!("{item:?}: {error}"));
        let asked = SockRef::from(&socket);
        let (kind, protocol) = (asked.r#type(), asked.protocol());
        let carries = match (kind.map_err(garbage)?, protocol.map_err(garbage)?) {
            (Type::DGRAM, _) => Carries::Datagrams,
            (_, Some(protocol)) if i32::from(protocol) == wharf_udp::SCTP => Carries::Sctp,
            _ => Carries::Streams,
        };
        let file = item
            .file
            .map(|identity| SocketFile::of_another(item.bound.clone().into(), identity));
        Ok(Self {
            item,
            carries,
            socket,
            file,
        })
    }
}

/// An answer that is not the one that is due.
fn unexpected(said: Said) -> HandoverError {
    match said {
        Said::No { reason } => HandoverError::Refused(reason),
        other => HandoverError::Garbage(format!("{other:?} is not due")),
    }
}
