//! A client over DTLS that waits for each answer, and servers that it trusts.

use std::net::{SocketAddr, UdpSocket};
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use wharf_dtls::{
    ClientContext, ClientOptions, Failure, Identity, Received, ServerContext, ServerOptions,
    Session,
};
use wharf_stun::attribute::{ChannelNumber, Nonce, XorPeerAddress};
use wharf_stun::{ChannelData, Message, Method, Writer};
use wharf_turn_server::{Config, DtlsOptions, TurnServer};

use crate::account::{Account, Login};
use crate::client::{Fill, Response, channel_data, relayed, transaction_id, udp};
use crate::support::{PATIENCE, config, fresh_ip, start};

/// A certificate for localhost that signs itself.
pub(crate) struct Certificate(Identity);

impl Certificate {
    pub(crate) fn new() -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        Self(Identity {
            chain: vec![made.cert.der().to_vec()],
            key: made.signing_key.serialize_der(),
            names: vec!["localhost".to_owned()],
        })
    }

    /// A server's options with it, and with the protocols of RFC 7443.
    pub(crate) fn server(&self) -> ServerOptions {
        ServerOptions {
            identities: vec![self.0.clone()],
            alpn: ["stun.turn", "stun.nat-discovery"].map(Into::into).into(),
            ..ServerOptions::default()
        }
    }

    pub(crate) fn context(&self) -> ServerContext {
        ServerContext::new(&self.server()).unwrap()
    }

    /// The options of a client that trusts it alone.
    pub(crate) fn client(&self) -> ClientOptions {
        ClientOptions {
            authorities: self.0.chain.clone(),
            ..ClientOptions::default()
        }
    }

    /// Options of DTLS at an address of its own.
    pub(crate) fn dtls(&self) -> DtlsOptions {
        DtlsOptions::new(vec![SocketAddr::new(fresh_ip(), 0)], self.context())
    }

    /// A server with DTLS at its second address.
    pub(crate) fn start(&self, change: impl FnOnce(&mut DtlsOptions)) -> TurnServer {
        let mut dtls = self.dtls();
        change(&mut dtls);
        start(Config {
            dtls: Some(dtls),
            ..config()
        })
    }

    /// Alice, with a session of her own at the server's second address.
    pub(crate) fn connect(&self, server: &TurnServer) -> DtlsClient {
        let mut client = DtlsClient::new(server.local_addrs()[1], &self.client());
        client.handshake().expect("a handshake");
        client
    }
}

pub(crate) struct DtlsClient {
    pub(crate) socket: UdpSocket,
    pub(crate) session: Session,
    pub(crate) account: Account,
}

impl DtlsClient {
    /// A client whose first hello is not sent yet.
    pub(crate) fn new(server: SocketAddr, options: &ClientOptions) -> Self {
        let socket = UdpSocket::bind((fresh_ip(), 0)).unwrap();
        socket.connect(server).unwrap();
        Self {
            socket,
            session: session(options),
            account: Account::new(Login::alice()),
        }
    }

    /// The datagrams that the session has written.
    pub(crate) fn written(&mut self) -> Vec<Vec<u8>> {
        let mut written = Vec::new();
        while let Some(datagram) = self.session.transmit() {
            written.push(datagram.to_vec());
            self.session.sent();
        }
        written
    }

    pub(crate) fn flush(&mut self) {
        for datagram in self.written() {
            self.socket.send(&datagram).unwrap();
        }
    }

    /// The next datagram from the server; `None` when the session's timer goes off before.
    pub(crate) fn datagram(&mut self) -> Option<Vec<u8>> {
        let left = self.session.deadline().map(|at| {
            let left = at.saturating_duration_since(Instant::now());
            left.max(std::time::Duration::from_millis(1))
        });
        self.socket
            .set_read_timeout(Some(left.unwrap_or(PATIENCE)))
            .unwrap();
        let mut buffer = vec![0; 65_536];
        match self.socket.recv(&mut buffer) {
            Ok(length) => {
                buffer.truncate(length);
                Some(buffer)
            }
            Err(_) if left.is_some() => {
                self.session.handle_timeout(Instant::now());
                self.flush();
                None
            }
            Err(error) => panic!("no datagram comes: {error}"),
        }
    }

