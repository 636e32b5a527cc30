//! Start and end.

use std::fmt;
use std::hash::RandomState;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use wharf_policy::Quotas;
use wharf_turn::{Server, Shared};
use wharf_udp::{Socket, SocketOptions, allowed_cpus};

use crate::Legacy;
use crate::config::{Config, StartError};
use crate::control::{Colleague, Drained, Handle, Inbox, Message};
use crate::counters::Counters;
use crate::dtls::Sessions;
use crate::legacy::{self, Share};
use crate::listening::{RECEIVE_BUFFER, addresses, listen, worker_count};
use crate::outbound::Outbound;
use crate::own::{Ended, Own, watch};
use crate::passage::{self, End};
use crate::relays;
use crate::stream::framer;
use crate::worker::{Drain, Worker};

/// A running TURN server. Dropped, it stops.
pub struct TurnServer {
    handle: Handle,
    local_addrs: Vec<SocketAddr>,
    /// The listening sockets once more, by worker, for a successor.
    sockets: Vec<Vec<UdpSocket>>,
    /// The successor's ends.
    passages: Mutex<Vec<OwnedFd>>,
    receive_buffer: usize,
    pin_workers: bool,
    /// Until they begin.
    built: Mutex<Vec<wharf_udp::Worker<Worker>>>,
    threads: Vec<JoinHandle<()>>,
    /// The thread that watches the host's addresses, and what ends it.
    watcher: Option<JoinHandle<()>>,
    ended: Arc<Ended>,
}

impl TurnServer {
    /// Binds all sockets and starts the workers, or does neither and says why.
    pub fn start(config: Config) -> Result<Self, StartError> {
        let mut server = Self::bind(config)?;
        server.begin()?;
        Ok(server)
    }

    /// Binds all sockets. Nothing is read from them before [`begin`](Self::begin).
    pub fn bind(mut config: Config) -> Result<Self, StartError> {
        check_relays(&config)?;
        let count = worker_count(&config)?;
        let mut legacy = config.legacy.take();
        let sockets = listen(&config, legacy.as_mut(), count)?;
        let duplicates = sockets.iter().map(|sockets| legacy::duplicate(sockets));
        let duplicates = duplicates
            .collect::<Result<_, _>>()
            .map_err(system("duplicate a socket"))?;
        let speak: Vec<bool> = addresses(&config).map(|(_, speaks)| speaks).collect();
        let local_addrs: Vec<_> = sockets[0].iter().map(Socket::local_addr).collect();

        let own = Own::new(config.peers, &config.relays, &local_addrs);
        let own = Arc::new(own.map_err(system("list the interfaces"))?);
        let quotas = Quotas::new(config.quotas);
        let shared = Shared {
            nonce_secret: match config.nonce_secret {
                Some(secret) => secret,
                None => entropy()?,
            },
            quotas: quotas.clone(),
            peers: own.policy(),
        };
        let inboxes = (0..count)
            .map(|_| Inbox::new().map(Arc::new))
            .collect::<Result<Vec<_>, _>>();
        let inboxes = inboxes.map_err(system("make an event descriptor"))?;
        let credentials = Arc::new(config.credentials);
        let drained = Arc::new(Drained::default());
        let receive_buffer = config.receive_buffer.unwrap_or(RECEIVE_BUFFER);
        let now = Instant::now();
        let unix = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();

        let (mut built, mut workers) = (Vec::new(), Vec::new());
        for (index, sockets) in sockets.into_iter().enumerate() {
            let mut core = config.core.clone();
            core.relays.clone_from(&config.relays);
            core.worker = wharf_turn::Worker {
                index: index as u8,
                count: count as u8,
            };
            let counters = Arc::new(Counters::new());
            let limits = core.unauthenticated;
            let dtls = config.dtls.as_ref().map(|options| {
                let context = options.context.separate()?;
                let secret = entropy()?;
                let speak = speak.clone();
                let sessions = Sessions::new(options, context, speak, limits, count, &secret, now);
                Ok::<_, StartError>(sessions)
            });
            let worker = Worker {
                index,
                core: Server::new(core, shared.clone(), now, unix, entropy()?),
                relays: relays::options(config.tos),
                outbound: Outbound::new(dtls.transpose()?),
                counters: Arc::clone(&counters),
                credentials: Arc::clone(&credentials),
                hook: config.events.clone(),
                inboxes: inboxes.clone(),
                drained: Arc::clone(&drained),
                drain: Drain::No,
                predecessor: None,
                successor: None,
            };
            worker.gauge();
            let waker = inboxes[index].waker().clone();
            let worker = wharf_udp::Worker::new(worker, sockets, waker);
            let worker = worker.map_err(system("watch a socket"))?;
            workers.push(Colleague {
                inbox: Arc::clone(&inboxes[index]),
                counters,
                traffic: worker.traffic(),
            });
            built.push(worker);
        }
        let handle = Handle {
            workers,
            quotas,
            own,
            drained,
            streams: config.streams,
            framer: framer(config.core.rfc5766_channels),
            spread: RandomState::new(),
        };
        // Each worker hears of its predecessor before it reads anything.
        let shares = legacy.into_iter().flat_map(|legacy| legacy.workers);
        for (worker, share) in handle.workers.iter().zip(shares) {
            if let Some(passage) = share.passage {
                let end = End::adopt(passage, receive_buffer);
                let end = end.map_err(system("take over a passage"))?;
                worker.inbox.send(Message::Predecessor(end));
            }
        }
        Ok(Self {
            handle,
            local_addrs,
            sockets: duplicates,
            passages: Mutex::default(),
            receive_buffer,
            pin_workers: config.pin_workers,
            built: Mutex::new(built),
            threads: Vec::new(),
            watcher: None,
            ended: Arc::default(),
        })
    }

