//! From a place to a connected socket.

use std::ffi::OsStr;
use std::io;
use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::time::timeout;

use super::race::{interleave, race};
use super::{Attempt, AttemptError, ClientOptions, ConnectError, Place, Tries, Ways};
use crate::config::{Address, SocketOptions};
use crate::path::Endpoint;
use crate::sockets::BindError;
use crate::wire::Socket;

/// Connects; between the addresses of a name there is a race.
pub(super) async fn reach(
    place: &Place,
    options: &ClientOptions,
    ways: &Ways,
    tries: &Tries,
) -> Result<(Socket, Endpoint), ConnectError> {
    let result = match place {
        Place::Host { host, port } => {
            let found = resolve(host, *port, options, ways).await?;
            among(&found, options, ways, tries).await
        }
        Place::Unix(path) => at(place, unix(path, options), options, tries).await,
        Place::Abstract(text) => {
            let path = [b"\0", text.as_bytes()].concat();
            let path = Path::new(OsStr::from_bytes(&path));
            at(place, unix(path, options), options, tries).await
        }
    };
    result.map_err(|attempts| ConnectError::Unreachable {
        target: place.to_string(),
        attempts,
    })
}

/// The only address of a place.
async fn at(
    place: &Place,
    connecting: impl Future<Output = Result<Socket, AttemptError>>,
    options: &ClientOptions,
    tries: &Tries,
) -> Result<(Socket, Endpoint), Vec<Attempt>> {
    let counted = tries.begin();
    let result = within(options.timeouts.connect, connecting).await;
    counted.ended(result.is_ok());
    let address = Endpoint::Unix(Some(place.to_string().into()));
    match result {
        Ok(socket) => Ok((socket, address)),
        Err(error) => Err(vec![Attempt { address, error }]),
    }
}

pub(super) async fn resolve(
    host: &str,
    port: u16,
    options: &ClientOptions,
    ways: &Ways,
) -> Result<Vec<SocketAddr>, ConnectError> {
    let looking = ways.resolve(host, port, options.max_addresses);
    let found = match options.timeouts.connect {
        None => looking.await,
        Some(limit) => match timeout(limit, looking).await {
            Ok(found) => found,
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        },
    };
    found.map_err(|source| ConnectError::Resolve {
        host: host.to_owned(),
        source,
    })
}

/// The address that answers first, or what became of each.
async fn among(
    found: &[SocketAddr],
    options: &ClientOptions,
    ways: &Ways,
    tries: &Tries,
) -> Result<(Socket, Endpoint), Vec<Attempt>> {
    let timeouts = &options.timeouts;
    let connect = |address| within(timeouts.connect, ways.connect(address, options));
    let order = usable(found, options);
    let (socket, address) = race(&order, timeouts.attempt_delay, tries, connect).await?;
    Ok((socket, Endpoint::from_socket(address)))
}

/// The addresses of the family that is to be used, in the order in which they are tried.
pub(super) fn usable(found: &[SocketAddr], options: &ClientOptions) -> Vec<SocketAddr> {
    let local = options.local.as_ref();
    let mut usable = found.to_vec();
    usable.retain(|address| local.is_none_or(|local| local.is_ipv4() == address.is_ipv4()));
    interleave(&usable)
}

pub(super) async fn within<T>(
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

    async fn among(
        found: &[SocketAddr],
        options: &ClientOptions,
    ) -> Result<(Socket, Endpoint), Vec<Attempt>> {
        super::among(found, options, &Ways::default(), &Tries::default()).await
    }

    #[tokio::test]
    async fn an_address_that_refuses_is_passed_over() {
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
        let (_, peer) = among(&[closed, open], &options).await.unwrap();
        assert_eq!(peer, Endpoint::Ip(open));
        let attempts = among(&[closed], &options).await.unwrap_err();
        assert_eq!(attempts.len(), 1);
        assert_eq!(attempts[0].address, Endpoint::Ip(closed));
        let AttemptError::Io(error) = &attempts[0].error else {
            panic!("{attempts:?}");
        };
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        // Nothing is tried from an address of another family.
        let options = ClientOptions {
            local: Some("[::1]:0".parse().unwrap()),
            ..ClientOptions::default()
        };
        assert!(among(&[open], &options).await.unwrap_err().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_that_is_silent_has_its_own_time() {
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
        let attempts = among(&[silent], &options).await.unwrap_err();
        assert_eq!(began.elapsed(), Duration::from_secs(10));
        let AttemptError::Timeout(limit) = attempts[0].error else {
            panic!("{attempts:?}");
        };
        assert_eq!(limit, Duration::from_secs(10));
    }
}
