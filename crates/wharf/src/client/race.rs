//! The order in which the addresses of a name are tried, and the race between them (RFC 8305).

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;

use super::{Attempt, AttemptError, Tries};
use crate::path::Endpoint;

/// The families in turn, beginning with that of the first address (RFC 8305 §4, with a First
/// Address Family Count of 1); within a family the resolver's order, each address once.
pub(super) fn interleave(found: &[SocketAddr]) -> Vec<SocketAddr> {
    let mut once = Vec::with_capacity(found.len());
    for address in found {
        if !once.contains(address) {
            once.push(*address);
        }
    }
    let leads = |address: &&SocketAddr| address.is_ipv4() == once[0].is_ipv4();
    let mut leading = once.iter().filter(leads);
    let mut other = once.iter().filter(|address| !leads(address));
    let mut order = Vec::with_capacity(once.len());
    while order.len() < once.len() {
        order.extend(leading.next());
        order.extend(other.next());
    }
    order
}

/// Tries the addresses in their order, the next one beside those before it when `delay` has passed
/// without an answer, and at once when one has failed (RFC 8305 §5). The first that is reached wins,
/// and the others are given up. Without a delay each is tried when the one before has failed.
pub(super) async fn race<T, Fut>(
    order: &[SocketAddr],
    delay: Option<Duration>,
    tries: &Tries,
    connect: impl Fn(SocketAddr) -> Fut,
) -> Result<(T, SocketAddr), Vec<Attempt>>
where
    Fut: Future<Output = Result<T, AttemptError>>,
{
    let mut waiting = order.iter().copied();
    let mut running = FuturesUnordered::new();
    let mut failed = Vec::new();
    loop {
        if let Some(address) = waiting.next() {
            let (counted, connecting) = (tries.begin(), connect(address));
            running.push(async move {
                let result = connecting.await;
                counted.ended(result.is_ok());
                (address, result)
            });
        }
        let more = waiting.len() > 0;
        tokio::select! {
            biased;
            ended = running.next() => match ended {
                Some((address, Ok(reached))) => return Ok((reached, address)),
                Some((address, Err(error))) => {
                    let address = Endpoint::from_socket(address);
                    failed.push(Attempt { address, error });
                }
                // Nothing is under way, and nothing is left.
                None => return Err(failed),
            },
            () = pause(delay.filter(|_| more)) => {}
        }
    }
}

async fn pause(delay: Option<Duration>) {
    match delay {
        Some(delay) => tokio::time::sleep(delay).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
