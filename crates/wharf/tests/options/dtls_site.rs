//! A DTLS listener on loopback, and clients that bring their own sockets.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::UdpSocket;
use tokio::time::{Instant, sleep_until, timeout};
use wharf::config::Pem;
use wharf::testkit::{Authority, Issued, Leaf};
use wharf::{BoxError, Builder, Dtls, Handle, Handlers, ListenerConfig, Messages, Server, Stats};
use wharf_dtls::{ClientContext, ClientOptions, Failure, Identity, Received, Session};

/// The name of the listener.
pub(crate) const IT: &str = "it";
/// Its server name.
pub(crate) const NAME: &str = "a.example";
/// How long something may take.
const SOON: Duration = Duration::from_secs(5);

pub(crate) struct Site {
    pub(crate) ca: Authority,
    pub(crate) handle: Handle,
    pub(crate) address: SocketAddr,
}

pub(crate) async fn echo(mut messages: Messages) -> Result<(), BoxError> {
    while let Some(message) = messages.recv().await {
        messages.send(message?).await?;
    }
    Ok(())
}

pub(crate) fn der(pem: &Pem) -> Vec<u8> {
    let Pem::Inline { pem } = pem else {
        unreachable!("what tests issue is in memory")
    };
    match CertificateDer::from_pem_slice(pem.as_bytes()) {
        Ok(certificate) => certificate.to_vec(),
        Err(_) => PrivateKeyDer::from_pem_slice(pem.as_bytes())
            .unwrap()
            .secret_der()
            .to_vec(),
    }
}

/// What a client shows.
pub(crate) fn identity(issued: &Issued) -> Identity {
    let certificate = issued.certificate();
    Identity {
        chain: vec![der(&certificate.cert)],
        key: der(&certificate.key),
        names: Vec::new(),
    }
}

impl Site {
    /// A listener with a certificate for [`NAME`].
    pub(crate) fn new(
        handlers: impl Into<Handlers>,
        change: impl FnOnce(&mut ListenerConfig),
    ) -> Self {
        Self::with(Server::builder(), handlers, change)
    }

    pub(crate) fn with(
        builder: Builder,
        handlers: impl Into<Handlers>,
        change: impl FnOnce(&mut ListenerConfig),
    ) -> Self {
        let ca = Authority::new("ca");
        let leaf = ca.issue(&Leaf::named("a", &[NAME]));
        let listen = Dtls::bind("127.0.0.1:0")
            .with(|config| config.tls.certificates.push(leaf.certificate()))
            .with(change);
        let server = builder
            .listen_with(IT, listen, handlers.into())
            .build()
            .unwrap();
        let handle = server.handle();
        tokio::spawn(server.run());
        let address = handle.address(IT).unwrap().ip().unwrap();
        Self {
            ca,
            handle,
            address,
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn stats(&self) -> Stats {
        self.handle.inspect(IT).unwrap().stats
    }

    /// Waits until the counters are as expected, at most 5 s.
    pub(crate) async fn until(&self, what: impl Fn(&Stats) -> bool) -> Stats {
        let began = Instant::now();
        loop {
            let stats = self.stats();
            if what(&stats) {
                return stats;
            }
            assert!(began.elapsed() < SOON, "the counters stay at {stats:?}");
            let mut events = self.handle.events();
            let _ = timeout(Duration::from_millis(20), events.recv()).await;
        }
    }

    /// Client options that trust the server.
    pub(crate) fn options(&self) -> ClientOptions {
        ClientOptions {
            authorities: vec![der(&self.ca.pem())],
            ..ClientOptions::default()
        }
    }

    /// A connected socket, and a hello to be sent from it.
    pub(crate) async fn hello(&self) -> (UdpSocket, Vec<u8>) {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        socket.connect(self.address()).await.unwrap();
        let context = ClientContext::new(&self.options()).unwrap();
        let session = Session::connect(&context, &NAME.into(), now()).unwrap();
        let hello = session.transmit().unwrap().to_vec();
        (socket, hello)
    }

    pub(crate) async fn dial(&self) -> Result<Peer, Failure> {
        self.dial_with(&self.options()).await
    }

    pub(crate) async fn dial_with(&self, options: &ClientOptions) -> Result<Peer, Failure> {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        self.dial_on(socket, NAME, options).await
    }

    pub(crate) async fn dial_on(
        &self,
        socket: UdpSocket,
        name: &str,
        options: &ClientOptions,
    ) -> Result<Peer, Failure> {
        socket.connect(self.address()).await.unwrap();
        let context = ClientContext::new(options).unwrap();
        let session = Session::connect(&context, &name.into(), now())?;
        let mut peer = Peer {
            socket,
            session,
            longest: 0,
        };
        timeout(SOON, peer.open())
            .await
            .expect("the handshake ends")?;
        Ok(peer)
    }
}

fn now() -> std::time::Instant {
    Instant::now().into_std()
}

/// A client with its socket.
pub(crate) struct Peer {
    pub(crate) socket: UdpSocket,
    pub(crate) session: Session,
    /// The longest datagram that has come.
    pub(crate) longest: usize,
}

impl Peer {
    pub(crate) async fn open(&mut self) -> Result<(), Failure> {
        while !self.session.is_open() {
            self.session.recv(&mut BytesMut::new())?;
            self.step().await;
        }
        self.flush().await;
        Ok(())
    }

    /// Sends what is there, and takes one datagram or the deadline.
    async fn step(&mut self) {
        self.flush().await;
        let deadline = self.session.deadline().map(Instant::from_std);
        let expired = async {
            match deadline {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        let mut buffer = vec![0; 1 << 16];
        tokio::select! {
            received = self.socket.recv(&mut buffer) => {
                let length = received.unwrap();
                self.longest = self.longest.max(length);
                let datagram = Bytes::copy_from_slice(&buffer[..length]);
                self.session.handle_datagram(now(), datagram);
            }
            () = expired => self.session.handle_timeout(now()),
        }
    }

    async fn flush(&mut self) {
        while let Some(datagram) = self.session.transmit() {
            self.socket.send(datagram).await.unwrap();
            self.session.sent();
        }
    }

    pub(crate) async fn send(&mut self, message: &[u8]) {
        self.session.send(message).unwrap();
        self.flush().await;
    }

    pub(crate) async fn close(&mut self) {
        self.session.close();
        self.flush().await;
    }

    /// The next message; `None` when the server has closed. At most 5 s.
    pub(crate) async fn recv(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        let next = async {
            loop {
                let mut message = BytesMut::new();
                match self.session.recv(&mut message)? {
                    Received::Message => return Ok(Some(message.to_vec())),
                    Received::Closed => return Ok(None),
                    Received::Nothing => self.step().await,
                }
            }
        };
        timeout(SOON, next).await.expect("something comes")
    }

    /// Sends a word and waits for its echo.
    pub(crate) async fn ask(&mut self) {
        self.send(b"word").await;
        assert_eq!(self.recv().await.unwrap().as_deref(), Some(&b"word"[..]));
    }
}
