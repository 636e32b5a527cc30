//! One association: packets in, packets out, messages in between.

use std::collections::VecDeque;
use std::fmt;
use std::net::SocketAddr;
use std::time::Instant;

use bytes::Bytes;
use dcsctp::api::{DcSctpSocket, SocketState, SocketTime, StreamId};

use crate::cookie::{Cookies, Opened, Origin, with_seed};
use crate::front::{Opening, with_cookie};
use crate::packet::{Packet, chunk};
use crate::{Closed, Ignored, Options, ResetError, SendError};

use closing::Closing;
use liveness::Liveness;
use sending::Sending;
use window::Window;

mod closing;
mod events;
mod liveness;
mod sending;
mod window;

/// Packets made and not yet asked for. What is beyond is lost, as on a network, and sent again by the timers.
const MOST_PACKETS: usize = 256;
/// Resets of streams not yet asked for; of more the oldest are forgotten.
const MOST_RESETS: usize = 64;

/// A whole message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// The stream, counted from 0.
    pub stream: u16,
    /// The payload protocol identifier: a number for the receiver that SCTP only carries (RFC 9260 §3.3.1).
    pub ppid: u32,
    /// Sent: whether it may overtake messages of its stream. Received: always false, the engine does not tell.
    pub unordered: bool,
    /// One byte or more.
    pub payload: Bytes,
}

/// What became of streams (RFC 6525).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reset {
    /// The peer has reset streams it sends on: they begin anew. Empty: all of them.
    ByPeer(Vec<u16>),
    /// The streams of a [`reset_streams`](Association::reset_streams) begin anew.
    Done(Vec<u16>),
    /// The peer refused.
    Failed(Vec<u16>),
}

/// One association (RFC 9260), made by [`connect`](Self::connect) or, on a good cookie, by
/// [`accept`](Self::accept).
///
/// After each call that takes `now`, send what [`poll_packet`](Self::poll_packet) gives, and call
/// [`handle_timeout`](Self::handle_timeout) when [`deadline`](Self::deadline) is reached. It stays on the thread
/// that made it.
pub struct Association {
    engine: Box<dyn DcSctpSocket>,
    /// The engine's time zero.
    epoch: Instant,
    cookies: Cookies,
    options: Options,
    /// Whom packets come from.
    origin: Origin,
    /// Seeds drawn.
    drawn: u64,
    packets: VecDeque<Vec<u8>>,
    /// Packets lost because nobody asked for them.
    overflowed: u64,
    resets: VecDeque<Reset>,
    sending: Sending,
    window: Window,
    /// Messages rescued from an engine that is about to close.
    inbox: VecDeque<Message>,
    closing: Closing,
    liveness: Liveness,
    /// The engine found fault with the last packet.
    faulty: bool,
    /// When the last message came or went.
    active: Instant,
    connected: bool,
    closed: Option<Closed>,
}

impl Association {
    /// The client's side: sends an INIT to the SCTP port `remote_port`, from `local_port`, at the UDP endpoint
    /// `peer`.
    pub fn connect(
        now: Instant,
        peer: SocketAddr,
        (local_port, remote_port): (u16, u16),
        options: Options,
        cookies: Cookies,
    ) -> Self {
        let origin = Origin {
            udp: peer,
            source_port: remote_port,
            destination_port: local_port,
        };
        let mut association = Self::new(now, origin, options, cookies);
        let seed = association.seed(now, b"connect");
        with_seed(seed, || association.engine.connect());
        association.drain(now);
        association
    }

    /// The server's side: an association for a cookie that came back. It is established at once.
    pub fn accept(now: Instant, opening: Opening, options: Options, cookies: Cookies) -> Self {
        let mut association = Self::new(now, opening.origin, options, cookies);
        association.feed_seeded(now, &opening.packet);
        association.drain(now);
        if let Some(rest) = opening.rest {
            // What cannot be used of it is lost, as any packet may be.
            let _ = association.handle_packet(now, &rest);
        }
        association
    }

