//! The worker loop: what a handler is told, in which order, and what it can do.

use std::net::{IpAddr, UdpSocket};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use wharf_udp::{
    BatchHandler, Burst, IcmpError, Outgoing, Socket, SocketKey, SocketOptions, Turn, Via, Waker,
    Worker,
};

use crate::common::{V4, bind, plain};

const PATIENCE: Duration = Duration::from_secs(20);

/// What the handler of these tests has been told.
#[derive(Debug, PartialEq)]
enum Told {
    Datagram(Via, Vec<u8>),
    Error(Via, u16),
    Woken,
    Timeout,
}

/// Does what the first byte of a datagram says, and tells the test all that happens.
struct Obedient {
    told: Sender<Told>,
    deadline: Option<Instant>,
    spare: Vec<Socket>,
}

const KEY: SocketKey = SocketKey {
    index: 3,
    generation: 7,
};

impl BatchHandler for Obedient {
    fn datagrams(&mut self, turn: &mut Turn<'_>, burst: &Burst<'_>) {
        // One by one, as parts of the burst.
        let parts = (0..burst.count()).map(|number| burst.part(number..number + 1).unwrap());
        assert!(burst.part(burst.count()..usize::MAX).is_none() && burst.part(0..0).is_none());
        for datagram in parts.flat_map(|part| {
            assert_eq!(part.count(), 1);
            part.datagrams()
        }) {
            let told = Told::Datagram(datagram.via, datagram.payload.to_vec());
            self.told.send(told).unwrap();
            match datagram.payload {
                b"panic" => panic!("as the test wants"),
                b"stop" => turn.stop(),
                b"later" => self.deadline = Some(turn.now() + Duration::from_millis(5)),
                b"pause" => turn.pause(true).unwrap(),
                b"move" => turn.listen(std::mem::take(&mut self.spare)).unwrap(),
                b"add" => {
                    let socket = self.spare.pop().unwrap();
                    let address = socket.local_addr();
                    turn.add(KEY, socket).unwrap();
                    turn.reply(&datagram, address.to_string().as_bytes());
                }
                b"close" => {
                    let before = Outgoing {
                        header: b"last words",
                        ..Outgoing::to(datagram.from)
                    };
                    assert!(turn.send(Via::Own(KEY), &before));
                    assert!(turn.remove(KEY).is_some() && turn.remove(KEY).is_none());
                    assert!(!turn.send(Via::Own(KEY), &before));
                    assert!(turn.local_addr(Via::Own(KEY)).is_none());
                }
                // To a port where nobody is.
                [b'>', port @ ..] => {
                    let port: u16 = std::str::from_utf8(port).unwrap().parse().unwrap();
                    let to = (IpAddr::from([127, 0, 0, 1]), port).into();
                    assert!(turn.send(datagram.via, &Outgoing::to(to)));
                }
                payload => turn.reply_with(&datagram, b"re: ", 0..payload.len()),
            }
        }
    }

    fn error(&mut self, _: &mut Turn<'_>, via: Via, error: &IcmpError) {
        let told = Told::Error(via, error.destination.port());
        self.told.send(told).unwrap();
    }

    fn woken(&mut self, turn: &mut Turn<'_>) {
        turn.pause(false).unwrap();
        self.told.send(Told::Woken).unwrap();
    }

    fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    fn timeout(&mut self, turn: &mut Turn<'_>) {
        assert!(self.deadline.take().is_some_and(|at| at <= turn.now()));
        self.told.send(Told::Timeout).unwrap();
    }
}

struct Rig {
    client: UdpSocket,
    told: Receiver<Told>,
    waker: Waker,
    traffic: std::sync::Arc<wharf_udp::Traffic>,
    thread: JoinHandle<()>,
}

impl Rig {
    fn new(options: &SocketOptions, spare: Vec<Socket>) -> Rig {
        let (tell, told) = channel();
        let listener = bind(V4, options);
        let client = UdpSocket::bind(V4).unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        client.connect(listener.local_addr()).unwrap();
        let waker = Waker::new().unwrap();
        let handler = Obedient {
            told: tell,
            deadline: None,
            spare,
        };
        let worker = Worker::new(handler, vec![listener], waker.clone()).unwrap();
        Rig {
            client,
            told,
            waker,
            traffic: worker.traffic(),
            thread: worker.start("worker".to_owned(), Some(usize::MAX)).unwrap(),
        }
    }

    /// Sends a datagram and waits until the handler has been told.
    fn say(&self, payload: &str) {
        self.client.send(payload.as_bytes()).unwrap();
        self.expect(&Told::Datagram(
            Via::Listener(0),
            payload.as_bytes().to_vec(),
        ));
    }

    fn expect(&self, told: &Told) {
        assert_eq!(self.told.recv_timeout(PATIENCE).unwrap(), *told);
    }

    fn answer(&self) -> String {
        let mut bytes = [0; 64];
        let length = self.client.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    }

