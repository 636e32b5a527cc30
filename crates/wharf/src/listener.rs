//! A named listener: its rules, its sockets, and the tasks that accept on them.

mod rules;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use arc_swap::ArcSwap;
use tokio::task::AbortHandle;
use wharf_policy::TokenBucket;

pub(crate) use rules::{compile, load_tls, reload_tls, tls_problems};

use crate::bound::{Bound, Tasks};
use crate::config::{Limits, ListenerConfig, Rate};
use crate::events::Event;
use crate::gate::Gate;
use crate::handlers::Handlers;
use crate::hooks::Hooks;
use crate::owner::{Live, Owner};
use crate::prefixes::Prefixes;

/// A listener, shared by its acceptors, its connections and the control plane.
pub(crate) struct Listener {
    pub(crate) owner: Arc<Owner>,
    pub(crate) handlers: Handlers,
    pub(crate) hooks: Arc<Hooks>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) server_gate: Arc<Gate>,
    pub(crate) handshakes: Arc<Gate>,
    prefixes: ArcSwap<Prefixes>,
    accept_rate: Mutex<Option<TokenBucket>>,
    sockets: Mutex<Sockets>,
    #[cfg(feature = "quic")]
    pub(crate) quic: crate::quic::Configs,
}

/// What a listener accepts on.
struct Sockets {
    bound: Vec<Bound>,
    tasks: Tasks,
    watch: Option<AbortHandle>,
    /// Endpoints of QUIC that have stopped, whose last words are still to be sent.
    #[cfg(feature = "quic")]
    leaving: Vec<quinn::Endpoint>,
    /// The server runs.
    started: bool,
    suspended: bool,
    stopped: bool,
}

impl Listener {
    pub(crate) fn new(
        owner: Owner,
        handlers: Handlers,
        hooks: Arc<Hooks>,
        server_gate: Arc<Gate>,
        bound: Vec<Bound>,
    ) -> Arc<Self> {
        let live = owner.live();
        let config = &live.config;
        Arc::new(Self {
            gate: Gate::new(config.limits.max_connections),
            handshakes: Gate::new(config.limits.max_handshakes),
            prefixes: ArcSwap::from_pointee(Prefixes::new(&config.limits, &config.rates)),
            accept_rate: Mutex::new(config.rates.accept.map(bucket)),
            sockets: Mutex::new(Sockets {
                bound,
                tasks: Tasks::default(),
                watch: None,
                #[cfg(feature = "quic")]
                leaving: Vec::new(),
                started: false,
                suspended: false,
                stopped: false,
            }),
            #[cfg(feature = "quic")]
            quic: crate::quic::Configs::default(),
            owner: Arc::new(owner),
            handlers,
            hooks,
            server_gate,
        })
    }

    fn sockets(&self) -> MutexGuard<'_, Sockets> {
        self.sockets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where it listens, as the kernel says.
    pub(crate) fn addresses(&self) -> Vec<crate::path::Endpoint> {
        self.sockets()
            .bound
            .iter()
            .map(|bound| bound.local().clone())
            .collect()
    }

    pub(crate) fn bound(&self) -> Vec<Bound> {
        self.sockets().bound.clone()
    }

    pub(crate) fn is_suspended(&self) -> bool {
        self.sockets().suspended
    }

    /// Accepts from now on, unless it is suspended. Must be called on the server's runtime.
    pub(crate) fn start(self: &Arc<Self>) {
        let mut sockets = self.sockets();
        if !sockets.started {
            sockets.started = true;
            self.spawn(&mut sockets);
        }
    }

    /// Goes on to accept, as soon as the server runs. Must be called on the server's runtime.
    pub(crate) fn resume(self: &Arc<Self>) {
        let mut sockets = self.sockets();
        if sockets.suspended && !sockets.stopped {
            sockets.suspended = false;
            self.spawn(&mut sockets);
        }
    }

    /// Makes the tasks that accept, if there may be any now.
    fn spawn(self: &Arc<Self>, sockets: &mut Sockets) {
        if !sockets.started || sockets.suspended || sockets.stopped {
            return;
        }
        let Sockets { bound, tasks, .. } = sockets;
        for bound in bound {
            bound.start(self, tasks);
        }
    }

    /// Leaves connections in the kernel's backlog until `resume`, and begins no flow.
    pub(crate) fn suspend(&self) {
        let mut sockets = self.sockets();
        sockets.suspended = true;
        sockets.tasks.abort_accepting();
        sockets.bound.iter().for_each(Bound::suspend);
    }

