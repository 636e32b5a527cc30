//! The life of a session: how it begins, what it brings, and how it ends.

use bytes::Bytes;
use wharf_dtls::{Outcome, Received, Session, Verified, hello_random};
use wharf_turn::{ClientPath, DropReason, Output};
use wharf_udp::{Datagram, Outgoing, Turn, Via};

use super::sessions::{Phase, Sessions};
use crate::counters::Counter;
use crate::outbound::Source;
use crate::worker::Worker;

impl Worker {
    fn dtls(&mut self) -> Option<&mut Sessions> {
        self.outbound.dtls.as_mut()
    }

    /// A datagram whose first byte is one of DTLS, on the path of plain UDP.
    pub(crate) fn handle_dtls(
        &mut self,
        turn: &mut Turn<'_>,
        path: &ClientPath,
        datagram: &Datagram<'_>,
    ) {
        let Some(dtls) = &mut self.outbound.dtls else {
            return self.counters.dropped(DropReason::UnknownProtocol);
        };
        if !dtls.is_spoken_at(path.listener) {
            return self.counters.dropped(DropReason::UnknownProtocol);
        }
        let Some(index) = dtls.index(path.client, path.server) else {
            // What begins no session may be of one that the process before this one has.
            if hello_random(datagram.payload).is_none() && self.hand_over(turn, path, datagram) {
                return;
            }
            if let Some(verified) = self.ask_gate(turn, path, datagram) {
                self.begin_session(turn, path, &verified, None);
            }
            return;
        };
        let Some(slot) = dtls.slots.get_mut(index as usize) else {
            return;
        };
        match hello_random(datagram.payload) {
            // RFC 6347 §4.2.8: a client that has lost its session, or its handshake, or anybody who has
            // guessed its address. A good cookie tells which.
            Some(random) if *random != slot.random => {
                if let Some(verified) = self.ask_gate(turn, path, datagram) {
                    self.begin_session(turn, path, &verified, Some(index));
                }
                return;
            }
            // A copy of the hello that this session began with, which begins no other.
            Some(_) if slot.is_open() => return self.counters.add(Counter::DtlsBadRecords, 1),
            // In a handshake it asks for the flight that answers it once more (RFC 6347 §4.2.4).
            Some(_) | None => {}
        }
        let bytes = Bytes::copy_from_slice(datagram.payload);
        slot.session.handle_datagram(turn.now(), bytes);
        self.read_session(turn, index, datagram.tos);
    }

    /// Asks a client for a cookie; one whose cookie is good may begin a session.
    fn ask_gate(
        &mut self,
        turn: &mut Turn<'_>,
        path: &ClientPath,
        datagram: &Datagram<'_>,
    ) -> Option<Verified> {
        let Sessions { gate, .. } = self.outbound.dtls.as_mut()?;
        match gate.ask(turn.now(), path.client, datagram.payload) {
            Outcome::Ignored(_) => {
                self.counters.add(Counter::DtlsIgnored, 1);
                None
            }
            Outcome::Challenge(challenge) => {
                let outgoing = Outgoing {
                    from: Some(path.server.ip()),
                    header: challenge,
                    ..Outgoing::to(path.client)
                };
                turn.send(Via::Listener(path.listener), &outgoing);
                self.counters.add(Counter::DtlsChallenged, 1);
                None
            }
            Outcome::Verified(verified) => Some(verified),
        }
    }

    /// The client has proven its address. The session `old` that it has lost, if it has one, stays
    /// when another one is not admitted.
    fn begin_session(
        &mut self,
        turn: &mut Turn<'_>,
        path: &ClientPath,
        verified: &Verified,
        old: Option<u32>,
    ) {
        let now = turn.now();
        let Some(place) = self.dtls().and_then(|dtls| dtls.admit(now, path, old)) else {
            return self.counters.add(Counter::DtlsRefused, 1);
        };
        if let Some(old) = old {
            self.end_session(turn, old, Counter::DtlsReplaced);
        }
        let Some(dtls) = self.dtls() else { return };
        if let Ok(session) = Session::accept(&dtls.gate.context, verified, now) {
            let index = dtls.insert(path, session, *verified.random(), place, now);
            self.read_session(turn, index, 0);
        } else {
            dtls.gate.leave(place);
            self.counters.add(Counter::DtlsFailed, 1);
        }
    }

