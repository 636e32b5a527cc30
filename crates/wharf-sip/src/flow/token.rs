//! Flow tokens: a flow as a text that only this element can make (RFC 5626 §5.2, §5.3).

use std::net::{IpAddr, SocketAddr};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use super::{Flow, FlowError, FlowId};
use crate::Transport;

/// What the key is used for here and nowhere else.
const PURPOSE: &[u8] = b"wharf sip flow token 1";
/// Bytes of the truncated HMAC: 128 bits.
const MAC: usize = 16;
/// The longest token in bytes: id, transport and two addresses of IPv6, and the HMAC.
const MAX_TOKEN: usize = 8 + 1 + 2 * (1 + 16 + 2) + MAC;

/// What a token says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SealedFlow {
    /// The id in the table of the time. Of no meaning for UDP, which has no connections.
    pub id: FlowId,
    /// The flow itself: enough to send a datagram by.
    pub flow: Flow,
}

/// Makes and reads flow tokens.
///
/// A token holds the flow and an HMAC-SHA256 of it, truncated to 128 bits, in the URL-safe alphabet of
/// Base64: at most 84 characters, each of which may stand in the user part of a URI unescaped. It says
/// to its reader which addresses this element speaks to; that is no secret to the peers that carry it.
#[derive(Clone)]
pub struct FlowTokens {
    current: Hmac<Sha256>,
    previous: Option<Hmac<Sha256>>,
    usage: &'static [u8],
}

impl FlowTokens {
    /// Tokens under this key: 32 random bytes that nobody else knows.
    pub fn new(key: &[u8; 32]) -> Self {
        Self::for_usage(key, b"")
    }

    /// Tokens under this key that are good for one thing only: those of another `usage` do not open here,
    /// nor do these open there. So an element tells two kinds of flows apart, whoever presents a token.
    pub fn for_usage(key: &[u8; 32], usage: &'static [u8]) -> Self {
        Self {
            current: keyed(key, usage),
            previous: None,
            usage,
        }
    }

    /// Makes tokens under another key from now on. Those under the key before it are understood until
    /// the next change.
    pub fn rotate(&mut self, key: &[u8; 32]) {
        self.previous = Some(std::mem::replace(&mut self.current, keyed(key, self.usage)));
    }

    /// The token of a flow. For a flow over UDP any id will do, [`FlowId::default`] for one.
    pub fn seal(&self, id: FlowId, flow: &Flow) -> String {
        let mut bytes = Vec::with_capacity(MAX_TOKEN);
        bytes.extend(id.slot.to_be_bytes());
        bytes.extend(id.generation.to_be_bytes());
        bytes.push(code(flow.transport));
        for address in [flow.local, flow.remote] {
            match address.ip() {
                IpAddr::V4(ip) => {
                    bytes.push(4);
                    bytes.extend(ip.octets());
                }
                IpAddr::V6(ip) => {
                    bytes.push(6);
                    bytes.extend(ip.octets());
                }
            }
            bytes.extend(address.port().to_be_bytes());
        }
        bytes.extend(mac(&self.current, &bytes));
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// What a token says, if it was made under one of the keys; it may come from anybody.
    pub fn open(&self, token: &str) -> Result<SealedFlow, FlowError> {
        let mut bytes = [0; MAX_TOKEN];
        let length = URL_SAFE_NO_PAD.decode_slice(token, &mut bytes);
        let length = length.map_err(|_| FlowError::Forged)?;
        let (said, seal) = bytes[..length]
            .split_last_chunk::<MAC>()
            .ok_or(FlowError::Forged)?;
        let made = |key: &Hmac<Sha256>| bool::from(mac(key, said).ct_eq(seal));
        if !made(&self.current) && !self.previous.as_ref().is_some_and(made) {
            return Err(FlowError::Forged);
        }
        read(said).ok_or(FlowError::Forged)
    }
}

impl std::fmt::Debug for FlowTokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FlowTokens").finish_non_exhaustive()
    }
}

fn keyed(key: &[u8; 32], usage: &[u8]) -> Hmac<Sha256> {
    let hmac: Hmac<Sha256> = Hmac::new_from_slice(key).expect("HMAC takes keys of any length");
    // What follows begins with an id, so its length tells a usage from the flow behind it.
    hmac.chain_update(PURPOSE)
        .chain_update([usage.len() as u8])
        .chain_update(usage)
}

fn mac(key: &Hmac<Sha256>, bytes: &[u8]) -> [u8; MAC] {
    let whole = key.clone().chain_update(bytes).finalize().into_bytes();
    std::array::from_fn(|at| whole[at])
}

/// The place of a transport among all; another order would make other tokens.
fn code(transport: Transport) -> u8 {
    Transport::ALL
        .iter()
        .position(|&one| one == transport)
        .map_or(u8::MAX, |at| at as u8)
}

fn read(said: &[u8]) -> Option<SealedFlow> {
    let (slot, rest) = said.split_first_chunk()?;
    let (generation, rest) = rest.split_first_chunk()?;
    let (&transport, rest) = rest.split_first()?;
    let (local, rest) = read_address(rest)?;
    let (remote, _) = read_address(rest)?;
    let id = FlowId {
        slot: u32::from_be_bytes(*slot),
        generation: u32::from_be_bytes(*generation),
    };
    let transport = *Transport::ALL.get(usize::from(transport))?;
    let flow = Flow {
        transport,
        local,
        remote,
    };
    Some(SealedFlow { id, flow })
}

fn read_address(bytes: &[u8]) -> Option<(SocketAddr, &[u8])> {
    let (ip, rest): (IpAddr, _) = match bytes.split_first()? {
        (4, rest) => rest
            .split_first_chunk::<4>()
            .map(|(ip, rest)| ((*ip).into(), rest))?,
        (6, rest) => rest
            .split_first_chunk::<16>()
            .map(|(ip, rest)| ((*ip).into(), rest))?,
        _ => return None,
    };
    let (port, rest) = rest.split_first_chunk()?;
    Some((SocketAddr::new(ip, u16::from_be_bytes(*port)), rest))
}
