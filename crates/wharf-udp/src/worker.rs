//! The loop of a service that handles datagrams in batches: one thread with its own sockets.

mod appetite;
mod handler;
mod outbox;
mod sockets;
mod traffic;
mod turn;

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::{Event, Events, Poller, ReceiveBatch, Socket, Timer, Waker, pin_current_thread};
use outbox::{Mail, Outbox};
use sockets::{ALARM, Sockets, WAKER};

pub use handler::{BatchHandler, Burst, Datagram, Piece, SocketKey, Via};
pub use outbox::Outgoing;
pub use traffic::{Moved, Traffic, TrafficCount};
pub use turn::Turn;

/// Slots to receive into: what is read in one turn before it is sent. More do not make a system call
/// cheaper, and make the first datagram wait for the last.
const SLOTS: usize = 64;
/// Events of one wait.
const EVENTS: usize = 256;
/// ICMP errors read from one socket at a time.
const ERRORS: usize = 16;
/// How often drop counters are read while there is traffic.
const TICK: Duration = Duration::from_secs(1);
/// How long a deadline waits at least after a panic, which its handling may repeat.
const AFTER_PANIC: Duration = Duration::from_millis(10);

/// A [`BatchHandler`] with its sockets, ready to [`run`](Worker::run).
///
/// Several workers share a port through sockets with
/// [`SocketOptions::reuse_port`](crate::SocketOptions), one of each for each worker;
/// [`steer`](crate::steer) says which datagrams are whose.
///
/// ```
/// use wharf_udp::{BatchHandler, Burst, Socket, SocketOptions, Turn, Waker, Worker};
///
/// /// Answers one datagram.
/// struct Once;
///
/// impl BatchHandler for Once {
///     fn datagrams(&mut self, turn: &mut Turn<'_>, burst: &Burst<'_>) {
///         for datagram in burst.datagrams() {
///             turn.reply(&datagram, b"done");
///         }
///         turn.stop();
///     }
/// }
///
/// let socket = Socket::bind("127.0.0.1:0".parse().unwrap(), &SocketOptions::default())?;
/// let address = socket.local_addr();
/// let worker = Worker::new(Once, vec![socket], Waker::new()?)?;
/// let traffic = worker.traffic();
/// let thread = worker.start("once-0".to_owned(), None)?;
///
/// let client = std::net::UdpSocket::bind("127.0.0.1:0")?;
/// client.send_to(b"hello", address)?;
/// let mut answer = [0; 4];
/// client.recv(&mut answer)?;
/// assert_eq!(&answer, b"done");
/// assert!(thread.join().is_ok());
/// assert_eq!(traffic.count().listeners.sent, 1);
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Worker<H> {
    received: ReceiveBatch,
    sockets: Sockets,
    outbox: Outbox,
    poller: Poller,
    waker: Waker,
    alarm: Timer,
    /// When the alarm goes off.
    alarm_at: Option<Instant>,
    traffic: Arc<Traffic>,
    stopped: bool,
    /// Whether anything was received since the drop counters were read, and when they are read next.
    busy: bool,
    next_tick: Instant,
    /// Dropped last: who hears of its end may bind its sockets' addresses.
    handler: H,
}

/// Lends a handler all parts of a worker but the handler.
macro_rules! turn {
    ($worker:ident, $now:expr) => {
        &mut Turn {
            now: $now,
            received: &$worker.received,
            sockets: &mut $worker.sockets,
            outbox: &mut $worker.outbox,
            poller: &$worker.poller,
            traffic: &$worker.traffic,
            stopped: &mut $worker.stopped,
        }
    };
}

impl<H: BatchHandler> Worker<H> {
    /// A worker that listens on these sockets, and whose handler is told when `waker` is set. Fails when
    /// the system has no descriptors left.
    pub fn new(handler: H, listeners: Vec<Socket>, waker: Waker) -> io::Result<Self> {
        let (poller, alarm) = (Poller::new()?, Timer::new()?);
        poller.add(&waker, WAKER)?;
        poller.add(&alarm, ALARM)?;
        let outbox = Outbox::new(listeners.len());
        let mut sockets = Sockets::new();
        sockets.listen(&poller, listeners)?;
        Ok(Self {
            handler,
            received: ReceiveBatch::new(SLOTS),
            sockets,
            outbox,
            poller,
            waker,
            alarm,
            alarm_at: None,
            traffic: Arc::default(),
            stopped: false,
            busy: false,
            next_tick: Instant::now(),
        })
    }

    /// Its counters, which anybody may read at any time.
    pub fn traffic(&self) -> Arc<Traffic> {
        Arc::clone(&self.traffic)
    }

