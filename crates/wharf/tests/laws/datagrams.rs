//! The books of datagrams and of their flows balance after every schedule of events.

use std::net::UdpSocket;
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::Config;
use wharf::config::{HealthCheck, Limits, Rate, Rates, ServerLimits};
use wharf::testkit::Harness;
use wharf::{BoxError, Datagrams, Filter, Handler, Listen, Message, Messages, Server, Udp};

/// What may happen next. Listeners, clients and counts are indices and numbers of [`World`].
#[derive(Debug, Clone)]
enum Step {
    /// So many datagrams at once, whose first byte tells the handler what to do.
    Send {
        client: usize,
        listener: usize,
        word: u8,
        length: usize,
        count: usize,
    },
    HealthCheck(usize, usize),
    Limit(usize, u64, u32),
    ServerLimit(u64, Option<u64>),
    Rates(usize, Option<u32>, Option<u32>),
    Access(usize, &'static str),
    Suspend(usize),
    Resume(usize),
    CloseAll(usize),
    Remove(usize),
    Add(usize),
    Pass(u16),
}

const NAMES: [&str; 2] = ["flows", "single"];
const CLIENTS: usize = 6;
/// Longer datagrams are dropped.
const LONGEST: usize = 200;
const PING: &str = "are you there?";

fn step() -> impl Strategy<Value = Step> {
    let word = prop_oneof![8 => Just(b'.'), 1 => Just(b'q'), 1 => Just(b'e'), 2 => Just(b's')];
    let some = || prop::option::of(1..20_u32);
    let access = prop_oneof![
        Just("allow all"),
        Just("deny all"),
        Just("deny 127.0.0.1/32")
    ];
    prop_oneof![
        12 => (0..CLIENTS, 0..2_usize, word, 0..LONGEST + 20, 1..30_usize).prop_map(
            |(client, listener, word, length, count)| Step::Send { client, listener, word, length, count }
        ),
        1 => (0..CLIENTS, 0..2_usize).prop_map(|(client, listener)| Step::HealthCheck(client, listener)),
        2 => (0..2_usize, 0..4_u64, 0..3_u32)
            .prop_map(|(listener, most, per_prefix)| Step::Limit(listener, most, per_prefix)),
        1 => (0..5_u64, prop::option::of(4096..12_000_u64)).prop_map(|(most, memory)| Step::ServerLimit(most, memory)),
        1 => (0..2_usize, some(), some()).prop_map(|(listener, flows, all)| Step::Rates(listener, flows, all)),
        1 => (0..2_usize, access).prop_map(|(listener, rule)| Step::Access(listener, rule)),
        1 => (0..2_usize).prop_map(Step::Suspend),
        2 => (0..2_usize).prop_map(Step::Resume),
        1 => (0..2_usize).prop_map(Step::CloseAll),
        1 => (0..2_usize).prop_map(Step::Remove),
        1 => (0..2_usize).prop_map(Step::Add),
        3 => (0..15_000_u16).prop_map(Step::Pass),
    ]
}

/// Echoes, and does what the first byte says.
async fn flow(mut messages: Messages) -> Result<(), BoxError> {
    while let Some(message) = messages.recv().await {
        let message = message?;
        match message.payload().first() {
            Some(b'q') => return Ok(()),
            Some(b'e') => return Err("as it was told".into()),
            // What comes meanwhile waits, or finds no room.
            Some(b's') => tokio::time::sleep(Duration::from_secs(2)).await,
            _ => {
                messages
                    .send(Message::binary(message.into_payload()))
                    .await?;
            }
        }
    }
    Ok(())
}

async fn single(mut datagrams: Datagrams) -> Result<(), BoxError> {
    while let Some(datagram) = datagrams.recv().await {
        match datagram.payload().first() {
            Some(b'e') => return Err("as it was told".into()),
            Some(b's') => tokio::time::sleep(Duration::from_secs(2)).await,
            _ => datagrams.reply(&datagram, datagram.payload()).await?,
        }
    }
    Ok(())
}

fn listen() -> Listen {
    Udp::bind("127.0.0.1:0").with(|config| {
        config.datagrams.max_size = LONGEST as u64;
        config.datagrams.queue = 1024;
        config.datagrams.idle = Some(Duration::from_secs(5));
        config.datagrams.health_check = Some(HealthCheck {
            request: PING.into(),
            answer: "yes".into(),
        });
    })
}

/// A listener of each shape, and the clients.
struct World {
    harness: Harness,
    clients: Vec<UdpSocket>,
    /// Datagrams sent to each listener since it is there; `None` while it is not.
    sent: [Option<u64>; 2],
}

impl World {
    fn new() -> Self {
        let builder = Server::builder()
            .listen_messages(NAMES[0], listen(), flow)
            .listen_datagrams(NAMES[1], listen(), single);
        // Three prefixes, with two clients each.
        let client =
            |index: usize| UdpSocket::bind(format!("127.0.0.{}:0", index / 2 + 1)).unwrap();
        Self {
            harness: Harness::start(builder).unwrap(),
            clients: (0..CLIENTS).map(client).collect(),
            sent: [Some(0); 2],
        }
    }

