//! Connections that are used again, and those that are not.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, sleep, timeout};
use wharf::client::{ClientBuilder, PoolError, Pooled};
use wharf::config::Transport;
use wharf::testkit::Connector;
use wharf::{Client, Closed, ConnectError, Filter, Socket, Tls};

use crate::support::{certificate, in_memory, is_conserved, serve, trusting};

const URL: &str = "tcp://192.0.2.1:1";

/// A client of the listener, to which connecting takes 100 ms.
fn client(server: &Connector) -> ClientBuilder {
    let server = server.clone();
    Client::builder().connector(move |_| {
        let server = server.clone();
        async move {
            sleep(Duration::from_millis(100)).await;
            Ok(Socket::from(server.connect_from("192.0.2.9:1").await?))
        }
    })
}

async fn ask(connection: &mut Pooled) {
    connection.write_all(b"hello").await.unwrap();
    connection.flush().await.unwrap();
    let mut answer = [0; 5];
    connection.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"hello");
}

#[tokio::test(start_paused = true)]
async fn what_was_given_back_is_used_again_and_what_was_dropped_is_not() {
    let (_handle, server) = in_memory(Transport::Tcp);
    let client = client(&server).build().unwrap();
    let pool = client.pool(URL).unwrap();
    assert_eq!(client.stats().arrived, 0);
    let mut first = pool.take().await.unwrap();
    ask(&mut first).await;
    let id = first.connection().id();
    first.give_back();
    assert_eq!((pool.status().total, pool.status().idle), (1, 1));
    let mut second = pool.take().await.unwrap();
    assert_eq!(second.connection().id(), id);
    ask(&mut second).await;
    drop(second);
    assert_eq!(pool.status().total, 0);
    assert_ne!(pool.take().await.unwrap().connection().id(), id);
    let told = client.pools();
    assert_eq!((told.taken, told.reused), (3, 1));
    is_conserved(&client.stats());
}

#[tokio::test(start_paused = true)]
async fn what_the_peer_closed_is_thrown_away_as_it_happens() {
    let (handle, server) = in_memory(Transport::Tcp);
    let client = client(&server).build().unwrap();
    let pool = client.pool(URL).unwrap();
    let mut connection = pool.take().await.unwrap();
    ask(&mut connection).await;
    connection.give_back();
    handle.close(&Filter::default());
    sleep(Duration::from_millis(1)).await;
    assert_eq!((pool.status().total, client.stats().live), (0, 0));
    assert_eq!(client.pools().unusable, 1);
    ask(&mut pool.take().await.unwrap()).await;
}

