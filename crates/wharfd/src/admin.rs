//! The socket of the tools: a line asks, lines of JSON answer, and the last of them has `ok` or
//! `error`.
//!
//! ```text
//! > suspend turn-tls
//! < {"ok":true}
//! > sessions
//! < {"id":7,"listener":"turn-tls","peer":"192.0.2.7:50000",…}
//! < {"ok":true,"sessions":1}
//! ```

mod answer;
mod client;
mod order;

pub(crate) use client::ask;
pub use order::Order;

use crate::problem::Problems;
use crate::reload::Planned;
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};
use tokio_util::codec::LinesCodec;
use wharf::{BoxError, Handle, Session, Stream};

/// The longest line that is read, in bytes.
pub(crate) const LONGEST: u64 = 1024;
/// Requests that may wait for the daemon's main task; those who ask wait when it is full.
const WAITING: usize = 16;

/// What the main task is asked, because it has the file.
pub(crate) enum Request {
    /// What a reload would do.
    Plan(oneshot::Sender<Result<Planned, Problems>>),
    /// As SIGHUP.
    Reload(oneshot::Sender<Result<Planned, Problems>>),
    /// As SIGTERM.
    Drain(oneshot::Sender<()>),
}

/// What the socket reaches.
#[derive(Clone)]
pub(crate) struct Admin {
    turn: wharf_turn_server::Handle,
    streams: Handle,
    main: mpsc::Sender<Request>,
}

impl Admin {
    /// With the receiver of what it asks the main task.
    pub(crate) fn new(
        turn: wharf_turn_server::Handle,
        streams: Handle,
    ) -> (Self, mpsc::Receiver<Request>) {
        let (main, requests) = mpsc::channel(WAITING);
        let admin = Self {
            turn,
            streams,
            main,
        };
        (admin, requests)
    }

    /// Asks the main task and waits for its answer, which does not come once it is ending.
    async fn main<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<T>) -> Request,
    ) -> Result<T, Value> {
        let ending = || json!({"error": "the server is ending"});
        let (sender, answer) = oneshot::channel();
        let sent = self.main.send(request(sender)).await;
        sent.map_err(|_| ending())?;
        answer.await.map_err(|_| ending())
    }
}

/// Answers one tool until it hangs up.
pub(crate) async fn serve(admin: Admin, stream: Stream) -> Result<(), BoxError> {
    let mut session = Session::new(stream, LinesCodec::new());
    while let Some(line) = session.recv().await {
        let line = line?;
        let answer = match line.parse::<Order>() {
            Ok(Order::Sessions) => {
                // One by one: there may be a hundred thousand.
                let all = admin.streams.connections(&wharf::Filter::default());
                for connection in &all {
                    session
                        .send(answer::session(connection).to_string())
                        .await?;
                }
                json!({"ok": true, "sessions": all.len()})
            }
            Ok(order) => admin.answer(order).await.unwrap_or_else(|error| error),
            Err(problem) => json!({"error": problem}),
        };
        session.send(answer.to_string()).await?;
    }
    Ok(())
}
