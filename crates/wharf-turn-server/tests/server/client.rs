//! A TURN client that waits for each answer.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::AsFd as _;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use wharf_stun::attribute::{
    Data, ErrorCode, Lifetime, Nonce, Realm, RequestedTransport, XorPeerAddress, XorRelayedAddress,
};
use wharf_stun::{
    Attribute, ChannelData, Class, Message, MessageType, Method, TransactionId, Writer,
};
use wharf_turn_server::TurnServer;
use wharf_udp::{Socket, SocketOptions};

use crate::account::Account;
pub(crate) use crate::account::Login;
use crate::support::{PATIENCE, REALM, fresh_ip};

pub(crate) struct Client {
    pub(crate) socket: UdpSocket,
    /// The same socket, for bursts and for the TOS octet.
    pub(crate) batched: Socket,
    server: SocketAddr,
    pub(crate) account: Account,
    /// What arrived while an answer was waited for.
    early: VecDeque<Vec<u8>>,
}

/// A response, or another STUN message.
#[derive(Debug)]
pub(crate) struct Response(pub(crate) Vec<u8>);

impl Response {
    pub(crate) fn message(&self) -> Message<'_> {
        Message::parse(&self.0).expect("a STUN message")
    }

    /// 0 for success.
    pub(crate) fn code(&self) -> u16 {
        self.get::<ErrorCode<'_>>().map_or(0, |error| error.code)
    }

    pub(crate) fn get<'a, A: Attribute<'a>>(&'a self) -> Option<A> {
        let found = self.message().get::<A>();
        found.map(|value| value.expect("a well-formed attribute"))
    }
}

