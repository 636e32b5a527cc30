//! A client over any stream, and the server's end of the stream.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use wharf_stun::attribute::{ChannelNumber, Lifetime, Nonce, XorPeerAddress};
use wharf_stun::{Framer, Message, Method, Step, TransactionId, Writer};
use wharf_turn_server::{Handle, StreamEnd, StreamError, StreamPath, StreamTransport, TurnServer};

use crate::account::{Account, Login};
use crate::client::{Fill, Response, relayed, transaction_id, udp, with};
use crate::support::{PATIENCE, fresh_ip};

/// What [`Handle::serve_stream`] returns.
pub(crate) type Serving = JoinHandle<Result<StreamEnd, StreamError>>;

/// Any stream.
pub(crate) trait Io: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin {}
impl<S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin> Io for S {}

pub(crate) struct StreamClient<S> {
    pub(crate) io: S,
    received: Vec<u8>,
    account: Account,
}

/// The path of a client that nobody else has.
pub(crate) fn fresh_path(server: &TurnServer) -> StreamPath {
    StreamPath {
        transport: StreamTransport::Tls,
        client: SocketAddr::new(fresh_ip(), 40_000),
        server: server.local_addrs()[0],
    }
}

/// A client in memory, on a path of its own.
pub(crate) fn in_memory(server: &TurnServer) -> (StreamClient<DuplexStream>, Serving) {
    on_path(&server.handle(), fresh_path(server), 64 << 10)
}

/// A client in memory behind a pipe of so many bytes.
pub(crate) fn on_path(
    handle: &Handle,
    path: StreamPath,
    pipe: usize,
) -> (StreamClient<DuplexStream>, Serving) {
    let (near, far) = tokio::io::duplex(pipe);
    (StreamClient::new(near), serve(handle, far, path))
}

/// A client over TCP.
pub(crate) async fn over_tcp(server: &TurnServer) -> (StreamClient<TcpStream>, Serving) {
    let listener = TcpListener::bind((fresh_ip(), 0)).await.unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap());
    let (near, far) = tokio::join!(near, listener.accept());
    let ((far, client), near) = (far.unwrap(), near.unwrap());
    let path = StreamPath {
        transport: StreamTransport::Tcp,
        client,
        server: far.local_addr().unwrap(),
    };
    (StreamClient::new(near), serve(&server.handle(), far, path))
}

fn serve<S: Io + Send + 'static>(handle: &Handle, io: S, path: StreamPath) -> Serving {
    let handle = handle.clone();
    tokio::spawn(async move { handle.serve_stream(io, path).await })
}

/// The end of a stream.
pub(crate) async fn ended(serving: Serving) -> Result<StreamEnd, StreamError> {
    let served = timeout(PATIENCE, serving).await.expect("the stream ends");
    served.expect("no panic")
}

/// Waits for what happens without a word to the test.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::task::yield_now().await;
        }
    };
    let waited = timeout(PATIENCE, waiting).await;
    assert!(waited.is_ok(), "never happened: {what}");
}

pub(crate) async fn peer() -> UdpSocket {
    UdpSocket::bind((fresh_ip(), 0)).await.unwrap()
}

/// The next datagram at a peer, and its sender.
pub(crate) async fn read(peer: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut buffer = vec![0; 65_536];
    let read = timeout(PATIENCE, peer.recv_from(&mut buffer)).await;
    let (length, from) = read.expect("a datagram arrives").unwrap();
    buffer.truncate(length);
    (buffer, from)
}

