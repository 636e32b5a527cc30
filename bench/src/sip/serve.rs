//! Wharf's side: a server of the library with the SIP transport layer on it.

use std::net::SocketAddr;
use std::time::Duration;

use wharf::config::{Limits as ServerLimits, Pem};
use wharf::{Listen, Server, Tcp, Tls, Udp, Ws};
use wharf_sip::Limits;
use wharf_sip_transport::{FlowRef, Incoming, Outgoing, Sip, SipOptions, Taken, Upper};

use super::message::{hash, reply};
use super::options::SipRole;
use crate::Failure;
use crate::client::BUFFER;
use crate::sockets::{Transport, end_with_input, raise_descriptors, runtime, until_the_end};

/// Answers each request with 200.
struct Answer;

impl Upper for Answer {
    fn message(&self, incoming: &Incoming<'_>, out: &mut Outgoing<'_>) -> Taken {
        let mut tag = [0; 8];
        // A response, or a request without Via, has no answer.
        let _ = out.respond(incoming, &reply(&mut tag, incoming.scan, incoming.message));
        Taken::Yes
    }
}

/// Hands each request on, without state (RFC 3261 §16.11), over the socket that it came in by.
struct Forward {
    next: SocketAddr,
}

impl Upper for Forward {
    fn message(&self, incoming: &Incoming<'_>, out: &mut Outgoing<'_>) -> Taken {
        let (local, mut tag) = (incoming.flow.flow.local, [0; 8]);
        let via = incoming
            .scan
            .via
            .map_or(&[][..], |via| via.top.of(incoming.message));
        // The branch is the same for each retransmission.
        let branch = hash(&mut tag, via);
        let via = format!("SIP/2.0/UDP {local};branch=z9hG4bK{branch}");
        let next = FlowRef::datagrams(local, self.next);
        // What cannot be forwarded, such as a request without a hop left, is not.
        let _ = out.forward(incoming, &next, |edit| {
            edit.stamp_via(incoming.source)?
                .push_via(&via)?
                .decrement_max_forwards()?;
            Ok(())
        });
        Taken::Yes
    }
}

/// Serves until the standard input ends.
pub(crate) fn run(role: &SipRole) -> Result<(), Failure> {
    raise_descriptors()?;
    end_with_input();
    let mut limits = Limits::default();
    if let Some(seconds) = role.seconds.map(Duration::from_secs) {
        limits.head_time = seconds;
        limits.body_time = seconds;
        limits.first_message_time = Some(seconds);
    }
    let options = SipOptions {
        limits,
        ..SipOptions::default()
    };
    let sip = match role.next {
        Some(next) => Sip::new(options, Forward { next }),
        None => Sip::new(options, Answer),
    };
    let file = |name: &str| Pem::File(role.folder.join(name));
    let (listen, handlers) = match role.stream {
        None => (udp(), sip.datagrams()),
        Some(Transport::Tls) => {
            let listen = Tls::bind("127.0.0.1:0").cert(file("cert.pem"), file("key.pem"));
            (crowded(listen), sip.streams())
        }
        Some(Transport::Ws) => {
            let listen = Ws::bind("127.0.0.1:0").with(|it| {
                it.websocket.subprotocols = vec!["sip".to_owned()];
                // The load reads answers alone.
                it.websocket.ping = None;
            });
            (crowded(listen), sip.websockets())
        }
        Some(_) => (crowded(Tcp::bind("127.0.0.1:0")), sip.streams()),
    };
    let builder = Server::builder().listen_with("bench", listen, handlers);
    runtime()?.block_on(until_the_end(builder))
}

/// With the defaults, but for the number of workers and the buffer.
fn udp() -> Listen {
    Udp::bind("127.0.0.1:0").with(|it| {
        it.datagrams.workers = 1;
        it.socket.receive_buffer = Some(BUFFER as u64);
    })
}

/// One source stands for the thousands that the prefix limits are for.
fn crowded(listen: Listen) -> Listen {
    listen.limits(ServerLimits {
        handshakes_per_prefix: 0,
        ..ServerLimits::default()
    })
}
