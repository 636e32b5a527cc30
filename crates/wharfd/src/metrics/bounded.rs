//! A listener whose connections are few and short: a peer that opens many and says nothing must not
//! use up the process's open files, which allocations need.

use std::future::Future as _;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Sleep, sleep};

/// Accepts TCP connections; those above the bound are closed at once.
#[derive(Debug)]
pub(super) struct Bounded {
    listener: TcpListener,
    places: Arc<Semaphore>,
    deadline: Duration,
}

impl Bounded {
    /// At most `connections` at once, each for at most `deadline`.
    pub(super) fn new(listener: TcpListener, connections: usize, deadline: Duration) -> Self {
        Self {
            listener,
            places: Arc::new(Semaphore::new(connections)),
            deadline,
        }
    }
}

impl axum::serve::Listener for Bounded {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        loop {
            let (stream, address) = axum::serve::Listener::accept(&mut self.listener).await;
            if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
                let connection = Connection {
                    stream,
                    deadline: Box::pin(sleep(self.deadline)),
                    _place: place,
                };
                return (connection, address);
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection that fails with [`ErrorKind::TimedOut`] after its deadline, whatever it is doing, and
/// holds one of the listener's places until it is dropped.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    deadline: Pin<Box<Sleep>>,
    _place: OwnedSemaphorePermit,
}

impl Connection {
    /// The stream, until the deadline; then an error. Wakes the task at the deadline.
    fn stream(&mut self, context: &mut Context<'_>) -> io::Result<Pin<&mut TcpStream>> {
        match self.deadline.as_mut().poll(context) {
            Poll::Ready(()) => Err(ErrorKind::TimedOut.into()),
            Poll::Pending => Ok(Pin::new(&mut self.stream)),
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.stream(context)?.poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.stream(context)?.poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream(context)?.poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream(context)?.poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::get;
    use std::io::{Read as _, Write as _};
    use std::net::TcpStream as Client;

    /// The address of a server with two places that answers `hello` at `/`.
    fn server(deadline: Duration) -> SocketAddr {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let mut runtime = tokio::runtime::Builder::new_current_thread();
            let runtime = runtime.enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = TcpListener::from_std(listener).unwrap();
                let router = axum::Router::new().route("/", get(|| async { "hello" }));
                let bounded = Bounded::new(listener, 2, deadline);
                axum::serve(bounded, router).await.unwrap();
            });
        });
        address
    }

    /// A connection on which a request was answered and which stays open: it has a place.
    fn occupy(address: SocketAddr) -> Option<Client> {
        let mut client = Client::connect(address).unwrap();
        let patience = Some(Duration::from_secs(20));
        client.set_read_timeout(patience).unwrap();
        let request = b"GET / HTTP/1.1\r\nHost: wharf\r\n\r\n";
        let mut answer = Vec::new();
        // Where the server has closed it, writing may fail as well as reading.
        let _ = client.write_all(request);
        while !answer.ends_with(b"hello") {
            let mut byte = [0];
            match client.read(&mut byte) {
                Ok(1) => answer.push(byte[0]),
                Ok(_) => return None,
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("{error}"),
            }
        }
        Some(client)
    }

    #[test]
    fn what_has_no_place_is_closed_at_once_and_a_place_is_used_again() {
        let address = server(Duration::from_hours(1));
        let places = [occupy(address).unwrap(), occupy(address).unwrap()];
        assert!(occupy(address).is_none());
        drop(places);
        let end = std::iter::repeat_with(|| occupy(address));
        assert!(end.take(100_000).any(|client| client.is_some()));
    }

    #[test]
    fn a_connection_ends_at_its_deadline() {
        let address = server(Duration::from_millis(500));
        let mut silent = Client::connect(address).unwrap();
        let mut idle = occupy(address).unwrap();
        for client in [&mut silent, &mut idle] {
            let patience = Some(Duration::from_secs(20));
            client.set_read_timeout(patience).unwrap();
            assert_eq!(client.read(&mut [0]).unwrap(), 0);
        }
    }
}
