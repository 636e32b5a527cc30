//! Associations over UDP that we make: those of one client have a thread of their own.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{LocalSet, spawn_local};
use tokio::time::Instant;
use wharf_sctp::{Association, Cookies};

use super::exchange::Exchange;
use super::front::cookies;
use super::link::SctpLink;
use super::pump::{Carrier, Pump};
use super::sendable::Sendable;
use crate::admission::{Ready, tell_handshake};
use crate::client::AttemptError;
use crate::config::SctpOptions;
use crate::connection::{Connection, Hold};
use crate::datagrams::{Connected, ConnectedKind, End};
use crate::owner::Owner;
use crate::path::Endpoint;
use crate::timer::Timer;
use crate::wire::Packets;

/// Associations that were asked for and not begun; who asks for more waits.
const CALLS: usize = 64;
/// Most bytes of a datagram: what is longer is no packet.
const LONGEST: u64 = 65_535;

/// The thread where a client's associations live, once there was one: the engine's state must not
/// move between threads. It ends with its last association, once this is dropped.
#[derive(Default)]
pub(crate) struct Dialer(Mutex<Option<mpsc::Sender<Call>>>);

/// An association that is asked for.
struct Call {
    socket: wharf_udp::Socket,
    peer: SocketAddr,
    options: SctpOptions,
    owner: Arc<Owner>,
    reply: oneshot::Sender<Result<Dialled, AttemptError>>,
}

/// An association that is established. It is aborted when this is dropped.
pub(crate) struct Dialled {
    local: Endpoint,
    exchange: Arc<Exchange>,
    limits: Sendable,
    adopt: oneshot::Sender<Hold>,
}

impl Dialled {
    pub(crate) fn local(&self) -> &Endpoint {
        &self.local
    }

    /// The association as the messages of a connection.
    pub(crate) fn adopt(self, hold: Hold) -> Ready {
        let connection = Connection::new(hold.shared().clone());
        tell_handshake(&connection, "sctp", "ok");
        // A thread that is gone has ended the exchange, and the first use tells.
        let _ = self.adopt.send(hold);
        Ready::Messages(Box::new(SctpLink::new(self.exchange, self.limits)))
    }
}

impl Dialer {
    /// Makes an association with the peer that the socket is connected to; the UDP ports of both are
    /// the SCTP ports too. There is no deadline: put one around it.
    ///
    /// # Errors
    /// Nobody receives there, the peer aborts, or it never answers.
    pub(crate) async fn dial(
        &self,
        (socket, peer, options): (wharf_udp::Socket, SocketAddr, &SctpOptions),
        owner: &Arc<Owner>,
    ) -> Result<Dialled, AttemptError> {
        let (reply, answer) = oneshot::channel();
        let call = Call {
            socket,
            peer,
            options: options.clone(),
            owner: owner.clone(),
            reply,
        };
        let lost = || AttemptError::Io(io::Error::other("the thread of SCTP is gone"));
        let thread = self.thread().map_err(AttemptError::Io)?;
        thread.send(call).await.map_err(|_| lost())?;
        answer.await.unwrap_or_else(|_| Err(lost()))
    }

    fn thread(&self) -> io::Result<mpsc::Sender<Call>> {
        let mut there = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(thread) = there.as_ref().filter(|thread| !thread.is_closed()) {
            return Ok(thread.clone());
        }
        let cookies = cookies()?;
        let (thread, mut calls) = mpsc::channel::<Call>(CALLS);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let spawned = std::thread::Builder::new().name("wharf-sctp".into());
        spawned.spawn(move || {
            let associations = LocalSet::new();
            associations.spawn_local(async move {
                while let Some(call) = calls.recv().await {
                    spawn_local(call.answer(cookies.clone()));
                }
            });
            // Until nobody can call and the last association is gone.
            runtime.block_on(associations);
        })?;
        Ok(there.insert(thread).clone())
    }
}

impl Call {
    async fn answer(self, cookies: Cookies) {
        let mut reply = self.reply;
        let kind = ConnectedKind::Udp(self.socket, self.peer);
        let socket = match Connected::new(kind, LONGEST, self.owner) {
            Ok(socket) => socket,
            Err(error) => return drop(reply.send(Err(AttemptError::Io(error)))),
        };
        let local = socket.local().clone();
        let port = local.ip().map_or(0, |local| local.port());
        let ports = (port, self.peer.port());
        let options = self.options.engine();
        let longest = options.max_message;
        let mut opening = Opening {
            association: Association::connect(now(), self.peer, ports, options, cookies),
            socket,
            timer: Timer::default(),
        };
        let opened = tokio::select! {
            opened = poll_fn(|cx| opening.poll(cx)) => opened,
            // Another address was faster, or it took too long.
            () = reply.closed() => return opening.abort(),
        };
        if let Err(error) = opened {
            return drop(reply.send(Err(error)));
        }
        // A packet proves itself by its tag, and a forged refusal must not end what is proven.
        opening.socket.distrust_refusals();
        let exchange = Exchange::new();
        let (adopt, adopted) = oneshot::channel();
        let streams = opening.association.streams_out();
        let dialled = Dialled {
            local,
            exchange: exchange.clone(),
            limits: Sendable { longest, streams },
            adopt,
        };
        // What is not taken is dropped, and nobody adopts it.
        let _ = reply.send(Ok(dialled));
        let Ok(hold) = adopted.await else {
            return opening.abort();
        };
        let mut packets = Packets::new(End::Connected(opening.socket), hold);
        packets.established();
        Pump::new(packets, opening.association, exchange).await;
    }
}

/// An association that is not established yet.
struct Opening {
    association: Association,
    socket: Connected,
    timer: Timer,
}

impl Opening {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), AttemptError>> {
        loop {
            self.flush();
            if let Some(closed) = self.association.closed() {
                return Poll::Ready(Err(AttemptError::Sctp(closed.clone())));
            }
            if self.association.is_connected() {
                return Poll::Ready(Ok(()));
            }
            match self.socket.poll_recv(cx) {
                Poll::Ready(Ok(packet)) => {
                    // Why one was ignored is of no interest to anybody but its sender.
                    let _ = self.association.handle_packet(now(), &packet);
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(AttemptError::Io(error))),
                Poll::Pending => {
                    let deadline = self.association.deadline().map(Instant::from_std);
                    ready!(self.timer.poll(cx, deadline));
                    self.association.handle_timeout(now());
                }
            }
        }
    }

    fn flush(&mut self) {
        while let Some(packet) = self.association.poll_packet() {
            // What does not leave at once is sent again.
            let _ = self.socket.try_send(&packet);
        }
    }

    fn abort(mut self) {
        self.association.abort(now());
        self.flush();
    }
}

impl Carrier for Packets {
    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        self.poll_recv_datagram(cx)
    }

    fn send(&mut self, packet: &[u8]) -> io::Result<()> {
        if let Some(reason) = self.ending() {
            return Err(reason.error());
        }
        // What the kernel has no room for is lost as on the way, and sent again.
        let _ = self.try_send_datagram(packet);
        Ok(())
    }

    fn last(&mut self, packet: &[u8]) {
        let _ = self.try_send_datagram(packet);
    }

    fn drains(&self) -> bool {
        self.shared().owner.drains()
    }
}

fn now() -> std::time::Instant {
    Instant::now().into_std()
}
