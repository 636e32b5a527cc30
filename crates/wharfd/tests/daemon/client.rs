//! Allocates, permits and binds, with long-term credentials over UDP or TCP, and asks for its address.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;
use wharf_stun::attribute::{
    ChannelNumber, ErrorCode, Lifetime, Nonce, Realm, RequestedTransport, Username,
    XorMappedAddress, XorPeerAddress,
};
use wharf_stun::credential::long_term_md5;
use wharf_stun::{Class, Message, MessageType, Method, Sha1Key, TransactionId, WriteError, Writer};

/// A client on a socket of its own.
pub(crate) struct Client {
    link: Link,
    transaction: u8,
    credential: Option<Credential>,
    /// Our address, as the server told when it allocated.
    pub(crate) mapped: Option<SocketAddr>,
}

enum Link {
    Udp(UdpSocket),
    Tcp(TcpStream),
}

struct Credential {
    user: String,
    realm: String,
    nonce: Vec<u8>,
    key: Sha1Key,
}

impl Client {
    /// A client of the server on this port of 127.0.0.1.
    pub(crate) fn new(port: u16) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(("127.0.0.1", port)).unwrap();
        socket
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        Self::over(Link::Udp(socket))
    }

    /// A client over TCP of the server on this port of 127.0.0.1.
    pub(crate) fn tcp(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        Self::over(Link::Tcp(stream))
    }

    /// A client over TCP behind a proxy, which first sends this header.
    pub(crate) fn proxied(port: u16, header: &[u8]) -> Self {
        let client = Self::tcp(port);
        if let Link::Tcp(stream) = &client.link {
            let mut stream = stream;
            stream.write_all(header).unwrap();
        }
        client
    }

    fn over(link: Link) -> Self {
        Self {
            link,
            transaction: 0,
            credential: None,
            mapped: None,
        }
    }

    /// Whether the server closes the connection, before it says anything else.
    pub(crate) fn is_closed(&mut self) -> bool {
        match &mut self.link {
            Link::Udp(_) => false,
            Link::Tcp(stream) => matches!(stream.read(&mut [0]), Ok(0)),
        }
    }

    /// The address as the server sees it.
    pub(crate) fn address(&self) -> String {
        let address = match &self.link {
            Link::Udp(socket) => socket.local_addr(),
            Link::Tcp(stream) => stream.local_addr(),
        };
        address.unwrap().to_string()
    }

    /// Tries to allocate: 0, or the error code of the answer to the authenticated request.
    pub(crate) fn allocate(&mut self, user: &str, password: &str) -> u16 {
        self.credential = None;
        self.send(Method::ALLOCATE, |writer| {
            writer.push(&RequestedTransport::UDP).map(drop)
        });
        let challenge = self.receive();
        let challenge = Message::parse(&challenge).unwrap();
        let realm = challenge.get::<Realm<'_>>().unwrap().unwrap().0;
        let nonce = challenge.get::<Nonce<'_>>().unwrap().unwrap().0;
        self.credential = Some(Credential {
            user: user.to_owned(),
            realm: realm.to_owned(),
            nonce: nonce.to_owned(),
            key: Sha1Key::new(&long_term_md5(user, realm, password)),
        });
        self.send(Method::ALLOCATE, |writer| {
            writer.push(&RequestedTransport::UDP).map(drop)
        });
        let answer = self.receive();
        let mapped = Message::parse(&answer).unwrap().get::<XorMappedAddress>();
        self.mapped = mapped.map(|address| address.unwrap().0);
        code(&answer)
    }

    /// Ends the allocation: 0, or the error code.
    pub(crate) fn release(&mut self) -> u16 {
        self.send(Method::REFRESH, |writer| {
            writer.push(&Lifetime(0)).map(drop)
        });
        code(&self.receive())
    }

    /// Asks for a permission: 0, or the error code.
    pub(crate) fn permit(&mut self, peer: SocketAddr) -> u16 {
        self.send(Method::CREATE_PERMISSION, |writer| {
            writer.push(&XorPeerAddress(peer)).map(drop)
        });
        code(&self.receive())
    }

    /// Binds a channel: 0, or the error code.
    pub(crate) fn bind(&mut self, channel: u16, peer: SocketAddr) -> u16 {
        self.send(Method::CHANNEL_BIND, |writer| {
            writer.push(&ChannelNumber(channel))?;
            writer.push(&XorPeerAddress(peer)).map(drop)
        });
        code(&self.receive())
    }

    /// Sends so many Binding requests without credentials, then asks for a permission, which must be
    /// granted; returns how many of the former were answered before it.
    pub(crate) fn binding_answers(&mut self, requests: u32, peer: SocketAddr) -> u32 {
        let credential = self.credential.take();
        for _ in 0..requests {
            self.send(Method::BINDING, |_| Ok(()));
        }
        self.credential = credential;
        self.send(Method::CREATE_PERMISSION, |writer| {
            writer.push(&XorPeerAddress(peer)).map(drop)
        });
        let mut answers = 0;
        loop {
            let answer = self.receive();
            assert_eq!(code(&answer), 0);
            match Message::parse(&answer).unwrap().method() {
                Method::BINDING => answers += 1,
                _ => return answers,
            }
        }
    }

    /// Sends a request, signed when there is a credential.
    fn send(
        &mut self,
        method: Method,
        attributes: impl FnOnce(&mut Writer<'_>) -> Result<(), WriteError>,
    ) {
        self.transaction = self.transaction.wrapping_add(1);
        let request = MessageType {
            method,
            class: Class::Request,
        };
        let mut buffer = [0; 600];
        let id = TransactionId([self.transaction; 12]);
        let mut writer = Writer::new(&mut buffer, request, id).unwrap();
        attributes(&mut writer).unwrap();
        if let Some(credential) = &self.credential {
            writer.push(&Username(&credential.user)).unwrap();
            writer.push(&Realm(&credential.realm)).unwrap();
            writer.push(&Nonce(&credential.nonce)).unwrap();
            writer.integrity_sha1(&credential.key).unwrap();
        }
        let request = writer.finish();
        match &mut self.link {
            Link::Udp(socket) => assert_eq!(socket.send(request).unwrap(), request.len()),
            Link::Tcp(stream) => stream.write_all(request).unwrap(),
        }
    }

    fn receive(&mut self) -> Vec<u8> {
        let mut answer = vec![0; 1500];
        let length = match &mut self.link {
            Link::Udp(socket) => socket.recv(&mut answer).unwrap(),
            Link::Tcp(stream) => {
                stream.read_exact(&mut answer[..20]).unwrap();
                let length = 20 + usize::from(u16::from_be_bytes([answer[2], answer[3]]));
                stream.read_exact(&mut answer[20..length]).unwrap();
                length
            }
        };
        answer.truncate(length);
        answer
    }
}

/// The error code of an answer; 0 of a success.
fn code(answer: &[u8]) -> u16 {
    let answer = Message::parse(answer).unwrap();
    answer
        .get::<ErrorCode<'_>>()
        .map_or(0, |error| error.unwrap().code)
}
