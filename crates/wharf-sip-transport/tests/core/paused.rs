//! While a connection is not read: the layer above has no room, or there were too many messages.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep, timeout};
use wharf::config::{Rate, Transport};
use wharf::testkit::memory;
use wharf::{Client, Server, Socket};
use wharf_sip::keep_alive::KeepAliveRules;
use wharf_sip_transport::{
    CloseReason, FlowRef, Incoming, Outgoing, Sip, SipOptions, Taken, Upper,
};

use crate::support::{Seen, Site, options, run, send};

/// Two layers and a connection in memory between them.
struct Pair {
    /// It was dialled from here.
    near: Site,
    flow: FlowRef,
    client: Client,
    far: Site,
    handle: wharf::Handle,
    back: FlowRef,
}

const BOTH: [Transport; 2] = [Transport::Tcp, Transport::Ws];

async fn opened(site: &mut Site) -> FlowRef {
    match site.next().await {
        Seen::Opened(flow) => flow,
        other => panic!("{other:?}"),
    }
}

async fn pair(transport: Transport, near: SipOptions, far: SipOptions) -> Pair {
    let mut far = Site::new(far);
    let mut near = Site::new(near);
    let (listen, connector) = memory(transport);
    let (listen, handlers) = if transport == Transport::Tcp {
        (listen, far.sip.streams())
    } else {
        let sip = |config: &mut wharf::ListenerConfig| {
            config.websocket.subprotocols = vec!["sip".into()];
        };
        (listen.with(sip), far.sip.websockets())
    };
    let server = Server::builder()
        .listen_with("sip", listen, handlers)
        .build()
        .unwrap();
    let (handle, _) = run(server);
    let client = Client::builder()
        .websocket(wharf::client::ClientWebSocket {
            subprotocols: vec!["sip".into()],
            ..Default::default()
        })
        .connector(move |_| {
            let connector = connector.clone();
            async move { Ok(Socket::Memory(connector.connect_from("192.0.2.1:1").await?)) }
        })
        .build()
        .unwrap();
    let flow = if transport == Transport::Tcp {
        let stream = client.connect("tcp://192.0.2.2:5060").await.unwrap();
        near.sip.attach(stream)
    } else {
        let messages = client.connect_messages("ws://192.0.2.2").await.unwrap();
        near.sip.attach_messages(messages)
    };
    let flow = flow.unwrap();
    assert_eq!(opened(&mut near).await, flow);
    let back = opened(&mut far).await;
    Pair {
        near,
        flow,
        client,
        far,
        handle,
        back,
    }
}

impl Pair {
    async fn new(transport: Transport) -> Self {
        pair(transport, SipOptions::default(), SipOptions::default()).await
    }
}

/// A message has come to this side, which has no room for it.
async fn fill(to: &Site, from: &Sip, flow: &FlowRef) {
    to.set_full(true);
    send(from, flow, &options(1, "TCP a.invalid"));
    sleep(Duration::from_secs(1)).await;
    assert_eq!(to.sip.stats().received, 0);
}

/// How its connection closes, at once.
async fn closes(site: &mut Site) -> CloseReason {
    let closed = timeout(Duration::from_secs(1), site.closed()).await;
    closed.expect("it closes at once")
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_was_dialled_closes_while_there_is_no_room() {
    for transport in BOTH {
        let mut pair = Pair::new(transport).await;
        fill(&pair.near, &pair.far.sip, &pair.back).await;
        assert!(pair.near.sip.close(&pair.flow));
        assert_eq!(closes(&mut pair.near).await, CloseReason::Failed);
        assert_eq!(pair.near.sip.connections(), 0, "{transport:?}");
    }
}

/// By the control plane of `wharf`, which knows nothing of the layer.
#[tokio::test(start_paused = true)]
async fn the_control_plane_closes_a_connection_while_there_is_no_room() {
    for transport in BOTH {
        let mut pair = Pair::new(transport).await;
        fill(&pair.near, &pair.far.sip, &pair.back).await;
        assert_eq!(pair.client.close(&wharf::Filter::default()), 1);
        assert_eq!(closes(&mut pair.near).await, CloseReason::Failed);
    }
}

#[tokio::test(start_paused = true)]
async fn e4_a_drain_ends_a_connection_in_time_while_there_is_no_room() {
    for transport in BOTH {
        let mut pair = Pair::new(transport).await;
        let began = Instant::now();
        fill(&pair.far, &pair.near.sip, &pair.flow).await;
        sleep(Duration::from_secs(9)).await;
        let handle = pair.handle.clone();
        let drain = tokio::spawn(async move { handle.drain(Duration::from_mins(5)).await });
        let draining = Seen::Other(format!("Draining({:?})", pair.back));
        assert_eq!(pair.far.next().await, draining);
        assert_eq!(began.elapsed().as_secs(), 10, "{transport:?}");
        // Told once, and directly before the end.
        let drained = Seen::Closed(pair.back, CloseReason::Drained);
        assert_eq!(pair.far.next().await, drained);
        assert_eq!(began.elapsed().as_secs(), 32, "{transport:?}");
        let report = drain.await.unwrap();
        assert_eq!((report.finished(), report.forced()), (1, 0));
    }
}

/// The peer is gone: what is sent to it says so.
#[tokio::test(start_paused = true)]
async fn a_dead_peer_is_seen_by_what_is_sent_while_there_is_no_room() {
    for transport in BOTH {
        let mut pair = Pair::new(transport).await;
        fill(&pair.near, &pair.far.sip, &pair.back).await;
        assert!(pair.far.sip.close(&pair.back));
        pair.far.closed().await;
        assert_eq!(pair.near.sip.connections(), 1);
        send(&pair.near.sip, &pair.flow, &options(2, "TCP b.invalid"));
        assert_eq!(closes(&mut pair.near).await, CloseReason::Failed);
    }
}

/// Has no room at first, and does not say when there will be some.
struct Curt {
    offers: AtomicU32,
    free: AtomicBool,
}

impl Upper for &'static Curt {
    fn message(&self, _: &Incoming<'_>, _: &mut Outgoing<'_>) -> Taken {
        let offers = self.offers.fetch_add(1, Ordering::SeqCst);
        assert!(offers < 10_000, "no other task has its turn");
        if self.free.load(Ordering::SeqCst) {
            Taken::Yes
        } else {
            Taken::Full
        }
    }
}

