//! The long-term credential mechanism, in the order of RFC 8489 §9.2.4.

use std::sync::Arc;
use std::time::Instant;

use wharf_stun::attribute::{
    Nonce, PasswordAlgorithm, PasswordAlgorithms, Realm, UserHash, Username,
};
use wharf_stun::{AttributeType, Message, WriteError, Writer};

use crate::credential::{Algorithm, UserRef};
use crate::reply::{Refusal, Request};
use crate::server::{Pending, Server};
use crate::{
    AuthFailure, ClientPath, Command, Credential, CredentialAnswer, DropReason, Event, Output,
};

/// The longest request that is kept while its user is looked up: a message should fit an MTU.
const MAX_KEPT: usize = 1_500;
/// The longest part of a USERNAME in an event.
const MAX_NAME: usize = 128;

/// A user who has proved to know the password, and how the reply is to be protected.
#[derive(Clone, Debug)]
pub(crate) struct Authenticated {
    pub(crate) credential: Arc<Credential>,
    algorithm: Algorithm,
    /// The request chose a password algorithm, so the reply carries MESSAGE-INTEGRITY-SHA256.
    modern: bool,
}

impl Authenticated {
    /// Protects a reply with the key of the request (RFC 8489 §9.2.4).
    pub(crate) fn sign(&self, writer: &mut Writer<'_>) -> Result<(), WriteError> {
        if self.modern {
            if let Some(key) = self.credential.sha256_key(self.algorithm) {
                writer.integrity_sha256(key)?;
            }
        } else if let Some(key) = self.credential.sha1_key(self.algorithm) {
            writer.integrity_sha1(key)?;
        }
        Ok(())
    }
}

/// Why a request is not authenticated, or not yet.
enum Unproven<'a> {
    Refused(Refusal),
    LookUp(UserRef<'a>, bool),
}

/// The credentials in a request.
struct Claim<'a> {
    user: UserRef<'a>,
    nonce: &'a [u8],
    algorithm: Algorithm,
    modern: bool,
}

