//! What the engine of an association has made: packets, and news; and the last words of both ends.

use std::time::Instant;

use dcsctp::api::{ErrorKind, SocketEvent, StreamId};

use super::{Association, MOST_PACKETS, MOST_RESETS, Reset};
use crate::front::with_sealed_cookie;
use crate::packet::{Packet, REFLECTED, chunk, make_chunk, write_packet};
use crate::{Closed, Ignored};

impl Association {
    /// Takes what the engine has made, and the steps of a shutdown that are due.
    pub(super) fn drain(&mut self, now: Instant) {
        loop {
            while let Some(event) = self.engine.poll_event() {
                self.event(now, event);
            }
            if self.closed.is_some() || !self.closing.step(&mut *self.engine, &self.sending) {
                break;
            }
        }
        let waits = self.sending.bytes() > 0 || self.closing.told();
        self.liveness.waits(now, waits);
    }

    fn event(&mut self, now: Instant, event: SocketEvent) {
        let ids = |streams: Vec<StreamId>| streams.into_iter().map(|stream| stream.0).collect();
        match event {
            SocketEvent::SendPacket(packet) => self.packet(now, packet),
            SocketEvent::OnConnected() => self.connected = true,
            // What the old association had not delivered is lost (RFC 9260 §5.2.4.1).
            SocketEvent::OnConnectionRestarted() => self.sending.restarted(),
            SocketEvent::OnLifecycleEnd(id) => {
                self.sending.ended(id);
                self.active = now;
            }
            SocketEvent::OnStreamsResetPerformed(streams) => self.reset(Reset::Done(ids(streams))),
            SocketEvent::OnStreamsResetFailed(streams) => self.reset(Reset::Failed(ids(streams))),
            SocketEvent::OnIncomingStreamReset(streams) => self.reset(Reset::ByPeer(ids(streams))),
            SocketEvent::OnClosed() => {
                self.closed.get_or_insert(Closed::Finished);
            }
            SocketEvent::OnAborted(kind, text) => {
                let closed = match kind {
                    ErrorKind::PeerReported => Closed::ByPeer(text),
                    ErrorKind::TooManyRetries => Closed::TimedOut(text),
                    _ => Closed::Violation(text),
                };
                self.closed.get_or_insert(closed);
            }
            SocketEvent::OnError(ErrorKind::ParseFailed, _) => self.faulty = true,
            // Other complaints, and steps of a message on its way.
            _ => {}
        }
    }

    pub(super) fn packet(&mut self, now: Instant, packet: Vec<u8>) {
        if self.packets.len() >= MOST_PACKETS {
            self.overflowed += 1;
            return;
        }
        self.window.sent(&packet);
        let sealed = with_sealed_cookie(&self.cookies, now, self.origin, &packet);
        self.packets.push_back(sealed.unwrap_or(packet));
    }

    pub(super) fn answer_probe(&mut self, now: Instant) {
        let ports = (self.origin.destination_port, self.origin.source_port);
        if let Some(answer) = self.window.answer(ports) {
            self.packet(now, answer);
        }
    }

    fn reset(&mut self, reset: Reset) {
        if self.resets.len() >= MOST_RESETS {
            self.resets.pop_front();
        }
        self.resets.push_back(reset);
    }

    /// The peer missed our last word: it is said again (RFC 9260 §8.4, 5).
    pub(super) fn last_word(&mut self, packet: &Packet<'_>) -> Result<(), Ignored> {
        if packet.first().kind != chunk::SHUTDOWN_ACK || self.packets.len() >= MOST_PACKETS {
            return Err(Ignored::Closed);
        }
        let complete = make_chunk(chunk::SHUTDOWN_COMPLETE, REFLECTED, &[]);
        let mut answer = Vec::new();
        let (to, from) = (self.origin.source_port, self.origin.destination_port);
        write_packet(from, to, packet.tag(), &complete, &mut answer);
        self.packets.push_back(answer);
        Ok(())
    }

    /// Takes a packet that may end the association.
    pub(super) fn ending(&mut self, now: Instant, packet: &Packet<'_>) {
        let Some(acknowledged) = self.closing.instead(packet, &*self.engine, &self.sending) else {
            self.rescue();
            return self.engine.handle_input(packet.bytes());
        };
        self.engine.handle_input(&acknowledged);
        self.drain(now);
        // With a wrong tag it is not the peer's (RFC 9260 §8.5).
        if !self.faulty {
            self.closing.hold(packet);
        }
    }

    /// Takes what the engine would forget when it closes: no more than the receive window, and not again before that
    /// was read, as packets that end nothing would empty the window for more and more.
    fn rescue(&mut self) {
        if !self.inbox.is_empty() {
            return;
        }
        while let Some(message) = self.take() {
            if message.payload.len() <= self.options.max_message {
                self.inbox.push_back(message);
            }
        }
    }

    pub(super) fn violation(&mut self, now: Instant, text: &str) {
        self.abort(now);
        self.closed = Some(Closed::Violation(text.to_owned()));
    }
}
