//! A user's keys, and a bounded cache of them.

use std::fmt;
use std::hash::Hash;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use hashbrown::{Equivalent, HashMap};
use wharf_stun::{Sha1Key, Sha256Key, credential};

/// How a request names its user.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum UserId {
    /// USERNAME.
    Name(Box<str>),
    /// USERHASH: SHA-256 of `username:realm` (RFC 8489 §14.4).
    Hash([u8; 32]),
}

/// The same, borrowed from a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum UserRef<'a> {
    Name(&'a str),
    Hash([u8; 32]),
}

impl UserRef<'_> {
    pub(crate) fn to_owned(self) -> UserId {
        match self {
            Self::Name(name) => UserId::Name(name.into()),
            Self::Hash(hash) => UserId::Hash(hash),
        }
    }
}

impl UserId {
    fn borrow(&self) -> UserRef<'_> {
        match self {
            Self::Name(name) => UserRef::Name(name),
            Self::Hash(hash) => UserRef::Hash(*hash),
        }
    }
}

impl Equivalent<UserId> for UserRef<'_> {
    fn equivalent(&self, key: &UserId) -> bool {
        *self == key.borrow()
    }
}

/// A key derived with one password algorithm, ready for either HMAC.
struct Key {
    bytes: Box<[u8]>,
    sha1: OnceLock<Sha1Key>,
    sha256: OnceLock<Sha256Key>,
}

impl Key {
    fn new(bytes: &[u8]) -> Self {
        Self {
            bytes: bytes.into(),
            sha1: OnceLock::new(),
            sha256: OnceLock::new(),
        }
    }
}

/// What a server keeps of a user: keys, never the password (RFC 8656 §5).
pub struct Credential {
    name: Box<str>,
    hash: OnceLock<[u8; 32]>,
    realm: Box<str>,
    user: Arc<str>,
    md5: Option<Key>,
    sha256: Option<Key>,
    valid_until: Option<Instant>,
}

impl Credential {
    /// From a password. `user` is the id that quotas count, which may be shorter than the USERNAME.
    pub fn from_password(name: &str, user: Arc<str>, realm: &str, password: &str) -> Self {
        Self::from_keys(
            name,
            user,
            realm,
            Some(credential::long_term_md5(name, realm, password)),
            Some(credential::long_term_sha256(name, realm, password)),
        )
    }

    /// From keys (RFC 8489 §9.2.2): `MD5(name:realm:password)`, `SHA-256(name:realm:password)`. A request
    /// that uses the algorithm of an absent key is refused like one with a wrong password.
    pub fn from_keys(
        name: &str,
        user: Arc<str>,
        realm: &str,
        md5: Option<[u8; 16]>,
        sha256: Option<[u8; 32]>,
    ) -> Self {
        Self {
            name: name.into(),
            hash: OnceLock::new(),
            realm: realm.into(),
            user,
            md5: md5.map(|key| Key::new(&key)),
            sha256: sha256.map(|key| Key::new(&key)),
            valid_until: None,
        }
    }

    /// Makes no new allocation from this moment on.
    #[must_use]
    pub fn valid_until(mut self, moment: Instant) -> Self {
        self.valid_until = Some(moment);
        self
    }

    /// The id that quotas count.
    pub fn user(&self) -> &Arc<str> {
        &self.user
    }

    /// The USERNAME.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn is_valid(&self, now: Instant) -> bool {
        self.valid_until.is_none_or(|until| now < until)
    }

    pub(crate) fn is_of(&self, user: UserRef<'_>) -> bool {
        match user {
            UserRef::Name(name) => name == &*self.name,
            UserRef::Hash(hash) => {
                hash == *self
                    .hash
                    .get_or_init(|| credential::userhash(&self.name, &self.realm))
            }
        }
    }

    fn key(&self, algorithm: Algorithm) -> Option<&Key> {
        match algorithm {
            Algorithm::Md5 => self.md5.as_ref(),
            Algorithm::Sha256 => self.sha256.as_ref(),
        }
    }

    pub(crate) fn sha1_key(&self, algorithm: Algorithm) -> Option<&Sha1Key> {
        let key = self.key(algorithm)?;
        Some(key.sha1.get_or_init(|| Sha1Key::new(&key.bytes)))
    }

    pub(crate) fn sha256_key(&self, algorithm: Algorithm) -> Option<&Sha256Key> {
        let key = self.key(algorithm)?;
        Some(key.sha256.get_or_init(|| Sha256Key::new(&key.bytes)))
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl PartialEq for Credential {
    fn eq(&self, other: &Self) -> bool {
        let bytes = |key: &Option<Key>| key.as_ref().map(|key| key.bytes.clone());
        self.name == other.name
            && self.realm == other.realm
            && self.user == other.user
            && self.valid_until == other.valid_until
            && bytes(&self.md5) == bytes(&other.md5)
            && bytes(&self.sha256) == bytes(&other.sha256)
    }
}

impl Eq for Credential {}

/// A password algorithm (RFC 8489 §18.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Algorithm {
    Md5,
    Sha256,
}

/// Credentials seen lately. Two generations: when the young one is full it becomes the old one, and the
/// old one is forgotten; what is used from the old one becomes young again. Memory is bounded and what
/// is in use stays.
#[derive(Debug)]
pub(crate) struct Cache {
    young: HashMap<UserId, Entry, foldhash::fast::FixedState>,
    old: HashMap<UserId, Entry, foldhash::fast::FixedState>,
    capacity: usize,
}

#[derive(Debug)]
struct Entry {
    credential: Arc<Credential>,
    until: Instant,
}

impl Cache {
    pub(crate) fn new(capacity: usize, seed: u64) -> Self {
        let map = || HashMap::with_hasher(foldhash::fast::FixedState::with_seed(seed));
        Self {
            young: map(),
            old: map(),
            capacity: capacity.div_ceil(2),
        }
    }

    pub(crate) fn get(&mut self, now: Instant, user: UserRef<'_>) -> Option<&Arc<Credential>> {
        if let Some((user, entry)) = self.old.remove_entry(&user) {
            self.insert(user, entry.credential, entry.until);
        }
        let entry = self.young.get(&user)?;
        (now < entry.until && entry.credential.is_valid(now)).then_some(&entry.credential)
    }

    pub(crate) fn insert(&mut self, user: UserId, credential: Arc<Credential>, until: Instant) {
        if self.young.len() >= self.capacity {
            std::mem::swap(&mut self.young, &mut self.old);
            self.young.clear();
        }
        if self.capacity > 0 {
            self.young.insert(user, Entry { credential, until });
        }
    }

    pub(crate) fn clear(&mut self) {
        self.young.clear();
        self.old.clear();
    }
}
