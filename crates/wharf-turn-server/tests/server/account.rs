//! Who a client is, and its requests.

use wharf_stun::attribute::{
    Nonce, PasswordAlgorithm, PasswordAlgorithms, Realm, UserHash, Username,
};
use wharf_stun::{
    Class, Message, MessageType, Method, Sha1Key, Sha256Key, TransactionId, Writer, credential,
};

use crate::client::Fill;
use crate::support::REALM;

/// How a client says who it is.
#[derive(Clone, Debug)]
pub(crate) struct Login {
    pub(crate) name: String,
    pub(crate) password: String,
    /// PASSWORD-ALGORITHM SHA-256 and MESSAGE-INTEGRITY-SHA256 instead of RFC 5389's ways.
    pub(crate) sha256: bool,
    /// USERHASH instead of USERNAME.
    pub(crate) hashed: bool,
}

impl Login {
    pub(crate) fn new(name: &str, password: &str) -> Self {
        Self {
            name: name.into(),
            password: password.into(),
            sha256: false,
            hashed: false,
        }
    }

    pub(crate) fn alice() -> Self {
        Self::new("alice", "wonderland")
    }

    pub(crate) fn bob() -> Self {
        Self::new("bob", "builder")
    }
}

/// A user, and the nonce that the server has given.
#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) login: Login,
    pub(crate) nonce: Option<Vec<u8>>,
}

impl Account {
    pub(crate) fn new(login: Login) -> Self {
        Self { login, nonce: None }
    }

    fn keys(&self) -> ([u8; 16], [u8; 32]) {
        let Login { name, password, .. } = &self.login;
        let md5 = credential::long_term_md5(name, REALM, password);
        (md5, credential::long_term_sha256(name, REALM, password))
    }

    pub(crate) fn is_signed(&self, message: &Message<'_>) -> bool {
        let (md5, sha256) = self.keys();
        if self.login.sha256 {
            message.verify_sha256(&Sha256Key::new(&sha256))
        } else {
            message.verify_sha1(&Sha1Key::new(&md5))
        }
    }

    pub(crate) fn write(&self, method: Method, id: TransactionId, fill: Fill<'_>) -> Vec<u8> {
        let mut buffer = vec![0; 1_500];
        let class = Class::Request;
        let mut writer = Writer::new(&mut buffer, MessageType { method, class }, id).unwrap();
        fill(&mut writer);
        if let Some(nonce) = &self.nonce {
            self.sign(&mut writer, nonce);
        }
        let length = writer.len();
        buffer.truncate(length);
        buffer
    }

    fn sign(&self, writer: &mut Writer<'_>, nonce: &[u8]) {
        let name = &self.login.name;
        if self.login.hashed {
            let hash = credential::userhash(name, REALM);
            writer.push(&UserHash(hash)).unwrap();
        } else {
            writer.push(&Username(name)).unwrap();
        }
        writer.push(&Realm(REALM)).unwrap();
        writer.push(&Nonce(nonce)).unwrap();
        let (md5, sha256) = self.keys();
        if self.login.sha256 {
            let offered = [PasswordAlgorithm::MD5, PasswordAlgorithm::SHA256];
            writer.push(&PasswordAlgorithms::new(&offered)).unwrap();
            writer.push(&PasswordAlgorithm::SHA256).unwrap();
            writer.integrity_sha256(&Sha256Key::new(&sha256)).unwrap();
        } else {
            writer.integrity_sha1(&Sha1Key::new(&md5)).unwrap();
        }
    }
}
