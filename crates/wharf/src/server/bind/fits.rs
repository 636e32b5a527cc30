//! Which handlers go with which listener.

use wharf_policy::first_bytes::Protocol;

use super::batch;
use crate::config::{DemuxLayer, ListenerConfig, Problem, Transport};
use crate::handlers::Handlers;

/// What the handlers take and the listener has not, or could never lead to them.
pub(super) fn problems(name: &str, config: &ListenerConfig, handlers: &Handlers) -> Vec<Problem> {
    let transport = config.transport;
    let mut problems = Vec::new();
    let mut refuse = |key: &str, allowed: String| {
        let key = format!("listeners.{name}.{key}");
        problems.push(Problem::new(key, allowed).given(transport.label()));
    };
    let upgrades = config.demux.has(DemuxLayer::Websocket);
    for (takes, has, what) in [
        (
            handlers.takes_messages(),
            transport.has_messages() || upgrades,
            "messages",
        ),
        (handlers.takes_bytes(), transport.has_bytes(), "bytes"),
        (
            handlers.takes_datagrams(),
            transport.has_datagrams(),
            "single datagrams",
        ),
    ] {
        if takes && !has {
            let allowed = format!("has no {what}, which the handler takes");
            refuse("transport", allowed);
        }
    }
    #[cfg(feature = "quic")]
    if handlers.takes_quic() && transport != Transport::Quic {
        refuse(
            "transport",
            "expected \"quic\", which the handler is for".to_owned(),
        );
    }
    let chooses = handlers.firsts().next().is_some() || !config.demux.layers.is_empty();
    for protocol in handlers.firsts().filter(|one| !comes(transport, *one)) {
        let label = protocol.label();
        let allowed = format!("never begins with {label}, which there is a handler for");
        refuse("transport", allowed);
    }
    if upgrades && handlers.takes_messages_beside(Protocol::Http) {
        let allowed =
            "has messages only behind a request of HTTP: expected handlers of bytes for all else";
        refuse("demux.layers", allowed.to_owned());
    }
    if chooses && handlers.takes_datagrams() {
        let allowed = "expected handlers of messages, because each protocol has flows of its own";
        refuse("transport", allowed.to_owned());
    }
    if handlers.batch().is_some() {
        problems.extend(batch::problems(name, config, handlers));
    }
    problems
}

/// Whether `protocol` can be told by what comes first.
fn comes(transport: Transport, protocol: Protocol) -> bool {
    match protocol {
        _ if !transport.has_choice() => false,
        // Within TLS there is no more TLS.
        Protocol::Tls => transport.has_bytes() && transport != Transport::Tls,
        Protocol::Http => transport.has_bytes(),
        Protocol::Dtls => transport.has_datagrams(),
        _ => true,
    }
}
