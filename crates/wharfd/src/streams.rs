//! TURN over TCP and TLS: the library listens, admits and decrypts, and each connection goes to the
//! TURN workers. The listeners of SIP are beside them.

use crate::config::{Settings, TCP, TLS, listeners, problem_in_file};
use crate::problem::{Problem, Problems};
use crate::sip::Service;
use std::io;
use tracing::info;
use wharf::handover::Handover;
use wharf::{BoxError, BuildError, Handler, Server, Stream};
use wharf_turn_server::{Handle, StreamError, StreamPath, StreamTransport};

/// Binds the listeners that the settings ask for, or takes them over. Those of a later configuration find their handler
/// too.
pub(crate) fn server(
    settings: &Settings,
    turn: &Handle,
    sip: Option<&Service>,
    predecessor: Option<Handover>,
) -> Result<Server, Problems> {
    let handler = || {
        let turn = turn.clone();
        Handler::stream(move |stream| serve(turn.clone(), stream))
    };
    let server = Server::builder()
        .inherit(predecessor)
        .drain_deadline(settings.server.drain_deadline)
        .config(listeners(settings))
        .handler(TCP, handler())
        .handler(TLS, handler());
    let server = match sip {
        Some(sip) => sip.handlers(server),
        None => server,
    };
    server.build().map_err(not_built)
}

/// Every problem, at its key in the file.
pub(crate) fn not_built(error: BuildError) -> Problems {
    match error {
        BuildError::Configuration(problems) => in_file(problems),
        other => Problem::new("the system", other.to_string()).into(),
    }
}

pub(crate) fn in_file(problems: wharf::config::Problems) -> Problems {
    Problems(problems.0.into_iter().map(problem_in_file).collect())
}

async fn serve(turn: Handle, stream: Stream) -> Result<(), BoxError> {
    let connection = stream.connection();
    let path = connection.path();
    // The client is whom a PROXY header names; our end is never taken from there.
    let (Some(client), Some(server)) = (path.peer.ip(), connection.socket_local().ip()) else {
        // A proxy says so of a client of its own on a Unix socket: the peer's doing.
        let why = "the client has no IP address that it could be told";
        return Err(io::Error::new(io::ErrorKind::InvalidData, why).into());
    };
    if let Some(identity) = connection.tls().and_then(|tls| tls.peer.as_deref()) {
        let (subject, fingerprint) = (&identity.subject, &identity.fingerprint);
        info!(target: "wharfd", %client, subject, %fingerprint, "client certificate");
    }
    let transport = if path.secure {
        StreamTransport::Tls
    } else {
        StreamTransport::Tcp
    };
    let path = StreamPath {
        transport,
        client,
        server,
    };
    match turn.serve_stream(stream, path).await {
        // The client's doing: it must not make the server look unhealthy.
        Err(StreamError::Frame(error)) => {
            Err(io::Error::new(io::ErrorKind::InvalidData, error).into())
        }
        ended => Ok(ended.map(drop)?),
    }
}
