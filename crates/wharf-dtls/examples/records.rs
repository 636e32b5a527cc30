//! Records a CPU-second: sessions of this crate beside OpenSSL's own state machine, both in memory.
//!
//! `cargo run --release -p wharf-dtls --example records` sends messages of 1,000 bytes from a client
//! to a server, in turns of each kind, and prints the median of what each has done.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use openssl::ssl::{Ssl, SslContext, SslMethod, SslOptions, SslStream, SslVersion};
use wharf_dtls::{
    ClientContext, ClientOptions, Front, Outcome, Psk, Received, ServerContext, ServerOptions,
    Session,
};

const RECORDS: u32 = 20_000;
const TURNS: usize = 11;
const MESSAGE: [u8; 1000] = [7; 1000];
const KEY: [u8; 16] = [9; 16];

fn main() {
    let (mut ours, mut bare) = (sessions(), streams());
    let mut figures = [Vec::new(), Vec::new()];
    for _ in 0..TURNS {
        figures[0].push(rate(|| through_sessions(&mut ours)));
        figures[1].push(rate(|| through_streams(&mut bare)));
    }
    let [ours, bare] = figures.map(|mut figures| {
        figures.sort_by(f64::total_cmp);
        figures[TURNS / 2]
    });
    println!("sessions of wharf-dtls: {ours:.0} records a CPU-second");
    println!("OpenSSL in memory:      {bare:.0} records a CPU-second");
    println!("ratio:                  {:.2}", ours / bare);
}

/// How many a CPU-second of this thread, as the kernel counts it.
fn rate(work: impl FnOnce()) -> f64 {
    let before = cpu();
    work();
    f64::from(RECORDS) / cpu().saturating_sub(before).as_secs_f64()
}

fn cpu() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("procfs");
    let nanoseconds = text.split(' ').next().and_then(|field| field.parse().ok());
    Duration::from_nanos(nanoseconds.expect("nanoseconds on the CPU"))
}

/// A client's and a server's open session.
fn sessions() -> (Session, Session) {
    let psk = Psk::new("bench", KEY);
    let ciphers = Some("PSK-AES128-GCM-SHA256".to_owned());
    let server = ServerContext::new(&ServerOptions {
        psk: vec![psk.clone()],
        ciphers: ciphers.clone(),
        ..ServerOptions::default()
    })
    .expect("a server");
    let client = ClientContext::new(&ClientOptions {
        psk: Some(psk),
        ciphers,
        ..ClientOptions::default()
    })
    .expect("a client");
    let now = began();
    let mut front = Front::new(&[1; 32], Duration::from_secs(30), now);
    let from = SocketAddr::from(([192, 0, 2, 1], 4433));
    let mut client = Session::connect(&client, &"a.example".into(), now).expect("a session");
    let mut accepted: Option<Session> = None;
    loop {
        let mut back = Vec::new();
        while let Some(datagram) = client.transmit().map(Bytes::copy_from_slice) {
            client.sent();
            match &mut accepted {
                Some(session) => session.handle_datagram(now, datagram),
                None => match front.handle(now, from, &datagram) {
                    Outcome::Challenge(challenge) => back.push(Bytes::copy_from_slice(challenge)),
                    Outcome::Verified(verified) => {
                        accepted = Session::accept(&server, &verified, now).ok();
                    }
                    Outcome::Ignored(reason) => panic!("{reason}"),
                },
            }
        }
        while let Some(session) = &mut accepted
            && let Some(datagram) = session.transmit().map(Bytes::copy_from_slice)
        {
            session.sent();
            back.push(datagram);
        }
        for datagram in back {
            client.handle_datagram(now, datagram);
        }
        if client.is_open()
            && let Some(session) = accepted.take_if(|session| session.is_open())
        {
            return (client, session);
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a program, not the crate")]
fn began() -> Instant {
    Instant::now()
}

fn through_sessions((client, server): &mut (Session, Session)) {
    let now = began();
    let mut received = 0;
    for _ in 0..RECORDS {
        client.send(&MESSAGE).expect("an open session");
        while let Some(datagram) = client.transmit().map(Bytes::copy_from_slice) {
            client.sent();
            server.handle_datagram(now, datagram);
            let mut message = BytesMut::new();
            while server.recv(&mut message) == Ok(Received::Message) {
                received += 1;
                message.clear();
            }
        }
    }
    assert_eq!(received, RECORDS);
}

/// Datagrams in memory, one way each.
#[derive(Default)]
struct Pipe {
    incoming: VecDeque<Vec<u8>>,
    outgoing: VecDeque<Vec<u8>>,
}

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let datagram = self.incoming.pop_front().ok_or(io::ErrorKind::WouldBlock)?;
        buffer[..datagram.len()].copy_from_slice(&datagram);
        Ok(datagram.len())
    }
}

impl Write for Pipe {
    fn write(&mut self, datagram: &[u8]) -> io::Result<usize> {
        self.outgoing.push_back(datagram.to_vec());
        Ok(datagram.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn context(method: SslMethod) -> SslContext {
    let mut context = SslContext::builder(method).expect("a context");
    context
        .set_min_proto_version(Some(SslVersion::DTLS1_2))
        .expect("a version");
    context.set_options(SslOptions::NO_QUERY_MTU);
    context
        .set_cipher_list("PSK-AES128-GCM-SHA256")
        .expect("a suite");
    context.set_psk_server_callback(|_, _, key| {
        key[..KEY.len()].copy_from_slice(&KEY);
        Ok(KEY.len())
    });
    context.set_psk_client_callback(|_, _, identity, key| {
        identity[..6].copy_from_slice(b"bench\0");
        key[..KEY.len()].copy_from_slice(&KEY);
        Ok(KEY.len())
    });
    context.build()
}

/// The same on bare OpenSSL.
fn streams() -> (SslStream<Pipe>, SslStream<Pipe>) {
    let stream = |method| {
        let mut ssl = Ssl::new(&context(method)).expect("a session");
        ssl.set_mtu(1200).expect("an MTU");
        SslStream::new(ssl, Pipe::default()).expect("a session")
    };
    let mut client = stream(SslMethod::dtls_client());
    let mut server = stream(SslMethod::dtls_server());
    loop {
        let ends = (client.connect().is_ok(), server.accept().is_ok());
        let there = std::mem::take(&mut client.get_mut().outgoing);
        server.get_mut().incoming.extend(there);
        let back = std::mem::take(&mut server.get_mut().outgoing);
        client.get_mut().incoming.extend(back);
        if ends == (true, true) {
            return (client, server);
        }
    }
}

fn through_streams((client, server): &mut (SslStream<Pipe>, SslStream<Pipe>)) {
    let mut received = 0;
    for _ in 0..RECORDS {
        client.ssl_write(&MESSAGE).expect("an open session");
        while let Some(datagram) = client.get_mut().outgoing.pop_front() {
            server.get_mut().incoming.push_back(datagram);
            let mut message = [0; 2048];
            while server.ssl_read(&mut message).is_ok() {
                received += 1;
            }
        }
    }
    assert_eq!(received, RECORDS);
}
