//! The addresses of a place, and what becomes of each.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::timeout;

use super::race::{interleave, race};
use super::{Attempt, AttemptError, ClientOptions, ConnectError, Place, Tries, Ways};
use crate::config::{Problem, Problems};
use crate::path::Endpoint;

/// A host, and how its addresses are found and tried.
pub(super) struct Host<'a> {
    pub(super) place: &'a Place,
    pub(super) options: &'a ClientOptions,
    pub(super) ways: &'a Ways,
    pub(super) tries: &'a Tries,
}

impl Host<'_> {
    /// What `connect` makes of one of its addresses, between which there is a race.
    pub(super) async fn reach<T, Fut>(
        &self,
        connect: impl Fn(SocketAddr) -> Fut,
    ) -> Result<(T, Endpoint), ConnectError>
    where
        Fut: Future<Output = Result<T, AttemptError>>,
    {
        let found = match self.place {
            Place::Host { host, port } => resolve(host, *port, self.options, self.ways).await?,
            Place::Address(address) => vec![*address],
            Place::Unix(_) | Place::Abstract(_) => {
                let problem = Problem::new("url address", "expected a host and a port");
                return Err(Problems(vec![problem]).into());
            }
        };
        self.among(&found, connect)
            .await
            .map_err(|attempts| unreachable(self.place, attempts))
    }

    /// The address that answers first, or what became of each.
    async fn among<T, Fut>(
        &self,
        found: &[SocketAddr],
        connect: impl Fn(SocketAddr) -> Fut,
    ) -> Result<(T, Endpoint), Vec<Attempt>>
    where
        Fut: Future<Output = Result<T, AttemptError>>,
    {
        let timeouts = &self.options.timeouts;
        let connect = |address| within(timeouts.connect, connect(address));
        let order = usable(found, self.options);
        let (reached, address) = race(&order, timeouts.attempt_delay, self.tries, connect).await?;
        Ok((reached, Endpoint::from_socket(address)))
    }
}

/// The only address of a place.
pub(super) async fn only<T>(
    place: &Place,
    connecting: impl Future<Output = Result<T, AttemptError>>,
    options: &ClientOptions,
    tries: &Tries,
) -> Result<(T, Endpoint), ConnectError> {
    let counted = tries.begin();
    let result = within(options.timeouts.connect, connecting).await;
    counted.ended(result.is_ok());
    let address = Endpoint::Unix(Some(place.to_string().into()));
    match result {
        Ok(reached) => Ok((reached, address)),
        Err(error) => Err(unreachable(place, vec![Attempt { address, error }])),
    }
}

fn unreachable(place: &Place, attempts: Vec<Attempt>) -> ConnectError {
    ConnectError::Unreachable {
        target: place.to_string(),
        attempts,
    }
}

async fn resolve(
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

/// The addresses of the family that is to be used, in the order in which they are tried.
fn usable(found: &[SocketAddr], options: &ClientOptions) -> Vec<SocketAddr> {
    let local = options.local.as_ref();
    let mut usable = found.to_vec();
    usable.retain(|address| local.is_none_or(|local| local.is_ipv4() == address.is_ipv4()));
    interleave(&usable)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Socket;
    use std::net::TcpListener;

    async fn among(
        found: &[SocketAddr],
        options: &ClientOptions,
    ) -> Result<(Socket, Endpoint), Vec<Attempt>> {
        let ways = &Ways::default();
        let host = Host {
            place: &Place::Abstract(String::new()),
            options,
            ways,
            tries: &Tries::default(),
        };
        host.among(found, |address| ways.connect(address, options))
            .await
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