    fn send(&mut self, client: usize, listener: usize, datagram: &[u8]) {
        if let Some(sent) = &mut self.sent[listener] {
            let to = self.harness.handle().address(NAMES[listener]).unwrap();
            let length = self.clients[client]
                .send_to(datagram, to.ip().unwrap())
                .unwrap();
            assert_eq!(length, datagram.len());
            *sent += 1;
        }
    }

    async fn take(&mut self, step: Step) {
        let handle = self.harness.handle().clone();
        match step {
            Step::Send {
                client,
                listener,
                word,
                length,
                count,
            } => {
                for _ in 0..count {
                    self.send(client, listener, &vec![word; length]);
                }
            }
            Step::HealthCheck(client, listener) => self.send(client, listener, PING.as_bytes()),
            Step::Limit(listener, most, per_prefix) => {
                let limits = Limits {
                    max_connections: most,
                    per_prefix,
                    ..Limits::default()
                };
                let set = handle.set_listener_limits(NAMES[listener], limits);
                assert_eq!(set.is_ok(), self.sent[listener].is_some(), "{set:?}");
            }
            Step::ServerLimit(max_connections, memory) => {
                let limits = ServerLimits {
                    max_connections,
                    memory,
                };
                handle.set_limits(limits).expect("limits are good");
            }
            Step::Rates(listener, flows, all) => {
                let rate = |rate: u32| Rate {
                    per_second: rate,
                    burst: rate,
                };
                let rates = Rates {
                    accept: flows.map(rate),
                    datagrams_per_prefix: all.map(rate),
                    ..Rates::default()
                };
                let set = handle.set_rates(NAMES[listener], rates);
                assert_eq!(set.is_ok(), self.sent[listener].is_some(), "{set:?}");
            }
            Step::Access(listener, rule) => {
                let set = handle.set_access(NAMES[listener], vec![rule.parse().unwrap()]);
                assert_eq!(set.is_ok(), self.sent[listener].is_some(), "{set:?}");
            }
            Step::Suspend(listener) => drop(handle.suspend(NAMES[listener])),
            Step::Resume(listener) => drop(handle.resume(NAMES[listener])),
            Step::CloseAll(listener) => {
                handle.close(&Filter::default().listener(NAMES[listener]));
            }
            Step::Remove(listener) => {
                if self.sent[listener].take().is_some() {
                    let deadline = Duration::from_secs(1);
                    handle.remove(NAMES[listener], deadline).await.unwrap();
                }
            }
            Step::Add(listener) => {
                if self.sent[listener].is_none() {
                    let handler = [Handler::messages(flow), Handler::datagrams(single)];
                    let handler = handler.into_iter().nth(listener).unwrap();
                    handle.add(NAMES[listener], listen(), handler).unwrap();
                    self.sent[listener] = Some(0);
                }
            }
            Step::Pass(milliseconds) => {
                tokio::time::sleep(Duration::from_millis(milliseconds.into())).await;
            }
        }
    }

    /// Every datagram that was sent is in the books, and no connection is there that they do not know.
    fn audit(&self) {
        self.harness.audit();
        for (name, sent) in NAMES.into_iter().zip(self.sent) {
            let Some(sent) = sent else { continue };
            let stats = self.harness.stats(name);
            let taken = stats.datagrams_received + stats.kernel_drops;
            // Flows take everything; single datagrams wait in the socket until their handler asks for them.
            assert!(
                taken == sent || name == NAMES[1] && taken < sent,
                "{sent}, {name}: {stats:?}"
            );
            let there = self
                .harness
                .handle()
                .connections(&Filter::default().listener(name));
            assert_eq!(
                there.len() as u64,
                stats.live + stats.pending,
                "{name}: {stats:?}"
            );
        }
    }

    async fn run(mut self, steps: Vec<Step>) {
        // Nobody reads a socket before the server runs.
        self.harness.settle().await;
        for step in steps {
            self.take(step).await;
            self.harness.settle().await;
            self.audit();
        }
        self.harness.finish(Duration::from_secs(1)).await;
    }
}

proptest! {
    #![proptest_config(Config { cases: 256, failure_persistence: None, ..Config::default() })]

    #[test]
    fn the_books_of_datagrams_balance(steps in prop::collection::vec(step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async { World::new().run(steps).await });
    }
}
