//! The load of `overload` over UDP and DTLS: clients that ask again and again, on sockets of their own.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, UdpSocket};
use std::path::Path;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use wharf_dtls::{ClientContext, ClientOptions, Received, Session};

use super::Bench;
use super::datagrams::serve;
use super::load::PATIENCE;
use super::options::DatagramSide;
use super::overload::Offered;
use super::serve::REQUEST;
use super::subject::Child;
use crate::Failure;
use crate::process::Pinned;

/// Clients, each with a flow.
const CLIENTS: usize = 64;

/// A server and its clients.
pub(super) struct Flows {
    child: Child,
    clients: Vec<Client>,
    /// What the times in requests count from.
    begun: Instant,
}

struct Client {
    socket: UdpSocket,
    session: Option<Session>,
    /// When it has asked last, and got no answer yet.
    waits: Option<Instant>,
}

impl Flows {
    /// With all flows and sessions made.
    pub(super) fn start(side: DatagramSide, bench: &Bench<'_>) -> Result<Self, Failure> {
        let (child, address) = serve(side, bench)?;
        let context = match side {
            DatagramSide::OverloadDtls => Some(trusting(&bench.folder().join("cert.pem"))?),
            _ => None,
        };
        let clients = (0..CLIENTS).map(|_| Client::connect(&address, context.as_ref()));
        Ok(Self {
            clients: clients.collect::<Result<_, _>>()?,
            child,
            begun: Instant::now(),
        })
    }
}

impl Offered for Flows {
    /// Never sleeps: no server pays for waking the load.
    fn round(&mut self, window: Duration, rate: u64) -> Result<u64, Failure> {
        let failed = |error| Failure::io(&"datagram client", error);
        let (begun, mut offered, mut answered) = (Instant::now(), 0, 0);
        while begun.elapsed() < window {
            if rate > 0 {
                let due = begun.elapsed().as_nanos() * u128::from(rate) / 1_000_000_000;
                // What the load has no time for is not made up for.
                for number in offered.max(due.saturating_sub(CLIENTS as u128))..due {
                    let client = &mut self.clients[number as usize % CLIENTS];
                    client.ask(self.begun).map_err(failed)?;
                }
                offered = due;
            }
            for client in &mut self.clients {
                let patient = client.waits.is_some_and(|since| since.elapsed() < PATIENCE);
                if rate == 0 && !patient {
                    client.ask(self.begun).map_err(failed)?;
                }
                while let Some(asked) = client.answer().map_err(failed)? {
                    let age = self.begun.elapsed().saturating_sub(asked);
                    answered += u64::from(age <= PATIENCE);
                }
            }
        }
        Ok(answered)
    }

    fn server(&self) -> &Pinned {
        &self.child.process
    }
}

impl Client {
    fn connect(address: &str, context: Option<&ClientContext>) -> Result<Self, Failure> {
        let failed = |error| Failure::io(&"datagram client", error);
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).map_err(failed)?;
        socket.connect(address).map_err(failed)?;
        let session = context.map(|context| handshake(&socket, context));
        socket.set_nonblocking(true).map_err(failed)?;
        Ok(Self {
            session: session.transpose()?,
            socket,
            waits: None,
        })
    }

    /// Sends a request with the time in it, if the socket takes it.
    fn ask(&mut self, begun: Instant) -> io::Result<()> {
        let mut request = [0; REQUEST];
        let now = begun.elapsed().as_nanos() as u64;
        request[..8].copy_from_slice(&now.to_be_bytes());
        self.waits = Some(Instant::now());
        match &mut self.session {
            None => sent(self.socket.send(&request)),
            Some(session) => {
                session.send(&request).map_err(io::Error::other)?;
                flush(&self.socket, session)
            }
        }
    }

    /// When the request was sent that the next answer is to.
    fn answer(&mut self) -> io::Result<Option<Duration>> {
        let mut buffer = [0; 2048];
        let length = match self.socket.recv(&mut buffer) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
            received => received?,
        };
        let mut message = BytesMut::from(&buffer[..length]);
        if let Some(session) = &mut self.session {
            session.handle_datagram(Instant::now(), message.split().freeze());
            let received = session.recv(&mut message).map_err(io::Error::other)?;
            if received != Received::Message {
                return Ok(None);
            }
        }
        let asked = message.first_chunk().filter(|_| message.len() == REQUEST);
        let asked = asked.ok_or_else(|| io::Error::other("a wrong answer"))?;
        self.waits = None;
        Ok(Some(Duration::from_nanos(u64::from_be_bytes(*asked))))
    }
}

/// What the socket has no room for is lost.
fn sent(result: io::Result<usize>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() != ErrorKind::WouldBlock => Err(error),
        _ => Ok(()),
    }
}

fn flush(socket: &UdpSocket, session: &mut Session) -> io::Result<()> {
    while let Some(datagram) = session.transmit() {
        sent(socket.send(datagram))?;
        session.sent();
    }
    Ok(())
}

/// A client that trusts the bench's own certificate.
fn trusting(cert: &Path) -> Result<ClientContext, Failure> {
    let refused = |error: &dyn std::fmt::Display| Failure::refused("certificate", error);
    let cert = CertificateDer::from_pem_file(cert).map_err(|error| refused(&error))?;
    let options = ClientOptions {
        authorities: vec![cert.to_vec()],
        ..ClientOptions::default()
    };
    ClientContext::new(&options).map_err(|error| refused(&error))
}

/// A session on a socket that still waits.
fn handshake(socket: &UdpSocket, context: &ClientContext) -> Result<Session, Failure> {
    let refused = |error: &dyn std::fmt::Display| Failure::refused("dtls", error);
    let failed = |error| Failure::io(&"datagram client", error);
    socket.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
    let session = Session::connect(context, &"localhost".into(), Instant::now());
    let mut session = session.map_err(|error| refused(&error))?;
    let mut buffer = [0; 2048];
    while !session.is_open() {
        flush(socket, &mut session).map_err(failed)?;
        let length = socket.recv(&mut buffer).map_err(failed)?;
        session.handle_datagram(Instant::now(), Bytes::copy_from_slice(&buffer[..length]));
        let received = session.recv(&mut BytesMut::new());
        received.map_err(|error| refused(&error))?;
    }
    Ok(session)
}
