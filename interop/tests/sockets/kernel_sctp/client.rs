//! Our client over the kernel's associations.

use std::io::ErrorKind;

use tokio::time::timeout;
use wharf::Closed;
use wharf::client::{AttemptError, ConnectError};
use wharf::config::SctpVia;

use super::listener::served;
use crate::sctp::{client, exchanges};
use crate::served::SOON;

#[tokio::test]
#[ignore = "needs the kernel's SCTP: interop/vm/run.sh runs it"]
async fn our_client_speaks_with_our_listener() {
    let served = served("127.0.0.1:0", SctpVia::Kernel);
    let client = client(SctpVia::Kernel);
    let url = format!("sctp://{}", served.address());
    let mut messages = client.connect_messages(&url).await.expect("an association");
    exchanges(&mut messages).await;
    drop(messages);
    assert_eq!(client.drain(SOON).await.forced(), 0);
    assert_eq!(client.stats().closed(Closed::Finished), 1);
    let ended = tokio::task::spawn_blocking(|| served.finish()).await;
    assert_eq!(ended.expect("counters").closed(Closed::Finished), 1);
}

#[tokio::test]
#[ignore = "needs the kernel's SCTP: interop/vm/run.sh runs it"]
async fn our_client_hears_that_nobody_listens() {
    let client = client(SctpVia::Kernel);
    let dialling = client.connect_messages("sctp://127.0.0.1:1");
    let dialled = timeout(SOON, dialling).await.expect("an answer");
    let Err(ConnectError::Unreachable { mut attempts, .. }) = dialled else {
        panic!("somebody is there")
    };
    let AttemptError::Io(error) = attempts.remove(0).error else {
        panic!("the kernel tells")
    };
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
}
