//! The thread of a UDP socket with SCTP: packets to their associations, and what belongs to none to the front.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::task::Waker;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::time::Instant;
use wharf_sctp::{Answer, Association, Cookies, Opening, Ports};
use wharf_udp::ReceiveBatch;

use super::exchange::Exchange;
use super::front::{Arrival, Command, Established};
use super::pump::Pump;
use super::sendable::Sendable;
use crate::config::SctpOptions;
use crate::connection::Hold;
use crate::wire::SctpFlow;

/// Slots of 64 KiB that one system call fills.
const SLOTS: usize = 16;
/// Packets that wait for one association. More are lost, as on the way: the peer sends them again.
const WAITING: usize = 128;

/// How long a socket rests that has failed to receive.
const REST: Duration = Duration::from_millis(100);

pub(super) struct Setup {
    pub(super) socket: wharf_udp::Socket,
    /// The same socket, for the runtime.
    pub(super) readiness: std::net::UdpSocket,
    /// Those in force.
    pub(super) options: watch::Receiver<SctpOptions>,
    pub(super) cookies: Cookies,
    pub(super) commands: mpsc::Receiver<Command>,
    /// Whether packets are this process's to read.
    pub(super) reads: watch::Receiver<bool>,
    pub(super) arrivals: mpsc::Sender<Arrival>,
}

pub(super) struct Driver {
    socket: Rc<wharf_udp::Socket>,
    /// Tells when there is something to receive.
    readiness: UdpSocket,
    options: watch::Receiver<SctpOptions>,
    cookies: Cookies,
    commands: mpsc::Receiver<Command>,
    reads: watch::Receiver<bool>,
    arrivals: mpsc::Sender<Arrival>,
    front: wharf_sctp::Front,
    flows: Rc<Flows>,
}

/// The peer's UDP endpoint and the SCTP ports: several associations may share an endpoint.
pub(crate) type Key = (SocketAddr, Ports);

/// The flows of a socket by whom they are with.
#[derive(Default)]
pub(crate) struct Flows {
    by_key: RefCell<HashMap<Key, Rc<Flow>>>,
    changed: Notify,
}

/// The packets that wait for one association.
pub(crate) struct Flow {
    pub(crate) key: Key,
    /// The address of ours that the peer sends to, where there are many.
    pub(crate) local: Option<IpAddr>,
    waiting: RefCell<VecDeque<Bytes>>,
    waker: RefCell<Option<Waker>>,
}

impl Flow {
    fn push(&self, packet: &[u8]) {
        let mut waiting = self.waiting.borrow_mut();
        if waiting.len() < WAITING {
            waiting.push_back(Bytes::copy_from_slice(packet));
        }
        drop(waiting);
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }

    /// The next packet, or whom to wake when there is one.
    pub(crate) fn next(&self, waker: &Waker) -> Option<Bytes> {
        let next = self.waiting.borrow_mut().pop_front();
        if next.is_none() {
            *self.waker.borrow_mut() = Some(waker.clone());
        }
        next
    }
}

impl Flows {
    fn get(&self, key: &Key) -> Option<Rc<Flow>> {
        self.by_key.borrow().get(key).cloned()
    }

    pub(crate) fn remove(&self, key: &Key) {
        self.by_key.borrow_mut().remove(key);
        self.changed.notify_one();
    }
}

/// What answers those who belong to no association.
fn front(port: u16, options: &SctpOptions, cookies: &Cookies) -> wharf_sctp::Front {
    wharf_sctp::Front::new(port, options.engine(), cookies.clone())
}

impl Driver {
    /// On its thread.
    pub(super) fn new(setup: Setup) -> io::Result<Self> {
        let port = setup.socket.local_addr().port();
        let cookies = setup.cookies;
        let front = front(port, &setup.options.borrow(), &cookies);
        Ok(Self {
            socket: Rc::new(setup.socket),
            readiness: UdpSocket::from_std(setup.readiness)?,
            front,
            options: setup.options,
            cookies,
            commands: setup.commands,
            reads: setup.reads,
            arrivals: setup.arrivals,
            flows: Rc::default(),
        })
    }

