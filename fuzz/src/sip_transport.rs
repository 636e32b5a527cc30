//! The bodies of the targets for the whole SIP transport: any bytes over UDP, over TCP and in WebSocket
//! messages. The tests of `wharf-sip-transport` replay them.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UdpSocket;
use tokio::runtime::{Builder, Runtime};
use wharf::client::ClientWebSocket;
use wharf::config::Transport;
use wharf::testkit::{Connector, memory};
use wharf::{Client, Message, Server, Socket, Udp};
use wharf_sip::{Boundary, FrameKind, Framer, Limits, Reply, packet};
use wharf_sip_transport::{Incoming, Outgoing, Sip, SipOptions, Taken, Upper};

/// A target: it takes any bytes.
type Target = fn(&[u8]);

pub(crate) const ALL: &[(&str, Target)] = &[
    ("sip_over_udp", over_udp),
    ("sip_over_tcp", over_tcp),
    ("sip_over_ws", over_ws),
];

/// A request that no input can be the like of: its number is new. And how its answer ends.
fn probe() -> (Vec<u8>, Vec<u8>) {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let fields = format!("Call-ID: probe-{number}\r\nCSeq: 1 PROBE\r\nContent-Length: 0\r\n\r\n");
    let request = format!(
        "PROBE sip:a SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bKprobe;rport\r\n\
         To: <sip:a>\r\nFrom: <sip:b>;tag=1\r\n{fields}"
    );
    (request.into_bytes(), fields.into_bytes())
}

/// Keeps the messages that come, and answers each request.
#[derive(Clone, Default)]
struct Above(Arc<Mutex<Vec<Vec<u8>>>>);