#[tokio::test]
async fn a_layer_that_does_not_say_when_there_is_room_leaves_other_tasks_their_turn() {
    static CURT: Curt = Curt {
        offers: AtomicU32::new(0),
        free: AtomicBool::new(false),
    };
    let sip = Sip::new(SipOptions::default(), &CURT);
    let (listen, connector) = memory(Transport::Tcp);
    let server = Server::builder()
        .listen_with("sip", listen, sip.streams())
        .build()
        .unwrap();
    run(server);
    let mut client = connector.connect_from("192.0.2.1:1").await.unwrap();
    let request = options(1, "TCP a.invalid");
    client.write_all(request.as_bytes()).await.unwrap();
    while CURT.offers.load(Ordering::SeqCst) < 3 {
        yield_now().await;
    }
    CURT.free.store(true, Ordering::SeqCst);
    while sip.stats().received == 0 {
        assert_eq!(sip.stats().closed, 0, "its task has panicked");
        yield_now().await;
    }
}

fn at_most(per_second: u32, burst: u32) -> SipOptions {
    SipOptions {
        messages: Some(Rate { per_second, burst }),
        ..SipOptions::default()
    }
}

#[tokio::test(start_paused = true)]
async fn messages_above_the_rate_wait_and_none_is_lost() {
    for transport in BOTH {
        let mut pair = pair(transport, SipOptions::default(), at_most(2, 3)).await;
        let began = Instant::now();
        for number in 1..=7 {
            send(
                &pair.near.sip,
                &pair.flow,
                &options(number, "TCP a.invalid"),
            );
        }
        for number in 1..=7 {
            let (message, _) = pair.far.message().await;
            assert_eq!(message, options(number, "TCP a.invalid"));
            let due = 500 * u128::from(number.saturating_sub(3));
            assert_eq!(began.elapsed().as_millis(), due, "{transport:?}");
        }
        for _ in 1..=7 {
            let (answer, _) = pair.near.message().await;
            assert!(answer.starts_with("SIP/2.0 200"));
        }
        let stats = pair.far.sip.stats();
        assert_eq!((stats.received, stats.throttled), (7, 4), "{transport:?}");
        assert_eq!(pair.near.sip.stats().throttled, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_rate_holds_up_neither_what_is_sent_nor_the_end() {
    for transport in BOTH {
        let mut pair = pair(transport, at_most(1, 1), SipOptions::default()).await;
        for number in 1..=3 {
            send(&pair.far.sip, &pair.back, &options(number, "TCP a.invalid"));
        }
        pair.near.message().await;
        let now = Instant::now();
        send(&pair.near.sip, &pair.flow, &options(9, "TCP b.invalid"));
        let answer = pair.far.message().await.0;
        assert!(answer.starts_with("SIP/2.0 200"), "to the first one");
        assert_eq!(pair.far.message().await.0, options(9, "TCP b.invalid"));
        assert!(pair.near.sip.close(&pair.flow));
        assert_eq!(closes(&mut pair.near).await, CloseReason::Failed);
        assert_eq!(now.elapsed(), Duration::ZERO, "{transport:?}");
    }
}

/// The answer to a ping waits behind messages that are held back: that is no failure of the flow.
#[tokio::test(start_paused = true)]
async fn k4_a_flow_does_not_fail_while_its_messages_are_held_back() {
    for transport in BOTH {
        let mut pair = pair(transport, at_most(1, 1), SipOptions::default()).await;
        let rules = KeepAliveRules {
            least: Duration::from_secs(5),
            most: Duration::from_secs(5),
            ..KeepAliveRules::connection()
        };
        pair.near.sip.keep_alive(&pair.flow, rules).unwrap();
        for number in 1..=60 {
            send(&pair.far.sip, &pair.back, &options(number, "TCP a.invalid"));
        }
        for number in 1..=60 {
            let message = pair.near.message().await.0;
            assert!(message.contains(&format!("CSeq: {number} ")));
        }
        let stats = pair.near.sip.stats();
        assert_eq!((stats.flows_failed, stats.closed), (0, 0), "{transport:?}");
        assert!(pair.far.sip.stats().pings > 3);
    }
}
