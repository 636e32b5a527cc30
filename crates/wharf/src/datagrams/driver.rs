//! What runs the flows of one socket: datagrams in, each to its flow or to a new one.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use wharf_policy::first_bytes::{Protocol, of_datagram};

use super::end::{End, FlowEnd};
use super::flow::{Flow, Key, Peer, Table};
use super::front::{First, Fronted, Opening};
use super::intake::{Intake, Side};
use super::link;
use super::port::Mode;
use super::socket::{DatagramSocket, Manner, Source, local_end};
use crate::admission::{self, Declined, Newcomer};
use crate::config::{ProxyMode, Transport};
use crate::counters::one_more;
use crate::events::Event;
use crate::listener::Listener;
use crate::owner::Live;
use crate::reason::{Dropped, Refusal};
use crate::wire::Packets;

/// How long a socket rests that has failed to receive.
const REST: Duration = Duration::from_millis(100);

/// Serves the flows of a socket until it is told to stop and its last flow has ended, or to leave.
pub(crate) async fn run(
    listener: Arc<Listener>,
    socket: Arc<DatagramSocket>,
    mut mode: watch::Receiver<Mode>,
    front: Option<Fronted>,
) {
    let mut intake = Intake::new(listener.clone(), socket.clone());
    let mut driver = Driver {
        listener,
        socket,
        table: Arc::new(Table::default()),
        front,
        mode: Mode::Running,
        taken: 0,
    };
    loop {
        driver.mode = *mode.borrow_and_update();
        if driver.mode == Mode::Left {
            return;
        }
        let stops = driver.mode == Mode::Stopping;
        tokio::select! {
            // Whoever lets go of the port has told it to stop.
            _ = mode.changed(), if !stops => {}
            () = driver.table.empty(), if stops => return,
            received = intake.wait() => match received {
                Ok(()) => driver.take(&mut intake).await,
                Err(error) => rest(&driver.listener, &error, &mut mode).await,
            },
        }
    }
}

/// A socket that fails is tried again: it may have been for want of memory.
pub(super) async fn rest(listener: &Listener, error: &io::Error, mode: &mut watch::Receiver<Mode>) {
    let owner = &listener.owner;
    one_more(&owner.counters.accept_errors);
    owner.events.emit(|| Event::ListenerError {
        listener: owner.name.clone(),
        error: error.to_string(),
    });
    owner.events.accept_failed(&owner.name, error, REST);
    // A change of the mode may cut it short.
    let _ = tokio::time::timeout(REST, mode.changed()).await;
}

/// Datagrams that are handed on before handlers run, at least: with more their queues would be full.
const BURST: u32 = 32;

struct Driver {
    listener: Arc<Listener>,
    socket: Arc<DatagramSocket>,
    table: Arc<Table>,
    /// Without one each datagram without a flow begins one.
    front: Option<Fronted>,
    mode: Mode,
    /// Datagrams handed on since handlers could run.
    taken: u32,
}

impl Driver {
    /// Hands on what has come, and lets the handlers run now and then.
    async fn take(&mut self, intake: &mut Intake) {
        while intake.advance() {
            if let Err(reason) = self.one(intake) {
                self.listener.owner.counters.dropped(reason);
            }
            self.taken += 1;
        }
        if self.taken >= BURST {
            self.taken = 0;
            tokio::task::yield_now().await;
        }
    }

