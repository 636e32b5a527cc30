//! The body of the target for sessions of DTLS: whatever happens to the datagrams between two ends, and
//! whatever a stranger adds, no message is altered or doubled, and what is open stays open.

use std::collections::{HashSet, VecDeque};
use std::net::SocketAddr;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use wharf_dtls::{
    ClientContext, ClientOptions, Front, Identity, MTU_RANGE, Outcome, Psk, Received,
    ServerContext, ServerOptions, Session,
};

use super::steps::steps;

/// Datagrams under way to each end; of more the oldest are lost.
const UNDER_WAY: usize = 64;
/// The most that one input makes an end say: a flight with a certificate, in small datagrams.
const MOST_SAID: usize = 8 << 10;

type Contexts = (ServerContext, ClientContext);

/// With a pre-shared key, and with certificates in flights of many datagrams.
static CONTEXTS: LazyLock<[Contexts; 2]> = LazyLock::new(|| {
    let issued = rcgen::generate_simple_self_signed(["a.example".to_owned()]);
    let issued = issued.expect("a certificate");
    let psk = Psk::new("fuzz", *b"0123456789abcdef");
    let with_keys = (
        ServerOptions {
            psk: vec![psk.clone()],
            ..ServerOptions::default()
        },
        ClientOptions {
            psk: Some(psk),
            ..ClientOptions::default()
        },
    );
    let identity = Identity {
        chain: vec![issued.cert.der().to_vec()],
        key: issued.signing_key.serialize_der(),
        names: vec!["a.example".into()],
    };
    let with_certificates = (
        ServerOptions {
            identities: vec![identity],
            mtu: *MTU_RANGE.start(),
            ..ServerOptions::default()
        },
        ClientOptions {
            authorities: vec![issued.cert.der().to_vec()],
            mtu: *MTU_RANGE.start(),
            ..ClientOptions::default()
        },
    );
    [with_keys, with_certificates].map(|(server, client)| {
        let server = ServerContext::new(&server).expect("good options");
        (server, ClientContext::new(&client).expect("good options"))
    })
});

/// One end, and what is on its way to it.
struct End {
    /// The server has none before a good cookie.
    session: Option<Session>,
    coming: VecDeque<Bytes>,
    /// Messages sent to it that have not arrived.
    messages: HashSet<Vec<u8>>,
    opened: bool,
    /// Its session was closed, or told that the other was.
    closed: bool,
}

struct Pair {
    now: Instant,
    front: Front,
    server: &'static ServerContext,
    /// The client and the server.
    ends: [End; 2],
    sent: u32,
}

/// The first byte chooses how the ends know each other, and whether the handshake is done before.
pub(crate) fn dtls_session(data: &[u8]) {
    let Some((&first, script)) = data.split_first() else {
        return;
    };
    let now = Instant::now();
    let (server, client) = &CONTEXTS[usize::from(first & 1)];
    let client = Session::connect(client, &"a.example".into(), now).expect("a session");
    let mut pair = Pair {
        now,
        front: Front::new(&[7; 32], Duration::from_secs(30), now),
        server,
        ends: [Some(client), None].map(End::new),
        sent: 0,
    };
    pair.collect(0);
    if first & 2 != 0 {
        pair.run();
        assert!(pair.ends.iter().all(|end| end.opened), "no handshake");
    }
    for (what, argument, bytes) in steps(script) {
        pair.step(what, argument, bytes);
    }
    pair.run();
}

impl End {
    fn new(session: Option<Session>) -> Self {
        Self {
            session,
            coming: VecDeque::new(),
            messages: HashSet::new(),
            opened: false,
            closed: false,
        }
    }
}

impl Pair {
    fn step(&mut self, what: u8, argument: u8, bytes: &[u8]) {
        let to = usize::from(argument & 1);
        let coming = &mut self.ends[to].coming;
        let index = usize::from(argument >> 1).checked_rem(coming.len());
        match (what % 10, index) {
            (0, Some(index)) => {
                let datagram = coming.remove(index).expect("it is there");
                self.deliver(to, datagram);
            }
            (1, Some(index)) => {
                coming.remove(index);
            }
            (2, Some(index)) => {
                let datagram = coming[index].clone();
                self.deliver(to, datagram);
            }
            (3, Some(index)) => {
                let mut datagram = coming[index].to_vec();
                let at = usize::from(what / 10) * 3;
                let place = datagram.iter_mut().skip(at).zip(bytes);
                place.for_each(|(byte, other)| *byte ^= other);
                self.deliver(to, datagram.into());
            }
            (4, Some(index)) => {
                let length = coming[index].len().saturating_sub(bytes.len() + 1);
                coming[index].truncate(length);
            }
            (5, _) => self.deliver(to, Bytes::copy_from_slice(bytes)),
            (6, _) => self.deliver(to, record(bytes)),
            (7, _) => self.send(1 - to, bytes),
            (8, _) if argument >= 0xf0 => {
                if let Some(session) = &mut self.ends[to].session {
                    session.close();
                    self.ends[to].closed = true;
                    self.collect(to);
                }
            }
            (8, _) => self.time_out(to),
            (9, _) => self.run(),
            _ => {}
        }
    }

