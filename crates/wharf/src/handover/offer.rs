//! The predecessor's side.

use std::any::Any;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::sync::{Arc, Weak};

use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;

use super::channel::Channel;
use super::protocol::{
    ANSWER_WITHIN, Item, MAX_DESCRIPTORS, MAX_SOCKETS, READY_WITHIN, Said, VERSION,
};
use super::{HandoverError, Shared};
use crate::Handle;
use crate::bound::Bound;
use crate::config::{AcceptOptions, Address, SocketOptions, Transport, UnixOptions};
use crate::events::Event;
use crate::listener::Listener;
use crate::reason::Closed;
use crate::server::Inner;
use crate::sockets::{self, AcceptError, Backoff, BindError, Listening, SocketFile};

/// What tells a socket from others without holding it.
type Token = Weak<dyn Any + Send + Sync>;

/// A socket on which successors ask.
pub(super) struct Offer {
    listener: UnixListener,
    file: Option<SocketFile>,
    path: String,
}

impl Offer {
    /// On the predecessor's socket, or on one that is made at `path`.
    pub(super) fn new(path: &Path, shared: Option<Shared>) -> Result<Self, BindError> {
        let address = Address::Path(path.to_owned());
        let (accept, socket) = (AcceptOptions::default(), SocketOptions::default());
        let unix = UnixOptions {
            mode: 0o600,
            ..UnixOptions::default()
        };
        let transport = Transport::Unix;
        let listening = match shared {
            Some(Shared {
                socket: fd, file, ..
            }) => vec![sockets::share(
                fd, file, &address, transport, &accept, &socket,
            )?],
            None => sockets::bind(&address, transport, &accept, &socket, &unix)?,
        };
        let failed = |source| BindError::Address {
            address: address.clone(),
            source,
        };
        match listening.into_iter().next() {
            Some(Listening::Unix(listener, file)) => Ok(Self {
                listener: UnixListener::from_std(listener).map_err(failed)?,
                file,
                path: path.to_string_lossy().into_owned(),
            }),
            _ => Err(failed(std::io::ErrorKind::Unsupported.into())),
        }
    }

    pub(super) fn file(&self) -> Option<&SocketFile> {
        self.file.as_ref()
    }
}

/// Serves one successor after the other until one has taken over or the server drains.
pub(super) async fn run(inner: Arc<Inner>, offer: Offer) {
    let mut backoff = Backoff::new();
    loop {
        let accepted = tokio::select! {
            () = inner.draining.cancelled() => return,
            accepted = offer.listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                backoff.succeeded();
                match give(&inner, &offer, stream).await {
                    Ok(sockets) => {
                        tracing::info!(sockets, "handed over");
                        inner.events.emit(|| Event::HandedOver { sockets });
                        return;
                    }
                    Err(error) => {
                        tracing::warn!(%error, "not handed over, serving on");
                        let error = error.to_string();
                        inner.events.emit(|| Event::HandoverFailed { error });
                    }
                }
            }
            Err(error) if sockets::classify(&error) == AcceptError::Transient => {}
            Err(error) => {
                tracing::warn!(%error, "cannot accept successors");
                if timeout(backoff.failed(), inner.draining.cancelled())
                    .await
                    .is_ok()
                {
                    return;
                }
            }
        }
    }
}

/// Gives the sockets to one successor; says how many.
async fn give(
    inner: &Arc<Inner>,
    offer: &Offer,
    stream: UnixStream,
) -> Result<usize, HandoverError> {
    let channel = Channel::new(stream);
    let given = tokio::select! {
        () = inner.draining.cancelled() => Err(HandoverError::Overtaken("the server stops")),
        given = prepare(inner, offer, &channel) => given,
    };
    let (given, sockets) = match given {
        Ok(given) => given,
        Err(error) => {
            // Who has hung up does not hear it.
            let reason = error.to_string();
            let _ = channel.send(&Said::No { reason }, &[]).await;
            return Err(error);
        }
    };
    let own = |ours| {
        let files = given.iter().filter_map(Bound::file);
        files.chain(&offer.file).for_each(|file| file.own(ours));
    };
    own(false);
    if let Err(error) = channel.send(&Said::Done, &[]).await {
        own(true);
        return Err(error);
    }
    // Whoever is accepted up to here is served here, and told that the server drains; who can be heard
    // no more is told to come again.
    for listener in inner.listeners() {
        let cut_off = leave(&listener);
        listener.stop();
        if cut_off {
            for connection in listener.owner.connections.all() {
                connection.fail(Closed::Drained);
            }
        }
    }
    let deadline = inner.drain_deadline;
    let handle = Handle::new(inner.clone());
    inner
        .runtime
        .spawn(async move { handle.drain(deadline).await });
    Ok(sockets)
}