/// ChannelData as it goes over a stream.
pub(crate) fn padded(number: u16, data: &[u8]) -> Vec<u8> {
    let mut bytes = crate::client::channel_data(number, data);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

impl<S: Io> StreamClient<S> {
    fn new(io: S) -> Self {
        Self {
            io,
            received: Vec::new(),
            account: Account::new(Login::alice()),
        }
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        self.io.write_all(bytes).await.unwrap();
        self.io.flush().await.unwrap();
    }

    /// The next frame, padding included; `None` at the end of the stream.
    pub(crate) async fn next(&mut self) -> Option<Vec<u8>> {
        let framer = Framer::new(70_000).rfc5766_channels();
        loop {
            if let Step::Frame { consumed, .. } = framer.step(&self.received).expect("frames") {
                return Some(self.received.drain(..consumed).collect());
            }
            let read = timeout(PATIENCE, self.io.read_buf(&mut self.received)).await;
            if read.expect("something arrives").unwrap() == 0 {
                assert_eq!(self.received, [], "half a frame");
                return None;
            }
        }
    }

    pub(crate) async fn frame(&mut self) -> Vec<u8> {
        self.next().await.expect("a frame")
    }

    /// The next frame is ChannelData, padded as it has to be: its channel and its data.
    pub(crate) async fn data_on(&mut self) -> (u16, Vec<u8>) {
        let frame = self.frame().await;
        let (&[n0, n1, l0, l1], rest) = frame.split_first_chunk().expect("a header");
        let number = u16::from_be_bytes([n0, n1]);
        let data = rest[..u16::from_be_bytes([l0, l1]).into()].to_vec();
        assert_eq!(frame, padded(number, &data));
        (number, data)
    }

    /// The next frame answers this request.
    pub(crate) async fn answer(&mut self, id: TransactionId) -> Response {
        let response = Response(self.frame().await);
        assert_eq!(response.message().transaction_id(), id);
        response
    }

    /// A request, not sent yet.
    pub(crate) fn write(&self, method: Method, fill: Fill<'_>) -> (TransactionId, Vec<u8>) {
        let id = transaction_id();
        (id, self.account.write(method, id, fill))
    }

    pub(crate) async fn ask(&mut self, method: Method, fill: Fill<'_>) -> Response {
        let (id, request) = self.write(method, fill);
        self.send(&request).await;
        self.answer(id).await
    }

    /// A request with credentials.
    pub(crate) async fn request(&mut self, method: Method, fill: Fill<'_>) -> Response {
        if self.account.nonce.is_none() {
            self.challenge().await;
        }
        let response = self.ask(method, fill).await;
        let message = Message::parse(&response.0).unwrap();
        assert!(response.code() > 0 || self.account.is_signed(&message));
        response
    }

    /// Fetches a nonce.
    pub(crate) async fn challenge(&mut self) {
        let response = self.ask(Method::ALLOCATE, &udp).await;
        assert_eq!(response.code(), 401);
        self.account.nonce = response.get::<Nonce<'_>>().map(|nonce| nonce.0.to_vec());
    }

    pub(crate) async fn try_allocate(&mut self, more: Fill<'_>) -> Response {
        let fill = |writer: &mut Writer<'_>| {
            udp(writer);
            more(writer);
        };
        self.request(Method::ALLOCATE, &fill).await
    }

    pub(crate) async fn allocate(&mut self) -> SocketAddr {
        relayed(&self.try_allocate(&|_| {}).await)
    }

    pub(crate) async fn refresh(&mut self, lifetime: u32) -> u16 {
        let lifetime = with(Lifetime(lifetime));
        self.request(Method::REFRESH, &lifetime).await.code()
    }

    pub(crate) async fn bind(&mut self, number: u16, peer: SocketAddr) -> u16 {
        let fill = |writer: &mut Writer<'_>| {
            writer.push(&ChannelNumber(number)).unwrap();
            writer.push(&XorPeerAddress(peer)).unwrap();
        };
        self.request(Method::CHANNEL_BIND, &fill).await.code()
    }

    /// Data to a peer and back over a channel.
    pub(crate) async fn round_trip(&mut self, channel: u16, peer: &UdpSocket, data: &[u8]) {
        self.send(&padded(channel, data)).await;
        let (there, relay) = read(peer).await;
        assert_eq!(there, data, "padding is not relayed");
        peer.send_to(&there, relay).await.unwrap();
        assert_eq!(self.data_on().await, (channel, there));
    }
}
