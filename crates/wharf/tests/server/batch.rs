//! Listeners with a batch handler: worker threads under the control plane.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::timeout;
use wharf::batch::{BatchHandler, Burst, Outgoing, Seat, Turn, Waker};
use wharf::config::Rate;
use wharf::events::Event;
use wharf::{Builder, Dropped, Handle, Listen, Server, Stats, Tcp, Udp};

const PATIENCE: Duration = Duration::from_secs(20);

/// Answers with its number and what it was sent; some words have it do something else.
struct Worker {
    seat: Seat,
    threads: Arc<Mutex<BTreeSet<String>>>,
    woken: UnboundedSender<()>,
}

/// What the workers tell a test.
struct Told {
    /// The threads that have handled anything.
    threads: Arc<Mutex<BTreeSet<String>>>,
    wakers: Arc<Mutex<Vec<Waker>>>,
    /// One of them was woken.
    woken: UnboundedReceiver<()>,
}

impl BatchHandler for Worker {
    fn datagrams(&mut self, turn: &mut Turn<'_>, burst: &Burst<'_>) {
        let name = std::thread::current().name().unwrap_or_default().to_owned();
        self.threads.lock().unwrap().insert(name);
        for datagram in burst.datagrams() {
            match datagram.payload {
                b"panic" => panic!("as the test wants"),
                // To a port of this host.
                [b'>', port @ ..] => {
                    let port: u16 = String::from_utf8_lossy(port).parse().unwrap();
                    let to = SocketAddr::from(([127, 0, 0, 1], port));
                    assert!(turn.send(datagram.via, &Outgoing::to(to)));
                }
                payload => {
                    let number = format!("{}:", self.seat.index);
                    turn.reply_with(&datagram, number.as_bytes(), 0..payload.len());
                }
            }
        }
    }

    fn woken(&mut self, _: &mut Turn<'_>) {
        // Not every test listens.
        let _ = self.woken.send(());
    }
}

fn udp(workers: u32) -> Listen {
    Udp::bind("127.0.0.1:0").with(|it| it.datagrams.workers = workers)
}

fn builder(listen: Listen) -> (Builder, Told) {
    let (woken, is_woken) = unbounded_channel();
    let told = Told {
        threads: Arc::default(),
        wakers: Arc::default(),
        woken: is_woken,
    };
    let (threads, wakers) = (told.threads.clone(), told.wakers.clone());
    let make = move |seat: &Seat| {
        wakers.lock().unwrap().push(seat.waker.clone());
        Worker {
            seat: seat.clone(),
            threads: threads.clone(),
            woken: woken.clone(),
        }
    };
    (Server::builder().listen_batch("it", listen, make), told)
}

/// A server that runs.
fn start(builder: Builder) -> (Handle, SocketAddr) {
    let server = builder.build().unwrap();
    let handle = server.handle();
    tokio::spawn(server.run());
    let address = handle.address("it").unwrap().ip().unwrap();
    (handle, address)
}

async fn client(server: SocketAddr) -> UdpSocket {
    let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    client.connect(server).await.unwrap();
    client
}

async fn ask(client: &UdpSocket, payload: &str) -> String {
    client.send(payload.as_bytes()).await.unwrap();
    answer(client).await
}

async fn answer(client: &UdpSocket) -> String {
    let mut bytes = [0; 256];
    let length = timeout(PATIENCE, client.recv(&mut bytes)).await;
    let length = length.expect("an answer").unwrap();
    String::from_utf8_lossy(&bytes[..length]).into_owned()
}

/// Ends the server; what is counted then is final.
async fn end(handle: &Handle) -> Stats {
    handle.drain(PATIENCE).await;
    handle.stats().remove(0).1
}