pub(crate) type Fill<'f> = &'f dyn Fn(&mut Writer<'_>);

impl Client {
    /// Alice, on a port of her own, at the server's first address.
    pub(crate) fn new(server: &TurnServer) -> Self {
        Self::at(server.local_addrs()[0], Login::alice())
    }

    pub(crate) fn at(server: SocketAddr, login: Login) -> Self {
        let loopback: IpAddr = match server {
            // A port that is used again soon would get what the last client has left unread.
            SocketAddr::V4(_) => fresh_ip(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        };
        let options = SocketOptions {
            receive_tos: true,
            ..SocketOptions::default()
        };
        let batched = Socket::bind(SocketAddr::new(loopback, 0), &options).unwrap();
        let socket = UdpSocket::from(batched.as_fd().try_clone_to_owned().unwrap());
        socket.set_nonblocking(false).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self {
            socket,
            batched,
            server,
            account: Account::new(login),
            early: VecDeque::new(),
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.socket.local_addr().unwrap()
    }

    /// Speaks to another of the server's addresses, or to another server, from the same port.
    pub(crate) fn turn_to(&mut self, server: SocketAddr) {
        self.server = server;
    }

    /// Is somebody else from now on.
    pub(crate) fn log_in(&mut self, login: Login) {
        self.account.login = login;
    }

    pub(crate) fn send(&self, datagram: &[u8]) {
        self.socket.send_to(datagram, self.server).unwrap();
    }

    /// The next datagram; it must come from where the client sends to.
    pub(crate) fn receive(&mut self) -> Vec<u8> {
        self.early.pop_front().unwrap_or_else(|| self.read())
    }

    fn read(&self) -> Vec<u8> {
        let (datagram, from) = crate::support::read(&self.socket);
        assert_eq!(
            from, self.server,
            "a reply leaves from where its request went"
        );
        datagram
    }

    /// A request and its response, with credentials when the server asks for them.
    pub(crate) fn request(&mut self, method: Method, fill: Fill<'_>) -> Response {
        let mut known = self.account.nonce.is_some();
        let mut response = self.ask(method, fill);
        // Twice where another server takes over between the challenge and its answer.
        for _ in 0..2 {
            if response.code() != 438 && (response.code() != 401 || known) {
                break;
            }
            let nonce = response
                .get::<Nonce<'_>>()
                .expect("a challenge has a nonce");
            assert_eq!(response.get(), Some(Realm(REALM)));
            self.account.nonce = Some(nonce.0.to_vec());
            known = true;
            response = self.ask(method, fill);
        }
        response
    }

    /// Fetches a nonce.
    pub(crate) fn challenge(&mut self) {
        let response = self.ask(Method::ALLOCATE, &udp);
        assert_eq!(response.code(), 401);
        self.account.nonce = response.get::<Nonce<'_>>().map(|nonce| nonce.0.to_vec());
    }

    /// A request and its response, whatever it is.
    pub(crate) fn ask(&mut self, method: Method, fill: Fill<'_>) -> Response {
        let id = self.post(method, fill);
        self.answer(id)
    }

    /// A request whose response is read later.
    pub(crate) fn post(&mut self, method: Method, fill: Fill<'_>) -> TransactionId {
        let id = transaction_id();
        self.send(&self.account.write(method, id, fill));
        id
    }

    pub(crate) fn answer(&mut self, id: TransactionId) -> Response {
        loop {
            let datagram = self.read();
            match Message::parse(&datagram) {
                Ok(message) if message.transaction_id() == id => {
                    let proven = message.class() == Class::Error
                        || message.method() == Method::BINDING
                        || self.account.is_signed(&message);
                    assert!(proven, "a success without the server's proof");
                    return Response(datagram);
                }
                _ => self.early.push_back(datagram),
            }
        }
    }

    /// An Allocate with more than REQUESTED-TRANSPORT.
    pub(crate) fn try_allocate(&mut self, more: Fill<'_>) -> Response {
        self.request(Method::ALLOCATE, &|writer| {
            udp(writer);
            more(writer);
        })
    }

    /// An Allocate that succeeds, and its relayed address.
    #[track_caller]
    pub(crate) fn allocate(&mut self) -> SocketAddr {
        relayed(&self.try_allocate(&|_| {}))
    }

    /// Ends the allocation (RFC 8656 §8).
    pub(crate) fn release(&mut self) {
        let end = self.request(Method::REFRESH, &with(Lifetime(0)));
        assert_eq!(end.code(), 0);
    }

    /// The error code of a CreatePermission.
    pub(crate) fn permit(&mut self, peer: SocketAddr) -> u16 {
        let peer = with(XorPeerAddress(peer));
        self.request(Method::CREATE_PERMISSION, &peer).code()
    }

    /// The error code of a ChannelBind.
    pub(crate) fn bind(&mut self, number: u16, peer: SocketAddr) -> u16 {
        let fill = |writer: &mut Writer<'_>| {
            let number = wharf_stun::attribute::ChannelNumber(number);
            writer.push(&number).unwrap();
            writer.push(&XorPeerAddress(peer)).unwrap();
        };
        self.request(Method::CHANNEL_BIND, &fill).code()
    }

    /// A Send indication.
    pub(crate) fn send_to(&self, peer: SocketAddr, data: &[u8]) {
        self.send(&send_indication(peer, data, &|_| {}));
    }

    pub(crate) fn send_on(&self, channel: u16, data: &[u8]) {
        self.send(&channel_data(channel, data));
    }

    /// The next datagram is a Data indication: its peer and its data.
    #[track_caller]
    pub(crate) fn data(&mut self) -> (SocketAddr, Vec<u8>) {
        let indication = self.indication();
        let peer = indication.get::<XorPeerAddress>().expect("a peer").0;
        (peer, indication.get::<Data<'_>>().expect("data").0.to_vec())
    }

    /// The next datagram is a Data indication, perhaps about an ICMP error.
    #[track_caller]
    pub(crate) fn indication(&mut self) -> Response {
        let indication = Response(self.receive());
        let ty = indication.message().message_type();
        assert_eq!((ty.method, ty.class), (Method::DATA, Class::Indication));
        indication
    }

    /// An Allocate without credentials, which is challenged.
    pub(crate) fn ask_unsigned(&mut self) {
        let nonce = self.account.nonce.take();
        assert_eq!(self.ask(Method::ALLOCATE, &udp).code(), 401);
        self.account.nonce = nonce;
    }

    /// The next datagram is ChannelData: its channel and its data.
    #[track_caller]
    pub(crate) fn data_on(&mut self) -> (u16, Vec<u8>) {
        let datagram = self.receive();
        let channel = ChannelData::parse_datagram(&datagram).expect("ChannelData");
        assert_eq!(datagram.len(), 4 + channel.data.len(), "padded over UDP");
        (channel.number, channel.data.to_vec())
    }

    /// One datagram to the peer and one back, with a permission or a channel that is there already.
    #[track_caller]
    pub(crate) fn round_trip(&mut self, peer: &UdpSocket, relayed: SocketAddr) {
        let address = peer.local_addr().unwrap();
        self.send_to(address, b"there");
        assert_eq!(crate::support::read(peer), (b"there".to_vec(), relayed));
        peer.send_to(b"and back", relayed).unwrap();
        assert_eq!(self.data(), (address, b"and back".to_vec()));
    }

    /// As [`Client::round_trip`] while ICMP errors are on their way to the client.
    #[track_caller]
    pub(crate) fn round_trip_past_errors(&mut self, peer: &UdpSocket, relayed: SocketAddr) {
        self.send_to(peer.local_addr().unwrap(), b"there");
        assert_eq!(crate::support::read(peer), (b"there".to_vec(), relayed));
        peer.send_to(b"and back", relayed).unwrap();
        loop {
            let indication = self.indication();
            if let Some(Data(data)) = indication.get() {
                return assert_eq!(data, b"and back");
            }
        }
    }
}

/// One attribute.
pub(crate) fn with<'a, A: Attribute<'a>>(attribute: A) -> impl Fn(&mut Writer<'_>) {
    move |writer| {
        writer.push(&attribute).unwrap();
    }
}

/// REQUESTED-TRANSPORT UDP.
pub(crate) fn udp(writer: &mut Writer<'_>) {
    writer.push(&RequestedTransport(17)).unwrap();
}

/// The relayed address of a success response.
#[track_caller]
pub(crate) fn relayed(response: &Response) -> SocketAddr {
    assert_eq!(response.code(), 0, "{response:?}");
    response
        .get::<XorRelayedAddress>()
        .expect("a relayed address")
        .0
}

pub(crate) fn transaction_id() -> TransactionId {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let mut id = [7; 12];
    id[4..].copy_from_slice(&NEXT.fetch_add(1, Relaxed).to_be_bytes());
    TransactionId(id)
}

pub(crate) fn send_indication(peer: SocketAddr, data: &[u8], more: Fill<'_>) -> Vec<u8> {
    let mut buffer = vec![0; data.len() + 100];
    let ty = MessageType {
        method: Method::SEND,
        class: Class::Indication,
    };
    let mut writer = Writer::new(&mut buffer, ty, transaction_id()).unwrap();
    writer.push(&XorPeerAddress(peer)).unwrap();
    more(&mut writer);
    writer.push(&Data(data)).unwrap();
    let length = writer.len();
    buffer.truncate(length);
    buffer
}

pub(crate) fn channel_data(channel: u16, data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(data.len()).unwrap();
    [&ChannelData::header(channel, length), data].concat()
}
