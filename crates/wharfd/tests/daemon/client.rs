//! Allocates, with long-term credentials over UDP, and nothing else.

use std::net::UdpSocket;
use std::time::Duration;
use wharf_stun::attribute::{ErrorCode, Nonce, Realm, RequestedTransport, Username};
use wharf_stun::credential::long_term_md5;
use wharf_stun::{Class, Message, MessageType, Method, Sha1Key, TransactionId, Writer};

/// A client on a socket of its own.
pub(crate) struct Client {
    socket: UdpSocket,
    transaction: u8,
}

impl Client {
    /// A client of the server on this port of 127.0.0.1.
    pub(crate) fn new(port: u16) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(("127.0.0.1", port)).unwrap();
        socket
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        Self {
            socket,
            transaction: 0,
        }
    }

    /// The address as the server sees it.
    pub(crate) fn address(&self) -> String {
        self.socket.local_addr().unwrap().to_string()
    }

    /// Tries to allocate: 0, or the error code of the answer to the authenticated request.
    pub(crate) fn allocate(&mut self, user: &str, password: &str) -> u16 {
        let challenge = self.exchange(None);
        let challenge = Message::parse(&challenge).unwrap();
        let realm = challenge.get::<Realm<'_>>().unwrap().unwrap().0;
        let nonce = challenge.get::<Nonce<'_>>().unwrap().unwrap().0;
        let key = Sha1Key::new(&long_term_md5(user, realm, password));
        let answer = self.exchange(Some((user, realm, nonce, &key)));
        let answer = Message::parse(&answer).unwrap();
        answer
            .get::<ErrorCode<'_>>()
            .map_or(0, |error| error.unwrap().code)
    }

    fn exchange(&mut self, credential: Option<(&str, &str, &[u8], &Sha1Key)>) -> Vec<u8> {
        self.transaction += 1;
        let request = MessageType {
            method: Method::ALLOCATE,
            class: Class::Request,
        };
        let mut buffer = [0; 600];
        let mut writer =
            Writer::new(&mut buffer, request, TransactionId([self.transaction; 12])).unwrap();
        writer.push(&RequestedTransport::UDP).unwrap();
        if let Some((user, realm, nonce, key)) = credential {
            writer.push(&Username(user)).unwrap();
            writer.push(&Realm(realm)).unwrap();
            writer.push(&Nonce(nonce)).unwrap();
            writer.integrity_sha1(key).unwrap();
        }
        self.socket.send(writer.finish()).unwrap();
        let mut answer = vec![0; 1500];
        let length = self.socket.recv(&mut answer).unwrap();
        answer.truncate(length);
        answer
    }
}
