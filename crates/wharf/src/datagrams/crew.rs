//! The workers of one address: threads with a batch handler each.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd as _, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use socket2::SockRef;
use tokio::sync::oneshot;
use wharf_udp::{Socket, Waker, Worker, allowed_cpus};

use super::guard::Guard;
use super::port::Mode;
use crate::batch::Seat;
use crate::config::{Address, ListenerConfig};
use crate::counters::{Tally, one_more};
use crate::events::Event;
use crate::handlers::MakeBatch;
use crate::listener::Listener;
use crate::path::Endpoint;
use crate::sockets::{self, BindError};

/// The sockets of one address, and later the threads that serve them.
#[derive(Debug)]
pub(crate) struct Crew {
    local: SocketAddr,
    endpoint: Endpoint,
    /// What it was configured as.
    address: Option<Address>,
    make: MakeBatch,
    /// The sockets of all workers, to change options on and to hand over.
    handles: Vec<OwnedFd>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Until the threads have them.
    sockets: Vec<Socket>,
    /// The options that they have.
    config: ListenerConfig,
    orders: Vec<Arc<Orders>>,
}

/// What a worker is to do, and what has it look.
#[derive(Debug)]
pub(crate) struct Orders {
    mode: Mutex<Mode>,
    waker: Waker,
}

impl Orders {
    pub(crate) fn mode(&self) -> Mode {
        *self.mode.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, mode: Mode) {
        let mut now = self.mode.lock().unwrap_or_else(PoisonError::into_inner);
        if *now != Mode::Stopping {
            *now = mode;
            self.waker.wake();
        }
    }
}

impl Crew {
    /// For sockets that share one address, at least one.
    pub(crate) fn new(
        sockets: Vec<Socket>,
        address: Option<Address>,
        config: &ListenerConfig,
        make: MakeBatch,
    ) -> io::Result<Arc<Self>> {
        let Some(first) = sockets.first() else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let local = first.local_addr();
        let handles = sockets
            .iter()
            .map(|socket| socket.as_fd().try_clone_to_owned());
        let handles = handles.collect::<Result<_, _>>()?;
        Ok(Arc::new(Self {
            local,
            endpoint: Endpoint::from_socket(local),
            address,
            make,
            handles,
            state: Mutex::new(State {
                sockets,
                config: config.clone(),
                orders: Vec::new(),
            }),
        }))
    }

    pub(crate) fn local(&self) -> &Endpoint {
        &self.endpoint
    }

    pub(crate) fn address(&self) -> Option<&Address> {
        self.address.as_ref()
    }

    pub(crate) fn handles(&self) -> &[OwnedFd] {
        &self.handles
    }

    /// Serves from now on. What completes when threads that were not there before have ended.
    pub(crate) fn start(&self, listener: &Arc<Listener>) -> Vec<oneshot::Receiver<()>> {
        let mut state = self.state();
        for orders in &state.orders {
            orders.set(Mode::Running);
        }
        let sockets = std::mem::take(&mut state.sockets);
        let cpus = if state.config.datagrams.pin_workers {
            allowed_cpus()
        } else {
            Vec::new()
        };
        let (count, mut ends) = (sockets.len(), Vec::new());
        for (index, socket) in sockets.into_iter().enumerate() {
            let cpu = cpus.get(index % cpus.len().max(1)).copied();
            match self.hire(listener, socket, (index, count), cpu) {
                Ok((orders, end)) => {
                    state.orders.push(orders);
                    ends.push(end);
                }
                Err(error) => {
                    let owner = &listener.owner;
                    one_more(&owner.counters.accept_errors);
                    owner.events.emit(|| Event::ListenerError {
                        listener: owner.name.clone(),
                        error: format!("worker {index}: {error}"),
                    });
                }
            }
        }
        ends
    }

    /// Starts one thread.
    fn hire(
        &self,
        listener: &Arc<Listener>,
        socket: Socket,
        (index, count): (usize, usize),
        cpu: Option<usize>,
    ) -> io::Result<(Arc<Orders>, oneshot::Receiver<()>)> {
        let waker = Waker::new()?;
        let seat = Seat {
            index,
            count,
            local: self.local,
            is_dual: is_any(self.local) && !SockRef::from(&socket).only_v6()?,
            waker: waker.clone(),
        };
        let made = catch_unwind(AssertUnwindSafe(|| (self.make.0)(&seat)));
        let handler =
            made.map_err(|_| io::Error::other("the handler could not be made: a panic"))?;
        let orders = Arc::new(Orders {
            mode: Mutex::new(Mode::Running),
            waker: waker.clone(),
        });
        let (tally, (ended, end)) = (Arc::new(Tally::default()), oneshot::channel());
        let guard = Guard::new(
            listener.clone(),
            orders.clone(),
            tally.clone(),
            handler,
            ended,
        );
        let worker = Worker::new(guard, vec![socket], waker)?;
        listener
            .owner
            .counters
            .workers
            .enroll(tally, worker.traffic());
        // Longer names are cut by the system, so the number comes first.
        worker.start(format!("{index}-{}", listener.owner.name), cpu)?;
        Ok((orders, end))
    }

    /// Changes the mode of all threads; those that stop go on stopping.
    pub(crate) fn set(&self, mode: Mode) {
        let mut state = self.state();
        for orders in &state.orders {
            orders.set(mode);
        }
        if mode == Mode::Stopping {
            state.sockets.clear();
        }
    }

    /// The crew by other options, as far as they can change on bound sockets.
    pub(crate) fn again(self: &Arc<Self>, wanted: &ListenerConfig) -> Result<Arc<Self>, BindError> {
        let state = &mut *self.state();
        for handle in &self.handles {
            let options = (&state.config.socket, &wanted.socket);
            sockets::change_datagrams(handle, None, options, &wanted.unix, true)?;
        }
        let steering = wanted.datagrams.steering;
        if let Some(handle) = self.handles.first()
            && steering != state.config.datagrams.steering
        {
            sockets::steer(handle, self.local, steering, self.handles.len())?;
        }
        state.config = wanted.clone();
        Ok(self.clone())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether it is `[::]`, with any port.
fn is_any(address: SocketAddr) -> bool {
    address.is_ipv6() && address.ip().is_unspecified()
}
