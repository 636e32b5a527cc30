//! From a place to a connected socket.

use std::ffi::OsStr;
use std::io;
use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use tokio::net::{TcpSocket, TcpStream, UnixStream, lookup_host};
use tokio::time::timeout;

use super::{Attempt, AttemptError, ClientOptions, ConnectError, Place};
use crate::config::{Address, SocketOptions};
use crate::path::Endpoint;
use crate::sockets::{self, BindError};
use crate::wire::Socket;

/// Addresses of one name that are tried at most.
const MOST: usize = 16;

/// Connects; the addresses of a name are tried in the order in which the resolver tells them.
pub(super) async fn reach(
    place: &Place,
    options: &ClientOptions,
) -> Result<(Socket, Endpoint), ConnectError> {
    let limit = options.timeouts.connect;
    let attempts = match place {
        Place::Host { host, port } => {
            let addresses = resolve(host, *port, limit).await?;
            match in_turn(&addresses, options).await {
                Ok(reached) => return Ok(reached),
                Err(attempts) => attempts,
            }
        }
        Place::Unix(path) => match within(limit, unix(path, options)).await {
            Ok(socket) => return Ok((socket, name(place))),
            Err(error) => vec![attempt(name(place), error)],
        },
        Place::Abstract(text) => {
            let path = [b"\0", text.as_bytes()].concat();
            let path = Path::new(OsStr::from_bytes(&path));
            match within(limit, unix(path, options)).await {
                Ok(socket) => return Ok((socket, name(place))),
                Err(error) => vec![attempt(name(place), error)],
            }
        }
    };
    let target = place.to_string();
    Err(ConnectError::Unreachable { target, attempts })
}

fn name(place: &Place) -> Endpoint {
    Endpoint::Unix(Some(place.to_string().into()))
}

fn attempt(address: Endpoint, error: AttemptError) -> Attempt {
    Attempt { address, error }
}

/// The addresses of a name, at most [`MOST`].
async fn resolve(
    host: &str,
    port: u16,
    limit: Option<Duration>,
) -> Result<Vec<SocketAddr>, ConnectError> {
    if let Ok(ip) = host.parse::<std::net::IpAddr>() {
        return Ok(vec![(ip, port).into()]);
    }
    let looking = lookup_host((host, port));
    let found = match limit {
        None => looking.await,
        Some(limit) => match timeout(limit, looking).await {
            Ok(found) => found,
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        },
    };
    let found = found.map_err(|source| ConnectError::Resolve {
        host: host.to_owned(),
        source,
    })?;
    Ok(found.take(MOST).collect())
}

/// The first address that answers, or what became of each.
pub(super) async fn in_turn(
    addresses: &[SocketAddr],
    options: &ClientOptions,
) -> Result<(Socket, Endpoint), Vec<Attempt>> {
    let mut attempts = Vec::new();
    let of_family = |address: &&SocketAddr| {
        let local = options.local.as_ref();
        local.is_none_or(|local| local.is_ipv4() == address.is_ipv4())
    };
    for address in addresses.iter().filter(of_family) {
        let peer = Endpoint::from_socket(*address);
        match within(options.timeouts.connect, tcp(*address, options)).await {
            Ok(stream) => return Ok((Socket::Tcp(stream), peer)),
            Err(error) => attempts.push(attempt(peer, error)),
        }
    }
    Err(attempts)
}

async fn within<T>(
    limit: Option<Duration>,
    connecting: impl Future<Output = Result<T, AttemptError>>,
) -> Result<T, AttemptError> {
    match limit {
        None => connecting.await,
        Some(limit) => timeout(limit, connecting)
            .await
            .unwrap_or(Err(AttemptError::Timeout(limit))),
    }
}

async fn tcp(address: SocketAddr, options: &ClientOptions) -> Result<TcpStream, AttemptError> {
    let socket = sockets::connect_socket(address, options.local, &options.socket)
        .map_err(AttemptError::Socket)?;
    let connecting = TcpSocket::from_std_stream(socket.into()).connect(address);
    connecting.await.map_err(AttemptError::Io)
}

async fn unix(path: &Path, options: &ClientOptions) -> Result<Socket, AttemptError> {
    let stream = UnixStream::connect(path).await.map_err(AttemptError::Io)?;
    let socket = Socket::Unix(stream);
    match socket.apply(&SocketOptions::default(), &options.socket) {
        Ok(()) => Ok(socket),
        Err(source) => {
            let address = Address::Path(path.into());
            Err(AttemptError::Socket(BindError::Address { address, source }))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[tokio::test]
    async fn addresses_are_tried_in_turn() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let open = listener.local_addr().unwrap();
        // Bound but not listening: nobody else can take the port, and it refuses.
        let bound =
            socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        bound
            .bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())
            .unwrap();
        let closed = bound.local_addr().unwrap().as_socket().unwrap();
        let options = ClientOptions::default();
        let (_, peer) = in_turn(&[closed, open], &options).await.unwrap();
        assert_eq!(peer, Endpoint::Ip(open));
        let attempts = in_turn(&[closed, closed], &options).await.unwrap_err();
        assert_eq!(attempts.len(), 2);
        assert_eq!(attempts[1].address, Endpoint::Ip(closed));
        let AttemptError::Io(error) = &attempts[1].error else {
            panic!("{attempts:?}");
        };
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        // Nothing is tried from an address of another family.
        let options = ClientOptions {
            local: Some("[::1]:0".parse().unwrap()),
            ..ClientOptions::default()
        };
        assert!(in_turn(&[open], &options).await.unwrap_err().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_that_is_silent_does_not_hold_up_the_next() {
        // A backlog that is full drops what comes.
        let full =
            socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        full.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())
            .unwrap();
        full.listen(0).unwrap();
        let silent = full.local_addr().unwrap().as_socket().unwrap();
        let _first = std::net::TcpStream::connect(silent).unwrap();
        let options = ClientOptions::default();
        let began = tokio::time::Instant::now();
        let attempts = in_turn(&[silent, silent], &options).await.unwrap_err();
        assert_eq!(began.elapsed(), Duration::from_secs(20));
        let limit = Duration::from_secs(10);
        assert!(
            attempts
                .iter()
                .all(|one| matches!(one.error, AttemptError::Timeout(l) if l == limit))
        );
    }
}