/// Shows the sockets and waits until the successor is ready to accept on them. Says how many descriptors it has.
async fn prepare(
    inner: &Inner,
    offer: &Offer,
    channel: &Channel,
) -> Result<(Vec<Bound>, usize), HandoverError> {
    channel.judge()?;
    match channel.recv(ANSWER_WITHIN, "request").await?.0 {
        Said::Take { version: VERSION } => {}
        Said::Take { version } => {
            let garbage = format!("version {version} of the protocol, which is at {VERSION}");
            return Err(HandoverError::Garbage(garbage));
        }
        other => return Err(HandoverError::Garbage(format!("{other:?} is not due"))),
    }
    let (shown, sockets) = show(inner, offer, channel).await?;
    match channel.recv(READY_WITHIN, "readiness").await?.0 {
        Said::Ready => {}
        other => return Err(HandoverError::Garbage(format!("{other:?} is not due"))),
    }
    let now: Vec<_> = listening(inner).into_iter().map(|(_, one)| one).collect();
    // A connection may wait where the successor does not listen.
    let same = |(then, now): (&Token, &Bound)| then.ptr_eq(&now.token());
    if shown.len() != now.len() || !shown.iter().zip(&now).all(same) {
        let why = "the listeners changed meanwhile";
        return Err(HandoverError::Overtaken(why));
    }
    Ok((now, sockets))
}

/// Sends the sockets, and says how many descriptors there were. They are not held: one that is closed meanwhile is
/// closed.
async fn show(
    inner: &Inner,
    offer: &Offer,
    channel: &Channel,
) -> Result<(Vec<Token>, usize), HandoverError> {
    let listening = listening(inner);
    let mut all: Vec<(Item, BorrowedFd<'_>)> = vec![(
        Item {
            listener: None,
            address: None,
            bound: offer.path.clone(),
            file: offer.file.as_ref().map(SocketFile::identity),
        },
        offer.listener.as_fd(),
    )];
    for (listener, bound) in &listening {
        let item = Item {
            listener: Some(listener.to_string()),
            address: bound.address().map(ToString::to_string),
            bound: bound.local().to_string(),
            file: bound.file().map(SocketFile::identity),
        };
        let sockets = bound.sockets().into_iter();
        all.extend(sockets.map(|socket| (item.clone(), socket)));
    }
    let carried = inner.handovers.carried();
    for (name, descriptor) in &carried {
        let item = Item {
            listener: None,
            address: Some(name.clone()),
            bound: String::new(),
            file: None,
        };
        all.push((item, descriptor.as_fd()));
    }
    if all.len() > MAX_SOCKETS {
        return Err(HandoverError::TooMuch);
    }
    let mut left = all.len();
    for some in all.chunks(MAX_DESCRIPTORS) {
        left -= some.len();
        let (sockets, descriptors): (Vec<_>, Vec<_>) = some.iter().cloned().unzip();
        let said = Said::Sockets {
            sockets,
            more: left > 0,
        };
        channel.send(&said, &descriptors).await?;
    }
    let tokens = listening.iter().map(|(_, one)| one.token());
    Ok((tokens.collect(), all.len()))
}

/// Leaves all sockets of a listener to the successor. Says whether its connections must end for that.
fn leave(listener: &Listener) -> bool {
    let cut_off = listener.bound().into_iter().map(|bound| bound.leave());
    cut_off.fold(false, |any, one| any | one)
}

/// All that the server listens on, with the name of the listener, in a fixed order.
fn listening(inner: &Inner) -> Vec<(Arc<str>, Bound)> {
    let listeners = inner.listeners();
    let all = listeners.iter().flat_map(|listener| {
        let name = listener.owner.name.clone();
        let bound = listener.bound().into_iter();
        bound.map(move |one| (name.clone(), one))
    });
    all.collect()
}
