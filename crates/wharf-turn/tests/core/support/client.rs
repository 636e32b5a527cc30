//! A client: its messages, and the replies it expects.

use std::net::SocketAddr;

use wharf_stun::attribute::{
    ChannelNumber, Data, Lifetime, Nonce, PasswordAlgorithm, PasswordAlgorithms, Realm,
    RequestedTransport, UserHash, Username, XorPeerAddress,
};
use wharf_stun::{
    AttributeType, ChannelData, Class, MessageType, Method, Sha1Key, Sha256Key, TransactionId,
    WriteError, Writer, credential,
};
use wharf_turn::{ClientPath, Event, Transport};

use super::{Answer, Did, Host, Reaction, addr};

/// How a client protects its requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Algorithm {
    /// As RFC 5389 had it: no PASSWORD-ALGORITHM.
    Legacy,
    Md5,
    Sha256,
}

#[derive(Clone, Debug)]
pub(crate) struct Client {
    pub(crate) path: ClientPath,
    pub(crate) name: String,
    pub(crate) password: String,
    pub(crate) realm: String,
    pub(crate) algorithm: Algorithm,
    /// USERHASH instead of USERNAME.
    pub(crate) anonymous: bool,
    pub(crate) nonce: Vec<u8>,
    /// PASSWORD-ALGORITHMS as the server sent it.
    pub(crate) offered: Vec<PasswordAlgorithm<'static>>,
    pub(crate) id: u64,
}

type Filled = Result<(), WriteError>;

impl Client {
    /// A client of one of [`Host`]'s users, that has asked for a nonce.
    pub(crate) fn new(host: &mut Host, name: &str, port: u16) -> Self {
        let mut client = Self {
            path: ClientPath {
                transport: Transport::Udp,
                client: SocketAddr::new(addr("198.51.100.7:0").ip(), port),
                server: addr("192.0.2.1:3478"),
                listener: 0,
            },
            name: name.into(),
            password: format!("{name}-password"),
            realm: "wharf".into(),
            algorithm: Algorithm::Sha256,
            anonymous: false,
            nonce: Vec::new(),
            offered: vec![PasswordAlgorithm::MD5, PasswordAlgorithm::SHA256],
            id: u64::from(port) << 32,
        };
        client.challenge(host);
        client
    }

    /// Takes the nonce from a 401.
    pub(crate) fn challenge(&mut self, host: &mut Host) {
        let request = self.message(Method::ALLOCATE, Class::Request, |w| {
            w.push(&RequestedTransport::UDP).map(drop)
        });
        let answer = host.client(&self.path, &request).reply();
        assert_eq!(answer.error, Some(401));
        self.nonce = answer.nonce();
    }

    pub(crate) fn transaction(&self) -> TransactionId {
        let mut id = [0; 12];
        id[4..].copy_from_slice(&self.id.to_be_bytes());
        TransactionId(id)
    }

