//! What the crate's tests share: a client and a server joined by a network of their own, in virtual time.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::packet::Packet;
use crate::{Answer, Association, Cookies, Front, Message, Options};

pub(crate) const PORTS: (u16, u16) = (4000, 5000);

/// `now` is an argument everywhere, so the tests need one moment to start from.
#[expect(
    clippy::disallowed_methods,
    reason = "a test needs some instant to count from"
)]
pub(crate) fn start() -> Instant {
    Instant::now()
}

pub(crate) fn client_address() -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], 9899))
}

pub(crate) fn server_address() -> SocketAddr {
    SocketAddr::from(([198, 51, 100, 1], 9899))
}

pub(crate) fn message(stream: u16, len: usize) -> Message {
    let payload: Vec<u8> = (0..len).map(|at| (at % 251) as u8).collect();
    Message {
        stream,
        ppid: 7,
        payload: payload.into(),
        ..Message::default()
    }
}

/// What the network does to packets, in percent, and what it has done.
#[derive(Default)]
pub(crate) struct Faults {
    pub(crate) loss: u8,
    pub(crate) reorder: u8,
    pub(crate) duplicate: u8,
    pub(crate) lost: u32,
    pub(crate) reordered: u32,
    pub(crate) duplicated: u32,
}

/// A client and a server.
pub(crate) struct Pair {
    pub(crate) now: Instant,
    pub(crate) client: Association,
    pub(crate) front: Front,
    pub(crate) server: Option<Association>,
    pub(crate) options: Options,
    pub(crate) cookies: Cookies,
    pub(crate) faults: Faults,
    /// The latest packet to the server, and to the client.
    pub(crate) last: [Vec<u8>; 2],
    random: fastrand::Rng,
    /// Packets under way by the time of arrival and a number, to the server or not.
    wire: BTreeMap<(Instant, u64), (bool, Vec<u8>)>,
    sent: u64,
}

impl Pair {
    pub(crate) fn new(options: Options) -> Self {
        let now = start();
        let cookies = Cookies::new([9; 32], now, Duration::from_mins(1));
        let theirs = Cookies::new([8; 32], now, Duration::from_mins(1));
        let client = Association::connect(now, server_address(), PORTS, options.clone(), theirs);
        Self {
            now,
            client,
            front: Front::new(PORTS.1, options.clone(), cookies.clone()),
            server: None,
            options,
            cookies,
            faults: Faults::default(),
            last: [vec![], vec![]],
            random: fastrand::Rng::with_seed(42),
            wire: BTreeMap::new(),
            sent: 0,
        }
    }

    /// A pair whose handshake is over.
    pub(crate) fn connected(options: Options) -> Self {
        let mut pair = Self::new(options);
        pair.run(|pair| pair.client.is_connected());
        pair
    }

    pub(crate) fn server(&mut self) -> &mut Association {
        self.server.as_mut().expect("the handshake is over")
    }

    /// Lets time pass until `done`; panics when nothing is left to happen or an hour has passed.
    pub(crate) fn run(&mut self, mut done: impl FnMut(&mut Self) -> bool) {
        let end = self.now + Duration::from_hours(1);
        while !done(self) {
            assert!(self.step(), "nothing is left to happen");
            assert!(self.now < end, "an hour has passed");
        }
    }

    /// Lets everything happen that is due until `until`.
    pub(crate) fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        while self.next().is_some_and(|next| next <= end) {
            self.step();
        }
        self.now = end;
    }

    /// The next thing that happens; whether there was one.
    pub(crate) fn step(&mut self) -> bool {
        self.collect();
        let Some(next) = self.next() else {
            return false;
        };
        self.now = self.now.max(next);
        let now = self.now;
        if let Some(entry) = self.wire.first_entry()
            && entry.key().0 <= now
        {
            let (to_server, packet) = entry.remove();
            self.deliver(to_server, &packet);
        }
        for end in [Some(&mut self.client), self.server.as_mut()] {
            if let Some(end) = end
                && end.deadline().is_some_and(|at| at <= now)
            {
                end.handle_timeout(now);
            }
        }
        self.collect();
        true
    }

    /// Hands a packet to the server as the network would.
    pub(crate) fn deliver(&mut self, to_server: bool, packet: &[u8]) {
        let now = self.now;
        if !to_server {
            // A packet the association ignores is one the test looks at otherwise.
            let _ = self.client.handle_packet(now, packet);
            return;
        }
        if let Some(server) = &mut self.server {
            let _ = server.handle_packet(now, packet);
            return;
        }
        match self.front.handle(now, client_address(), packet) {
            Answer::Ignore(_) => {}
            Answer::Reply(reply) => {
                let reply = reply.to_vec();
                self.send(false, reply);
            }
            Answer::Open(opening) => {
                let (options, cookies) = (self.options.clone(), self.cookies.clone());
                self.server = Some(Association::accept(now, opening, options, cookies));
            }
        }
    }

    fn next(&mut self) -> Option<Instant> {
        self.collect();
        let wire = self.wire.keys().next().map(|(at, _)| *at);
        let server = self.server.as_ref().and_then(Association::deadline);
        [wire, self.client.deadline(), server]
            .into_iter()
            .flatten()
            .min()
    }

    fn collect(&mut self) {
        while let Some(packet) = self.client.poll_packet() {
            self.send(true, packet);
        }
        while let Some(packet) = self.server.as_mut().and_then(Association::poll_packet) {
            self.send(false, packet);
        }
    }

    fn send(&mut self, to_server: bool, packet: Vec<u8>) {
        assert!(packet.len() <= self.options.mtu, "a packet is too long");
        Packet::parse(&packet).expect("packets are well made");
        self.last[usize::from(!to_server)].clone_from(&packet);
        let mut hit = |percent: u8| self.random.u8(..100) < percent;
        if hit(self.faults.loss) {
            self.faults.lost += 1;
            return;
        }
        let mut delay = Duration::from_millis(10);
        if hit(self.faults.reorder) {
            self.faults.reordered += 1;
            delay *= 3;
        }
        if hit(self.faults.duplicate) {
            self.faults.duplicated += 1;
            let at = self.now + delay * 2;
            self.sent += 1;
            self.wire
                .insert((at, self.sent), (to_server, packet.clone()));
        }
        self.sent += 1;
        let at = self.now + delay;
        self.wire.insert((at, self.sent), (to_server, packet));
    }
}