    /// Runs on a thread of its own of this name, tied to a processor if one is given. A processor that the
    /// process may not use is ignored: it may have been taken away meanwhile. Fails when the system
    /// has no more threads.
    pub fn start(self, name: String, cpu: Option<usize>) -> io::Result<JoinHandle<()>> {
        std::thread::Builder::new().name(name).spawn(move || {
            if let Some(cpu) = cpu {
                let _ = pin_current_thread(cpu);
            }
            self.run();
        })
    }

    /// Runs on the calling thread until the handler stops it. The handler is dropped then.
    pub fn run(mut self) {
        let mut events = Events::new(EVENTS);
        while !self.stopped {
            let turn = catch_unwind(AssertUnwindSafe(|| self.turn(&mut events)));
            if turn.is_err() {
                self.traffic.panicked();
                let mend = catch_unwind(AssertUnwindSafe(|| {
                    self.flush();
                    let now = Instant::now();
                    let due = self.handler.deadline();
                    self.set_alarm(now, due.map(|at| at.max(now + AFTER_PANIC)));
                }));
                if mend.is_err() {
                    self.traffic.panicked();
                }
            }
        }
    }

    /// In this order: what other threads want, time, listening sockets, the handler's sockets; then all
    /// that these lead to is sent.
    fn turn(&mut self, events: &mut Events) {
        if self.poller.wait(events, None).is_err() {
            // Only a defect of this program can make the wait fail, and it would for ever.
            self.traffic.panicked();
            self.stopped = true;
            return;
        }
        let now = Instant::now();
        if events.iter().any(|event| event.token == ALARM) {
            self.alarm.drain();
            self.alarm_at = None;
        }
        if events.iter().any(|event| event.token == WAKER) {
            self.waker.drain();
            self.handler.woken(turn!(self, now));
        }
        if self.handler.deadline().is_some_and(|at| at <= now) {
            self.handler.timeout(turn!(self, now));
        }
        for event in events.iter().filter(|event| !sockets::is_own(event.token)) {
            self.look(now, event);
        }
        for event in events.iter().filter(|event| sockets::is_own(event.token)) {
            self.look(now, event);
        }
        self.handler.finish(turn!(self, now));
        self.flush();
        if self.busy && now >= self.next_tick {
            self.next_tick = now + TICK;
            self.busy = false;
            let drops = self.sockets.count_drops();
            self.traffic.dropped_by_kernel(drops);
        }
        self.set_alarm(now, self.handler.deadline());
    }

    /// Looks what has come to a socket.
    fn look(&mut self, now: Instant, event: Event) {
        let Some(via) = self.sockets.by_token(event.token) else {
            return;
        };
        if event.error {
            self.read_errors(now, via);
        }
        if event.readable {
            self.read(now, via);
        }
    }

    fn read(&mut self, now: Instant, via: Via) {
        if self.received.is_full() {
            self.flush();
        }
        let first = self.received.len();
        let count = self.sockets.read(via, &mut self.received);
        self.busy |= count > 0;
        for slot in first..first + count {
            let received = self.received.get(slot);
            if received.truncated {
                self.traffic.truncated();
                continue;
            }
            let burst = Burst::new(via, slot, received);
            let side = match via {
                Via::Listener(_) => &self.traffic.listeners,
                Via::Own(_) => &self.traffic.own,
            };
            side.received(burst.count(), received.data.len());
            self.handler.datagrams(turn!(self, now), &burst);
        }
    }

    fn read_errors(&mut self, now: Instant, via: Via) {
        for _ in 0..ERRORS {
            let Some(socket) = self.sockets.get(via) else {
                return;
            };
            let Ok(Some(error)) = socket.receive_error() else {
                return;
            };
            self.traffic.icmp_error();
            self.handler.error(turn!(self, now), via, &error);
        }
    }

    fn flush(&mut self) {
        let mut mail = Mail {
            outbox: &mut self.outbox,
            sockets: &self.sockets,
            received: &self.received,
            traffic: &self.traffic,
        };
        mail.flush();
        self.received.clear();
    }

    /// Sees to it that a turn begins when the next thing is due. An alarm that is set for an earlier
    /// moment stays: one turn too many is cheaper than another system call in each.
    fn set_alarm(&mut self, now: Instant, due: Option<Instant>) {
        let tick = self.busy.then_some(self.next_tick);
        let next = [due, tick].into_iter().flatten().min();
        if let Some(next) = next
            && self.alarm_at.is_none_or(|at| next < at)
            && self.alarm.set(next.saturating_duration_since(now)).is_ok()
        {
            self.alarm_at = Some(next);
        }
    }
}
