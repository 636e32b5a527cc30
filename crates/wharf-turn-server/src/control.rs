//! What reaches workers from outside the packet path: commands of the operator, answers of credential
//! back-ends, and what one worker asks of another.

use std::collections::VecDeque;
use std::hash::{BuildHasher as _, RandomState};
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use wharf_dtls::{ConfigError, ServerContext};
use wharf_policy::{PeerPolicy, PeerRules, PrefixLimits, QuotaLimits, Quotas};
use wharf_stun::Framer;
use wharf_turn::{ClaimedRelay, CommandId, CredentialAnswer, RelayId};
use wharf_udp::{Socket, Traffic, Waker};

use crate::counters::{Counter, Counters, Snapshot};
use crate::lane::Lane;
use crate::own::Own;
use crate::passage::End;
use crate::{Credentials, StreamEnd, StreamOptions, StreamPath};

/// Claims of other workers that may wait for one worker.
const CLAIMS: usize = 1_024;

/// Something for a worker to do.
#[derive(Debug)]
pub(crate) enum Message {
    /// A credential back-end has answered.
    Credential(CommandId, CredentialAnswer),
    /// Another worker's client has brought a reservation token of this worker.
    Claim(Claim),
    /// The answer to a claim, with the socket.
    Claimed {
        claim: Claim,
        claimed: Option<(ClaimedRelay, Socket)>,
    },
    /// A port that was lent with a reservation is free again.
    ReturnPort(SocketAddr),
    /// A stream has frames, is new, or is over.
    Stream(Arc<Lane>),
    Peers(Arc<PeerPolicy>),
    Credentials(Arc<Credentials>),
    Unauthenticated(PrefixLimits),
    Dtls(ServerContext),
    /// Where the datagrams of clients of the process before this one go.
    Predecessor(End),
    /// Where those come from that the process after this one hands back.
    Successor(End),
    /// The listening sockets are another process's to read.
    Leave,
    Drain,
    Stop,
}

/// What one worker wants of another: the reserved socket of a token.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Claim {
    pub(crate) token: [u8; 8],
    /// The command of the claiming worker's core, and its name for the socket.
    pub(crate) id: CommandId,
    pub(crate) relay: RelayId,
    pub(crate) from: usize,
}

/// A worker's queue, and what wakes the worker to look at it.
///
/// It holds at most one answer for each look-up that is under way and [`CLAIMS`] claims; the answers to
/// claims and the ports returned are bounded by what was asked and lent. Each open stream is in it once
/// at the most. Operator commands are few.
#[derive(Debug)]
pub(crate) struct Inbox {
    /// `None` when the worker has ended.
    queue: Mutex<Option<VecDeque<Message>>>,
    waker: Waker,
}

impl Inbox {
    pub(crate) fn new() -> std::io::Result<Self> {
        Ok(Self {
            queue: Mutex::new(Some(VecDeque::new())),
            waker: Waker::new()?,
        })
    }

    pub(crate) fn waker(&self) -> &Waker {
        &self.waker
    }

    /// False, and nothing sent, when the worker has ended.
    pub(crate) fn send(&self, message: Message) -> bool {
        let Some(queue) = &mut *self.queue() else {
            return false;
        };
        queue.push_back(message);
        self.waker.wake();
        true
    }

    pub(crate) fn answer(&self, id: CommandId, answer: CredentialAnswer) {
        self.send(Message::Credential(id, answer));
    }

    pub(crate) fn stream(&self, lane: &Arc<Lane>) -> bool {
        self.send(Message::Stream(Arc::clone(lane)))
    }

    /// False, and nothing sent, when too many claims wait.
    pub(crate) fn claim(&self, claim: Claim) -> bool {
        let mut queue = self.queue();
        let claims = queue.iter().flatten();
        let claims = claims.filter(|m| matches!(m, Message::Claim(_))).count();
        match &mut *queue {
            Some(queue) if claims < CLAIMS => queue.push_back(Message::Claim(claim)),
            _ => return false,
        }
        drop(queue);
        self.waker.wake();
        true
    }

    /// Has the worker look again.
    pub(crate) fn wake(&self) {
        self.waker.wake();
    }

    /// Everything that waits.
    pub(crate) fn take(&self) -> VecDeque<Message> {
        self.queue()
            .as_mut()
            .map(std::mem::take)
            .unwrap_or_default()
    }

    /// The worker has ended: nothing is taken any more.
    pub(crate) fn close(&self) {
        let rest = self.queue().take();
        for message in rest.into_iter().flatten() {
            if let Message::Stream(lane) = message {
                lane.finish(Vec::new(), StreamEnd::Stopped);
            }
        }
    }