    fn one(&mut self, intake: &Intake) -> Result<(), Dropped> {
        let (side, payload) = intake.current();
        let live = intake.rules().live();
        let config = &live.config;
        let protocol = of_datagram(payload, live.wanted);
        let peer = match config.datagrams.flow_key {
            Some(at) => {
                let start = at.offset as usize;
                let bytes = payload.get(start..start + at.length as usize);
                Peer::Content(bytes.ok_or(Dropped::NoKey)?.into())
            }
            None => match &side.source {
                Source::Ip(peer) => Peer::Address(*peer, side.local),
                Source::Unix(Some(peer)) => Peer::of_name(peer),
                Source::Unix(None) => return Err(Dropped::Unnamed),
            },
        };
        let key = Key { protocol, peer };
        let counters = &self.listener.owner.counters;
        if let Some(flow) = self.table.get(&key) {
            flow.check_proxied(side.proxied.as_ref())?;
            self.push(&flow, side, payload, config.datagrams.queue)?;
            one_more(&counters.datagrams_delivered);
            return Ok(());
        }
        if self.mode != Mode::Running {
            return Err(Dropped::Suspended);
        }
        let fronted = self.front.as_mut().filter(|one| one.protocol == protocol);
        let spoken = if live.wanted.is_empty() {
            None
        } else if fronted.is_some() {
            Some((protocol, Transport::Dtls))
        } else if self.listener.handlers.choose(None, protocol).is_some() {
            Some((protocol, config.transport))
        } else {
            return Err(Dropped::NoHandler);
        };
        let opening = match (fronted, &side.source) {
            (Some(Fronted { front, .. }), Source::Ip(from)) => {
                let mut local = self.socket.local_ip().unwrap_or(*from);
                if let Some(ip) = side.local {
                    local.set_ip(ip);
                }
                match front.first(intake.rules().now, *from, local, payload) {
                    First::Open(opening) => opening,
                    First::Ignore(why) => {
                        tracing::trace!(listener = %self.listener.owner.name, %from, why, "ignored");
                        return Err(Dropped::Ignored);
                    }
                    First::Reply(bytes) => {
                        answer(&self.socket, side, bytes);
                        one_more(&counters.datagrams_answered);
                        return Ok(());
                    }
                }
            }
            (Some(_), Source::Unix(_)) => return Err(Dropped::Ignored),
            (None, _) => link::open(),
        };
        match self.begin(opening, &key, side, payload, spoken, live)? {
            Ok(()) => {
                one_more(&self.listener.owner.counters.datagrams_delivered);
                Ok(())
            }
            Err(declined) => self.turn_away(declined, intake),
        }
    }

    /// Says to a peer that does not come in what there is to say.
    fn turn_away(&mut self, declined: Declined, intake: &Intake) -> Result<(), Dropped> {
        let (side, payload) = intake.current();
        let (Some(Fronted { front, .. }), Source::Ip(from)) = (&mut self.front, &side.source)
        else {
            return Err(Dropped::Refused);
        };
        let counters = &self.listener.owner.counters;
        match declined {
            Declined::Unproven => {
                let challenge = front.challenge(intake.rules().now, *from, payload);
                answer(&self.socket, side, challenge.ok_or(Dropped::Ignored)?);
                one_more(&counters.challenged);
                one_more(&counters.datagrams_answered);
                return Ok(());
            }
            Declined::Refused(Refusal::Hook) => {
                if let Some(refusal) = front.refusal(payload) {
                    answer(&self.socket, side, refusal);
                }
            }
            // For want of room, it may ask again.
            Declined::Refused(_) | Declined::Ignored => {}
        }
        Err(Dropped::Refused)
    }

    fn push(&self, flow: &Flow, side: &Side, payload: &[u8], room: u64) -> Result<(), Dropped> {
        let memory = &self.listener.owner.memory;
        flow.push(payload, &side.source, side.local, room, memory)
    }

    /// Begins a flow.
    fn begin(
        &self,
        opening: Opening,
        key: &Key,
        side: &Side,
        payload: &[u8],
        spoken: Option<(Option<Protocol>, Transport)>,
        live: &Live,
    ) -> Result<Result<(), Declined>, Dropped> {
        let config = &live.config;
        let newcomer = Newcomer {
            peer: side.source.endpoint(),
            local: local_end(&self.socket, side.local),
            credentials: side.credentials,
            proxied: side.proxied.clone(),
            first: spoken,
            standing: opening.standing,
        };
        if config.proxy.mode == ProxyMode::Required && newcomer.proxied.is_none() {
            return Err(Dropped::Proxy);
        }
        let flow = Flow::new(side.source.clone(), side.local, side.proxied.as_ref());
        if opening.deliver {
            self.push(&flow, side, payload, config.datagrams.queue)?;
        }
        // Before the connection begins: it may end at once, and takes the flow out.
        self.table.insert(key.clone(), flow.clone());
        let begun = admission::admit_newcomer(&self.listener, newcomer, |hold| {
            let (table, socket) = (self.table.clone(), self.socket.clone());
            let end = FlowEnd::new(flow.clone(), key.clone(), table, socket);
            (opening.begin)(Packets::new(End::Flow(end), hold))
        });
        if begun.is_err() {
            self.table.remove(key, &flow);
        }
        Ok(begun.map(drop))
    }
}

/// Answers a datagram from the address that it came to. What does not leave at once is asked for again.
fn answer(socket: &DatagramSocket, side: &Side, bytes: &[u8]) {
    let how = Manner {
        from: side.local,
        ..Manner::default()
    };
    let _ = socket.try_send(&side.source, how, bytes);
}