    /// Starts the workers. A second call does nothing.
    pub fn begin(&mut self) -> Result<(), StartError> {
        let cpus = if self.pin_workers {
            allowed_cpus()
        } else {
            Vec::new()
        };
        let built = self.built.get_mut().unwrap_or_else(PoisonError::into_inner);
        for (index, worker) in built.drain(..).enumerate() {
            let cpu = cpus.get(index % cpus.len().max(1)).copied();
            let thread = worker.start(format!("turn-{index}"), cpu);
            self.threads.push(thread.map_err(system("start a thread"))?);
        }
        if self.watcher.is_none() {
            let (handle, ended) = (self.handle(), Arc::clone(&self.ended));
            let thread = std::thread::Builder::new().name("turn-watch".to_owned());
            let thread = thread.spawn(move || watch(&handle, &ended));
            self.watcher = Some(thread.map_err(system("start a thread"))?);
        }
        Ok(())
    }

    /// What a successor needs to take this server's place. It may take it as often as it is given;
    /// [`Handle::leave`] says that it reads. Fails when the system has no more descriptors.
    pub fn legacy(&self) -> io::Result<Legacy> {
        let mut passages = self.passages.lock().unwrap_or_else(PoisonError::into_inner);
        while passages.len() < self.handle.workers.len() {
            let (ours, theirs) = passage::pair()?;
            let end = End::adopt(ours, self.receive_buffer)?;
            let inbox = &self.handle.workers[passages.len()].inbox;
            inbox.send(Message::Successor(end));
            passages.push(theirs);
        }
        let workers = self.sockets.iter().zip(&*passages);
        let shares = workers.map(|(listeners, passage)| {
            let listeners = listeners.iter().map(UdpSocket::try_clone);
            Ok(Share {
                listeners: listeners.collect::<io::Result<_>>()?,
                passage: Some(passage.try_clone()?),
            })
        });
        Ok(Legacy {
            workers: shares.collect::<io::Result<_>>()?,
        })
    }

    /// The addresses listened on, with the ports that were taken for port 0.
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.local_addrs
    }

    /// Observes and steers this server from anywhere.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// After [`Handle::drain`]: waits until no allocation is left, at most for `limit`. True if none is.
    pub fn wait_drained(&self, limit: Duration) -> bool {
        self.handle.drained.wait(self.threads.len(), limit)
    }

    /// Ends all workers and waits for them. Allocations that are left end without a word.
    pub fn stop(self) {}
}

impl fmt::Debug for TurnServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TurnServer")
            .field("local_addrs", &self.local_addrs)
            .finish_non_exhaustive()
    }
}

impl Drop for TurnServer {
    fn drop(&mut self) {
        self.handle.stop();
        self.ended.set();
        for thread in self.threads.drain(..).chain(self.watcher.take()) {
            // A worker catches its panics; there is nothing to learn from the result.
            let _ = thread.join();
        }
    }
}

/// Each relay address must be one that sockets can be bound to, of one family with what is advertised.
fn check_relays(config: &Config) -> Result<(), StartError> {
    for relay in &config.relays {
        let address = relay.bind;
        let problem = if relay.ports.is_empty() {
            Some("its range of ports is empty".to_owned())
        } else if address.is_ipv4() != relay.advertised.is_ipv4() {
            Some(format!("{} is of another family", relay.advertised))
        } else if relay.advertised.is_unspecified() {
            Some("clients must be told an address that can be reached".to_owned())
        } else {
            let probe = Socket::bind(SocketAddr::new(address, 0), &SocketOptions::default());
            probe.err().map(|error| error.to_string())
        };
        if let Some(why) = problem {
            return Err(StartError::Relay { address, why });
        }
    }
    Ok(())
}

fn entropy() -> Result<[u8; 32], StartError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)
        .map_err(io::Error::from)
        .map_err(system("draw entropy"))?;
    Ok(bytes)
}

fn system(what: &'static str) -> impl FnOnce(io::Error) -> StartError {
    move |source| StartError::System { what, source }
}
