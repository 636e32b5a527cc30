//! The books balance after every schedule of events.

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::Config;
use tokio::io::AsyncWriteExt;
use wharf::config::{Limits, OnFull, ServerLimits, Transport};
use wharf::testkit::{Authority, Connector, Faults, Harness, Issued, Leaf, MemoryStream, memory};
use wharf::{Filter, Handler, Server};

use crate::echo;

/// What may happen next.
#[derive(Debug, Clone)]
enum Step {
    Open {
        listener: usize,
        prefix: u8,
        fails: bool,
    },
    /// Bytes of no protocol, or half a handshake.
    Send {
        client: usize,
        bytes: Vec<u8>,
    },
    Upgrade(usize),
    Close(usize),
    Reset(usize),
    Limit {
        listener: usize,
        most: u64,
        per_prefix: u32,
        on_full: OnFull,
    },
    ServerLimit(u64),
    Suspend(usize),
    Resume(usize),
    CloseAll(usize),
    FailAccept(usize, i32),
    Remove(usize),
    Add(usize),
    Pass(u16),
}

fn step() -> impl Strategy<Value = Step> {
    let on_full = prop_oneof![
        Just(OnFull::Close),
        Just(OnFull::Reset),
        Just(OnFull::Wait),
        Just(OnFull::Reply("full".into())),
    ];
    let bytes = prop_oneof![
        Just(b"\x16\x03\x01\x02\x00\x01".to_vec()),
        Just(b"GET / HT".to_vec()),
        prop::collection::vec(any::<u8>(), 0..40),
    ];
    prop_oneof![
        8 => (0..3_usize, 0..4_u8, any::<bool>())
            .prop_map(|(listener, prefix, fails)| Step::Open { listener, prefix, fails }),
        4 => (any::<usize>(), bytes).prop_map(|(client, bytes)| Step::Send { client, bytes }),
        3 => any::<usize>().prop_map(Step::Upgrade),
        3 => any::<usize>().prop_map(Step::Close),
        1 => any::<usize>().prop_map(Step::Reset),
        2 => (0..3_usize, 0..5_u64, 0..3_u32, on_full).prop_map(
            |(listener, most, per_prefix, on_full)| Step::Limit { listener, most, per_prefix, on_full }
        ),
        1 => (0..8_u64).prop_map(Step::ServerLimit),
        1 => (0..3_usize).prop_map(Step::Suspend),
        2 => (0..3_usize).prop_map(Step::Resume),
        1 => (0..3_usize).prop_map(Step::CloseAll),
        1 => (0..3_usize, prop_oneof![Just(24), Just(103), Just(22)])
            .prop_map(|(listener, errno)| Step::FailAccept(listener, errno)),
        1 => (0..3_usize).prop_map(Step::Remove),
        1 => (0..3_usize).prop_map(Step::Add),
        2 => (0..30_000_u16).prop_map(Step::Pass),
    ]
}

const NAMES: [&str; 3] = ["tcp", "ws", "tls"];
const KINDS: [Transport; 3] = [Transport::Tcp, Transport::Ws, Transport::Tls];

static CERTIFICATE: LazyLock<Issued> =
    LazyLock::new(|| Authority::new("laws").issue(&Leaf::named("a.example", &["a.example"])));

/// A server with one listener of each kind, and whoever is connected to it.
struct World {
    harness: Harness,
    connectors: BTreeMap<usize, Connector>,
    clients: Vec<MemoryStream>,
    ports: u16,
    /// The limits in force, and how many may be there from before they were lowered.
    allowed: [u64; 3],
}

fn listener(index: usize) -> (wharf::Listen, Connector) {
    let (mut listen, connector) = memory(KINDS[index]);
    if KINDS[index].is_secure() {
        listen = listen.with(|config| config.tls.certificates.push(CERTIFICATE.certificate()));
    }
    (listen, connector)
}

impl World {
    fn new() -> Self {
        let mut builder = Server::builder();
        let mut connectors = BTreeMap::new();
        for (index, name) in NAMES.into_iter().enumerate() {
            let (listen, connector) = listener(index);
            builder = builder.listen(name, listen, echo);
            connectors.insert(index, connector);
        }
        Self {
            harness: Harness::start(builder).unwrap(),
            connectors,
            clients: Vec::new(),
            ports: 1,
            allowed: [u64::MAX; 3],
        }
    }

    fn client(&mut self, index: usize) -> Option<&mut MemoryStream> {
        let there = self.clients.len();
        self.clients.get_mut(index.checked_rem(there)?)
    }

