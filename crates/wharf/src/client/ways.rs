//! How names are looked up, addresses reached and random numbers drawn: by the system, unless the
//! user gives functions.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;

use tokio::net::{TcpSocket, lookup_host};

use super::{AttemptError, ClientOptions};
use crate::sockets;
use crate::wire::Socket;

type Pending<T> = Pin<Box<dyn Future<Output = io::Result<T>> + Send>>;
type Resolve = Box<dyn Fn(String, u16) -> Pending<Vec<SocketAddr>> + Send + Sync>;
type Random = Box<dyn Fn() -> u64 + Send + Sync>;
type Connect = Box<dyn Fn(SocketAddr) -> Pending<Socket> + Send + Sync>;

/// The user's functions, where there are any.
#[derive(Default)]
pub(super) struct Ways {
    resolve: Option<Resolve>,
    connect: Option<Connect>,
    random: Option<Random>,
}

impl Ways {
    pub(super) fn resolve_with<F, Fut>(&mut self, resolve: F)
    where
        F: Fn(String, u16) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'static,
    {
        self.resolve = Some(Box::new(move |host, port| Box::pin(resolve(host, port))));
    }

    pub(super) fn connect_with<F, Fut>(&mut self, connect: F)
    where
        F: Fn(SocketAddr) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = io::Result<Socket>> + Send + 'static,
    {
        self.connect = Some(Box::new(move |address| Box::pin(connect(address))));
    }

    pub(super) fn random_with(&mut self, random: impl Fn() -> u64 + Send + Sync + 'static) {
        self.random = Some(Box::new(random));
    }

    /// A number from anywhere in the range. A system that has none to give gets the largest: the
    /// longest wait.
    pub(super) fn random(&self) -> u64 {
        match &self.random {
            Some(random) => random(),
            None => getrandom::u64().unwrap_or(u64::MAX),
        }
    }

    /// The addresses of a name, at most `most`; an address is its own.
    pub(super) async fn resolve(
        &self,
        host: &str,
        port: u16,
        most: usize,
    ) -> io::Result<Vec<SocketAddr>> {
        if let Ok(ip) = host.parse::<IpAddr>() {
            return Ok(vec![(ip, port).into()]);
        }
        match &self.resolve {
            None => Ok(lookup_host((host, port)).await?.take(most).collect()),
            Some(resolve) => {
                let mut found = resolve(host.to_owned(), port).await?;
                found.truncate(most);
                Ok(found)
            }
        }
    }

    /// A connected socket.
    pub(super) async fn connect(
        &self,
        address: SocketAddr,
        options: &ClientOptions,
    ) -> Result<Socket, AttemptError> {
        if let Some(connect) = &self.connect {
            return connect(address).await.map_err(AttemptError::Io);
        }
        let socket = sockets::connect_socket(address, options.local, &options.socket)
            .map_err(AttemptError::Socket)?;
        let connecting = TcpSocket::from_std_stream(socket.into()).connect(address);
        connecting.await.map(Socket::Tcp).map_err(AttemptError::Io)
    }
}
