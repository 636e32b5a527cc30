//! A client and a server with a network between them.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};

use super::authority::Authority;
use crate::{
    ClientContext, ClientOptions, Failure, Front, Outcome, Received, ServerContext, ServerOptions,
    Session,
};

pub(super) const LIFETIME: Duration = Duration::from_secs(30);

pub(super) fn client_address() -> SocketAddr {
    "192.0.2.7:40000".parse().unwrap()
}

/// Server options with an ECDSA certificate for `a.example`, and client options that trust it.
pub(super) fn options() -> (ServerOptions, ClientOptions) {
    let authority = Authority::new("ca", None);
    let server = ServerOptions {
        identities: vec![authority.ecdsa("a.example")],
        ..ServerOptions::default()
    };
    let client = ClientOptions {
        authorities: vec![authority.der()],
        ..ClientOptions::default()
    };
    (server, client)
}

/// What happens to a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Pass,
    Lose,
    Double,
    /// It comes after the one that follows.
    Late,
}

type Fates = Box<dyn FnMut(&[u8]) -> Fate>;

pub(super) struct Pair {
    pub(super) front: Front,
    pub(super) server_context: ServerContext,
    pub(super) client: Session,
    pub(super) server: Option<Session>,
    pub(super) to_server: VecDeque<Bytes>,
    pub(super) to_client: VecDeque<Bytes>,
    pub(super) now: Instant,
    fate: Fates,
    /// How often each fate but `Pass` has struck.
    pub(super) lost: usize,
    pub(super) doubled: usize,
    pub(super) late: usize,
    held: [Option<Bytes>; 2],
}

#[allow(clippy::disallowed_methods)]
pub(crate) fn clock() -> Instant {
    Instant::now()
}

impl Pair {
    pub(super) fn new(server: &ServerOptions, client: &ClientOptions) -> Self {
        Self::named(server, client, "a.example")
    }

    pub(super) fn named(server: &ServerOptions, client: &ClientOptions, name: &str) -> Self {
        let now = clock();
        let client = ClientContext::new(client).unwrap();
        Self {
            front: Front::new(&[1; 32], LIFETIME, now),
            server_context: ServerContext::new(server).unwrap(),
            client: Session::connect(&client, &name.into(), now).unwrap(),
            server: None,
            to_server: VecDeque::new(),
            to_client: VecDeque::new(),
            now,
            fate: Box::new(|_| Fate::Pass),
            lost: 0,
            doubled: 0,
            late: 0,
            held: [None, None],
        }
    }

    pub(super) fn with_fate(mut self, fate: impl FnMut(&[u8]) -> Fate + 'static) -> Self {
        self.fate = Box::new(fate);
        self
    }

    /// Moves what the sessions have written onto the network.
    pub(super) fn collect(&mut self) {
        let mut written = Vec::new();
        while let Some(datagram) = next(&mut self.client) {
            written.push((0, datagram));
        }
        while let Some(datagram) = self.server.as_mut().and_then(next) {
            written.push((1, datagram));
        }
        for (from, datagram) in written {
            self.travel(from, datagram);
        }
    }

    fn travel(&mut self, from: usize, datagram: Bytes) {
        let fate = (self.fate)(&datagram);
        let queue = if from == 0 {
            &mut self.to_server
        } else {
            &mut self.to_client
        };
        match fate {
            Fate::Lose => {
                self.lost += 1;
                return;
            }
            Fate::Late if self.held[from].is_none() => {
                self.late += 1;
                self.held[from] = Some(datagram);
                return;
            }
            Fate::Double => {
                self.doubled += 1;
                queue.push_back(datagram.clone());
            }
            Fate::Pass | Fate::Late => {}
        }
        queue.push_back(datagram);
        queue.extend(self.held[from].take());
    }

    /// Gives the server one datagram: to its front, or to the session.
    pub(super) fn serve(&mut self, datagram: Bytes) {
        match &mut self.server {
            Some(server) => server.handle_datagram(self.now, datagram),
            None => match self.front.handle(self.now, client_address(), &datagram) {
                Outcome::Ignored(_) => {}
                Outcome::Challenge(challenge) => {
                    let challenge = Bytes::copy_from_slice(challenge);
                    self.travel(1, challenge);
                }
                Outcome::Verified(verified) => {
                    let context = &self.server_context;
                    self.server = Some(Session::accept(context, &verified, self.now).unwrap());
                }
            },
        }
    }

    pub(super) fn server(&mut self) -> &mut Session {
        self.server
            .as_mut()
            .expect("the front has verified the client")
    }

    /// A handshake that nothing disturbs.
    pub(super) fn open(server: &ServerOptions, client: &ClientOptions) -> Self {
        let mut pair = Self::new(server, client);
        pair.handshake();
        assert!(pair.client.is_open() && pair.server().is_open());
        pair
    }

    /// Until nothing happens any more; both sides' ends.
    pub(super) fn handshake(&mut self) {
        loop {
            self.collect();
            let to_server = self.to_server.pop_front();
            let to_client = self.to_client.pop_front();
            if to_server.is_none() && to_client.is_none() {
                let held: Vec<_> = self.held.iter_mut().map(Option::take).collect();
                if held.iter().all(Option::is_none) {
                    return;
                }
                let [to_server, to_client] = [held[0].clone(), held[1].clone()];
                self.to_server.extend(to_server);
                self.to_client.extend(to_client);
                continue;
            }
            if let Some(datagram) = to_server {
                self.serve(datagram);
                if let Some(server) = &mut self.server {
                    let _ = server.recv(&mut BytesMut::new());
                }
            }
            if let Some(datagram) = to_client {
                self.client.handle_datagram(self.now, datagram);
                let _ = self.client.recv(&mut BytesMut::new());
            }
        }
    }

    pub(super) fn failures(&mut self) -> (Option<Failure>, Option<Failure>) {
        let mut buffer = BytesMut::new();
        let server = self
            .server
            .as_mut()
            .and_then(|server| server.recv(&mut buffer).err());
        (self.client.recv(&mut buffer).err(), server)
    }
}

/// The next datagram that a session has written.
pub(super) fn next(session: &mut Session) -> Option<Bytes> {
    let datagram = Bytes::copy_from_slice(session.transmit()?);
    session.sent();
    Some(datagram)
}

/// All messages that a session has, and how it ended.
pub(super) fn drain(session: &mut Session) -> (Vec<Vec<u8>>, Result<Received, Failure>) {
    let mut messages = Vec::new();
    loop {
        let mut buffer = BytesMut::new();
        match session.recv(&mut buffer) {
            Ok(Received::Message) => messages.push(buffer.to_vec()),
            end => return (messages, end),
        }
    }
}