impl Server {
    /// A request other than Binding: who is it, and if that is clear, what does it want? `answer` is
    /// there when the request has waited for it.
    pub(crate) fn handle_request(
        &mut self,
        now: Instant,
        path: &ClientPath,
        message: &Message<'_>,
        answer: Option<CredentialAnswer>,
    ) -> Output<'_> {
        let request = Request::new(path, message);
        match self.authenticate(now, path, message, answer) {
            Ok(user) => self.handle_authenticated(now, &request, message, &user),
            Err(Unproven::Refused(refusal)) => self.turn_away(now, &request, message, refusal),
            Err(Unproven::LookUp(user, fresh)) => self.look_up(now, &request, message, user, fresh),
        }
    }

    /// The request that waited for a look-up, with the answer.
    pub(crate) fn handle_looked_up(
        &mut self,
        now: Instant,
        path: &ClientPath,
        datagram: &[u8],
        answer: CredentialAnswer,
    ) -> Output<'_> {
        match Message::parse(datagram) {
            Ok(message) => self.handle_request(now, path, &message, Some(answer)),
            Err(_) => Output::Dropped(DropReason::Malformed),
        }
    }

    fn authenticate<'m>(
        &mut self,
        now: Instant,
        path: &ClientPath,
        message: &Message<'m>,
        answer: Option<CredentialAnswer>,
    ) -> Result<Authenticated, Unproven<'m>> {
        let claim = self.claim(message).map_err(Unproven::Refused)?;
        let mut known_before = false;
        let verified = match self.credential(now, path, claim.user, answer) {
            Known::One(credential) => {
                known_before = true;
                Some(credential).filter(|credential| verify(message, credential, &claim))
            }
            Known::Several(credentials) => {
                let found = credentials
                    .into_iter()
                    .find(|known| verify(message, known, &claim));
                if let Some(credential) = &found {
                    let until = now + self.config.credential_ttl;
                    let (user, credential) = (claim.user.to_owned(), Arc::clone(credential));
                    self.credentials.insert(user, credential, until);
                }
                found
            }
            Known::No => {
                let _ = verify(message, &self.nobody, &claim);
                return Err(Unproven::Refused(Refusal::Unauthorized(
                    AuthFailure::UnknownUser,
                )));
            }
            Known::Never => return Err(Unproven::Refused(Refusal::ServerError)),
            Known::Ask => {
                let fresh = self.nonces.is_valid(now, path.client, claim.nonce);
                return Err(Unproven::LookUp(claim.user, fresh));
            }
        };
        let Some(credential) = verified else {
            // The password, or the secret that it is made with, may have changed since.
            if known_before {
                let fresh = self.nonces.is_valid(now, path.client, claim.nonce);
                return Err(Unproven::LookUp(claim.user, fresh));
            }
            return Err(Unproven::Refused(Refusal::Unauthorized(
                AuthFailure::WrongPassword,
            )));
        };
        // RFC 8489 looks at the nonce's age only after the integrity.
        if !self.nonces.is_valid(now, path.client, claim.nonce) {
            return Err(Unproven::Refused(Refusal::StaleNonce));
        }
        Ok(Authenticated {
            credential,
            algorithm: claim.algorithm,
            modern: claim.modern,
        })
    }

    fn claim<'m>(&self, message: &Message<'m>) -> Result<Claim<'m>, Refusal> {
        if !message.has(AttributeType::MESSAGE_INTEGRITY)
            && !message.has(AttributeType::MESSAGE_INTEGRITY_SHA256)
        {
            return Err(Refusal::Challenge);
        }
        let user = match (message.get::<Username<'_>>(), message.get::<UserHash>()) {
            (Some(Ok(Username(name))), _) => UserRef::Name(name),
            (None, Some(Ok(UserHash(hash)))) => UserRef::Hash(hash),
            _ => return Err(Refusal::BadRequest),
        };
        let Some(Ok(Realm(_))) = message.get::<Realm<'_>>() else {
            return Err(Refusal::BadRequest);
        };
        let Some(Ok(Nonce(nonce))) = message.get::<Nonce<'_>>() else {
            return Err(Refusal::BadRequest);
        };
        let mut claim = Claim {
            user,
            nonce,
            algorithm: Algorithm::Md5,
            modern: false,
        };
        // The security features count only in a nonce of ours: a client's own claims do not.
        if !self.offered.is_empty() && self.nonces.has_our_cookie(nonce) {
            let list = message.get::<PasswordAlgorithms<'_>>();
            let choice = message.get::<PasswordAlgorithm<'_>>();
            claim.algorithm = match (list, choice) {
                // As though MD5 had been chosen, so that must be on offer.
                (None, None) if self.offered.contains(&PasswordAlgorithm::MD5) => return Ok(claim),
                (Some(Ok(list)), Some(Ok(choice)))
                    if list == PasswordAlgorithms::new(self.offered)
                        && self.offered.contains(&choice) =>
                {
                    if choice == PasswordAlgorithm::MD5 {
                        Algorithm::Md5
                    } else {
                        Algorithm::Sha256
                    }
                }
                _ => return Err(Refusal::BadRequest),
            };
            claim.modern = true;
        }
        Ok(claim)
    }

    /// The credential of the allocation on this five-tuple, or one just answered, or one cached.
    fn credential(
        &mut self,
        now: Instant,
        path: &ClientPath,
        user: UserRef<'_>,
        answer: Option<CredentialAnswer>,
    ) -> Known {
        match answer {
            Some(CredentialAnswer::Found(mut credentials)) => {
                credentials.retain(|known| known.is_valid(now) && known.is_of(user));
                return if credentials.is_empty() {
                    Known::No
                } else {
                    Known::Several(credentials)
                };
            }
            Some(CredentialAnswer::Unknown) => return Known::No,
            Some(CredentialAnswer::Unavailable) => return Known::Never,
            None => {}
        }
        let own = self
            .allocations
            .find(path)
            .map(|index| self.allocations.get(index))
            .filter(|allocation| !allocation.has_ended(now))
            .map(|allocation| &allocation.credential);
        if let Some(credential) = own.filter(|credential| credential.is_of(user)) {
            if self.config.strict_expiry && !credential.is_valid(now) {
                return Known::No;
            }
            return Known::One(Arc::clone(credential));
        }
        match self.credentials.get(now, user) {
            Some(credential) => Known::One(Arc::clone(credential)),
            None => Known::Ask,
        }
    }

    /// Asks for the user's credential and keeps the request until the answer. The room is bounded, and
    /// its second half is for those who have shown that they receive at the address they send from.
    fn look_up(
        &mut self,
        now: Instant,
        request: &Request,
        message: &Message<'_>,
        user: UserRef<'_>,
        fresh: bool,
    ) -> Output<'_> {
        if message.bytes().len() > MAX_KEPT || self.look_ups >= self.config.max_look_ups {
            // RFC 8489 §6.2.2: over a stream a request is not sent again, so that silence would last.
            return if request.path.transport.is_stream() {
                self.turn_away(now, request, message, Refusal::ServerError)
            } else {
                Output::Dropped(DropReason::LookUpsFull)
            };
        }
        if !fresh && self.look_ups >= self.config.max_look_ups / 2 {
            return self.turn_away(now, request, message, Refusal::StaleNonce);
        }
        self.look_ups += 1;
        let datagram = message.bytes().into();
        let id = self.push_pending(Pending::LookUp {
            path: request.path,
            datagram,
        });
        let command = Command::LookUpCredential {
            id,
            user: user.to_owned(),
            path: request.path,
        };
        self.commands.push_back(command);
        Output::Waiting
    }

    /// An error for somebody who has proved nothing, if the limit on such answers allows one.
    pub(crate) fn turn_away(
        &mut self,
        now: Instant,
        request: &Request,
        message: &Message<'_>,
        refusal: Refusal,
    ) -> Output<'_> {
        if !self.may_answer(now, &request.path) {
            return Output::Dropped(DropReason::RateLimited);
        }
        if let Refusal::Unauthorized(why) = refusal {
            let user = match message.get::<Username<'_>>() {
                Some(Ok(Username(name))) => Some(name[..name.floor_char_boundary(MAX_NAME)].into()),
                _ => None,
            };
            let path = request.path;
            self.events
                .push_back(Event::AuthenticationFailed { path, user, why });
        }
        self.deny(now, request, refusal)
    }
}

/// What is known of a user.
enum Known {
    /// The keys of the allocation on this five-tuple, or cached ones.
    One(Arc<Credential>),
    /// What the back-end found.
    Several(Vec<Arc<Credential>>),
    /// There is no such user.
    No,
    /// The back-end can't say.
    Never,
    /// The back-end has to be asked.
    Ask,
}

/// When both are there, only MESSAGE-INTEGRITY-SHA256 counts (RFC 8489 §9.2.4).
fn verify(message: &Message<'_>, credential: &Credential, claim: &Claim<'_>) -> bool {
    if message.has(AttributeType::MESSAGE_INTEGRITY_SHA256) {
        let key = credential.sha256_key(claim.algorithm);
        key.is_some_and(|key| message.verify_sha256(key))
    } else {
        let key = credential.sha1_key(claim.algorithm);
        key.is_some_and(|key| message.verify_sha1(key))
    }
}
