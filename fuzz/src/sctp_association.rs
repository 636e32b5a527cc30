//! The body of the target for associations of SCTP: whatever happens to the packets between two ends, all
//! messages arrive; whatever a stranger sends changes nothing; whatever the peer sends, memory has a bound.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use wharf_sctp::{Answer, Association, Closed, Cookies, Front, Message, Options};

use super::sctp_packet::{packet, seal, tag};
use super::steps::steps;

const PORTS: [u16; 2] = [4000, 5000];
const STREAMS: u16 = 4;
const WINDOW: usize = 8 << 10;
const MAX_MESSAGE: usize = 4 << 10;
/// Packets under way to each end; of more the oldest are lost.
const UNDER_WAY: usize = 512;
/// Longer than all that is still to be sent may take.
const PATIENCE: Duration = Duration::from_hours(1);

/// One end, and what is on its way to it.
struct End {
    association: Association,
    coming: VecDeque<Vec<u8>>,
    /// The tag of the packets that it is sent.
    tag: u32,
    /// Messages sent to it that have not arrived, by stream, and those that may overtake others.
    ordered: [VecDeque<Vec<u8>>; STREAMS as usize],
    unordered: Vec<Vec<u8>>,
}

struct Pair {
    now: Instant,
    options: Options,
    /// The client and the server.
    ends: [End; 2],
    sent: u32,
    /// Both ends have kept to the protocol.
    honest: bool,
    /// Nobody has given up what was sent.
    faithful: bool,
}

/// The first byte chooses whether large messages are cut up.
pub(crate) fn sctp_association(data: &[u8]) {
    let Some((&first, script)) = data.split_first() else {
        return;
    };
    let mut pair = Pair::new(Options {
        streams_in: STREAMS,
        streams_out: STREAMS,
        max_message: MAX_MESSAGE,
        receive_window: WINDOW,
        send_queue: 2 * WINDOW,
        interleaving: first & 1 != 0,
        ..Options::default()
    });
    for (what, argument, bytes) in steps(script) {
        pair.step(what, argument, bytes);
    }
    pair.end();
}

fn address(of: usize) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1 + of as u8], 9899))
}

fn cookies(of: usize, now: Instant) -> Cookies {
    Cookies::new([of as u8; 32], now, Duration::from_mins(1))
}

fn client(now: Instant, options: &Options) -> Association {
    let ports = (PORTS[0], PORTS[1]);
    Association::connect(now, address(1), ports, options.clone(), cookies(0, now))
}

impl End {
    fn new(association: Association) -> Self {
        Self {
            association,
            coming: VecDeque::new(),
            tag: 0,
            ordered: Default::default(),
            unordered: Vec::new(),
        }
    }

    /// Takes a message and compares it with what was sent.
    fn read(&mut self, now: Instant, honest: bool) -> Option<usize> {
        let message = self.association.recv(now)?;
        let length = message.payload.len();
        assert!((1..=MAX_MESSAGE).contains(&length));
        if !honest {
            return Some(length);
        }
        let ordered = &mut self.ordered[usize::from(message.stream)];
        if ordered.front().is_some_and(|next| *next == message.payload) {
            ordered.pop_front();
        } else {
            let at = self
                .unordered
                .iter()
                .position(|sent| *sent == message.payload);
            self.unordered
                .swap_remove(at.expect("nobody sent this, or not yet"));
        }
        Some(length)
    }
}

impl Pair {
    /// A pair whose handshake is done.
    fn new(options: Options) -> Self {
        let now = Instant::now();
        let mut client = client(now, &options);
        let cookies = cookies(1, now);
        let mut front = Front::new(PORTS[1], options.clone(), cookies.clone());
        let server = loop {
            let packet = client.poll_packet().expect("a packet of the handshake");
            match front.handle(now, address(0), &packet) {
                Answer::Reply(reply) => client.handle_packet(now, reply).expect("an answer"),
                Answer::Open(opening) => {
                    break Association::accept(now, opening, options.clone(), cookies);
                }
                Answer::Ignore(reason) => panic!("{reason}"),
            }
        };
        let mut pair = Self {
            now,
            options,
            ends: [client, server].map(End::new),
            sent: 0,
            honest: true,
            faithful: true,
        };
        pair.run();
        assert!(pair.ends.iter().all(|end| end.association.is_connected()));
        pair
    }

    fn step(&mut self, what: u8, argument: u8, bytes: &[u8]) {
        let to = usize::from(argument & 1);
        let end = &mut self.ends[to];
        let index = usize::from(argument >> 1).checked_rem(end.coming.len());
        match (what % 14, index) {
            (0, Some(index)) => {
                let packet = end.coming.remove(index).expect("it is there");
                self.deliver(to, &packet);
            }
            (1, Some(index)) => {
                end.coming.remove(index);
            }
            (2, Some(index)) => {
                let packet = end.coming[index].clone();
                self.deliver(to, &packet);
            }
            (3, Some(index)) => {
                let mut packet = end.coming[index].clone();
                let at = 12 + usize::from(what / 14) * 4;
                let place = packet.iter_mut().skip(at).zip(bytes);
                place.for_each(|(byte, other)| *byte ^= other);
                seal(&mut packet);
                self.honest = false;
                self.deliver(to, &packet);
            }
            (4, _) => {
                let packet = packet((PORTS[1 - to], PORTS[to]), end.tag, bytes);
                self.honest = false;
                self.deliver(to, &packet);
            }
            (5, _) => self.stranger(to, bytes),
            (6 | 7, _) => self.send(1 - to, what % 14 == 6, argument >> 1, bytes),
            (8, _) => {
                end.read(self.now, self.honest);
                self.collect(to);
            }
            (9, _) => {
                self.time_out();
            }
            (10, _) => self.run(),
            (11, _) => {
                end.association.shutdown(self.now);
                self.collect(to);
            }
            (12, _) if argument >= 0xf0 => {
                end.association.abort(self.now);
                self.faithful = false;
                self.collect(to);
            }
            (12, _) => {
                let streams = [u16::from(argument >> 1) % STREAMS];
                // An end that is closing does not.
                let _ = end.association.reset_streams(self.now, &streams);
                self.faithful = false;
                self.collect(to);
            }
            (13, _) if argument >= 0xf0 => {
                self.ends[0].association = client(self.now, &self.options);
                self.honest = false;
                self.collect(0);
            }
            _ => {}
        }
    }