    /// A message without integrity, under a new transaction ID.
    pub(crate) fn message(
        &mut self,
        method: Method,
        class: Class,
        fill: impl FnOnce(&mut Writer<'_>) -> Filled,
    ) -> Vec<u8> {
        self.id += 1;
        let mut buffer = vec![0; 70_000];
        let ty = MessageType { method, class };
        let mut writer = Writer::new(&mut buffer, ty, self.transaction()).expect("room");
        fill(&mut writer).expect("room");
        writer.finish().to_vec()
    }

    /// An authenticated request, under a new transaction ID.
    pub(crate) fn request(
        &mut self,
        method: Method,
        fill: impl FnOnce(&mut Writer<'_>) -> Filled,
    ) -> Vec<u8> {
        let me = self.clone();
        self.message(method, Class::Request, |w| {
            fill(w)?;
            me.sign(w)
        })
    }

    /// The credentials and their integrity.
    pub(crate) fn sign(&self, w: &mut Writer<'_>) -> Filled {
        if self.anonymous {
            w.push(&UserHash(credential::userhash(&self.name, &self.realm)))?;
        } else {
            w.push(&Username(&self.name))?;
        }
        w.push(&Realm(&self.realm))?.push(&Nonce(&self.nonce))?;
        match self.algorithm {
            Algorithm::Legacy => return w.integrity_sha1(&self.sha1_key()).map(drop),
            Algorithm::Md5 => w.push(&PasswordAlgorithm::MD5)?,
            Algorithm::Sha256 => w.push(&PasswordAlgorithm::SHA256)?,
        };
        w.push(&PasswordAlgorithms::new(&self.offered))?;
        w.integrity_sha256(&self.sha256_key()).map(drop)
    }

    fn sha1_key(&self) -> Sha1Key {
        Sha1Key::new(&credential::long_term_md5(
            &self.name,
            &self.realm,
            &self.password,
        ))
    }

    pub(crate) fn sha256_key(&self) -> Sha256Key {
        let Self {
            name,
            realm,
            password,
            ..
        } = self;
        match self.algorithm {
            Algorithm::Sha256 => {
                Sha256Key::new(&credential::long_term_sha256(name, realm, password))
            }
            _ => Sha256Key::new(&credential::long_term_md5(name, realm, password)),
        }
    }

    /// Sends a request and checks what every reply to one must be (L8).
    pub(crate) fn send(&self, host: &mut Host, request: &[u8]) -> Answer {
        let answer = host.client(&self.path, request).reply();
        self.check(&answer);
        answer
    }

    pub(crate) fn check(&self, answer: &Answer) {
        assert_eq!(answer.path, self.path);
        let message = answer.message();
        assert_eq!(message.transaction_id(), self.transaction());
        let legacy = self.algorithm == Algorithm::Legacy;
        if matches!(answer.error, Some(401 | 438 | 500)) {
            assert!(!answer.has(AttributeType::MESSAGE_INTEGRITY));
            assert!(!answer.has(AttributeType::MESSAGE_INTEGRITY_SHA256));
        } else if legacy {
            assert!(message.verify_sha1(&self.sha1_key()));
            assert!(!answer.has(AttributeType::MESSAGE_INTEGRITY_SHA256));
        } else {
            assert!(message.verify_sha256(&self.sha256_key()));
            assert!(!answer.has(AttributeType::MESSAGE_INTEGRITY));
        }
        let challenged = matches!(answer.error, Some(401 | 438));
        assert_eq!(answer.has(AttributeType::REALM), challenged);
        assert_eq!(answer.has(AttributeType::NONCE), challenged);
        assert_eq!(answer.has(AttributeType::PASSWORD_ALGORITHMS), challenged);
        assert!(!answer.has(AttributeType::USERNAME) && !answer.has(AttributeType::USERHASH));
    }

    pub(crate) fn ask(
        &mut self,
        host: &mut Host,
        method: Method,
        fill: impl FnOnce(&mut Writer<'_>) -> Filled,
    ) -> Answer {
        let request = self.request(method, fill);
        self.send(host, &request)
    }

    /// An Allocate with these attributes and REQUESTED-TRANSPORT.
    pub(crate) fn allocate_with(
        &mut self,
        host: &mut Host,
        fill: impl FnOnce(&mut Writer<'_>) -> Filled,
    ) -> Answer {
        self.ask(host, Method::ALLOCATE, |w| {
            w.push(&RequestedTransport::UDP)?;
            fill(w)
        })
    }

    /// A plain Allocate that succeeds; looks at all that it led to.
    pub(crate) fn allocate(&mut self, host: &mut Host) -> SocketAddr {
        let answer = self.allocate_with(host, |_| Ok(()));
        assert_eq!(answer.error, None);
        let relayed = answer.relayed();
        let [relay] = relayed[..] else {
            panic!("one relayed address: {relayed:?}");
        };
        let mut did = host.take_did();
        did.retain(|did| !matches!(did, Did::LookUp(_)));
        assert_eq!(did, [Did::Bind(relay)]);
        let event = Event::Allocated {
            path: self.path,
            user: self.name.as_str().into(),
            relayed: match relay {
                SocketAddr::V4(_) => [Some(relay), None],
                SocketAddr::V6(_) => [None, Some(relay)],
            },
        };
        assert_eq!(host.events(), [event]);
        relay
    }

    pub(crate) fn refresh(&mut self, host: &mut Host, lifetime: u32) -> Answer {
        self.ask(host, Method::REFRESH, |w| {
            w.push(&Lifetime(lifetime)).map(drop)
        })
    }

    pub(crate) fn permit(&mut self, host: &mut Host, peers: &[&str]) -> Option<u16> {
        let answer = self.ask(host, Method::CREATE_PERMISSION, |w| {
            peers
                .iter()
                .try_for_each(|peer| w.push(&XorPeerAddress(addr(peer))).map(drop))
        });
        answer.error
    }

    pub(crate) fn bind(&mut self, host: &mut Host, number: u16, peer: &str) -> Option<u16> {
        let answer = self.ask(host, Method::CHANNEL_BIND, |w| {
            w.push(&ChannelNumber(number))?
                .push(&XorPeerAddress(addr(peer)))
                .map(drop)
        });
        answer.error
    }

    /// A Send indication.
    pub(crate) fn send_to(&mut self, host: &mut Host, peer: &str, data: &[u8]) -> Reaction {
        let peer = XorPeerAddress(addr(peer));
        let bytes = self.message(Method::SEND, Class::Indication, |w| {
            w.push(&peer)?.push(&Data(data)).map(drop)
        });
        host.client(&self.path, &bytes)
    }

    pub(crate) fn channel_data(&mut self, host: &mut Host, number: u16, data: &[u8]) -> Reaction {
        let mut bytes = ChannelData::header(number, data.len() as u16).to_vec();
        bytes.extend_from_slice(data);
        host.client(&self.path, &bytes)
    }
}
