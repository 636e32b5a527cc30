//! What a server leaves to its successor, another process.
//!
//! Both have the same UDP sockets, and a five-tuple has the same worker in both. The successor reads all that
//! comes. What belongs to an allocation that it does not know it hands back, through a passage that each of its
//! workers has to the worker of the same number here, which relays it as before: allocations live on where they
//! are until they end, or this server does. Nothing is lost when the reader changes, since both may read for a
//! moment.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsFd as _, OwnedFd};

use wharf_udp::Socket;

/// The UDP sockets of a running server, for the one that takes its place:
/// [`TurnServer::legacy`](crate::TurnServer::legacy) there, [`Config::legacy`](crate::Config::legacy) here.
/// Between the two it is descriptors with names, which a Unix socket carries (`SCM_RIGHTS`, unix(7)).
#[derive(Debug, Default)]
pub struct Legacy {
    pub(crate) workers: Vec<Share>,
}

/// What one worker leaves.
#[derive(Debug, Default)]
pub(crate) struct Share {
    pub(crate) listeners: Vec<UdpSocket>,
    pub(crate) passage: Option<OwnedFd>,
}

/// Workers that a server may have.
const MOST: usize = 255;

impl Legacy {
    /// The descriptors and their names, in an order that is to be kept.
    pub fn into_descriptors(self) -> Vec<(String, OwnedFd)> {
        let workers = self.workers.into_iter().enumerate();
        let all = workers.flat_map(|(worker, share)| {
            let listeners = share.listeners.into_iter();
            let listeners = listeners.map(move |fd| (format!("turn {worker} listener"), fd.into()));
            let passage = share.passage.into_iter();
            listeners.chain(passage.map(move |fd| (format!("turn {worker} passage"), fd)))
        });
        all.collect()
    }

    /// From such descriptors; `None` where there is none of them. Others are left out.
    ///
    /// # Errors
    /// `InvalidData`: a worker lacks a socket, or there are more than 255.
    pub fn from_descriptors(
        descriptors: impl IntoIterator<Item = (String, OwnedFd)>,
    ) -> io::Result<Option<Self>> {
        let mut workers: Vec<Share> = Vec::new();
        for (name, fd) in descriptors {
            let mut words = name.split(' ');
            let (Some("turn"), Some(worker), Some(what)) =
                (words.next(), words.next(), words.next())
            else {
                continue;
            };
            let Some(worker) = worker.parse().ok().filter(|worker| *worker < MOST) else {
                return Err(invalid("a worker of a number above 254"));
            };
            if workers.len() <= worker {
                workers.resize_with(worker + 1, Share::default);
            }
            match what {
                "listener" => workers[worker].listeners.push(fd.into()),
                _ => workers[worker].passage = Some(fd),
            }
        }
        let Some(first) = workers.first() else {
            return Ok(None);
        };
        let count = first.listeners.len();
        let whole = |share: &Share| share.listeners.len() == count && share.passage.is_some();
        if count == 0 || !workers.iter().all(whole) {
            return Err(invalid("a worker without its sockets"));
        }
        Ok(Some(Self { workers }))
    }

    /// The sockets that are bound to an address, one of each worker; empty where there are none.
    pub(crate) fn take(&mut self, address: SocketAddr) -> Vec<OwnedFd> {
        let at = |socket: &UdpSocket| socket.local_addr().is_ok_and(|local| local == address);
        let found = self.workers.iter_mut().filter_map(|share| {
            let place = share.listeners.iter().position(at)?;
            Some(share.listeners.remove(place).into())
        });
        found.collect()
    }
}

/// The same sockets once more.
pub(crate) fn duplicate(sockets: &[Socket]) -> io::Result<Vec<UdpSocket>> {
    let all = sockets.iter();
    all.map(|socket| Ok(socket.as_fd().try_clone_to_owned()?.into()))
        .collect()
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
