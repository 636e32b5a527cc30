//! The daemon's own listeners: metrics and health over HTTP, and the socket of the tools. They go on
//! while the clients' drain.

use crate::admin::{self, Admin};
use crate::config::Settings;
use crate::problem::{Problem, Problems};
use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use wharf::config::{Address, Limits, ListenerConfig, Timeouts, Transport};
use wharf::handover::Handover;
use wharf::{BoxError, BuildError, Handle, Handler, Server, Stream};

/// The name of the HTTP listener, in metrics and logs.
pub(crate) const METRICS: &str = "metrics";
/// The name of the tools' listener.
pub(crate) const ADMIN: &str = "admin";

/// Connections at once: a few scrapers or tools, each with one, and somebody who looks.
const CONNECTIONS: u64 = 16;
/// The life of an HTTP connection: a scrape takes milliseconds, and the next one may connect again.
const SCRAPE: Duration = Duration::from_secs(10);
/// How long a tool may be silent: somebody may be typing.
const TYPING: Duration = Duration::from_mins(10);

/// What answers health checks: `/healthz` says that the process lives; `/readyz` that it is good to
/// send clients to, which a server that drains or whose listeners fail is not.
pub(crate) fn health(streams: Handle) -> Router {
    let ready = move || {
        let streams = streams.clone();
        async move {
            if streams.is_draining() {
                (StatusCode::SERVICE_UNAVAILABLE, "draining\n")
            } else if streams.is_ready() {
                (StatusCode::OK, "ready\n")
            } else {
                (StatusCode::SERVICE_UNAVAILABLE, "unhealthy\n")
            }
        }
    };
    Router::new()
        .route("/healthz", get(|| async { "alive\n" }))
        .route("/readyz", get(ready))
}

/// Binds the listeners that the settings ask for, or takes them over. `router` makes what HTTP answers, with the handle of
/// the server that is built.
pub(crate) fn server(
    settings: &Settings,
    router: impl FnOnce(Handle) -> Router,
    admin: Admin,
    predecessor: Option<Handover>,
) -> Result<Server, Problems> {
    // The metrics are about this server, too, so the router comes after it.
    let http = Arc::new(OnceLock::<Router>::new());
    let mut builder = Server::builder().inherit(predecessor);
    if let Some(address) = settings.metrics.listen {
        let http = http.clone();
        let answer = move |stream| serve(http.get().cloned().unwrap_or_default(), stream);
        builder = builder.listen_with(
            METRICS,
            metrics(Address::Ip(address)),
            Handler::stream(answer),
        );
    }
    if let Some(address) = &settings.admin.listen {
        let listener = ListenerConfig {
            unix: settings.admin.unix.clone(),
            ..socket(address.clone())
        };
        let answer = move |stream| admin::serve(admin.clone(), stream);
        builder = builder.listen_with(ADMIN, listener, Handler::stream(answer));
    }
    let server = builder.build().map_err(not_built)?;
    // Nothing is accepted before the server runs.
    let _ = http.set(router(server.handle()));
    Ok(server)
}

fn metrics(address: Address) -> ListenerConfig {
    ListenerConfig {
        bind: vec![address],
        limits: Limits {
            max_connections: CONNECTIONS,
            ..Limits::default()
        },
        timeouts: Timeouts {
            lifetime: Some(SCRAPE),
            ..Timeouts::default()
        },
        ..ListenerConfig::default()
    }
}

fn socket(address: Address) -> ListenerConfig {
    let mut listener = ListenerConfig {
        transport: Transport::Unix,
        bind: vec![address],
        limits: Limits {
            max_connections: CONNECTIONS,
            ..Limits::default()
        },
        timeouts: Timeouts {
            first_byte: Some(TYPING),
            read_idle: Some(TYPING),
            ..Timeouts::default()
        },
        ..ListenerConfig::default()
    };
    listener.buffers.max_message = admin::LONGEST;
    listener
}

async fn serve(router: Router, stream: Stream) -> Result<(), BoxError> {
    let connection = stream.connection().clone();
    let service = TowerToHyperService::new(router);
    let http =
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    let mut http = std::pin::pin!(http);
    tokio::select! {
        result = &mut http => return Ok(result?),
        () = connection.draining() => http.as_mut().graceful_shutdown(),
    }
    Ok(http.await?)
}

/// Every problem, at its key in the file.
fn not_built(error: BuildError) -> Problems {
    let BuildError::Configuration(problems) = error else {
        return Problem::new("the system", error.to_string()).into();
    };
    let in_file = problems.0.into_iter().map(|mut problem| {
        for (name, section) in [(METRICS, "metrics"), (ADMIN, "admin")] {
            let listener = format!("listeners.{name}.");
            if let Some(key) = problem.key.strip_prefix(&listener) {
                let key = if key.starts_with("bind") {
                    "listen"
                } else {
                    key
                };
                problem.key = format!("{section}.{key}");
                break;
            }
        }
        problem.into()
    });
    Problems(in_file.collect())
}
