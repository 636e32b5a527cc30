//! The answers of the tools' socket.

use super::{Admin, Order, Request};
use crate::problem::Problems;
use crate::reload::Planned;
use serde_json::{Map, Value, json};
use wharf::{Connection, Filter, Stats};

impl Admin {
    /// Does what is asked; an error is an answer, too.
    pub(super) async fn answer(&self, order: Order) -> Result<Value, Value> {
        let unknown = |error: wharf::UnknownListener| json!({"error": error.to_string()});
        match order {
            Order::Stats => Ok(self.stats()),
            Order::Drain => {
                self.main(Request::Drain).await?;
                Ok(json!({"ok": true}))
            }
            Order::Plan => Ok(planned(self.main(Request::Plan).await?)),
            Order::Reload => Ok(planned(self.main(Request::Reload).await?)),
            Order::Suspend { listener } => {
                self.streams.suspend(&listener).map_err(unknown)?;
                Ok(json!({"ok": true}))
            }
            Order::Resume { listener } => {
                self.streams.resume(&listener).map_err(unknown)?;
                Ok(json!({"ok": true}))
            }
            Order::Close { id } => match self.streams.close(&Filter::default().id(id)) {
                0 => Err(json!({"error": format!("there is no session {id}")})),
                closed => Ok(json!({"ok": true, "closed": closed})),
            },
            Order::Sessions => Err(json!({"error": "sessions are answered one by one"})),
        }
    }

    fn stats(&self) -> Value {
        let listeners = self.streams.stats().into_iter().map(|(name, stats)| {
            let suspended = self.streams.inspect(&name).is_ok_and(|one| one.suspended);
            (name, listener(&stats, suspended))
        });
        json!({
            "ok": true,
            "version": env!("CARGO_PKG_VERSION"),
            "draining": self.streams.is_draining(),
            "health": self.streams.health().label(),
            "allocations": self.turn.allocations(),
            "listeners": listeners.collect::<Map<_, _>>(),
        })
    }
}

fn listener(stats: &Stats, suspended: bool) -> Value {
    let reasons = |counts: &mut dyn Iterator<Item = (&'static str, u64)>| -> Map<String, Value> {
        let happened = counts.filter(|(_, count)| *count > 0);
        happened
            .map(|(reason, count)| (reason.to_owned(), count.into()))
            .collect()
    };
    json!({
        "suspended": suspended,
        "arrived": stats.arrived,
        "pending": stats.pending,
        "accepted": stats.accepted,
        "live": stats.live,
        "refused": reasons(&mut stats.refused.iter().map(|(reason, count)| (reason.label(), *count))),
        "closed": reasons(&mut stats.closed.iter().map(|(reason, count)| (reason.label(), *count))),
        "received": stats.received,
        "sent": stats.sent,
    })
}

/// One client over TCP or TLS.
pub(super) fn session(connection: &Connection) -> Value {
    let path = connection.path();
    let mut session = json!({
        "id": connection.id(),
        "listener": connection.listener(),
        "peer": path.peer.to_string(),
        "local": path.local.to_string(),
        "age_seconds": connection.age().as_secs(),
        "received": connection.bytes_received(),
        "sent": connection.bytes_sent(),
    });
    if connection.proxied().is_some() {
        session["proxy"] = connection.socket_peer().to_string().into();
    }
    if let Some(tls) = connection.tls() {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        session["tls"] = json!({
            "cipher_suite": tls.cipher_suite,
            "server_name": tls.server_name,
            "alpn": tls.alpn.as_deref().map(text),
            "client": tls.peer.as_ref().map(|identity| &identity.subject),
            "client_fingerprint": tls.peer.as_ref().map(|identity| identity.fingerprint.to_string()),
        });
    }
    session
}

fn planned(planned: Result<Planned, Problems>) -> Value {
    match planned {
        Ok(Planned {
            changes, listeners, ..
        }) => {
            let listeners = listeners.to_string();
            json!({
                "ok": true,
                "live": changes.live,
                "restart": changes.restart,
                "listeners": listeners.lines().collect::<Vec<_>>(),
            })
        }
        Err(Problems(problems)) => {
            let lines = problems.iter().map(ToString::to_string);
            json!({"error": "the configuration has problems", "problems": lines.collect::<Vec<_>>()})
        }
    }
}
