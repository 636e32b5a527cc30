//! The sockets of worker threads: as many workers of the successor read them, and no datagram is lost.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use tokio::net::UdpSocket;
use tokio::sync::watch;
use wharf::Udp;
use wharf::batch::{BatchHandler, Burst, Seat, Turn};
use wharf::config::Steering;

use super::*;

/// Answers with who it is, the number of its worker, and what it was sent.
struct Tell(String);

impl BatchHandler for Tell {
    fn datagrams(&mut self, turn: &mut Turn<'_>, burst: &Burst<'_>) {
        for datagram in burst.datagrams() {
            turn.reply_with(&datagram, self.0.as_bytes(), 0..datagram.payload.len());
        }
    }
}

/// Workers on a port that the kernel chooses.
fn on_workers(who: &'static str, workers: u32) -> Builder {
    on_steered(who, workers, Steering::Flow)
}

fn on_steered(who: &'static str, workers: u32, steering: Steering) -> Builder {
    let listen = Udp::bind("127.0.0.1:0").with(|config| {
        config.datagrams.workers = workers;
        config.datagrams.steering = steering;
    });
    let make = move |seat: &Seat| Tell(format!("{who} {} of {}:", seat.index, seat.count));
    Server::builder().listen_batch("it", listen, make)
}

async fn client(server: SocketAddr) -> UdpSocket {
    let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    client.connect(server).await.unwrap();
    client
}

async fn answer(client: &UdpSocket) -> String {
    let mut buffer = [0; 64];
    let length = timeout(PATIENCE, client.recv(&mut buffer)).await;
    let length = length.expect("no datagram is lost").unwrap();
    String::from_utf8(buffer[..length].to_vec()).unwrap()
}

/// Datagrams of one client that are on their way at once: with all clients fewer than fit into the buffer of
/// one socket, so that the kernel has no reason to drop any.
const ON_THEIR_WAY: usize = 8;

/// Sends without a pause until it is stopped, and gets an answer for each. Says who answered.
async fn traffic(server: SocketAddr, stop: watch::Receiver<bool>) -> BTreeSet<String> {
    let client = client(server).await;
    let (mut sent, mut awaited, mut who) = (0, BTreeSet::new(), BTreeSet::new());
    while !(*stop.borrow() && awaited.is_empty()) {
        while awaited.len() < ON_THEIR_WAY && !*stop.borrow() {
            client.send(format!("{sent}").as_bytes()).await.unwrap();
            awaited.insert(sent);
            sent += 1;
        }
        let answer = answer(&client).await;
        let (by, number) = answer.split_once(':').unwrap();
        assert!(awaited.remove(&number.parse().unwrap()), "{answer}");
        who.insert(by.split(' ').next().unwrap().to_owned());
    }
    who
}

/// Waits until the workers have handled so many datagrams.
async fn served(handle: &Handle, count: u64) {
    let enough = async {
        while handle.inspect("it").unwrap().stats.datagrams_delivered < count {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, enough).await.unwrap();
}

#[tokio::test]
async fn no_datagram_is_lost_while_the_sockets_of_workers_change_hands() {
    let directory = Directory::new("batch");
    let socket = directory.socket();
    let first = Running::offering(on_workers("one", 3), &socket);
    let address = first.handle.address("it").unwrap().ip().unwrap();
    let (stop, stopped) = watch::channel(false);
    let clients = (0..8).map(|_| tokio::spawn(traffic(address, stopped.clone())));
    let clients: Vec<_> = clients.collect();
    served(&first.handle, 2000).await;
    let second = on_workers("two", 3).inherit(take(&socket).await);
    let second = Running::start(second.build().unwrap());
    let report = first.ended().await;
    assert_eq!(report.forced(), 0);
    served(&second.handle, 2000).await;
    assert_eq!(second.handle.address("it").unwrap().ip(), Some(address));
    stop.send_replace(true);
    let mut all = BTreeSet::new();
    for client in clients {
        all.extend(client.await.unwrap());
    }
    assert_eq!(all.into_iter().collect::<Vec<_>>(), ["one", "two"]);
    let stats = second.handle.inspect("it").unwrap().stats;
    assert_eq!((stats.datagrams_unsent, stats.kernel_drops), (0, 0));
}

/// What waits in the sockets while nobody reads them is there for the successor.
#[tokio::test]
async fn datagrams_that_wait_for_workers_are_the_successors() {
    let directory = Directory::new("batch-waiting");
    let socket = directory.socket();
    let first = Running::offering(on_workers("one", 2), &socket);
    let address = first.handle.address("it").unwrap().ip().unwrap();
    let mut clients = Vec::new();
    for _ in 0..16 {
        clients.push(client(address).await);
    }
    let second = on_workers("two", 2).inherit(take(&socket).await);
    let second = second.build().unwrap();
    second.take_over().await.unwrap();
    // The first has ended, and the second does not read yet.
    first.ended().await;
    for client in &clients {
        client.send(b"wait").await.unwrap();
    }
    let _second = Running::start(second);
    for client in &clients {
        let told = answer(client).await;
        assert!(
            told.starts_with("two ") && told.ends_with(":wait"),
            "{told}"
        );
    }
}

/// The number in a datagram leads to the worker of that number, whichever process it is of; there are as many
/// of them as sockets were inherited.
#[tokio::test]
async fn workers_keep_their_numbers_and_are_as_many_as_the_sockets() {
    let directory = Directory::new("batch-steered");
    let socket = directory.socket();
    let first = Running::offering(on_workers("one", 3), &socket);
    let address = first.handle.address("it").unwrap().ip().unwrap();
    let client = client(address).await;
    let steering = Steering::Payload {
        offset: 0,
        length: 1,
    };
    let second = on_steered("two", 8, steering).inherit(take(&socket).await);
    let second = Running::start(second.build().unwrap());
    first.ended().await;
    for number in 0..3_u8 {
        client.send(&[b'0' + number]).await.unwrap();
        // The digits are 48 and more, which 3 divides.
        let expected = format!("two {number} of 3:{number}");
        assert_eq!(answer(&client).await, expected);
    }
    assert_eq!(second.handle.inspect("it").unwrap().addresses.len(), 1);
}
