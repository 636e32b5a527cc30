//! Start and end.

use std::hash::RandomState;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use wharf_policy::Quotas;
use wharf_turn::{Server, Shared};
use wharf_udp::{Socket, SocketOptions, allowed_cpus};

use crate::config::{Config, StartError, Tos};
use crate::control::{Colleague, Drained, Handle, Inbox};
use crate::counters::Counters;
use crate::outbound::Outbound;
use crate::own::{Ended, Own, watch};
use crate::relays;
use crate::stream::framer;
use crate::worker::{Drain, Worker};

/// Receive buffer of a listening socket, when the configuration says nothing: all clients of a worker
/// share it, and the kernel's default of 208 KiB holds less than 300 small datagrams, a few milliseconds
/// of traffic.
const RECEIVE_BUFFER: usize = 4 << 20;

/// A reservation token carries its worker's number in a byte.
const MAX_WORKERS: usize = 255;

/// A running TURN server. Dropped, it stops.
#[derive(Debug)]
pub struct TurnServer {
    handle: Handle,
    local_addrs: Vec<SocketAddr>,
    threads: Vec<JoinHandle<()>>,
    /// The thread that watches the host's addresses, and what ends it.
    watcher: Option<JoinHandle<()>>,
    ended: Arc<Ended>,
}

impl TurnServer {
    /// Binds all sockets and starts the workers, or does neither and says why.
    pub fn start(config: Config) -> Result<Self, StartError> {
        check_relays(&config)?;
        let count = worker_count(&config)?;
        let sockets = listen(&config, count)?;
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
            let worker = Worker {
                index,
                core: Server::new(core, shared.clone(), now, unix, entropy()?),
                relays: relays::options(config.tos),
                outbound: Outbound::default(),
                counters: Arc::clone(&counters),
                credentials: Arc::clone(&credentials),
                hook: config.events.clone(),
                inboxes: inboxes.clone(),
                drained: Arc::clone(&drained),
                drain: Drain::No,
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
        let mut server = Self {
            handle,
            local_addrs,
            threads: Vec::new(),
            watcher: None,
            ended: Arc::default(),
        };
        let cpus = if config.pin_workers {
            allowed_cpus()
        } else {
            Vec::new()
        };
        for (index, worker) in built.into_iter().enumerate() {
            let cpu = cpus.get(index % cpus.len().max(1)).copied();
            let thread = worker.start(format!("turn-{index}"), cpu);
            server
                .threads
                .push(thread.map_err(system("start a thread"))?);
        }
        let (handle, ended) = (server.handle(), Arc::clone(&server.ended));
        let thread = std::thread::Builder::new().name("turn-watch".to_owned());
        let thread = thread.spawn(move || watch(&handle, &ended));
        server.watcher = Some(thread.map_err(system("start a thread"))?);
        Ok(server)
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

fn worker_count(config: &Config) -> Result<usize, StartError> {
    if config.listen.is_empty() {
        return Err(StartError::NoListener);
    }
    let pairs = config
        .relays
        .iter()
        .map(|relay| relay.ports.clone().count() / 2);
    let pairs = pairs.min().ok_or(StartError::NoRelay)?;
    match config.workers {
        0 => Ok(allowed_cpus().len().clamp(1, MAX_WORKERS.min(pairs.max(1)))),
        given if given > MAX_WORKERS.min(pairs.max(1)) => Err(StartError::Workers {
            given,
            limit: MAX_WORKERS.min(pairs.max(1)),
        }),
        given => Ok(given),
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

/// The listening sockets of each worker. The workers' share a port; before that, a socket of its own
/// makes sure that nobody else has it.
fn listen(config: &Config, workers: usize) -> Result<Vec<Vec<Socket>>, StartError> {
    let mut sockets: Vec<Vec<_>> = (0..workers).map(|_| Vec::new()).collect();
    for &address in &config.listen {
        let options = SocketOptions {
            reuse_port: workers > 1,
            packet_info: address.ip().is_unspecified(),
            gro: true,
            receive_tos: config.tos == Tos::Copy,
            receive_buffer: Some(config.receive_buffer.unwrap_or(RECEIVE_BUFFER)),
            send_buffer: config.send_buffer,
            ..SocketOptions::default()
        };
        let bind = |address, options| {
            Socket::bind(address, &options).map_err(|source| StartError::Listen { address, source })
        };
        let alone = bind(
            address,
            SocketOptions {
                reuse_port: false,
                ..options
            },
        )?;
        let address = alone.local_addr();
        if workers == 1 {
            sockets[0].push(alone);
            continue;
        }
        drop(alone);
        for sockets in &mut sockets {
            sockets.push(bind(address, options)?);
        }
    }
    Ok(sockets)
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
