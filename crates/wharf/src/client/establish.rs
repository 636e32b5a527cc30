//! From a target to a connection whose handshakes are complete, counted however that ends.

use super::check::refused;
use super::reach::Reached;
use super::{ConnectError, Inner, Site, Target, handshake};
use crate::admission::Ready;
use crate::config::{Problem, Problems, Transport};
use crate::connection::{Arrived, Connection, Places, Shared};
use crate::datagrams::{End, PlainLink};
use crate::events::{Event, State};
use crate::owner::Owner;
use crate::path::Endpoint;
use crate::reason::Refusal;
use crate::wire::{Packets, Socket, Wire};
use crate::{Messages, Stream};

impl Inner {
    /// Connects to the first host that can be connected to, and speaks bytes.
    pub(super) async fn stream(&self, target: &Target) -> Result<Stream, ConnectError> {
        #[cfg(feature = "quic")]
        if target.transport == Transport::Quic {
            return self.quic_stream(target).await;
        }
        let (ready, connection) = self.connect(target).await?;
        ready.into_stream(connection).ok_or_else(not_bytes)
    }

    /// As [`stream`](Self::stream), and speaks messages.
    pub(super) async fn messages(&self, target: &Target) -> Result<Messages, ConnectError> {
        target.has_messages()?;
        #[cfg(feature = "quic")]
        if target.transport == Transport::Quic {
            return self.quic_messages(target).await;
        }
        let (ready, connection) = self.connect(target).await?;
        ready.into_messages(connection).ok_or_else(not_messages)
    }

    async fn connect(&self, target: &Target) -> Result<(Ready, Connection), ConnectError> {
        refused(target.transport, &self.rules.load().options)?;
        let mut errors = Vec::new();
        for site in &target.sites {
            // Boxed: the state of the handshakes is large, and short-lived.
            match Box::pin(self.dial(target, site)).await {
                // With a drain there is no other host to try.
                Err(error) if error.reason().is_some() => errors.push(error),
                result => return result,
            }
        }
        Err(everywhere(errors))
    }

    async fn dial(
        &self,
        target: &Target,
        site: &Site,
    ) -> Result<(Ready, Connection), ConnectError> {
        let mut dial = Dial::begin(&self.owner)?;
        let rules = self.rules.load_full();
        match self.reach(target, site, &rules).await {
            Ok((reached, peer)) => self.complete(dial, target, site, reached, peer).await,
            Err(error) => {
                dial.outcome = error.reason();
                Err(error)
            }
        }
    }

    /// Over a socket that was connected elsewhere.
    pub(super) async fn adopt(
        &self,
        socket: Socket,
        target: &Target,
    ) -> Result<(Ready, Connection), ConnectError> {
        let [site] = &target.sites[..] else {
            let allowed = "expected one host: the socket is connected already";
            return Err(Problems(vec![Problem::new("url host", allowed)]).into());
        };
        if target.transport.on_datagrams() || target.transport == Transport::Sctp {
            let allowed = "expected a transport over streams, which a socket can be adopted for";
            let problem = Problem::new("url", allowed).given(target.transport.label());
            return Err(Problems(vec![problem]).into());
        }
        let dial = Dial::begin(&self.owner)?;
        // A socket without a peer fails at the first use.
        let peer = socket.peer().unwrap_or(Endpoint::Unix(None));
        Box::pin(self.complete(dial, target, site, Reached::Socket(socket), peer)).await
    }

    /// What is left to do when the target was reached.
    async fn complete(
        &self,
        mut dial: Dial<'_>,
        target: &Target,
        site: &Site,
        reached: Reached,
        peer: Endpoint,
    ) -> Result<(Ready, Connection), ConnectError> {
        let arrived = Arrived {
            id: dial.id,
            transport: target.transport,
            peer,
            local: reached.local(),
            credentials: reached.credentials(),
            descriptor: reached.descriptor(),
        };
        // From here on the connection counts itself.
        dial.outcome = None;
        let hold = Shared::arrive(&self.owner, arrived, Places::default());
        let shared = hold.shared();
        if self.owner.connections.is_closed() {
            // It was dialled before the drain began, which does not wait for it.
            shared.count_as(Refusal::Stopped);
            shared.tell(State::Failed(Refusal::Stopped));
            return Err(ConnectError::Draining);
        }
        let connection = Connection::new(shared.clone());
        let rules = self.rules.load_full();
        let ready = match reached {
            Reached::Socket(socket) => {
                let wire = Wire::new(socket, hold.clone());
                handshake::all(&rules, target, site, wire, &connection).await
            }
            Reached::Datagrams(socket) => {
                let packets = Packets::new(End::Connected(socket), hold.clone());
                Ok(Ready::Messages(Box::new(PlainLink::new(packets))))
            }
            #[cfg(feature = "dtls")]
            Reached::Dtls(dialled) => Ok(dialled.adopt(hold.clone())),
            #[cfg(feature = "sctp")]
            Reached::Sctp(dialled) => Ok(dialled.adopt(hold.clone())),
        };
        match ready {
            Ok(ready) => {
                shared.accept();
                Ok((ready, connection))
            }
            Err(error) => {
                if let Some(reason) = error.reason() {
                    shared.count_as(reason);
                    shared.tell(State::Failed(reason));
                }
                Err(error)
            }
        }
    }
}

impl Target {
    /// Checks that what it speaks has bytes.
    pub(super) fn has_bytes(&self) -> Result<(), ConnectError> {
        if self.transport.has_bytes() {
            Ok(())
        } else {
            Err(not_bytes())
        }
    }

    /// Checks that what it speaks has messages.
    pub(super) fn has_messages(&self) -> Result<(), ConnectError> {
        if self.transport.has_messages() {
            Ok(())
        } else {
            Err(not_messages())
        }
    }
}

/// What is said when all hosts have failed.
pub(super) fn everywhere(mut errors: Vec<ConnectError>) -> ConnectError {
    match errors.pop() {
        Some(only) if errors.is_empty() => only,
        last => {
            errors.extend(last);
            ConnectError::Everywhere(errors)
        }
    }
}

pub(super) fn not_bytes() -> ConnectError {
    let allowed = "expected a transport of bytes: this one keeps the boundaries of messages";
    let problem = Problem::new("url", allowed);
    Problems(vec![problem.advice("Use `connect_messages`.")]).into()
}

pub(super) fn not_messages() -> ConnectError {
    let allowed = "expected a transport with messages of its own";
    let problem = Problem::new("url", allowed);
    Problems(vec![
        problem.advice("Use `connect`, with a `Session` over it."),
    ])
    .into()
}

/// A connection that is being made, counted however that ends.
struct Dial<'a> {
    owner: &'a Owner,
    id: u64,
    /// What it counts as if it ends here: stopped, until something else is known.
    outcome: Option<Refusal>,
}

impl<'a> Dial<'a> {
    fn begin(owner: &'a Owner) -> Result<Self, ConnectError> {
        if owner.draining.is_cancelled() {
            return Err(ConnectError::Draining);
        }
        let dial = Self {
            owner,
            id: owner.next_id(),
            outcome: Some(Refusal::Stopped),
        };
        dial.tell(State::Dial);
        Ok(dial)
    }

    fn tell(&self, state: State) {
        self.owner.events.emit(|| Event::Connection {
            listener: self.owner.name.clone(),
            id: self.id,
            state,
        });
    }
}

impl Drop for Dial<'_> {
    fn drop(&mut self) {
        if let Some(reason) = self.outcome {
            self.owner.counters.refused(reason);
            self.tell(State::Failed(reason));
        }
    }
}
