//! Wharf's side: a server with its defaults, and for `accept` with every stage of admission on.

use wharf::config::{Limits, Rate, Rates};
use wharf::{Admit, Listen, Quic, Server, Stream, Tcp, Tls, Unix, Ws};

use super::options::{ServerRole, Transport, Work};
use super::serve::{Job, bytes, messages, until_the_end};
use crate::Failure;

/// Connections that an overloaded server works for at once.
const AT_ONCE: u64 = 64;
/// Connections that wait in the kernel meanwhile, first come first served: a fifth of a second's work.
/// With more than a second's work nearly every answer would come too late to be of use.
const BACKLOG: u32 = 256;
/// A rate that is checked and never reached.
const UNREACHED: Rate = Rate {
    per_second: 10_000_000,
    burst: 10_000_000,
};

/// Serves until the process ends.
pub(super) async fn run(role: &ServerRole, job: Job) -> Result<(), Failure> {
    let path = role
        .folder
        .join(format!("wharf-{}.sock", std::process::id()));
    let file = |name: &str| wharf::config::Pem::File(role.folder.join(name));
    let listen = match role.transport {
        Transport::Tcp => Tcp::bind("127.0.0.1:0"),
        Transport::Unix => Unix::bind(path.to_string_lossy()),
        Transport::Tls => Tls::bind("127.0.0.1:0").cert(file("cert.pem"), file("key.pem")),
        Transport::Ws => Ws::bind("127.0.0.1:0"),
        Transport::Quic => Quic::bind("127.0.0.1:0").cert(file("cert.pem"), file("key.pem")),
    };
    let listen = match role.work {
        Work::Accept => guarded(listen),
        Work::Overload => listen
            .limits(Limits {
                max_connections: AT_ONCE,
                ..Limits::default()
            })
            .with(|config| config.accept.backlog = BACKLOG),
        // A Unix peer has no source.
        _ if role.transport == Transport::Unix => listen,
        // One source stands for the ten thousand that the prefix limits are for.
        _ => listen.limits(Limits {
            handshakes_per_prefix: 0,
            ..Limits::default()
        }),
    };
    let builder = Server::builder();
    let builder = match role.work {
        Work::Accept => builder.admit(|arriving| match arriving.live {
            u64::MAX => Admit::Refuse,
            _ => Admit::Accept,
        }),
        _ => builder,
    };
    let builder = match role.transport {
        Transport::Ws => builder.listen_messages("bench", listen, messages),
        _ => builder.listen("bench", listen, move |stream: Stream| bytes(stream, job)),
    };
    until_the_end(builder).await
}

/// Access rules, rates, and limits for the server, the listener and each prefix; none turns anybody
/// away.
fn guarded(listen: Listen) -> Listen {
    listen
        .access("deny 192.0.2.0/24")
        .access("deny 2001:db8::/32")
        .access("allow 127.0.0.0/8")
        .access("allow ::1/128")
        .access("deny all")
        .limits(Limits {
            max_connections: 100_000,
            per_prefix: 100_000,
            ..Limits::default()
        })
        .rates(Rates {
            accept: Some(UNREACHED),
            accept_per_prefix: Some(UNREACHED),
            ..Rates::default()
        })
}
