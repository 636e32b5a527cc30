//! Clients over DTLS (RFC 7350), on the sockets and in the workers of plain UDP.
//!
//! The first byte tells DTLS from STUN and ChannelData (RFC 7983 §7). A client that has not proven its
//! address is answered with a cookie, and nothing is kept of it; only one that comes back with a good
//! cookie begins a session, which belongs to its worker, as the kernel steers it there by addresses and
//! ports. A record is one STUN message or one ChannelData, both ways (RFC 7350 §4.1); the core sees a
//! path of its own and plain bytes.

mod gate;
mod serve;
mod sessions;

use std::net::SocketAddr;
use std::time::Duration;

use wharf_dtls::ServerContext;

pub(crate) use sessions::Sessions;

/// Clients over DTLS.
#[derive(Clone, Debug)]
pub struct DtlsOptions {
    /// Addresses whose sockets speak DTLS beside plain STUN and TURN. One that is also in
    /// [`Config::listen`](crate::Config::listen) is one socket. Port 0 takes a free port.
    pub listen: Vec<SocketAddr>,
    /// Certificates, keys and rules, of which each worker makes a context of its own.
    pub context: ServerContext,
    /// Sessions, those included whose handshakes are not complete. Each worker has an equal share,
    /// rounded up. Default 100,000. What comes beyond is not answered.
    pub max_sessions: usize,
    /// Sessions whose handshakes are not complete, shared out likewise. Default 4,096.
    pub max_handshakes: usize,
    /// Sessions of one source, an IPv4 address or an IPv6 /64, those included whose handshakes are not
    /// complete; 0: as many as there may be at all. Shared out likewise: as the kernel spreads the
    /// sessions of a source over the workers by its ports, one of them may be full a little before its
    /// source has so many. Default 1,024. What comes beyond is not answered.
    pub max_sessions_per_prefix: u32,
    /// Those of them whose handshakes are not complete, likewise. Default 256.
    pub max_handshakes_per_prefix: u32,
    /// How long a handshake may take from the good cookie on. Default 10 s.
    pub handshake_timeout: Duration,
    /// How long a client has to come back with its cookie, at least; at most twice as long. Default 30 s.
    pub cookie_lifetime: Duration,
    /// A session without an allocation is closed when it has brought nothing for so long. Default 60 s.
    pub idle: Duration,
}

impl DtlsOptions {
    /// DTLS at these addresses, with the default of all else.
    pub fn new(listen: Vec<SocketAddr>, context: ServerContext) -> Self {
        Self {
            listen,
            context,
            max_sessions: 100_000,
            max_handshakes: 4_096,
            max_sessions_per_prefix: 1_024,
            max_handshakes_per_prefix: 256,
            handshake_timeout: Duration::from_secs(10),
            cookie_lifetime: Duration::from_secs(30),
            idle: Duration::from_mins(1),
        }
    }
}
