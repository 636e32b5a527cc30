//! How an edge that keeps nothing knows flows again: tokens in Via, Path and Record-Route.

use wharf_sip::flow::{FlowError, FlowTokens, SealedFlow};
use wharf_sip::locate::seed_of;
use wharf_sip::{Scan, Via};

use super::{EdgeError, EdgeSecret};
use crate::FlowRef;

/// What branches begin with (RFC 3261 §8.1.1.7).
const COOKIE: &str = "z9hG4bK";
/// Characters of the part of a branch that tells transactions apart.
const TRANSACTION: usize = 16;

/// On which side of the edge a flow is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Client,
    Upstream,
}

/// A token that has opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) side: Side,
    pub(super) sealed: SealedFlow,
}

/// Makes and reads tokens: a letter for the side, which the seal confirms, and the sealed flow.
#[derive(Debug)]
pub(super) struct Tokens {
    clients: FlowTokens,
    upstream: FlowTokens,
    /// Of the hashes that tell transactions apart. Another process may have another.
    hash: [u8; 16],
}

impl Tokens {
    pub(super) fn new(secret: Option<EdgeSecret>) -> Result<Self, EdgeError> {
        let mut random = [0; 48];
        getrandom::fill(&mut random).map_err(|_| EdgeError::Entropy)?;
        let (key, hash) = random.split_at(32);
        let key = secret.map_or_else(|| std::array::from_fn(|at| key[at]), |secret| secret.0);
        Ok(Self {
            clients: FlowTokens::for_usage(&key, b"client"),
            upstream: FlowTokens::for_usage(&key, b"upstream"),
            hash: std::array::from_fn(|at| hash[at]),
        })
    }

    pub(super) fn seal(&self, side: Side, flow: &FlowRef) -> String {
        let (letter, tokens) = match side {
            Side::Client => ('c', &self.clients),
            Side::Upstream => ('u', &self.upstream),
        };
        format!("{letter}{}", tokens.seal(flow.id, &flow.flow))
    }

    pub(super) fn open(&self, token: &str) -> Result<Token, FlowError> {
        let (side, tokens, sealed) = if let Some(sealed) = token.strip_prefix('c') {
            (Side::Client, &self.clients, sealed)
        } else if let Some(sealed) = token.strip_prefix('u') {
            (Side::Upstream, &self.upstream, sealed)
        } else {
            return Err(FlowError::Forged);
        };
        let sealed = tokens.open(sealed)?;
        Ok(Token { side, sealed })
    }

    /// The branch for a request that came over the flow of `token`: for its retransmissions, its CANCEL and
    /// the ACK of a refusal the same, since they have its topmost Via (RFC 3261 §16.11).
    pub(super) fn branch(&self, message: &[u8], scan: &Scan, token: &str) -> String {
        format!("{COOKIE}{:016x}.{token}", self.transaction(message, scan))
    }

    /// The token in a branch of ours.
    pub(super) fn in_branch(&self, via: &Via<'_>) -> Option<Token> {
        let branch = str::from_utf8(via.branch()?).ok()?;
        let rest = branch.strip_prefix(COOKIE)?;
        let token = rest.get(TRANSACTION..)?.strip_prefix('.')?;
        self.open(token).ok()
    }

    /// Tells the transaction of a request from others.
    pub(super) fn transaction(&self, message: &[u8], scan: &Scan) -> u64 {
        let mut words = Vec::with_capacity(128);
        let mut add = |word: &[u8]| {
            words.extend_from_slice(word);
            words.push(0);
        };
        let top = scan.via.map_or(&[][..], |via| via.top.of(message));
        add(top);
        let branch = Via::parse(top).ok().and_then(|via| via.branch());
        if !branch.is_some_and(|branch| branch.starts_with(COOKIE.as_bytes())) {
            // Who does not make its branches unique is known by the call and the number of the request.
            let cseq = scan.cseq.map_or(&[][..], |cseq| cseq.of(message));
            add(cseq
                .split(u8::is_ascii_whitespace)
                .next()
                .unwrap_or_default());
            add(scan.call_id.map_or(&[][..], |call| call.of(message)));
        }
        seed_of(&self.hash, &words)
    }
}
