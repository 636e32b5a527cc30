//! The server's side of a handshake.

use std::future::poll_fn;
use std::sync::Arc;

use wharf_dtls::{Failure, ServerContext, Session, Verified};

use super::front::Cookies;
use super::link::{Begun, DtlsLink};
use crate::admission::{Ready, Refused, tell_handshake};
use crate::connection::Connection;
use crate::hooks::{Hello, HelloChoice};
use crate::listener::Listener;
use crate::reason::Refusal;
use crate::tls::TlsInfo;
use crate::wire::Packets;

/// Makes the handshake with a client that was let in, once the user has seen its hello.
pub(super) async fn accept(
    mut packets: Packets,
    context: ServerContext,
    (listener, verified): (Arc<Listener>, Verified),
    cookies: Arc<Cookies>,
) -> Result<Ready, Refused> {
    let shared = packets.shared().clone();
    let connection = Connection::new(shared.clone());
    let hello = Hello::of_dtls(&verified);
    let said = listener.hooks.client_hello(&listener.owner.name, &hello);
    drop(listener);
    let context = match said {
        HelloChoice::Proceed => context,
        HelloChoice::UseDtls(chosen) => chosen,
        // What is for TLS is no answer here.
        HelloChoice::Use(_) | HelloChoice::Refuse => {
            // As far as the socket takes it at once.
            let _ = packets.try_send_datagram(&verified.refusal());
            tell_handshake(&connection, "dtls", "refused");
            return Err(Refusal::Hook.into());
        }
    };
    let now = tokio::time::Instant::now().into_std();
    let result = match Session::accept(&context, &verified, now) {
        Err(failure) => Err(refused(&failure)),
        Ok(session) => {
            let begun = Begun {
                cookies,
                random: *verified.random(),
            };
            let mut link = DtlsLink::new(packets, session, Some(begun));
            poll_fn(|cx| link.poll_open(cx)).await.map(|()| link)
        }
    };
    let told = match &result {
        Ok(_) => "ok",
        Err(refused) if refused.detail.is_empty() => refused.reason.label(),
        Err(refused) => refused.detail,
    };
    tell_handshake(&connection, "dtls", told);
    let mut link = result?;
    if let Some(info) = link.info() {
        let info = TlsInfo::of_dtls(&info).map_err(|_| Refused {
            reason: Refusal::Tls,
            detail: "certificate",
        })?;
        let _ = shared.details().tls.set(Box::new(info));
    }
    link.established();
    Ok(Ready::Messages(Box::new(link)))
}

pub(super) fn refused(failure: &Failure) -> Refused {
    Refused {
        reason: Refusal::Tls,
        detail: failure.label(),
    }
}