impl Above {
    fn take(&self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl Upper for Above {
    fn message(&self, incoming: &Incoming<'_>, out: &mut Outgoing<'_>) -> Taken {
        self.0.lock().unwrap().push(incoming.message.to_vec());
        let ok = Reply {
            code: 200,
            reason: "OK",
            tag: "t",
            source: None,
            fields: &[],
        };
        // What is no request has no answer.
        let _ = out.respond(incoming, &ok);
        Taken::Yes
    }
}

/// A server that many inputs are given to, one after the other.
struct Site {
    runtime: Runtime,
    above: Above,
    sip: Sip,
    tcp: Connector,
    ws: Connector,
    client: UdpSocket,
    server: SocketAddr,
}

thread_local! {
    static SITE: RefCell<Option<Site>> = const { RefCell::new(None) };
}

fn with_site(run: impl AsyncFnOnce(&Site)) {
    SITE.with_borrow_mut(|site| {
        let site = site.get_or_insert_with(Site::new);
        site.runtime.block_on(run(site));
    });
}

impl Site {
    fn new() -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let entered = runtime.enter();
        let above = Above::default();
        let sip = Sip::new(SipOptions::default(), above.clone());
        let (tcp_listen, tcp) = memory(Transport::Tcp);
        let (ws_listen, ws) = memory(Transport::Ws);
        let ws_listen = ws_listen.with(|config| config.websocket.subprotocols = vec!["sip".into()]);
        let server = Server::builder()
            .listen_with("tcp", tcp_listen, sip.streams())
            .listen_with("ws", ws_listen, sip.websockets())
            .listen_with("udp", Udp::bind("127.0.0.1:0"), sip.datagrams())
            .build()
            .unwrap();
        let address = server.handle().address("udp").unwrap().to_string();
        // Not where others have ports of SIP: an answer goes to whatever port its Via names.
        let client = runtime.block_on(UdpSocket::bind("127.0.0.78:0")).unwrap();
        runtime.spawn(server.run());
        drop(entered);
        Self {
            server: address.parse().unwrap(),
            runtime,
            above,
            sip,
            tcp,
            ws,
            client,
        }
    }

    /// Waits until the connection of an input has ended.
    async fn closed(&self) {
        while self.sip.connections() > 0 {
            tokio::task::yield_now().await;
        }
        let stats = self.sip.stats();
        assert_eq!(stats.opened, stats.closed);
    }
}

/// One datagram, and behind it a request that must be answered.
fn over_udp(data: &[u8]) {
    with_site(async |site| {
        let data = &data[..data.len().min(65_507)];
        site.client.send_to(data, site.server).await.unwrap();
        let (probe, end) = probe();
        site.client.send_to(&probe, site.server).await.unwrap();
        let mut answer = vec![0; 70_000];
        loop {
            let receive = site.client.recv(&mut answer);
            let received = tokio::time::timeout(Duration::from_secs(9), receive).await;
            let length = received
                .expect("the request behind it is answered")
                .unwrap();
            if answer[..length].ends_with(&end) {
                break;
            }
        }
        let mut expected = Vec::new();
        let stun = data.first().is_some_and(|&first| first < 4);
        if let Ok(frame) = packet(data, Boundary::Datagram, &Limits::default())
            && matches!(frame.kind, FrameKind::Message(_))
            && !stun
        {
            expected.push(data[frame.start..frame.end].to_vec());
        }
        expected.push(probe);
        assert_eq!(site.above.take(), expected);
    });
}

/// The bytes of one connection, in pieces as long as the first byte says.
fn over_tcp(data: &[u8]) {
    let Some((&piece, data)) = data.split_first() else {
        return;
    };
    with_site(async |site| {
        let mut stream = site.tcp.connect_from("192.0.2.1:5060").await.unwrap();
        let (mut reader, mut writer) = tokio::io::split(&mut stream);
        let write = async {
            for piece in data.chunks(usize::from(piece).max(1)) {
                // It may have been closed for what was sent before.
                if writer.write_all(piece).await.is_err() {
                    break;
                }
            }
            let _ = writer.shutdown().await;
        };
        let mut answers = Vec::new();
        let _ = tokio::join!(write, reader.read_to_end(&mut answers));
        drop(stream);
        site.closed().await;
        assert_eq!(site.above.take(), framed(data));
    });
}

/// The messages in the bytes of a stream, up to the first error.
fn framed(mut data: &[u8]) -> Vec<Vec<u8>> {
    #[allow(clippy::disallowed_methods, reason = "any time will do")]
    let now = Instant::now();
    let mut framer = Framer::new(Limits::default(), now);
    let mut messages = Vec::new();
    while let Ok(Some(frame)) = framer.advance(data, now) {
        if matches!(frame.kind, FrameKind::Message(_)) {
            messages.push(data[..frame.end].to_vec());
        }
        data = &data[frame.end..];
    }
    messages
}

/// The first bit says text or binary, and what follows is one WebSocket message; behind it a request,
/// which must be answered where the message has not closed the connection.
fn over_ws(data: &[u8]) {
    let Some((&kind, data)) = data.split_first() else {
        return;
    };
    with_site(async |site| {
        let client = Client::builder().websocket(ClientWebSocket {
            subprotocols: vec!["sip".into()],
            ..ClientWebSocket::default()
        });
        let stream = site.ws.connect_from("192.0.2.1:5060").await.unwrap();
        let client = client.build().unwrap();
        let socket = Socket::from(stream);
        let url = "ws://edge.example/";
        let mut messages = client.connect_messages_over(socket, url).await.unwrap();
        let message = match str::from_utf8(data) {
            Ok(text) if kind & 1 == 0 => Message::text(text),
            _ => Message::binary(data.to_vec()),
        };
        let (probe, end) = probe();
        let sent = messages.send(message).await.is_ok();
        let sent = sent && messages.send(Message::binary(probe.clone())).await.is_ok();
        let frame = packet(data, Boundary::WebSocket, &Limits::default());
        while let Some(Ok(answer)) = messages.recv().await {
            if answer.payload().ends_with(&end) {
                break;
            }
        }
        drop(messages);
        site.closed().await;
        let mut expected = Vec::new();
        if let Ok(frame) = &frame {
            assert!(sent, "nothing closes a connection but an error");
            if matches!(frame.kind, FrameKind::Message(_)) {
                expected.push(data[frame.start..frame.end].to_vec());
            }
            expected.push(probe);
        }
        assert_eq!(site.above.take(), expected);
    });
}