    fn queue(&self) -> MutexGuard<'_, Option<VecDeque<Message>>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How many workers still have allocations while the server drains.
#[derive(Debug, Default)]
pub(crate) struct Drained {
    workers: Mutex<usize>,
    changed: Condvar,
}

impl Drained {
    /// One more worker has none left.
    pub(crate) fn add(&self) {
        *self.workers.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.changed.notify_all();
    }

    /// Waits until as many workers have none left, at most for `limit`. True if they have.
    pub(crate) fn wait(&self, workers: usize, limit: Duration) -> bool {
        let deadline = Instant::now().checked_add(limit);
        let mut done = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        while *done < workers {
            let left = match deadline {
                Some(deadline) => deadline.saturating_duration_since(Instant::now()),
                None => Duration::MAX,
            };
            if left.is_zero() {
                return false;
            }
            let waited = self.changed.wait_timeout(done, left);
            done = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }
}

/// What others know of a worker.
#[derive(Clone, Debug)]
pub(crate) struct Colleague {
    pub(crate) inbox: Arc<Inbox>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) traffic: Arc<Traffic>,
}

/// Observes and steers a running server. Clones steer the same server.
#[derive(Clone, Debug)]
pub struct Handle {
    pub(crate) workers: Vec<Colleague>,
    pub(crate) quotas: Quotas,
    pub(crate) own: Arc<Own>,
    pub(crate) drained: Arc<Drained>,
    pub(crate) streams: StreamOptions,
    pub(crate) framer: Framer,
    /// Spreads streams over the workers, in a way that no client can foresee.
    pub(crate) spread: RandomState,
}

impl Handle {
    /// The counters of all workers, summed. A snapshot: workers go on counting meanwhile.
    pub fn counters(&self) -> Snapshot {
        let workers = self.workers.iter();
        Snapshot::sum(workers.map(|worker| (&*worker.counters, worker.traffic.count())))
    }

    /// Live allocations.
    pub fn allocations(&self) -> u64 {
        self.counters().get(Counter::Allocations)
    }

    /// No more allocations from now on; live ones go on until they end. Streams without an allocation
    /// end now, the others with their allocation; one that is opened later is served, and told that
    /// there is none to be had.
    pub fn drain(&self) {
        self.send(|| Message::Drain);
    }

    /// Reads its UDP sockets no more, which its successor does by now ([`Legacy`](crate::Legacy)), and
    /// drains.
    pub fn leave(&self) {
        self.send(|| Message::Leave);
        self.drain();
    }

    /// Other rules for peers. What they refuse ends at once, whether it is in use or not.
    pub fn set_peers(&self, rules: PeerRules) {
        let policy = self.own.set_rules(rules);
        self.send(|| Message::Peers(Arc::clone(&policy)));
    }

    /// Reads the addresses of the host's interfaces again, which are refused as peers. True if they
    /// have changed. The server does so by itself every five seconds.
    pub fn rescan_addresses(&self) -> std::io::Result<bool> {
        let policy = self.own.rescan()?;
        if let Some(policy) = &policy {
            self.send(|| Message::Peers(Arc::clone(policy)));
        }
        Ok(policy.is_some())
    }

    /// Other users, secrets and back-end. Live allocations keep the keys that they were made with.
    pub fn set_credentials(&self, credentials: Credentials) {
        let credentials = Arc::new(credentials);
        self.send(|| Message::Credentials(Arc::clone(&credentials)));
    }

    /// Other limits on allocations. Those above a lower limit stay until they end.
    pub fn set_quotas(&self, limits: QuotaLimits) {
        self.quotas.set_limits(limits);
    }

    /// Another context for the DTLS sessions that begin from now on; those that are there go on with
    /// theirs. Each worker makes one like it. Without DTLS nothing changes. An error is OpenSSL's want
    /// of memory, and nothing has changed.
    pub fn set_dtls(&self, context: &ServerContext) -> Result<(), ConfigError> {
        let contexts = self.workers.iter().map(|_| context.separate());
        let contexts: Vec<_> = contexts.collect::<Result<_, _>>()?;
        for (worker, context) in self.workers.iter().zip(contexts) {
            worker.inbox.send(Message::Dtls(context));
        }
        Ok(())
    }

    /// Another limit on answers to unauthenticated requests, and on DTLS handshakes.
    pub fn set_unauthenticated_limit(&self, limits: PrefixLimits) {
        self.send(|| Message::Unauthenticated(limits));
    }

    pub(crate) fn inbox_of(&self, path: &StreamPath) -> Arc<Inbox> {
        let worker = self.spread.hash_one(path) as usize % self.workers.len();
        Arc::clone(&self.workers[worker].inbox)
    }

    pub(crate) fn stop(&self) {
        self.send(|| Message::Stop);
    }

    fn send(&self, message: impl Fn() -> Message) {
        for worker in &self.workers {
            worker.inbox.send(message());
        }
    }
}