    async fn take(&mut self, step: Step) {
        let handle = self.harness.handle().clone();
        match step {
            Step::Open {
                listener,
                prefix,
                fails,
            } => {
                let Some(connector) = self.connectors.get(&listener) else {
                    return;
                };
                let faults = Faults::default().split(2).reset_after(30);
                let connector = if fails {
                    connector.with_faults(&faults)
                } else {
                    connector.clone()
                };
                self.ports += 1;
                let peer = format!("192.0.2.{prefix}:{}", self.ports);
                self.clients
                    .push(connector.connect_from(&peer).await.unwrap());
            }
            Step::Send { client, bytes } => {
                if let Some(client) = self.client(client) {
                    // The server may have closed it, or be full of what it does not read.
                    let _ =
                        tokio::time::timeout(Duration::from_millis(1), client.write_all(&bytes))
                            .await;
                }
            }
            Step::Upgrade(client) => {
                let request = b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
                if let Some(client) = self.client(client) {
                    let _ =
                        tokio::time::timeout(Duration::from_millis(1), client.write_all(request))
                            .await;
                }
            }
            Step::Close(client) => {
                if let Some(index) = client.checked_rem(self.clients.len()) {
                    self.clients.swap_remove(index);
                }
            }
            Step::Reset(client) => {
                if let Some(index) = client.checked_rem(self.clients.len()) {
                    self.clients.swap_remove(index).reset_on_close();
                }
            }
            Step::Limit {
                listener,
                most,
                per_prefix,
                on_full,
            } => {
                // A peer of TLS could not read the reply.
                let unreadable = matches!(on_full, OnFull::Reply(_)) && KINDS[listener].is_secure();
                let limits = Limits {
                    max_connections: most,
                    per_prefix,
                    on_full,
                    ..Limits::default()
                };
                let set = handle.set_listener_limits(NAMES[listener], limits);
                let there = self.connectors.contains_key(&listener);
                assert_eq!(set.is_ok(), there && !unreadable, "{set:?}");
                if set.is_ok() {
                    self.allowed[listener] = if most == 0 { u64::MAX } else { most };
                }
            }
            Step::ServerLimit(most) => {
                let limits = ServerLimits {
                    max_connections: most,
                    ..ServerLimits::default()
                };
                handle.set_limits(limits).expect("limits are good");
            }
            Step::Suspend(listener) => {
                let there = self.connectors.contains_key(&listener);
                assert_eq!(handle.suspend(NAMES[listener]).is_ok(), there);
            }
            Step::Resume(listener) => {
                let there = self.connectors.contains_key(&listener);
                assert_eq!(handle.resume(NAMES[listener]).is_ok(), there);
            }
            Step::CloseAll(listener) => {
                handle.close(&Filter::default().listener(NAMES[listener]));
            }
            Step::FailAccept(listener, errno) => {
                if let Some(connector) = self.connectors.get(&listener) {
                    let error = std::io::Error::from_raw_os_error(errno);
                    connector.fail_accept(error).await.unwrap();
                }
            }
            Step::Remove(listener) => {
                if self.connectors.remove(&listener).is_some() {
                    handle
                        .remove(NAMES[listener], Duration::from_secs(1))
                        .await
                        .unwrap();
                    let gone = handle.inspect(NAMES[listener]);
                    assert!(gone.is_err());
                }
            }
            Step::Add(index) => {
                let (listen, connector) = listener(index);
                let added = handle.add(NAMES[index], listen, Handler::stream(echo));
                assert_eq!(
                    added.is_ok(),
                    !self.connectors.contains_key(&index),
                    "{added:?}"
                );
                if added.is_ok() {
                    self.connectors.insert(index, connector);
                    self.allowed[index] = u64::MAX;
                }
            }
            Step::Pass(milliseconds) => {
                tokio::time::sleep(Duration::from_millis(milliseconds.into())).await;
            }
        }
    }

    /// How many connections a listener has, pending ones too.
    fn inside(&self, listener: usize) -> u64 {
        let info = self.harness.handle().inspect(NAMES[listener]);
        info.map_or(0, |info| info.stats.pending + info.stats.live)
    }

    async fn run(mut self, steps: Vec<Step>) {
        for step in steps {
            let before = [0, 1, 2].map(|listener| self.inside(listener));
            let shown = format!("{step:?}");
            self.take(step).await;
            self.harness.settle().await;
            self.harness.audit();
            for (listener, before) in before.into_iter().enumerate() {
                let most = self.allowed[listener].max(before);
                let inside = self.inside(listener);
                assert!(
                    inside <= most,
                    "{inside} in {listener} after {shown}, {most} allowed"
                );
            }
        }
        drop(self.clients);
        self.harness.finish(Duration::from_secs(1)).await;
    }
}

proptest! {
    #![proptest_config(Config { cases: 256, failure_persistence: None, ..Config::default() })]

    #[test]
    fn the_books_balance(steps in prop::collection::vec(step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async { World::new().run(steps).await });
    }
}