    /// Ends the worker; the counters are final then.
    fn stop(self) -> wharf_udp::TrafficCount {
        self.say("stop");
        self.thread.join().unwrap();
        self.traffic.count()
    }
}

#[test]
fn a_worker_answers_tells_the_time_and_can_be_woken() {
    let rig = Rig::new(&plain(), Vec::new());
    rig.say("hello");
    assert_eq!(rig.answer(), "re: hello");
    rig.say("");
    assert_eq!(rig.answer(), "re: ");
    rig.waker.wake();
    rig.expect(&Told::Woken);
    rig.say("later");
    rig.expect(&Told::Timeout);
    let count = rig.stop();
    assert_eq!(
        (count.listeners.received, count.listeners.received_bytes),
        (4, 14)
    );
    assert_eq!((count.listeners.sent, count.listeners.sent_bytes), (2, 13));
    assert_eq!(count.own, wharf_udp::Moved::default());
}

#[test]
fn a_burst_is_answered_datagram_by_datagram() {
    let options = SocketOptions {
        gro: true,
        ..plain()
    };
    let rig = Rig::new(&options, Vec::new());
    let socket = bind(V4, &plain());
    let to = rig.client.peer_addr().unwrap();
    let mut batch = wharf_udp::SendBatch::new(1, 3);
    for payload in [b"first", b"other", b"third"] {
        batch.push_bytes(to, None, 0, payload).unwrap();
    }
    let none = wharf_udp::ReceiveBatch::new(0);
    assert_eq!(batch.flush(&socket, &none).sent, 3);
    for payload in [b"first", b"other", b"third"] {
        rig.expect(&Told::Datagram(Via::Listener(0), payload.to_vec()));
    }
    let (got, _) = crate::common::receive(&socket, 3);
    let got: Vec<_> = got.iter().map(|d| &d.bytes[..]).collect();
    assert_eq!(got, [b"re: first", b"re: other", b"re: third"]);
    assert_eq!(rig.stop().listeners.received, 4);
}

#[test]
fn a_panic_ends_its_turn_only() {
    let rig = Rig::new(&plain(), Vec::new());
    rig.say("later");
    rig.say("panic");
    // The deadline of before holds, though the turn did not get as far as to set the alarm.
    rig.expect(&Told::Timeout);
    rig.say("still there?");
    assert_eq!(rig.answer(), "re: still there?");
    assert_eq!(rig.stop().panics, 1);
}

#[test]
fn what_is_staged_for_a_socket_leaves_before_it_is_closed() {
    let rig = Rig::new(&plain(), vec![bind(V4, &plain())]);
    rig.say("add");
    let own: std::net::SocketAddr = rig.answer().parse().unwrap();
    rig.client.send_to(b"to the other socket", own).unwrap();
    rig.expect(&Told::Datagram(
        Via::Own(KEY),
        b"to the other socket".to_vec(),
    ));
    let stranger = UdpSocket::bind(V4).unwrap();
    stranger.set_read_timeout(Some(PATIENCE)).unwrap();
    stranger
        .send_to(b"close", rig.client.peer_addr().unwrap())
        .unwrap();
    let mut bytes = [0; 64];
    let (length, from) = stranger.recv_from(&mut bytes).unwrap();
    assert_eq!((&bytes[..length], from), (&b"last words"[..], own));
    rig.expect(&Told::Datagram(Via::Listener(0), b"close".to_vec()));
    let count = rig.stop();
    assert_eq!((count.own.received, count.own.sent), (1, 2));
}

#[test]
fn icmp_errors_are_told() {
    let options = SocketOptions {
        errors: true,
        ..plain()
    };
    let rig = Rig::new(&options, Vec::new());
    let closed = UdpSocket::bind(V4).unwrap().local_addr().unwrap().port();
    rig.say(&format!(">{closed}"));
    rig.expect(&Told::Error(Via::Listener(0), closed));
    let count = rig.stop();
    assert_eq!((count.icmp_errors, count.listeners.sent), (1, 1));
}

#[test]
fn what_comes_during_a_pause_is_read_after_it() {
    let rig = Rig::new(&plain(), Vec::new());
    rig.say("pause");
    rig.client.send(b"patient").unwrap();
    rig.waker.wake();
    // Had it been read during the pause, it would have been told first.
    rig.expect(&Told::Woken);
    rig.expect(&Told::Datagram(Via::Listener(0), b"patient".to_vec()));
    assert_eq!(rig.answer(), "re: patient");
    rig.stop();
}

#[test]
fn a_worker_moves_to_other_listening_sockets() {
    let next = bind(V4, &plain());
    let address = next.local_addr();
    let rig = Rig::new(&plain(), vec![next]);
    rig.say("move");
    rig.client.connect(address).unwrap();
    rig.say("here now");
    assert_eq!(rig.answer(), "re: here now");
    rig.stop();
}