    fn deliver(&mut self, to: usize, packet: &[u8]) {
        // Why one is ignored is not this target's affair.
        let _ = self.ends[to].association.handle_packet(self.now, packet);
        self.collect(to);
    }

    /// A packet of somebody who does not know the tag.
    fn stranger(&mut self, to: usize, chunks: &[u8]) {
        let own = [self.ends[0].tag, self.ends[1].tag];
        let tag = (1..=3).find(|tag| !own.contains(tag)).expect("a third one");
        let packet = packet((PORTS[1 - to], PORTS[to]), tag, chunks);
        let association = &mut self.ends[to].association;
        let state = |it: &Association| {
            let open = (it.is_connected(), it.closed().cloned(), it.can_send());
            (open, it.unacknowledged(), it.deadline(), it.overflowed())
        };
        let before = state(association);
        let _ = association.handle_packet(self.now, &packet);
        assert_eq!(state(association), before, "a stranger changes something");
        if before.0.0 {
            assert_eq!(association.poll_packet(), None, "a stranger is answered");
        }
        self.collect(to);
    }

    fn send(&mut self, from: usize, unordered: bool, number: u8, bytes: &[u8]) {
        self.sent += 1;
        let mut payload = self.sent.to_be_bytes().to_vec();
        payload.resize(4 + bytes.len() * 16, number);
        let message = Message {
            stream: u16::from(number) % STREAMS,
            ppid: 7,
            unordered,
            payload: payload.clone().into(),
        };
        let stream = usize::from(message.stream);
        if self.ends[from].association.send(self.now, message).is_ok() {
            let to = &mut self.ends[1 - from];
            if unordered {
                to.unordered.push(payload);
            } else {
                to.ordered[stream].push_back(payload);
            }
            self.collect(from);
        }
    }

    /// Lets the time of the next deadline come; whether there was one.
    fn time_out(&mut self) -> bool {
        let deadlines = self
            .ends
            .iter()
            .filter_map(|end| end.association.deadline());
        let Some(next) = deadlines.min() else {
            return false;
        };
        self.now = self.now.max(next);
        for at in 0..2 {
            let association = &mut self.ends[at].association;
            let is_due = |at: &Association, now| at.deadline().is_some_and(|due| due <= now);
            if is_due(association, self.now) {
                association.handle_timeout(self.now);
                assert!(!is_due(association, self.now), "what is due stays due");
                self.collect(at);
            }
        }
        true
    }

    /// Takes the packets of an end.
    fn collect(&mut self, from: usize) {
        let [client, server] = &mut self.ends;
        let (end, other) = if from == 0 {
            (client, server)
        } else {
            (server, client)
        };
        while let Some(packet) = end.association.poll_packet() {
            assert!(packet.len() <= end.association.options().mtu);
            if tag(&packet) != 0 {
                other.tag = tag(&packet);
            }
            other.coming.push_back(packet);
        }
        while end.association.poll_reset().is_some() {}
        let lost = other.coming.len().saturating_sub(UNDER_WAY);
        other.coming.drain(..lost);
    }

    /// Until nothing is under way.
    fn run(&mut self) {
        self.collect(0);
        self.collect(1);
        let mut delivered = 0;
        while let Some(to) = self.ends.iter().position(|end| !end.coming.is_empty()) {
            let packet = self.ends[to].coming.pop_front().expect("it is there");
            self.deliver(to, &packet);
            delivered += 1;
            assert!(delivered < 10_000, "the ends do not come to rest");
        }
    }

    /// What was not read was bounded; what honest ends have sent arrives.
    fn end(mut self) {
        for end in &mut self.ends {
            let unread = std::iter::from_fn(|| end.read(self.now, self.honest));
            let unread: usize = unread.sum();
            assert!(unread <= 2 * WINDOW + MAX_MESSAGE, "{unread} bytes unread");
        }
        if !self.honest || !self.faithful {
            return;
        }
        let until = self.now + PATIENCE;
        loop {
            self.run();
            for end in &mut self.ends {
                while end.read(self.now, true).is_some() {}
            }
            self.run();
            let waits = self
                .ends
                .iter()
                .any(|end| end.association.unacknowledged() > 0);
            if !waits || self.now > until || !self.time_out() {
                break;
            }
        }
        for end in &mut self.ends {
            while end.read(self.now, true).is_some() {}
        }
        let gone = |end: &End| matches!(end.association.closed(), Some(Closed::TimedOut(_)));
        if self.ends.iter().any(gone) {
            return;
        }
        for end in &self.ends {
            let left = end.ordered.iter().map(VecDeque::len).sum::<usize>() + end.unordered.len();
            assert_eq!(left, 0, "messages have not arrived");
        }
    }
}