    /// Takes the next datagram.
    pub(crate) fn pump(&mut self) {
        if let Some(datagram) = self.datagram() {
            let datagram = Bytes::from(datagram);
            self.session.handle_datagram(Instant::now(), datagram);
            self.flush();
        }
    }

    pub(crate) fn handshake(&mut self) -> Result<(), Failure> {
        self.flush();
        while !self.session.is_open() {
            self.pump();
            // An alert is read like a message.
            self.session.recv(&mut BytesMut::new())?;
        }
        self.session.exceed_mtu();
        Ok(())
    }

    /// Begins anew from the same port, without a word, as a process that was started again.
    pub(crate) fn begin_anew(&mut self, options: &ClientOptions) {
        self.socket.set_nonblocking(true).unwrap();
        while self.socket.recv(&mut [0; 2_048]).is_ok() {}
        self.socket.set_nonblocking(false).unwrap();
        self.session = session(options);
    }

    pub(crate) fn send(&mut self, message: &[u8]) {
        self.session.send(message).unwrap();
        self.flush();
    }

    /// The next message; `None` when the server has closed the session.
    pub(crate) fn receive(&mut self) -> Option<Vec<u8>> {
        loop {
            let mut message = BytesMut::new();
            match self.session.recv(&mut message).expect("a session") {
                Received::Message => return Some(message.to_vec()),
                Received::Nothing => self.pump(),
                Received::Closed => return None,
            }
        }
    }

    pub(crate) fn ask(&mut self, method: Method, fill: Fill<'_>) -> Response {
        let id = transaction_id();
        let request = self.account.write(method, id, fill);
        self.send(&request);
        let response = Response(self.receive().expect("an answer"));
        assert_eq!(response.message().transaction_id(), id);
        response
    }

    /// Fetches a nonce.
    pub(crate) fn challenge(&mut self) {
        let response = self.ask(Method::ALLOCATE, &udp);
        assert_eq!(response.code(), 401);
        self.account.nonce = response.get::<Nonce<'_>>().map(|nonce| nonce.0.to_vec());
    }

    /// A request with credentials.
    pub(crate) fn request(&mut self, method: Method, fill: Fill<'_>) -> Response {
        if self.account.nonce.is_none() {
            self.challenge();
        }
        let response = self.ask(method, fill);
        let message = Message::parse(&response.0).unwrap();
        assert!(response.code() > 0 || self.account.is_signed(&message));
        response
    }

    pub(crate) fn allocate(&mut self) -> SocketAddr {
        relayed(&self.request(Method::ALLOCATE, &udp))
    }

    pub(crate) fn bind(&mut self, number: u16, peer: SocketAddr) -> u16 {
        let fill = |writer: &mut Writer<'_>| {
            writer.push(&ChannelNumber(number)).unwrap();
            writer.push(&XorPeerAddress(peer)).unwrap();
        };
        self.request(Method::CHANNEL_BIND, &fill).code()
    }

    /// The next message is ChannelData, which no padding follows: its channel and its data.
    pub(crate) fn data_on(&mut self) -> (u16, Vec<u8>) {
        let message = self.receive().expect("ChannelData");
        let channel = ChannelData::parse_datagram(&message).expect("ChannelData");
        assert_eq!(message.len(), 4 + channel.data.len(), "padded");
        (channel.number, channel.data.to_vec())
    }

    /// Data to a peer and back over a channel.
    #[track_caller]
    pub(crate) fn round_trip(&mut self, channel: u16, peer: &UdpSocket, data: &[u8]) {
        self.send(&channel_data(channel, data));
        let (there, relay) = crate::support::read(peer);
        assert_eq!(there, data);
        peer.send_to(&there, relay).unwrap();
        assert_eq!(self.data_on(), (channel, there));
    }
}

fn session(options: &ClientOptions) -> Session {
    let context = ClientContext::new(options).unwrap();
    Session::connect(&context, &"localhost".into(), Instant::now()).unwrap()
}
