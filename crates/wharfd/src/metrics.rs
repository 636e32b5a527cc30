//! The Prometheus endpoint: the counters of the workers, summed when they are asked for, and those of
//! the listeners.

use crate::events::Lost;
use crate::sip;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _, MetricEncoder, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use std::fmt;
use std::sync::Arc;
use wharf::prometheus;
use wharf_turn_server::{Counter, DropReason, ERROR_CODES, Handle, METHODS, Snapshot};

/// Answers `GET /metrics` with the numbers of the TURN server and of the listeners of `servers`.
pub(crate) fn router(
    turn: Handle,
    servers: Vec<wharf::Handle>,
    sip: Option<sip::Service>,
    lost: Lost,
) -> axum::Router {
    let mut registry = Registry::default();
    let own = registry.sub_registry_with_prefix("wharf");
    own.register_collector(Box::new(Server { handle: turn, lost }));
    if let Some(sip) = sip {
        own.register_collector(Box::new(sip::Counted(sip)));
    }
    registry.register_collector(Box::new(prometheus::Collector::all(servers)));
    axum::Router::new()
        .route("/metrics", get(scrape))
        .with_state(Arc::new(registry))
}

async fn scrape(State(registry): State<Arc<Registry>>) -> axum::response::Response {
    let mut body = String::new();
    match text::encode(&mut body, &registry) {
        Ok(()) => ([(header::CONTENT_TYPE, prometheus::CONTENT_TYPE)], body).into_response(),
        Err(fmt::Error) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// Everything that is counted. Labels are of sets that the code fixes: no address, no user.
#[derive(Debug)]
struct Server {
    handle: Handle,
    lost: Lost,
}

impl Collector for Server {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let snapshot = self.handle.counters();
        for counter in Counter::ALL {
            let (name, help, value) = (
                counter.label(),
                counter.help().trim(),
                snapshot.get(*counter),
            );
            if counter.is_gauge() {
                let gauge = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
                ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX)).encode(gauge)?;
            } else {
                let total = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
                ConstCounter::new(value).encode(total)?;
            }
        }
        let help = "Datagrams dropped, by reason.";
        drops(
            &snapshot,
            encoder.encode_descriptor("dropped", help, None, MetricType::Counter)?,
        )?;
        let help = "Replies to clients, by method and error code; code 0 is success.";
        replies(
            &snapshot,
            encoder.encode_descriptor("replies", help, None, MetricType::Counter)?,
        )?;
        let help = "Events that the log could not take.";
        let lost = encoder.encode_descriptor("log_lost", help, None, MetricType::Counter)?;
        ConstCounter::new(self.lost.get()).encode(lost)?;
        let build = encoder.encode_descriptor("build", "The version.", None, MetricType::Info)?;
        let version = [("version", env!("CARGO_PKG_VERSION"))];
        prometheus_client::metrics::info::Info::new(version).encode(build)
    }
}

fn drops(snapshot: &Snapshot, mut encoder: MetricEncoder<'_>) -> fmt::Result {
    for reason in DropReason::ALL {
        let labels = [("reason", reason.label())];
        let counter = ConstCounter::new(snapshot.drops(*reason));
        counter.encode(encoder.encode_family(&labels)?)?;
    }
    Ok(())
}

fn replies(snapshot: &Snapshot, mut encoder: MetricEncoder<'_>) -> fmt::Result {
    for method in METHODS {
        for code in ERROR_CODES {
            let labels = [
                ("method", method.name().unwrap_or("unknown").to_owned()),
                ("code", code.to_string()),
            ];
            let counter = ConstCounter::new(snapshot.replies(method, code));
            counter.encode(encoder.encode_family(&labels)?)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use wharf::{Server, Stream, Tcp};

    #[tokio::test]
    async fn the_handbook_lists_every_counter() {
        let text = include_str!("../../../docs/operations.md");
        let rows = text
            .lines()
            .filter_map(|line| line.strip_prefix("| `wharf_")?.split_once('`'))
            .filter(|(name, _)| !name.starts_with("sip_"));
        let mut listed: Vec<&str> = rows
            .map(|(name, _)| name.split('{').next().unwrap())
            .collect();
        let names = Counter::ALL.iter().map(|counter| {
            let suffix = if counter.is_gauge() { "" } else { "_total" };
            format!("{}{suffix}", counter.label())
        });
        let own = [
            "dropped_total",
            "replies_total",
            "log_lost_total",
            "build_info",
        ];
        let mut names: Vec<String> = names
            .chain(own.map(str::to_owned))
            .chain(listener_names())
            .collect();
        listed.sort_unstable();
        names.sort();
        assert_eq!(listed, names);
    }

    /// What the library's listeners count, as it is scraped.
    fn listener_names() -> BTreeSet<String> {
        let listen = Tcp::bind("127.0.0.1:0");
        let server = Server::builder().listen("turn", listen, async |_: Stream| ());
        let server = server.build().unwrap();
        let page = server.handle().prometheus_text();
        let samples = page.lines().filter_map(|line| line.strip_prefix("wharf_"));
        samples
            .map(|line| line.split(['{', ' ']).next().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn the_handbook_lists_every_reason_of_a_drop() {
        let text = include_str!("../../../docs/operations.md");
        for reason in DropReason::ALL {
            assert!(
                text.contains(&format!("`{}`", reason.label())),
                "{}",
                reason.label()
            );
        }
    }
}
