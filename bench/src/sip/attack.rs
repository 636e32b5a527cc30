//! Attackers: connections that want the server to wait, or to take in what never ends.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::fd::OwnedFd;

use crate::Failure;

/// What an attacker does once a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Nothing.
    Silent,
    /// It sends one byte of a request.
    Slow,
    /// It sends two kibibytes of a header field that has no end.
    Endless,
    /// It sends a head that announces four gigabytes, once.
    Announcing,
}

impl Kind {
    pub(super) const ALL: [Self; 4] = [Self::Silent, Self::Slow, Self::Endless, Self::Announcing];

    /// Its word in the names of figures.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Silent => "silent",
            Self::Slow => "slow",
            Self::Endless => "endless",
            Self::Announcing => "announcing",
        }
    }
}

const START: &[u8] = b"OPTIONS sip:ping@127.0.0.1 SIP/2.0\r\nSubject: ";
const ANNOUNCED: &[u8] = b"OPTIONS sip:ping@127.0.0.1 SIP/2.0\r\n\
    Via: SIP/2.0/TCP 127.0.0.1;branch=z9hG4bKa\r\nMax-Forwards: 70\r\nFrom: <sip:a@b>;tag=1\r\n\
    To: <sip:a@b>\r\nCall-ID: a\r\nCSeq: 1 OPTIONS\r\nContent-Length: 4000000000\r\n\r\n";
/// How often an attacker acts.
const INTERVAL: Duration = Duration::from_secs(1);
/// How often is looked who was closed.
const LOOK: Duration = Duration::from_millis(2);
/// Of attackers, how many act in one step: no answer to a flow waits long for the load to take it.
const AT_ONCE: usize = 4;

/// Places for attackers: who was closed comes again when it is its turn.
pub(super) struct Attackers {
    to: SocketAddr,
    places: Vec<Place>,
    closings: OwnedFd,
    next: usize,
    /// When the next of them acts.
    due: Instant,
    looked: Instant,
    closed: u64,
    longest: [Duration; Kind::ALL.len()],
}

#[derive(Default)]
struct Place {
    open: Option<(TcpStream, Instant)>,
    /// How often it has acted on this connection.
    acts: usize,
}

impl Attackers {
    /// So many places, one kind after the other.
    pub(super) fn new(to: SocketAddr, places: usize) -> Result<Self, Failure> {
        let closings = epoll::create(CreateFlags::CLOEXEC);
        let closings = closings.map_err(|e| Failure::io(&"epoll", e.into()))?;
        let mut all = Vec::new();
        all.resize_with(places, Place::default);
        Ok(Self {
            to,
            places: all,
            closings,
            next: 0,
            due: Instant::now(),
            looked: Instant::now(),
            closed: 0,
            longest: [Duration::ZERO; Kind::ALL.len()],
        })
    }

    /// The attack begins now.
    pub(super) fn begin(&mut self) {
        self.due = Instant::now();
    }

    /// Lets those act whose turn it is, and looks who was closed.
    pub(super) fn step(&mut self, now: Instant) -> Result<(), Failure> {
        let failed = |error| Failure::io(&"attacker", error);
        let between = INTERVAL / self.places.len() as u32;
        for _ in 0..AT_ONCE {
            if self.due > now {
                break;
            }
            self.due += between;
            self.act(self.next).map_err(failed)?;
            self.next = (self.next + 1) % self.places.len();
        }
        self.watch(now)
    }

    /// Looks who was closed.
    pub(super) fn watch(&mut self, now: Instant) -> Result<(), Failure> {
        if now - self.looked < LOOK {
            return Ok(());
        }
        self.looked = now;
        let mut events = Vec::with_capacity(64);
        let at_once = Timespec::default();
        epoll::wait(&self.closings, spare_capacity(&mut events), Some(&at_once))
            .map_err(|e| Failure::io(&"epoll", e.into()))?;
        for event in events {
            self.look(event.data.u64() as usize);
        }
        Ok(())
    }

    /// Takes what the server has to say, such as a 413, and its end.
    fn look(&mut self, place: usize) {
        let Some((stream, since)) = &mut self.places[place].open else {
            return;
        };
        let gone = loop {
            match stream.read(&mut [0; 2048]) {
                Ok(0) => break true,
                Ok(_) => {}
                Err(error) => break error.kind() != ErrorKind::WouldBlock,
            }
        };
        if gone {
            let lasted = since.elapsed();
            let longest = &mut self.longest[place % Kind::ALL.len()];
            *longest = lasted.max(*longest);
            self.closed += 1;
            // Its descriptor leaves the list by being closed.
            self.places[place] = Place::default();
        }
    }

    fn act(&mut self, number: usize) -> io::Result<()> {
        let kind = Kind::ALL[number % Kind::ALL.len()];
        let place = &mut self.places[number];
        if place.open.is_none() {
            let stream = TcpStream::connect(self.to)?;
            stream.set_nonblocking(true)?;
            let data = EventData::new_u64(number as u64);
            epoll::add(&self.closings, &stream, data, EventFlags::IN)?;
            place.open = Some((stream, Instant::now()));
        }
        let Some((stream, _)) = &mut place.open else {
            return Ok(());
        };
        let written = match kind {
            Kind::Slow => stream.write(&START[place.acts % START.len()..][..1]),
            Kind::Endless if place.acts == 0 => stream.write(START),
            Kind::Endless => stream.write(&[b'x'; 2048]),
            Kind::Announcing if place.acts == 0 => stream.write(ANNOUNCED),
            Kind::Announcing | Kind::Silent => Ok(0),
        };
        place.acts += 1;
        match written {
            // The server may just have ended it: the next look tells.
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::BrokenPipe | ErrorKind::ConnectionReset
                ) =>
            {
                Ok(())
            }
            other => other.map(|_| ()),
        }
    }

    /// The longest time for which one of a kind was let in.
    pub(super) fn longest(&self, kind: Kind) -> Duration {
        self.longest[kind as usize]
    }

    /// How many are still let in.
    pub(super) fn open(&self) -> usize {
        let open = |place: &&Place| place.open.is_some();
        self.places.iter().filter(open).count()
    }

    /// How many the server has closed.
    pub(super) fn closed(&self) -> u64 {
        self.closed
    }
}