#[tokio::test(start_paused = true)]
async fn what_has_something_to_read_is_not_given_to_others() {
    let (_handle, server) = in_memory(Transport::Tcp);
    let client = client(&server).build().unwrap();
    let pool = client.pool(URL).unwrap();
    // The answer to the second request is there when it is given back.
    let mut connection = pool.take().await.unwrap();
    ask(&mut connection).await;
    connection.write_all(b"more").await.unwrap();
    sleep(Duration::from_millis(1)).await;
    connection.give_back();
    assert_eq!((client.pools().unusable, pool.status().total), (1, 0));
    // It comes only afterwards.
    let mut connection = pool.take().await.unwrap();
    connection.write_all(b"more").await.unwrap();
    connection.give_back();
    assert_eq!(pool.status().idle, 1);
    sleep(Duration::from_millis(1)).await;
    assert_eq!((client.pools().unusable, pool.status().total), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn each_bound_is_kept() {
    let (_handle, server) = in_memory(Transport::Tcp);
    let client = client(&server)
        .with(|options| {
            options.pool.max_total = 3;
            options.pool.max_idle = 1;
            options.pool.max_waiting = 1;
            options.pool.wait = Some(Duration::from_secs(2));
        })
        .build()
        .unwrap();
    let pool = client.pool(URL).unwrap();
    let mut taken = Vec::new();
    for _ in 0..3 {
        taken.push(pool.take().await.unwrap());
    }
    let began = Instant::now();
    let (one, other) = tokio::join!(pool.take(), pool.take());
    assert!(matches!(other, Err(PoolError::Busy)), "{other:?}");
    let limit = Duration::from_secs(2);
    assert!(matches!(one, Err(PoolError::Timeout(told)) if told == limit));
    assert_eq!((began.elapsed(), client.pools().refused), (limit, 2));
    // One that comes back goes to who waits, not to the free ones.
    let back = taken.pop().unwrap();
    let id = back.connection().id();
    let (again, ()) = tokio::join!(pool.take(), async { back.give_back() });
    assert_eq!(again.unwrap().connection().id(), id);
    taken.into_iter().for_each(Pooled::give_back);
    assert_eq!((pool.status().idle, pool.status().total), (1, 1));
    assert_eq!(client.stats().arrived, 3);
}

#[tokio::test(start_paused = true)]
async fn a_free_connection_expires_and_the_limit_can_change() {
    let (_handle, server) = in_memory(Transport::Tcp);
    let client = client(&server).build().unwrap();
    let pool = client.pool(URL).unwrap();
    pool.take().await.unwrap().give_back();
    sleep(Duration::from_millis(59_990)).await;
    assert_eq!(pool.status().idle, 1);
    sleep(Duration::from_millis(20)).await;
    assert_eq!((pool.status().total, client.pools().expired), (0, 1));
    pool.take().await.unwrap().give_back();
    client
        .change(|options| options.pool.idle = Some(Duration::from_secs(1)))
        .unwrap();
    sleep(Duration::from_millis(1010)).await;
    assert_eq!((pool.status().total, client.pools().expired), (0, 2));
}

#[tokio::test(start_paused = true)]
async fn time_in_the_pool_is_no_silence_of_the_peer() {
    let (_handle, server) = in_memory(Transport::Tcp);
    let client = client(&server)
        .with(|options| options.timeouts.read_idle = Some(Duration::from_secs(5)))
        .build()
        .unwrap();
    let pool = client.pool(URL).unwrap();
    let mut connection = pool.take().await.unwrap();
    ask(&mut connection).await;
    connection.give_back();
    sleep(Duration::from_secs(30)).await;
    let mut connection = pool.take().await.unwrap();
    assert_eq!(client.pools().reused, 1);
    // Nor is the time before its first read.
    sleep(Duration::from_secs(4)).await;
    let began = Instant::now();
    let error = connection.read(&mut [0; 1]).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    assert_eq!(began.elapsed(), Duration::from_secs(5));
}

#[tokio::test(start_paused = true)]
async fn one_is_made_at_a_time_and_a_failure_is_told_to_all() {
    let dials = Arc::new(AtomicU64::new(0));
    let counted = dials.clone();
    let client = Client::builder()
        .connector(move |_| {
            counted.fetch_add(1, Ordering::SeqCst);
            async {
                sleep(Duration::from_secs(1)).await;
                Err::<Socket, _>(io::ErrorKind::ConnectionRefused.into())
            }
        })
        .build()
        .unwrap();
    let pool = client.pool(URL).unwrap();
    let began = Instant::now();
    let callers: Vec<_> = (0..20)
        .map(|_| {
            let pool = pool.clone();
            tokio::spawn(async move { pool.take().await })
        })
        .collect();
    for caller in callers {
        let error = caller.await.unwrap().unwrap_err();
        let PoolError::Connect(error) = error else {
            panic!("{error}");
        };
        assert!(matches!(*error, ConnectError::Unreachable { .. }));
    }
    assert_eq!(began.elapsed(), Duration::from_secs(1));
    assert_eq!(
        (dials.load(Ordering::SeqCst), client.pools().failed),
        (1, 1)
    );
    assert_eq!(pool.status().total, 0);
}

#[tokio::test]
async fn a_connection_may_be_dropped_outside_of_the_runtime() {
    let (_handle, server) = in_memory(Transport::Tcp);
    let client = client(&server).with(|options| options.pool.max_total = 1);
    let pool = client.build().unwrap().pool(URL).unwrap();
    let only = pool.take().await.unwrap();
    let next = tokio::spawn({
        let pool = pool.clone();
        async move { ask(&mut pool.take().await.unwrap()).await }
    });
    tokio::task::yield_now().await;
    assert_eq!(pool.status().waiting, 1);
    std::thread::spawn(|| drop(only)).join().unwrap();
    next.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_connector_that_panics_leaves_nobody_waiting() {
    let (_handle, server) = in_memory(Transport::Tcp);
    let times = AtomicU64::new(0);
    let client = Client::builder()
        .connector(move |_| {
            let first = times.fetch_add(1, Ordering::SeqCst) == 0;
            let server = server.clone();
            async move {
                assert!(!first, "the first time");
                Ok(Socket::from(server.connect_from("192.0.2.9:1").await?))
            }
        })
        .with(|options| options.pool.max_total = 1)
        .build()
        .unwrap();
    let pool = client.pool(URL).unwrap();
    let error = pool.take().await.unwrap_err();
    assert!(matches!(error, PoolError::Abandoned), "{error}");
    assert_eq!(pool.status().total, 0);
    ask(&mut pool.take().await.unwrap()).await;
}

#[test]
fn a_runtime_that_ends_leaves_nobody_waiting() {
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
    };
    let (short, other) = (runtime(), runtime());
    let client = Client::builder()
        .connector(async |_| std::future::pending::<io::Result<Socket>>().await)
        .with(|options| options.timeouts.connect = None)
        .build()
        .unwrap();
    let guard = short.enter();
    let pool = client.pool(URL).unwrap();
    let waiting = tokio::spawn({
        let pool = pool.clone();
        async move { pool.take().await.map(drop) }
    });
    short.block_on(tokio::task::yield_now());
    assert_eq!(pool.status().waiting, 1);
    drop(guard);
    drop(short);
    assert!(
        other.block_on(waiting).is_err(),
        "it ended with its runtime"
    );
    assert_eq!(pool.status().total, 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_made_for_nobody_is_kept_for_the_next() {
    let (_handle, server) = in_memory(Transport::Tcp);
    let client = client(&server).build().unwrap();
    let pool = client.pool(URL).unwrap();
    let soon = timeout(Duration::from_millis(50), pool.take()).await;
    assert!(soon.is_err());
    sleep(Duration::from_millis(60)).await;
    assert_eq!(pool.status().idle, 1);
    let began = Instant::now();
    pool.take().await.unwrap();
    assert_eq!(began.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_drain_closes_the_free_ones_and_gives_out_no_more() {
    let (_handle, server) = in_memory(Transport::Tcp);
    let client = client(&server).build().unwrap();
    let pool = client.pool(URL).unwrap();
    let busy = pool.take().await.unwrap();
    pool.take().await.unwrap().give_back();
    let drain = {
        let client = client.clone();
        tokio::spawn(async move { client.drain(Duration::from_secs(5)).await })
    };
    sleep(Duration::from_secs(1)).await;
    assert_eq!((pool.status().idle, client.stats().live), (0, 1));
    busy.give_back();
    let report = drain.await.unwrap();
    assert_eq!((report.finished(), report.forced()), (2, 0), "{report}");
    let error = pool.take().await.unwrap_err();
    assert!(matches!(error, PoolError::Connect(error) if matches!(*error, ConnectError::Draining)));
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_is_gone_leaves_nothing() {
    let (_handle, server) = in_memory(Transport::Tcp);
    let client = client(&server).build().unwrap();
    let pool = client.pool(URL).unwrap();
    let taken = pool.take().await.unwrap();
    pool.take().await.unwrap().give_back();
    drop(pool);
    assert_eq!(client.stats().live, 2);
    taken.give_back();
    let stats = client.stats();
    assert_eq!((stats.live, stats.closed(Closed::Finished)), (0, 2));
}

#[tokio::test]
async fn tickets_of_tls_are_nothing_to_read() {
    let (pem, key) = certificate();
    let listen = Tls::bind("127.0.0.1:0").cert(&*pem, &*key);
    let handle = serve(listen);
    let url = format!("tls://{}", handle.address("it").unwrap());
    let client = trusting(&pem).build().unwrap();
    let pool = client.pool(&url).unwrap();
    for _ in 0..3 {
        let mut connection = pool.take().await.unwrap();
        ask(&mut connection).await;
        connection.give_back();
    }
    assert_eq!((client.stats().arrived, client.pools().reused), (1, 2));
}

#[test]
fn bounds_are_checked() {
    let problems = Client::builder()
        .with(|options| {
            options.pool.max_total = 0;
            options.pool.max_waiting = 0;
            options.pool.idle = Some(Duration::ZERO);
            options.pool.wait = Some(Duration::MAX);
        })
        .build()
        .unwrap_err();
    let keys: Vec<_> = problems.0.iter().map(|problem| &*problem.key).collect();
    let expected = [
        "pool.idle",
        "pool.wait",
        "pool.max-total",
        "pool.max-waiting",
    ];
    assert_eq!(keys, expected);
}