    /// Until nobody can ask for more and the last association is gone.
    pub(super) async fn run(mut self) {
        let mut batch = ReceiveBatch::new(SLOTS);
        let flows = self.flows.clone();
        let mut open = true;
        while open || !flows.by_key.borrow().is_empty() {
            let reads = *self.reads.borrow_and_update();
            tokio::select! {
                command = self.commands.recv(), if open => match command {
                    Some(command) => self.obey(command),
                    None => open = false,
                },
                () = flows.changed.notified(), if !open => {}
                // Whoever could change them further has let go.
                Ok(()) = self.reads.changed() => {}
                Ok(()) = self.options.changed() => {
                    let port = self.socket.local_addr().port();
                    self.front = front(port, &self.options.borrow(), &self.cookies);
                }
                received = receive(&self.readiness, &self.socket, &mut batch), if reads => {
                    match received {
                        Ok(()) => self.take(&batch, open),
                        // It may be for want of memory.
                        Err(error) => {
                            tracing::warn!(%error, "cannot receive SCTP over UDP");
                            tokio::time::sleep(REST).await;
                        }
                    }
                    batch.clear();
                    tokio::task::yield_now().await;
                }
            }
        }
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Refuse(opening, local) => {
                let abort = self.front.refuse(&opening);
                // What does not leave at once is asked for again.
                let _ = self.socket.send(opening.peer(), local, 0, None, abort);
            }
            Command::Accept(opening, local, hold, ready) => {
                self.accept(opening, local, hold, ready);
            }
        }
    }

    fn accept(
        &self,
        opening: Opening,
        local: Option<IpAddr>,
        hold: Hold,
        ready: oneshot::Sender<io::Result<Established>>,
    ) {
        let key = (opening.peer(), opening.ports());
        let flow = Rc::new(Flow {
            key,
            local,
            waiting: RefCell::default(),
            waker: RefCell::default(),
        });
        {
            let mut flows = self.flows.by_key.borrow_mut();
            if flows.contains_key(&key) {
                // The COOKIE ECHO came twice before the first was let in.
                let _ = ready.send(Err(io::ErrorKind::AlreadyExists.into()));
                return;
            }
            flows.insert(key, flow.clone());
        }
        let carrier = SctpFlow::new(flow, self.flows.clone(), self.socket.clone(), hold);
        let (now, options) = (Instant::now().into_std(), self.options.borrow().engine());
        let longest = options.max_message;
        let association = Association::accept(now, opening, options, self.cookies.clone());
        let exchange = Exchange::new();
        let streams = association.streams_out();
        let pump = Pump::new(carrier, association, exchange.clone());
        let limits = Sendable { longest, streams };
        if let Err(Ok((exchange, _))) = ready.send(Ok((exchange, limits))) {
            // Whoever asked is gone: the peer is told.
            exchange.leave();
        }
        tokio::task::spawn_local(pump);
    }

    fn take(&mut self, batch: &ReceiveBatch, open: bool) {
        for slot in 0..batch.len() {
            let received = batch.get(slot);
            let wildcard = self.socket.local_addr().ip().is_unspecified();
            let local = received.local.filter(|_| wildcard);
            for range in received.segments() {
                self.packet(received.from, local, &received.data[range], open);
            }
        }
    }

    fn packet(&mut self, from: SocketAddr, local: Option<IpAddr>, packet: &[u8], open: bool) {
        let flow = Ports::of(packet).and_then(|ports| self.flows.get(&(from, ports)));
        if let Some(flow) = flow {
            return flow.push(packet);
        }
        if !open {
            return;
        }
        match self.front.handle(Instant::now().into_std(), from, packet) {
            Answer::Ignore(_) => {}
            Answer::Reply(reply) => {
                // What does not leave at once is asked for again.
                let _ = self.socket.send(from, local, 0, None, reply);
            }
            Answer::Open(opening) => {
                let arrival = Arrival {
                    opening,
                    peer: from,
                    local,
                };
                // Full: the peer sends its COOKIE ECHO again.
                let _ = self.arrivals.try_send(arrival);
            }
        }
    }
}

async fn receive(
    readiness: &UdpSocket,
    socket: &wharf_udp::Socket,
    batch: &mut ReceiveBatch,
) -> io::Result<()> {
    let receive = || match socket.receive(batch, SLOTS) {
        Ok(0) => Err(io::ErrorKind::WouldBlock.into()),
        other => other,
    };
    readiness
        .async_io(Interest::READABLE, receive)
        .await
        .map(drop)
}