#[tokio::test]
async fn workers_answer_and_everything_is_counted() {
    let (builder, told) = builder(udp(3));
    let (handle, address) = start(builder);
    let mut numbers = BTreeSet::new();
    // Each client has one worker, by its address.
    for _ in 0..32 {
        let client = client(address).await;
        let answer_of = ask(&client, "hello").await;
        assert_eq!(ask(&client, "hello").await, answer_of);
        numbers.insert(answer_of);
    }
    assert_eq!(
        numbers.into_iter().collect::<Vec<_>>(),
        ["0:hello", "1:hello", "2:hello"]
    );
    let names = told.threads.lock().unwrap().clone();
    assert_eq!(
        names.into_iter().collect::<Vec<_>>(),
        ["0-it", "1-it", "2-it"]
    );
    let stats = end(&handle).await;
    assert_eq!(
        (stats.datagrams_received, stats.datagrams_delivered),
        (64, 64)
    );
    assert_eq!((stats.datagrams_sent, stats.datagrams_unsent), (64, 0));
    assert_eq!((stats.received, stats.sent), (64 * 5, 64 * 7));
}

#[tokio::test]
async fn rules_are_enforced_before_the_handler() {
    let listen = udp(1).with(|it| {
        it.datagrams.max_size = 64;
        it.datagrams.health_check = Some(wharf::config::HealthCheck {
            request: "ping".to_owned(),
            answer: "pong".to_owned(),
        });
    });
    let (builder, _) = builder(listen.access("deny 127.0.0.2"));
    let (handle, address) = start(builder);
    let good = client(address).await;
    let bad = UdpSocket::bind("127.0.0.2:0").await.unwrap();
    bad.send_to(b"let me in", address).await.unwrap();
    good.send(&[b'x'; 65]).await.unwrap();
    assert_eq!(ask(&good, "ping").await, "pong");
    assert_eq!(ask(&good, "hello").await, "0:hello");
    // Rules change while the threads run.
    handle
        .set_access("it", vec!["deny 127.0.0.1".parse().unwrap()])
        .unwrap();
    good.send(b"not any more").await.unwrap();
    let other = UdpSocket::bind("127.0.0.2:0").await.unwrap();
    other.connect(address).await.unwrap();
    assert_eq!(ask(&other, "but I").await, "0:but I");
    let stats = end(&handle).await;
    assert_eq!(stats.dropped(Dropped::Access), 2);
    assert_eq!(stats.dropped(Dropped::Oversized), 1);
    assert_eq!(
        (stats.datagrams_answered, stats.datagrams_delivered),
        (1, 2)
    );
    assert_eq!(stats.datagrams_received, 3 + stats.all_dropped());
}

#[tokio::test]
async fn a_prefix_over_its_rate_is_dropped_and_others_are_not() {
    let rate = Some(Rate {
        per_second: 1,
        burst: 3,
    });
    let listen = udp(1).with(|it| it.rates.datagrams_per_prefix = rate);
    let (handle, address) = start(builder(listen).0);
    let flood = client(address).await;
    for _ in 0..10 {
        flood.send(b"?").await.unwrap();
    }
    let other = UdpSocket::bind("127.0.0.2:0").await.unwrap();
    other.connect(address).await.unwrap();
    assert_eq!(ask(&other, "hello").await, "0:hello");
    let stats = end(&handle).await;
    // A second may have passed meanwhile, and another.
    let dropped = stats.dropped(Dropped::PrefixRate);
    assert!((1..=7).contains(&dropped), "{dropped} dropped");
    assert_eq!(stats.datagrams_delivered + dropped, 11);
}

#[tokio::test]
async fn part_of_a_burst_may_be_dropped() {
    let listen = udp(1).with(|it| it.datagrams.max_size = 64);
    let (handle, address) = start(builder(listen).0);
    let socket = UdpSocket::bind("127.0.0.1:0")
        .await
        .unwrap()
        .into_std()
        .unwrap();
    let socket =
        wharf::batch::Socket::adopt(socket.into(), &wharf::batch::SocketOptions::default())
            .unwrap();
    // The kernel cuts them apart, and joins them again for the server: four too long and a short one.
    let bytes = [&[b'x'; 4 * 70][..], b"four"].concat();
    socket.send(address, None, 0, Some(70), &bytes).unwrap();
    let client = UdpSocket::from_std(std::net::UdpSocket::from(
        std::os::fd::AsFd::as_fd(&socket)
            .try_clone_to_owned()
            .unwrap(),
    ))
    .unwrap();
    assert_eq!(answer(&client).await, "0:four");
    let stats = end(&handle).await;
    assert_eq!(
        (stats.dropped(Dropped::Oversized), stats.datagrams_delivered),
        (4, 1)
    );
}