    /// Handles what a session has made of a datagram that has come with this TOS octet.
    fn read_session(&mut self, turn: &mut Turn<'_>, index: u32, tos: u8) {
        let now = turn.now();
        let Some(dtls) = self.dtls() else { return };
        let Some(slot) = dtls.slots.get(index as usize) else {
            return;
        };
        let was_open = slot.is_open();
        let mut message = std::mem::take(&mut dtls.message);
        if !was_open && slot.session.is_open() {
            dtls.opened(index, now);
            self.counters.add(Counter::DtlsEstablished, 1);
        }
        let mut messages = 0;
        let end = loop {
            message.clear();
            let Some(slot) = self
                .dtls()
                .and_then(|dtls| dtls.slots.get_mut(index as usize))
            else {
                break None;
            };
            match slot.session.recv(&mut message) {
                Ok(Received::Message) => {
                    slot.phase = Phase::Open { active: now };
                    let path = slot.path;
                    self.handle_message(turn, &path, &message, tos);
                    messages += 1;
                }
                Ok(Received::Nothing) => break None,
                Ok(Received::Closed) => break Some(Counter::DtlsClosed),
                Err(_) if slot.is_open() => break Some(Counter::DtlsBroken),
                Err(_) => break Some(Counter::DtlsFailed),
            }
        };
        self.counters.add(Counter::DtlsMessages, messages);
        if let Some(end) = end {
            self.end_session(turn, index, end);
        }
        let Some(dtls) = self.dtls() else { return };
        dtls.message = message;
        let has_answered = dtls.flush(turn, index);
        if !was_open {
            dtls.set_timer(index, now);
        } else if messages == 0 && end.is_none() && !has_answered {
            self.counters.add(Counter::DtlsBadRecords, 1);
        }
    }

    /// A message of a session: one of STUN, or ChannelData.
    fn handle_message(&mut self, turn: &mut Turn<'_>, path: &ClientPath, message: &[u8], tos: u8) {
        let output = self.core.handle_client(turn.now(), path, message);
        if matches!(output, Output::ToClient(_)) {
            self.counters.add(Counter::HandedAcross, 1);
        }
        let source = Source::Copied {
            bytes: message,
            tos,
        };
        self.outbound.stage(turn, output, source, &self.counters);
        self.effects(turn);
    }

    /// Looks at the sessions whose time has come: flights are sent again, and what has taken too long
    /// ends.
    pub(crate) fn time_sessions(&mut self, turn: &mut Turn<'_>) {
        let now = turn.now();
        while let Some(dtls) = &mut self.outbound.dtls
            && let Some(index) = dtls.due(now)
            && let Some(slot) = dtls.slots.get_mut(index as usize)
        {
            match slot.phase {
                Phase::Handshake { until } if until <= now => {
                    self.end_session(turn, index, Counter::DtlsTimedOut);
                }
                Phase::Handshake { .. } => {
                    slot.session.handle_timeout(now);
                    self.read_session(turn, index, 0);
                }
                Phase::Open { active } if !slot.allocated && active + dtls.idle <= now => {
                    self.end_session(turn, index, Counter::DtlsIdle);
                }
                Phase::Open { .. } => dtls.set_timer(index, now),
            }
        }
    }

    /// Ends the sessions that are over.
    pub(crate) fn dismiss_sessions(&mut self, turn: &mut Turn<'_>) {
        while let Some(dtls) = self.dtls()
            && let Some((path, why)) = dtls.over.pop()
        {
            if dtls.index(path.client, path.server) == Some(path.listener) {
                self.end_session(turn, path.listener, why);
            }
        }
    }

    /// The server stops: clients are told.
    pub(crate) fn stop_sessions(&mut self, turn: &mut Turn<'_>) {
        let Some(dtls) = self.dtls() else { return };
        let all: Vec<u32> = dtls.slots.iter().map(|(index, _)| index as u32).collect();
        for index in all {
            self.close_session(turn, index);
        }
    }

    fn end_session(&mut self, turn: &mut Turn<'_>, index: u32, why: Counter) {
        self.close_session(turn, index);
        self.counters.add(why, 1);
    }

    /// A session is over: its allocation goes with it at once (RFC 8656 §5), and its client is told
    /// unless it knows.
    fn close_session(&mut self, turn: &mut Turn<'_>, index: u32) {
        let Some(slot) = self
            .dtls()
            .and_then(|dtls| dtls.slots.get_mut(index as usize))
        else {
            return;
        };
        slot.session.close();
        let path = slot.path;
        self.core.handle_client_closed(&path);
        self.effects(turn);
        if let Some(dtls) = self.dtls() {
            dtls.flush(turn, index);
            dtls.remove(index);
        }
    }
}