    fn deliver(&mut self, to: usize, datagram: Bytes) {
        let end = &mut self.ends[to];
        if let Some(session) = &mut end.session {
            session.handle_datagram(self.now, datagram);
        } else {
            let from = SocketAddr::from(([192, 0, 2, 1], 4433));
            match self.front.handle(self.now, from, &datagram) {
                Outcome::Ignored(_) => {}
                Outcome::Challenge(challenge) => {
                    let challenge = Bytes::copy_from_slice(challenge);
                    self.ends[0].coming.push_back(challenge);
                }
                Outcome::Verified(verified) => {
                    let session = Session::accept(self.server, &verified, self.now);
                    end.session = Some(session.expect("memory"));
                }
            }
        }
        self.collect(to);
    }

    fn send(&mut self, from: usize, bytes: &[u8]) {
        let Some(session) = &mut self.ends[from].session else {
            return;
        };
        self.sent += 1;
        let message = [&self.sent.to_be_bytes(), bytes].concat();
        if session.send(&message).is_ok() {
            self.ends[1 - from].messages.insert(message);
            self.collect(from);
        }
    }

    fn time_out(&mut self, at: usize) {
        let Some(session) = &mut self.ends[at].session else {
            return;
        };
        if let Some(deadline) = session.deadline() {
            self.now = self.now.max(deadline);
            session.handle_timeout(self.now);
            assert!(session.deadline().is_none_or(|next| next > self.now));
            self.collect(at);
        }
    }

    /// Takes what an end has to tell and to send.
    fn collect(&mut self, at: usize) {
        let [client, server] = &mut self.ends;
        let (end, other) = if at == 0 {
            (client, server)
        } else {
            (server, client)
        };
        let Some(session) = &mut end.session else {
            return;
        };
        end.opened |= session.is_open();
        loop {
            let mut message = BytesMut::new();
            match session.recv(&mut message) {
                Ok(Received::Message) => assert!(
                    end.messages.remove(&message[..]),
                    "nobody sent this, or it has come before: {message:?}"
                ),
                Ok(Received::Nothing) => break,
                Ok(Received::Closed) => {
                    assert!(end.closed || other.closed, "nobody has closed it");
                    end.closed = true;
                    break;
                }
                Err(failure) => {
                    assert!(!end.opened, "an open session has failed: {failure}");
                    break;
                }
            }
        }
        let mut said = 0;
        while let Some(datagram) = session.transmit() {
            said += datagram.len();
            other.coming.push_back(Bytes::copy_from_slice(datagram));
            session.sent();
        }
        assert!(said <= MOST_SAID, "{said} bytes at once");
        let lost = other.coming.len().saturating_sub(UNDER_WAY);
        other.coming.drain(..lost);
    }

    /// Until nothing is under way.
    fn run(&mut self) {
        let mut delivered = 0;
        while let Some(to) = self.ends.iter().position(|end| !end.coming.is_empty()) {
            let datagram = self.ends[to].coming.pop_front().expect("it is there");
            self.deliver(to, datagram);
            delivered += 1;
            assert!(delivered < 2_000, "the ends do not come to rest");
        }
    }
}

/// A stranger's record: type, epoch, number, and a fragment of the length that it says.
fn record(bytes: &[u8]) -> Bytes {
    let (&[kind, epoch, number], fragment) =
        bytes.split_first_chunk().unwrap_or((&[21, 1, 9], &[]));
    let mut record = vec![kind, 0xfe, 0xfd, 0, epoch & 3, 0, 0, 0, 0, 0, number];
    record.extend((fragment.len() as u16).to_be_bytes());
    record.extend(fragment);
    record.into()
}