#[tokio::test]
async fn a_suspended_listener_reads_nothing_until_it_is_resumed() {
    let (builder, mut told) = builder(udp(1));
    let (handle, address) = start(builder);
    let client = client(address).await;
    assert_eq!(ask(&client, "one").await, "0:one");
    handle.suspend("it").unwrap();
    told.woken.recv().await.unwrap();
    client.send(b"two").await.unwrap();
    // What can be read is read in the turn of the first call, before that of the second.
    for _ in 0..2 {
        told.wakers.lock().unwrap()[0].wake();
        told.woken.recv().await.unwrap();
    }
    assert_eq!(handle.inspect("it").unwrap().stats.datagrams_received, 1);
    handle.resume("it").unwrap();
    assert_eq!(answer(&client).await, "0:two");
    assert_eq!(end(&handle).await.datagrams_delivered, 2);
}

#[tokio::test]
async fn a_panic_is_counted_and_the_worker_goes_on() {
    let (handle, address) = start(builder(udp(1)).0);
    let client = client(address).await;
    client.send(b"panic").await.unwrap();
    assert_eq!(ask(&client, "still there?").await, "0:still there?");
    assert_eq!(end(&handle).await.worker_panics, 1);
}

#[tokio::test]
async fn an_address_is_free_once_the_server_has_drained() {
    let (handle, address) = start(builder(udp(2)).0);
    assert_eq!(ask(&client(address).await, "hello").await.len(), 7);
    handle.drain(PATIENCE).await;
    drop(std::net::UdpSocket::bind(address).unwrap());
}

#[tokio::test]
async fn other_workers_take_over_when_their_number_changes() {
    let listen = Udp::bind("127.0.0.1:0").with(|it| it.datagrams.workers = 1);
    let (handle, address) = start(builder(listen).0);
    assert_eq!(ask(&client(address).await, "hello").await, "0:hello");
    let mut config = handle.config();
    let it = config.listeners.get_mut("it").unwrap();
    (it.datagrams.workers, it.bind) = (2, vec!["127.0.0.1:0".parse().unwrap()]);
    handle.apply(config, PATIENCE).unwrap();
    let address = handle.address("it").unwrap().ip().unwrap();
    let mut numbers = BTreeSet::new();
    while numbers.len() < 2 {
        numbers.insert(ask(&client(address).await, "hello").await);
    }
    // What the first worker has counted is not forgotten.
    assert!(end(&handle).await.datagrams_delivered >= 3);
}

#[tokio::test]
async fn icmp_errors_are_counted_and_told() {
    let (handle, address) = start(builder(udp(1)).0);
    let mut events = handle.events();
    let nobody = std::net::UdpSocket::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let client = client(address).await;
    client
        .send(format!(">{}", nobody.port()).as_bytes())
        .await
        .unwrap();
    let told = loop {
        if let Event::Icmp {
            peer,
            icmp_type,
            code,
            ..
        } = events.recv().await.unwrap()
        {
            break (peer.ip(), icmp_type, code);
        }
    };
    // Destination unreachable, port unreachable (RFC 792).
    assert_eq!(told, (Some(nobody), 3, 3));
    assert_eq!(end(&handle).await.icmp_errors, 1);
}

#[tokio::test]
async fn what_a_batch_handler_cannot_have_is_told() {
    let problems = |listen: Listen| builder(listen).0.build().unwrap_err().to_string();
    let said = problems(Tcp::bind("127.0.0.1:0"));
    assert!(said.contains("listeners.it.transport"), "{said}");
    let said = problems(udp(1).proxy(wharf::config::ProxyMode::Optional, ["127.0.0.0/8"]));
    assert!(said.contains("listeners.it.proxy.mode"), "{said}");
    let key = wharf::config::FlowKey {
        offset: 0,
        length: 1,
    };
    let said = problems(udp(1).with(|it| it.datagrams.flow_key = Some(key)));
    assert!(said.contains("listeners.it.datagrams.flow-key"), "{said}");
}