    /// Accepts no more and closes its sockets; its connections go on, and a socket of datagrams with
    /// them.
    pub(crate) fn stop(&self) {
        let mut sockets = self.sockets();
        if sockets.stopped {
            return;
        }
        sockets.stopped = true;
        sockets.suspended = true;
        sockets.tasks.abort_accepting();
        #[cfg(feature = "quic")]
        {
            let acceptors = sockets.bound.iter().filter_map(Bound::acceptor);
            sockets.leaving = acceptors.filter_map(|one| one.endpoint()).collect();
        }
        sockets.bound.drain(..).for_each(|bound| bound.stop());
        if let Some(watch) = sockets.watch.take() {
            watch.abort();
        }
        drop(sockets);
        let name = &self.owner.name;
        self.owner.events.emit(|| Event::ListenerStopped {
            listener: name.clone(),
        });
    }

    /// Waits, once it is stopped and its connections have ended or were given up, until its tasks are
    /// gone and with them its sockets: then its addresses are free.
    pub(crate) async fn released(&self) {
        let tasks = std::mem::take(&mut self.sockets().tasks);
        tasks.end().await;
        #[cfg(feature = "quic")]
        {
            let leaving = std::mem::take(&mut self.sockets().leaving);
            for endpoint in leaving {
                crate::quic::Front::idle(endpoint).await;
            }
        }
    }

    /// Puts other sockets in the place of those it has; some may be the same.
    pub(crate) fn rebind(self: &Arc<Self>, bound: Vec<Bound>) {
        let mut sockets = self.sockets();
        if sockets.stopped {
            return;
        }
        sockets.tasks.abort_accepting();
        for old in std::mem::replace(&mut sockets.bound, bound) {
            if !sockets.bound.iter().any(|new| new.is(&old)) {
                old.stop();
            }
        }
        self.spawn(&mut sockets);
    }

    pub(crate) fn keep_watch(&self, watch: AbortHandle) {
        self.sockets().watch = Some(watch);
    }

    /// Puts new rules in force.
    pub(crate) fn set_live(self: &Arc<Self>, live: Live) {
        let old = self.owner.live();
        let (limits, rates) = (live.config.limits.clone(), live.config.rates.clone());
        let rate_changed = old.config.rates.accept_per_prefix != rates.accept_per_prefix
            || old.config.rates.datagrams_per_prefix != rates.datagrams_per_prefix;
        self.gate.set_limit(limits.max_connections);
        self.handshakes.set_limit(limits.max_handshakes);
        if geometry(&old.config.limits) == geometry(&limits) {
            self.prefixes.load().set(&limits, &rates, rate_changed);
        } else {
            // Connections that are there stay counted in the tables that they are in.
            self.prefixes
                .store(Arc::new(Prefixes::new(&limits, &rates)));
        }
        if old.config.rates.accept != rates.accept {
            *self
                .accept_rate
                .lock()
                .unwrap_or_else(PoisonError::into_inner) = rates.accept.map(bucket);
        }
        self.owner.set_live(live);
        // Acceptors that wait by the old rules begin anew by these.
        let mut sockets = self.sockets();
        let waits_otherwise =
            old.config.limits.on_full != limits.on_full || old.config.rates.accept != rates.accept;
        if waits_otherwise {
            sockets.tasks.abort_accepting();
            self.spawn(&mut sockets);
        }
        let name = &self.owner.name;
        self.owner.events.emit(|| Event::Changed {
            listener: name.clone(),
        });
    }

    /// Takes a token of `rates.accept`, or says when there will be one.
    pub(crate) fn take_accept_token(&self) -> Result<(), Option<Instant>> {
        let now = tokio::time::Instant::now().into_std();
        let mut bucket = self
            .accept_rate
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        match &mut *bucket {
            None => Ok(()),
            Some(bucket) => {
                let taken = bucket.take(now, 1);
                if taken {
                    Ok(())
                } else {
                    Err(bucket.next_at(now, 1))
                }
            }
        }
    }

    /// Gives a token of `rates.accept` back: nobody was accepted with it.
    pub(crate) fn return_accept_token(&self) {
        let mut bucket = self
            .accept_rate
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(bucket) = &mut *bucket {
            bucket.give_back(1);
        }
    }

    pub(crate) fn prefixes(&self) -> arc_swap::Guard<Arc<Prefixes>> {
        self.prefixes.load()
    }

    pub(crate) fn config(&self) -> ListenerConfig {
        self.owner.live().config.clone()
    }
}

impl Drop for Sockets {
    fn drop(&mut self) {
        self.tasks.abort_accepting();
        self.bound.iter().for_each(Bound::stop);
    }
}

/// What a table of prefixes is made for.
fn geometry(limits: &Limits) -> (u8, u8, u32) {
    (limits.ipv4_prefix, limits.ipv6_prefix, limits.prefix_slots)
}

fn bucket(rate: Rate) -> TokenBucket {
    TokenBucket::new(
        tokio::time::Instant::now().into_std(),
        rate.per_second,
        rate.burst,
    )
}
