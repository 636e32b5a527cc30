//! Who may allocate: users with passwords, shared secrets of the TURN REST scheme, and a back-end of the
//! caller's own.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;
use wharf_stun::credential::{PrepareError, opaque_string, userhash};
use wharf_turn::{ClientPath, CommandId, Credential, CredentialAnswer, UserId};

use crate::control::Inbox;

/// The sources of credentials, asked in this order: users, secrets, back-end.
#[derive(Clone, Default)]
pub struct Credentials {
    realm: String,
    users: HashMap<Box<str>, Arc<Credential>>,
    hashes: HashMap<[u8; 32], Arc<Credential>>,
    secrets: Vec<Box<[u8]>>,
    backend: Option<Arc<dyn Fn(LookUp) + Send + Sync>>,
}

impl Credentials {
    /// Nobody, yet. `realm` is the same as the core's.
    pub fn new(realm: &str) -> Self {
        Self {
            realm: realm.to_owned(),
            ..Self::default()
        }
    }

    /// A user with a password, which is prepared with the OpaqueString profile (RFC 8489 §9.2.2,
    /// RFC 8265 §4.2). An error for a password that the profile does not permit, such as an empty one
    /// or one with control characters.
    pub fn add_user(&mut self, name: &str, password: &str) -> Result<(), PrepareError> {
        let password = opaque_string(password)?;
        self.add(Credential::from_password(
            name,
            name.into(),
            &self.realm,
            &password,
        ));
        Ok(())
    }

    /// A user with keys (RFC 8489 §9.2.2): `MD5(name:realm:password)` and
    /// `SHA-256(name:realm:password)`. A client that chooses the algorithm of an absent key gets a 401.
    pub fn add_keys(&mut self, name: &str, md5: Option<[u8; 16]>, sha256: Option<[u8; 32]>) {
        self.add(Credential::from_keys(
            name,
            name.into(),
            &self.realm,
            md5,
            sha256,
        ));
    }

    fn add(&mut self, credential: Credential) {
        let credential = Arc::new(credential);
        let name = credential.name();
        self.hashes
            .insert(userhash(name, &self.realm), Arc::clone(&credential));
        self.users.insert(name.into(), credential);
    }

    /// A secret of the TURN REST scheme (draft-uberti-behave-turn-rest): a user name is
    /// `expiry:user` or `expiry`, in seconds since 1970, and its password is
    /// `base64(HMAC-SHA1(secret, user name))`. Each of several secrets is good, for rotation. Quotas
    /// count the part behind the colon.
    pub fn add_secret(&mut self, secret: &[u8]) {
        self.secrets.push(secret.into());
    }

    /// A back-end for users who are found nowhere else. It is called on a worker's thread and must not
    /// wait: it passes the [`LookUp`] on and answers it from anywhere, now or later.
    pub fn set_backend(&mut self, backend: impl Fn(LookUp) + Send + Sync + 'static) {
        self.backend = Some(Arc::new(backend));
    }

    pub(crate) fn look_up(
        &self,
        now: Instant,
        user: UserId,
        path: ClientPath,
        id: CommandId,
        inbox: &Arc<Inbox>,
    ) -> Option<CredentialAnswer> {
        let known = match &user {
            UserId::Name(name) => self.users.get(name),
            UserId::Hash(hash) => self.hashes.get(hash),
        };
        if let Some(credential) = known {
            return Some(CredentialAnswer::Found(vec![Arc::clone(credential)]));
        }
        if let UserId::Name(name) = &user
            && let Some(answer) = self.rest(now, name)
        {
            return Some(answer);
        }
        let Some(backend) = &self.backend else {
            return Some(CredentialAnswer::Unknown);
        };
        backend(LookUp {
            user,
            path,
            reply: Some((id, Arc::clone(inbox))),
        });
        None
    }

    /// The credentials that the secrets give a user name of the REST scheme; `None` if it is none.
    fn rest(&self, now: Instant, name: &str) -> Option<CredentialAnswer> {
        if self.secrets.is_empty() {
            return None;
        }
        let (expiry, user) = name.split_once(':').unwrap_or((name, name));
        let expiry = Duration::from_secs(expiry.parse().ok()?);
        let unix = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let left = match expiry.checked_sub(unix) {
            Some(left) if !left.is_zero() => left,
            _ => return Some(CredentialAnswer::Unknown),
        };
        let user: Arc<str> = user.into();
        let credentials = self.secrets.iter().map(|secret| {
            let password = rest_password(secret, name);
            let credential =
                Credential::from_password(name, Arc::clone(&user), &self.realm, &password);
            // An expiry beyond what the clock can count never comes.
            Arc::new(match now.checked_add(left) {
                Some(until) => credential.valid_until(until),
                None => credential,
            })
        });
        Some(CredentialAnswer::Found(credentials.collect()))
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("users", &self.users.len())
            .field("secrets", &self.secrets.len())
            .field("backend", &self.backend.is_some())
            .finish_non_exhaustive()
    }
}

/// The password of a user name in the TURN REST scheme: `base64(HMAC-SHA1(secret, name))`.
pub fn rest_password(secret: &[u8], name: &str) -> String {
    let mut mac = Hmac::<Sha1>::new_from_slice(secret).expect("HMAC takes a key of any length");
    mac.update(name.as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}

/// A question to a credential back-end. Dropped without an answer, it counts as
/// [`CredentialAnswer::Unavailable`], so that no request waits for ever.
#[derive(Debug)]
pub struct LookUp {
    user: UserId,
    path: ClientPath,
    reply: Option<(CommandId, Arc<Inbox>)>,
}

impl LookUp {
    /// Who is asked for.
    pub fn user(&self) -> &UserId {
        &self.user
    }

    /// Who asks.
    pub fn path(&self) -> &ClientPath {
        &self.path
    }

    /// Answers, from any thread.
    pub fn answer(mut self, answer: CredentialAnswer) {
        self.send(answer);
    }

    fn send(&mut self, answer: CredentialAnswer) {
        if let Some((id, inbox)) = self.reply.take() {
            inbox.answer(id, answer);
        }
    }
}

impl Drop for LookUp {
    fn drop(&mut self) {
        self.send(CredentialAnswer::Unavailable);
    }
}