    fn new(now: Instant, origin: Origin, options: Options, cookies: Cookies) -> Self {
        let engine = options.engine(origin.destination_port, origin.source_port);
        Self {
            engine: dcsctp::new_socket("association", &engine),
            epoch: now,
            cookies,
            origin,
            drawn: 0,
            packets: VecDeque::new(),
            overflowed: 0,
            resets: VecDeque::new(),
            sending: Sending::new(options.send_queue),
            window: Window::new(options.receive_window),
            inbox: VecDeque::new(),
            closing: Closing::default(),
            liveness: Liveness::new(now, options.peer_timeout, options.heartbeat),
            faulty: false,
            active: now,
            connected: false,
            closed: None,
            options,
        }
    }

    /// Takes one packet of the peer.
    pub fn handle_packet(&mut self, now: Instant, datagram: &[u8]) -> Result<(), Ignored> {
        let packet = Packet::parse(datagram)?;
        if packet.source_port() != self.origin.source_port
            || packet.destination_port() != self.origin.destination_port
        {
            return Err(Ignored::Port);
        }
        if self.closed.is_some() {
            return self.last_word(&packet);
        }
        let streams = self.options.streams_in;
        let mut chunks = packet.chunks().filter_map(|chunk| chunk.stream());
        if chunks.any(|stream| stream >= streams) {
            return Err(Ignored::Stream);
        }
        self.advance(now);
        self.faulty = false;
        let first = packet.first();
        match first.kind {
            // A restart of the peer, or both ends connecting at once (RFC 9260 §5.2): the cookie is judged as the
            // front would.
            chunk::COOKIE_ECHO => {
                let Opened::Good(cookie) =
                    self.cookies
                        .open(now, self.origin, packet.tag(), first.value)
                else {
                    return Err(Ignored::Cookie);
                };
                self.feed_seeded(now, &with_cookie(&packet, cookie));
            }
            // The cookie in it has to fit a packet of ours.
            chunk::INIT_ACK if datagram.len() > self.options.mtu => return Err(Ignored::Length),
            chunk::INIT | chunk::INIT_ACK => self.feed_seeded(now, datagram),
            _ if Closing::ends(&packet) => self.ending(now, &packet),
            _ => {
                self.window.received(&packet);
                self.engine.handle_input(datagram);
            }
        }
        self.drain(now);
        if !self.faulty {
            self.liveness.heard(now);
            self.answer_probe(now);
        }
        Ok(())
    }

    /// The next packet for the peer: one UDP payload.
    pub fn poll_packet(&mut self) -> Option<Vec<u8>> {
        self.packets.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called; `None`: nothing is waited for.
    pub fn deadline(&self) -> Option<Instant> {
        let engine = self.engine.poll_timeout() - SocketTime::zero();
        let engine = self.epoch.checked_add(engine);
        let gone = self.connected.then(|| self.liveness.ends()).flatten();
        let open = self.closed.is_none();
        let ours = gone.into_iter().chain(self.autoclose());
        engine.into_iter().chain(ours.filter(|_| open)).min()
    }

    /// Sends again what is due, gives up on a peer that is gone, shuts down what has been idle for too long.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.autoclose().is_some_and(|at| at <= now) {
            self.shutdown(now);
        }
        self.advance(now);
        self.drain(now);
        if self.is_connected() && self.liveness.ends().is_some_and(|at| at <= now) {
            self.abort(now);
            self.closed = Some(Closed::TimedOut("nothing was heard of it".to_owned()));
        }
    }

    /// The next message, in order on its stream.
    pub fn recv(&mut self, now: Instant) -> Option<Message> {
        if let Some(message) = self.inbox.pop_front() {
            return Some(message);
        }
        let message = self.take()?;
        if message.payload.len() > self.options.max_message {
            self.violation(now, "a message is too large");
            return None;
        }
        let ports = (self.origin.destination_port, self.origin.source_port);
        if let Some(news) = self.window.taken(message.payload.len(), ports) {
            self.packet(now, news);
        }
        Some(message)
    }

    /// Queues a message. Before the association is established it waits.
    ///
    /// # Errors
    /// When the queue is full or the message cannot be sent; nothing has been taken then.
    pub fn send(&mut self, now: Instant, message: Message) -> Result<(), SendError> {
        if self.closed.is_some() || self.closing.begun() {
            return Err(SendError::Closing);
        }
        let len = message.payload.len();
        if len > self.options.max_message {
            return Err(SendError::TooLarge {
                len,
                limit: self.options.max_message,
            });
        }
        let streams = self.streams_out();
        if message.stream >= streams {
            return Err(SendError::NoSuchStream {
                stream: message.stream,
                streams,
            });
        }
        if !self.can_send() {
            return Err(SendError::Full);
        }
        self.advance(now);
        self.sending.send(&mut *self.engine, message)?;
        self.active = now;
        self.drain(now);
        Ok(())
    }

    /// Whether the next message will be taken, if it is a good one.
    pub fn can_send(&self) -> bool {
        self.sending.has_room()
    }

    /// Bytes of messages sent and not yet acknowledged by the peer: zero when all have arrived.
    pub fn unacknowledged(&self) -> usize {
        self.sending.bytes()
    }

    /// Lets streams we send on begin anew (RFC 6525): messages queued on them and not begun are lost. The outcome
    /// comes as a [`Reset`].
    pub fn reset_streams(&mut self, now: Instant, streams: &[u16]) -> Result<(), ResetError> {
        let streams: Vec<_> = streams.iter().copied().map(StreamId).collect();
        self.advance(now);
        self.engine
            .reset_streams(&streams)
            .map_err(|error| match error {
                dcsctp::api::ResetStreamsError::NotConnected => ResetError::NotConnected,
                dcsctp::api::ResetStreamsError::NotSupported => ResetError::NotSupported,
            })?;
        self.drain(now);
        Ok(())
    }

    /// The next thing that happened to a stream.
    pub fn poll_reset(&mut self) -> Option<Reset> {
        self.resets.pop_front()
    }

    /// Ends the association when all that was sent has arrived (RFC 9260 §9.2). An attempt that is not established
    /// yet is given up.
    pub fn shutdown(&mut self, now: Instant) {
        if self.engine.state() == SocketState::Connecting {
            return self.abort(now);
        }
        self.advance(now);
        self.closing.begin();
        self.drain(now);
    }

    /// Ends the association now and tells the peer (RFC 9260 §9.1).
    pub fn abort(&mut self, now: Instant) {
        if self.closed.is_none() {
            self.closed = Some(Closed::Aborted);
            self.advance(now);
            self.engine.close();
            self.drain(now);
        }
    }

    /// Whether the association is established and not over.
    pub fn is_connected(&self) -> bool {
        self.connected && self.closed.is_none()
    }

    /// How it ended, once it has. Messages that had arrived can still be taken.
    pub fn closed(&self) -> Option<&Closed> {
        self.closed.as_ref()
    }

    /// What it was made with.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Streams to send on: those negotiated, or before that those asked for.
    pub fn streams_out(&self) -> u16 {
        self.engine
            .get_metrics()
            .map_or(self.options.streams_out, |metrics| {
                metrics.negotiated_maximum_outgoing_streams
            })
    }

    /// Packets that were made while too many waited to be sent.
    pub fn overflowed(&self) -> u64 {
        self.overflowed
    }

    fn feed_seeded(&mut self, now: Instant, packet: &[u8]) {
        let seed = self.seed(now, packet);
        with_seed(seed, || self.engine.handle_input(packet));
    }

    fn seed(&mut self, now: Instant, packet: &[u8]) -> u64 {
        self.drawn = self.drawn.wrapping_add(1);
        self.cookies.seed(now, self.origin.udp, self.drawn, packet)
    }

    fn advance(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.epoch);
        self.engine.advance_time(SocketTime::zero() + elapsed);
    }

    fn autoclose(&self) -> Option<Instant> {
        let after = self.options.autoclose?;
        let idle = self.is_connected() && !self.closing.begun();
        idle.then(|| self.active.checked_add(after)).flatten()
    }

    fn take(&mut self) -> Option<Message> {
        let message = self.engine.get_next_message()?;
        Some(Message {
            stream: message.stream_id.0,
            ppid: message.ppid.0,
            unordered: false,
            payload: message.payload.into(),
        })
    }
}

impl fmt::Debug for Association {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Association")
            .field("origin", &self.origin)
            .field("connected", &self.connected)
            .field("closed", &self.closed)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
